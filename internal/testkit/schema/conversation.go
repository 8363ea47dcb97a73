package schema

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"
)

// Conversation is all that a client and a server say to each other, over any transport. What
// the server says is checked, by the revision that the client began with: nothing else tells
// it, where messages have no headers. A nil one checks nothing.
type Conversation struct {
	t   testing.TB
	set *Set

	mu    sync.Mutex
	rev   string
	asked map[string]question // by id
}

// question is a request of the client's that has no answer yet.
type question struct{ rev, method string }

// NewConversation begins one. Without the packages of e2e/js it is nil.
func NewConversation(t testing.TB) *Conversation {
	t.Helper()
	if !Have() {
		return nil
	}
	return &Conversation{t: t, set: Load(t), rev: legacy, asked: map[string]question{}}
}

// Said takes what the client says, before the server hears it.
func (c *Conversation) Said(raw []byte) {
	if c == nil {
		return
	}
	var m struct {
		ID     json.RawMessage
		Method string
		Params struct {
			Meta map[string]json.RawMessage `json:"_meta"`
		}
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return // there was nothing, or what is no message
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var rev string
	if err := json.Unmarshal(m.Params.Meta["io.modelcontextprotocol/protocolVersion"], &rev); err == nil {
		c.rev = rev
	} else if m.Method == "initialize" {
		c.rev = legacy
	}
	if m.ID != nil && m.Method != "" {
		c.asked[string(m.ID)] = question{c.rev, m.Method}
	}
}

// Heard checks what the server says.
func (c *Conversation) Heard(raw []byte) {
	if c == nil {
		return
	}
	var m struct {
		ID     json.RawMessage
		Method string
		Result struct{ ProtocolVersion string }
	}
	_ = json.Unmarshal(raw, &m) // what is no message is reported as such
	c.mu.Lock()
	q, ok := c.asked[string(m.ID)]
	if ok = ok && m.Method == ""; ok {
		delete(c.asked, string(m.ID))
	} else {
		q = question{rev: c.rev}
	}
	if q.method == "initialize" && m.Result.ProtocolVersion != "" {
		c.rev = m.Result.ProtocolVersion
	}
	c.mu.Unlock()
	c.set.report(c.t, q.rev, q.method, raw)
}

// Client has what passes by HTTP be part of the conversation: by Streamable HTTP or HTTP+SSE.
func (c *Conversation) Client(next http.RoundTripper) http.RoundTripper {
	if c == nil {
		return next
	}
	return &transport{c, next}
}

type transport struct {
	conversation *Conversation
	next         http.RoundTripper
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		t.conversation.Said(body)
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &tapBody{resp.Body, hearing{header: resp.Header, said: t.conversation.Heard}}
	return resp, nil
}

type tapBody struct {
	io.ReadCloser
	hearing
}

func (b *tapBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.hear(p[:n])
	if err == io.EOF {
		b.end()
	}
	return n, err
}
