package surface

import (
	"context"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

var (
	jsonType  = []string{"application/json"}
	noStore   = []string{"no-store"}
	retrySoon = []string{"1"}
)

// answer writes an answer, whoever made it: bytes as they came.
func (q *request) answer(ctx context.Context, a *upstream.Answer) {
	h := q.w.Header()
	maps.Copy(h, a.Header)
	if a.State != nil && !q.Revision.Modern() {
		h[mcp.HeaderSessionID] = q.sessionHeader(a.State)
	}
	q.Status = a.Status
	if a.Status >= http.StatusBadRequest && q.IsRequest() {
		q.Fail(pipeline.ReasonBackend, nil)
	}
	if a.Stream {
		q.stream(ctx, a)
		return
	}
	if a.ContentLength >= 0 {
		h["Content-Length"] = []string{strconv.FormatInt(a.ContentLength, 10)}
	}
	q.w.WriteHeader(a.Status)
	if a.ContentLength != 0 {
		q.copyBody(a)
	}
}

// copyBody passes a whole answer on. A body that breaks breaks the client's
// connection too: ending it would make half an answer look like a whole one.
func (q *request) copyBody(a *upstream.Answer) {
	if a.ContentLength < 0 || a.ContentLength > inlineLength {
		rc := http.NewResponseController(q.w)
		_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // a client that does not read is let go
		defer func() { _ = rc.SetWriteDeadline(time.Time{}) }()
	}
	if whole, ok := a.Body.(io.WriterTo); ok { // it is in memory
		if _, err := whole.WriteTo(q.w); err != nil {
			q.Left()
			panic(http.ErrAbortHandler)
		}
		return
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for {
		n, err := a.Body.Read(*buf)
		if n > 0 {
			if _, err := q.w.Write((*buf)[:n]); err != nil {
				q.Left()
				panic(http.ErrAbortHandler)
			}
		}
		switch err {
		case nil:
		case io.EOF:
			return
		default:
			q.Broke("truncated", err)
			panic(http.ErrAbortHandler)
		}
	}
}

const (
	inlineLength = 32 << 10
	writeTimeout = 2 * time.Minute
)

// explain adds the headers of a refusal: a challenge where another credential has to
// be shown, and what the steps had to tell.
func (q *request) explain(h http.Header, err *mcp.Error) {
	if d := q.Denied; d != nil && q.e.Protection != nil && (err.Status == http.StatusUnauthorized || err.Status == http.StatusForbidden) {
		h["Www-Authenticate"] = []string{q.challenge(d.Code, d.Scopes)}
	}
	maps.Copy(h, q.Told)
}

// linger reads on after a message was refused that has not been read: closing the
// connection while the client still writes would reset it, and many clients never
// see the answer then (RFC 9112 §9.6). What is short net/http reads itself.
func (q *request) linger() {
	if n := q.Request.ContentLength; n >= 0 && n <= inlineLength || q.Request.Header.Get("Expect") != "" {
		return // or that client waits to be asked before it writes
	}
	rc := http.NewResponseController(q.w)
	if rc.Flush() != nil || rc.SetReadDeadline(time.Now().Add(lingerTimeout)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, q.Request.Body, lingerBytes)
}

const (
	lingerTimeout = 5 * time.Second
	lingerBytes   = 256 << 20
)

// WriteError writes err as a JSON-RPC error for id (null when unknown).
func WriteError(w http.ResponseWriter, err *mcp.Error, id []byte) {
	body := err.Append(nil, id)
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Cache-Control"] = noStore
	if _, told := h["Retry-After"]; !told && err.Status == http.StatusServiceUnavailable {
		h["Retry-After"] = retrySoon
	}
	w.WriteHeader(err.Status)
	_, _ = w.Write(body) // the client may be gone; there is nobody left to tell
}
