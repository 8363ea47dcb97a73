package surface

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// window is the part of a plain list that is asked for.
type window struct {
	limit  int
	from   int    // where the page before ended
	behind string // what its last item was; "" for the first page
}

const maxWindow = 1000

// windowOf reads a query.
func windowOf(q url.Values) (w window, refused *mcp.Error) {
	w.limit = maxWindow
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxWindow {
			return w, mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidParams, "limit must be a number from 1 to %d", maxWindow)
		}
		w.limit = n
	}
	if text := q.Get("cursor"); text != "" {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(raw) <= fingerprintSize {
			return w, mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidParams, "cursor is none that this server made; ask for the list from its beginning")
		}
		w.behind = string(raw[:fingerprintSize])
		w.from, err = strconv.Atoi(string(raw[fingerprintSize:]))
		if err != nil || w.from < 1 {
			return w, mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidParams, "cursor is none that this server made; ask for the list from its beginning")
		}
	}
	return w, nil
}

// cut is the page, and the cursor of the next one; "" after the last. It begins behind
// the last item of the page before, wherever that stands now, or where it stood.
func (w window) cut(items [][]byte) (page [][]byte, next string) {
	from := min(w.from, len(items))
	for i := range items {
		if w.behind != "" && fingerprint(items[i]) == w.behind {
			from = i + 1
			break
		}
	}
	to := min(from+w.limit, len(items))
	if to < len(items) {
		next = base64.RawURLEncoding.EncodeToString([]byte(fingerprint(items[to-1]) + strconv.Itoa(to)))
	}
	return items[from:to], next
}

const fingerprintSize = 9

// fingerprint tells items apart, by what stays when their description changes.
func fingerprint(item []byte) string {
	h := sha256.New()
	for _, key := range []string{"server", "name", "uri"} {
		value, _ := mcp.Member(item, key)
		_, _ = h.Write(append(value, 0))
	}
	return string(h.Sum(nil)[:fingerprintSize])
}
