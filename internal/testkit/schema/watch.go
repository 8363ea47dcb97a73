package schema

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Side is whose messages are checked.
type Side int

const (
	// Requests are the messages that come to a server: of its client.
	Requests Side = iota
	// Answers are those that a server gives.
	Answers
)

// Watch has the messages of one side that pass a handler of Streamable HTTP checked. Without
// the packages of e2e/js it is the handler itself.
func Watch(t testing.TB, side Side, next http.Handler) http.Handler {
	t.Helper()
	if !Have() {
		return next
	}
	set := Load(t)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		rev, method := about(r, body)
		if side == Requests {
			if len(body) > 0 {
				set.report(t, rev, "", body)
			}
			next.ServeHTTP(w, r)
			return
		}
		tap := &tap{w, hearing{header: w.Header(), said: func(raw []byte) { set.report(t, rev, method, raw) }}}
		next.ServeHTTP(tap, r)
		tap.end()
	})
}

func (s *Set) report(t testing.TB, rev, about string, raw []byte) {
	if err := s.Check(rev, about, raw); err != nil {
		t.Errorf("a message of revision %s is not valid: %v\n%s", rev, err, raw)
	}
}

// about is the revision and the method of a request.
func about(r *http.Request, body []byte) (rev, method string) {
	var m struct {
		Method string
		Params struct {
			Meta map[string]json.RawMessage `json:"_meta"`
		}
	}
	_ = json.Unmarshal(body, &m) // what is no message is reported as such
	if rev = r.Header.Get("Mcp-Protocol-Version"); rev == "" {
		rev = legacy
	}
	return rev, m.Method
}

// tap hears the answer of a handler.
type tap struct {
	http.ResponseWriter
	hearing
}

func (t *tap) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (t *tap) Write(p []byte) (int, error) {
	t.hear(p)
	return t.ResponseWriter.Write(p)
}

// hearing takes the messages out of an answer, JSON or stream.
type hearing struct {
	header http.Header
	said   func(raw []byte)

	mu   sync.Mutex
	rest []byte
}

func (h *hearing) is(what string) bool { return strings.HasPrefix(h.header.Get("Content-Type"), what) }

func (h *hearing) hear(p []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rest = append(h.rest, p...)
	for h.is("text/event-stream") {
		event, rest, whole := bytes.Cut(h.rest, []byte("\n\n"))
		if !whole {
			break
		}
		var data []byte
		kind := "message"
		for line := range bytes.Lines(event) {
			if text, ok := bytes.CutPrefix(line, []byte("data:")); ok {
				data = append(data, text...)
			} else if text, ok := bytes.CutPrefix(line, []byte("event:")); ok {
				kind = string(bytes.TrimSpace(text))
			}
		}
		if data = bytes.TrimSpace(data); len(data) > 0 && kind == "message" { // HTTP+SSE begins with its address
			h.said(data)
		}
		h.rest = bytes.Clone(rest)
	}
}

func (h *hearing) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if rest := bytes.TrimSpace(h.rest); h.is("application/json") && len(rest) > 0 {
		h.said(rest)
	}
	h.rest = nil
}
