package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Keys are credentials of AWS.
type Keys struct {
	ID     string
	Secret secret.Value
	Token  secret.Value // of a session; empty for long-lived keys
}

// Scope is what a signature is good for.
type Scope struct{ Region, Service string }

// The headers that Sign makes.
const (
	HeaderDate    = "X-Amz-Date"
	HeaderSession = "X-Amz-Security-Token"
)

// Request is what is signed.
type Request struct {
	Method string
	Host   string // as the Host header has it
	URI    string // path and query, as on the request line
	Body   []byte
	// Header holds further headers to be signed. What may be changed on the way must
	// not be among them.
	Header http.Header
}

// Sign makes the headers that sign a request: Authorization, the date, and the
// session's token if there is one.
func Sign(k Keys, s Scope, r *Request, now time.Time) http.Header {
	at := now.UTC().Format("20060102T150405Z")
	h := http.Header{HeaderDate: {at}}
	if !k.Token.Empty() {
		h[HeaderSession] = []string{k.Token.Reveal()}
	}
	names, lines := canonicalHeaders(r, h)
	signed := strings.Join(names, ";")
	uri, query, _ := strings.Cut(r.URI, "?")
	request := strings.Join([]string{r.Method, canonicalPath(uri), canonicalQuery(query), lines, signed, hash(r.Body)}, "\n")
	scope := strings.Join([]string{at[:8], s.Region, s.Service, "aws4_request"}, "/")
	text := strings.Join([]string{"AWS4-HMAC-SHA256", at, scope, hash([]byte(request))}, "\n")

	key := []byte("AWS4" + k.Secret.Reveal())
	for _, part := range []string{at[:8], s.Region, s.Service, "aws4_request", text} {
		key = mac(key, part)
	}
	h["Authorization"] = []string{"AWS4-HMAC-SHA256 Credential=" + k.ID + "/" + scope + ", SignedHeaders=" + signed + ", Signature=" + hex.EncodeToString(key)}
	return h
}

// canonicalHeaders are the names that are signed, and a line for each.
func canonicalHeaders(r *Request, made http.Header) (names []string, lines string) {
	all := map[string]string{"host": r.Host}
	for _, h := range []http.Header{r.Header, made} {
		for name, values := range h {
			trimmed := make([]string, len(values))
			for i, v := range values {
				trimmed[i] = strings.Join(strings.Fields(v), " ")
			}
			all[strings.ToLower(name)] = strings.Join(trimmed, ",")
		}
	}
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		b.WriteString(name + ":" + all[name] + "\n")
	}
	return names, b.String()
}

// canonicalPath is the path without dot segments and double slashes, encoded once
// more, as every service but S3 reads it.
func canonicalPath(p string) string {
	if p == "" {
		return "/"
	}
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return escape(clean, "/")
}

// canonicalQuery is the query sorted by the encoded name, then by the encoded value.
func canonicalQuery(query string) string {
	var pairs [][2]string
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		pairs = append(pairs, [2]string{escape(unescape(name), ""), escape(unescape(value), "")})
	}
	slices.SortFunc(pairs, func(a, b [2]string) int {
		if c := strings.Compare(a[0], b[0]); c != 0 {
			return c
		}
		return strings.Compare(a[1], b[1])
	})
	parts := make([]string, len(pairs))
	for i, p := range pairs {
		parts[i] = p[0] + "=" + p[1]
	}
	return strings.Join(parts, "&")
}

// unescape decodes percent encoding; what is not well-formed stays as it is. A plus
// sign is a plus sign: AWS does not read it as a space.
func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}

// escape encodes every byte but RFC 3986's unreserved ones, and those in keep.
func escape(s, keep string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~", c) >= 0, strings.IndexByte(keep, c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteString(string([]byte{'%', digits[c>>4], digits[c&15]}))
		}
	}
	return b.String()
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
