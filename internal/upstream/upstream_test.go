package upstream_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/listing"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// server is a backend that answers every request alike, and keeps the last one.
type server struct {
	resp *backend.Response
	err  error
	last backend.Request
	sent int
}

func (s *server) Do(_ context.Context, req *backend.Request) (*backend.Response, error) {
	s.last = *req
	s.sent++
	if s.err != nil {
		return nil, s.err
	}
	if s.resp != nil {
		return s.resp, nil
	}
	return &backend.Response{Status: http.StatusAccepted, Body: http.NoBody}, nil
}

func (s *server) Close() error { return nil }

// newUpstream is one with a health of its own.
func newUpstream(s *server, change func(*upstream.Config)) *upstream.Upstream {
	cfg := upstream.Config{
		Name: "docs", Key: "k", Backend: s, Health: &upstream.Health{}, Message: mcp.DefaultLimits(),
		List: listing.Limits{MaxBytes: 1 << 20, MaxPageBytes: 1 << 20},
	}
	if change != nil {
		change(&cfg)
	}
	return upstream.New(cfg)
}

// callOf is a call with a message.
func callOf(t *testing.T, body string, rev mcp.Revision) *upstream.Call {
	t.Helper()
	m, bad := mcp.Parse([]byte(body), mcp.DefaultLimits())
	if bad != nil {
		t.Fatal(bad)
	}
	return &upstream.Call{
		Caller: identity.Anonymous(), Method: http.MethodPost, Header: http.Header{}, Body: m.Raw, Message: &m, Target: m.Target, Revision: rev,
	}
}

// stepUp is a source that has a person do something first.
type stepUp struct{ step credential.StepUp }

func (s *stepUp) Headers() []string { return []string{"Authorization"} }

func (s *stepUp) Apply(context.Context, *credential.Request, http.Header) error { return &s.step }

// Health follows what a server does, and what says nothing of it changes nothing.
func TestHealth(t *testing.T) {
	t.Parallel()
	s := &server{}
	u := newUpstream(s, nil)
	for _, tt := range []struct {
		reason backend.Reason
		want   string
	}{
		{backend.ReasonBusy, "unknown"},
		{"", "ready"},
		{backend.ReasonBadAnswer, "degraded"},
		{backend.ReasonRedirect, "unavailable"},
		{"", "ready"},
		{backend.ReasonUnreachable, "unavailable"},
		{backend.ReasonCanceled, "unavailable"},
		{backend.ReasonCredential, "unauthenticated"},
		{backend.ReasonTimeout, "unavailable"},
		{"", "ready"},
		{backend.ReasonCrashed, "unavailable"},
	} {
		s.err = nil
		if tt.reason != "" {
			s.err = &backend.Failure{Public: mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "no"), Reason: tt.reason}
		}
		if a, err := u.Do(t.Context(), callOf(t, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, "")); err == nil {
			a.End("")
		}
		if got := u.Health.String(); got != tt.want {
			t.Errorf("after %q: %s, want %s", tt.reason, got, tt.want)
		}
	}
}

// What a server was found to speak is remembered between lists, and forgotten when it
// does not speak that any more.
func TestRevisionIsRemembered(t *testing.T) {
	t.Parallel()
	speaks, initialized := mcp.Rev20251125, 0
	s := &conversation{say: func(req *backend.Request) string {
		switch {
		case req.Message.Method == "initialize" && speaks.Modern():
			return `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}`
		case req.Message.Method == "initialize":
			initialized++
			return `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"` + string(speaks) + `","capabilities":{"tools":{}}}}`
		case req.Message.Meta.HasVersion != speaks.Modern():
			return `{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"no"}}`
		default:
			return `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}}`
		}
	}}
	u := upstream.New(upstream.Config{Name: "docs", Backend: s, List: listing.Limits{MaxBytes: 1 << 20, MaxPageBytes: 1 << 20}})
	list := func() error {
		c := &upstream.Call{Caller: identity.Anonymous(), Method: http.MethodGet, Header: http.Header{}}
		items, err := u.List(t.Context(), c, "tools/list", func(page []byte) ([]byte, error) { return page, nil })
		if err == nil && len(items) != 1 {
			t.Errorf("%d items", len(items))
		}
		return err
	}
	asked := func(f func() error) int {
		before := s.asked
		if err := f(); err != nil {
			t.Error(err)
		}
		return s.asked - before
	}
	if first, then := asked(list), asked(list); first != 4 || then != 3 || initialized != 2 {
		t.Errorf("%d requests, then %d; %d sessions", first, then, initialized)
	}
	speaks = mcp.Rev20260728
	if err := list(); err == nil {
		t.Error("a server that speaks another revision now was understood")
	}
	if n := asked(list); n != 1 {
		t.Errorf("%d requests in the new revision", n)
	}
}

// conversation is a backend that says something else each time.
type conversation struct {
	say   func(*backend.Request) string
	asked int
}

func (s *conversation) Do(_ context.Context, req *backend.Request) (*backend.Response, error) {
	s.asked++
	if req.Message.Kind == mcp.KindNotification {
		return &backend.Response{Status: http.StatusAccepted, Body: http.NoBody}, nil
	}
	body := s.say(req)
	return &backend.Response{Status: http.StatusOK, Header: http.Header{}, ContentLength: int64(len(body)), Body: io.NopCloser(&reader{body})}, nil
}

func (s *conversation) Close() error { return nil }

type reader struct{ rest string }

func (r *reader) Read(p []byte) (int, error) {
	if r.rest == "" {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// textOf is an answer's body.
func textOf(t *testing.T, a *upstream.Answer) string {
	t.Helper()
	b, err := io.ReadAll(a.Body)
	if err != nil || !json.Valid(b) {
		t.Errorf("%v in %s", err, b)
	}
	a.End("")
	return string(b)
}

// Event ids are good for the session that they came in, and say nothing of the server's.
func TestEventIDs(t *testing.T) { // FINDING S19; REQ G-1
	t.Parallel()
	ring, err := seal.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{}
	u := newUpstream(s, func(cfg *upstream.Config) { cfg.Ring = ring })
	get := func(session, lastID string) (sealed, presented string) {
		t.Helper()
		s.resp = &backend.Response{
			Status: 200, Header: http.Header{}, Stream: true, ContentLength: -1,
			Body: io.NopCloser(strings.NewReader("id: stream-of-" + session + "_1\ndata: {}\n\n")),
		}
		c := &upstream.Call{
			Caller: identity.Anonymous(), Method: http.MethodGet, Header: http.Header{}, Revision: mcp.Rev20251125,
			Session: backend.Session{ID: session, Origin: "o"},
		}
		if lastID != "" {
			c.Header["Last-Event-Id"] = []string{lastID}
		}
		a, err := u.Do(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer a.End("")
		ev, err := mcp.NewEventReader(a.Body, 1<<20).Next()
		if err != nil || string(ev.Data) != "{}" || strings.Contains(ev.ID, "stream-of") {
			t.Errorf("event = %+v, %v", ev, err)
		}
		return ev.ID, s.last.Header.Get("Last-Event-Id")
	}
	id, _ := get("s1", "")
	if _, got := get("s1", id); got != "stream-of-s1_1" {
		t.Errorf("the session's own id reached the server as %q", got)
	}
	for name, strange := range map[string]string{"another session's": id, "the server's own": "stream-of-s2_1", "made up": "x"} {
		if _, got := get("s2", strange); got != "" {
			t.Errorf("%s id reached the server as %q", name, got)
		}
	}
	// A revision without resuming has its ids as they are.
	s.resp = &backend.Response{Status: 200, Header: http.Header{}, Stream: true, Body: io.NopCloser(strings.NewReader("id: 1\ndata: {}\n\n"))}
	c := callOf(t, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, mcp.Rev20260728)
	a, err := u.Do(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer a.End("")
	if ev, err := mcp.NewEventReader(a.Body, 1<<20).Next(); err != nil || ev.ID != "1" {
		t.Errorf("event = %+v, %v", ev, err)
	}
}
