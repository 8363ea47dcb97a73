package bridge_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/seal"
)

// changing is a server that is replaced, at the same address, by one of another era.
type changing struct {
	server    *server
	handler   atomic.Pointer[http.Handler]
	discovers atomic.Int32
}

// become replaces it. Sessions of before are gone.
func (c *changing) become(modern bool) {
	h := onlyEra(sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return c.server.Server }, &sdk.StreamableHTTPOptions{Stateless: modern}), modern)
	c.handler.Store(&h)
}

func (c *changing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(mcp.HeaderMethod) == "server/discover" {
		c.discovers.Add(1)
	}
	(*c.handler.Load()).ServeHTTP(w, r)
}

// typed says in headers what a message is, as the transport of every client does.
type typed struct{ backend.Backend }

func (b typed) Do(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	req.Header["Content-Type"], req.Header["Accept"] = []string{"application/json"}, []string{"application/json, text/event-stream"}
	if req.Header.Get(mcp.HeaderProtocolVersion) != "" {
		req.Header[mcp.HeaderMethod] = []string{req.Message.Method}
		req.Header[mcp.HeaderName] = []string{req.Message.Target}
	}
	return b.Backend.Do(ctx, req)
}

func startChanging(t *testing.T, speaks mcp.Revision) (*changing, backend.Backend) {
	t.Helper()
	c := &changing{server: newServer()}
	c.become(false)
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	t.Cleanup(srv.CloseClientConnections)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	next, err := backend.NewHTTP(backend.HTTPConfig{Name: "b", URL: u, AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	b := bridge.New(bridge.Config{Name: "b", Next: next, Speaks: speaks, Ring: ring, MaxBytes: 1 << 20, Limits: mcp.DefaultLimits()})
	t.Cleanup(func() { _ = b.Close() })
	return c, typed{b}
}

// echo calls the tool, as a client with a session, or without one as a modern client.
func echo(t *testing.T, b backend.Backend, session backend.Session, modern bool) (status int, answer string) {
	t.Helper()
	meta := ""
	if modern {
		meta = "," + modernMeta
	}
	return post(t, b, "alice", session, modern, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"here"}%s}}`, meta))
}

// initialized opens a session as a legacy client does.
func initialized(t *testing.T, b backend.Backend) backend.Session {
	t.Helper()
	session := open(t, b, "2025-11-25", "{}")
	if status, answer := post(t, b, "alice", session, false, `{"jsonrpc":"2.0","method":"notifications/initialized"}`); status != http.StatusAccepted {
		t.Fatalf("initialized: %d %s", status, answer)
	}
	return session
}

// REQ F-3: a server that is upgraded, and taken back, while clients of both eras are there.
func TestServerChangesEra(t *testing.T) {
	t.Parallel()
	c, b := startChanging(t, "")
	session := initialized(t, b)
	for i, modern := range []bool{false, true, false, true} {
		c.become(modern)
		if status, answer := echo(t, b, backend.Session{}, true); status != http.StatusOK || !strings.Contains(answer, "here") {
			t.Errorf("%d: a client without a session gets %d %s", i, status, answer)
		}
		status, answer := echo(t, b, session, false)
		if status != http.StatusNotFound {
			t.Errorf("%d: a client in a session that is gone gets %d %s", i, status, answer)
		}
		session = initialized(t, b)
		if status, answer := echo(t, b, session, false); status != http.StatusOK || !strings.Contains(answer, "here") {
			t.Errorf("%d: a client in a new session gets %d %s", i, status, answer)
		}
	}
}

// The client with a session may be the first to notice.
func TestServerChangesEraUnderASession(t *testing.T) {
	t.Parallel()
	c, b := startChanging(t, "")
	for i, modern := range []bool{true, false, true} {
		session := initialized(t, b)
		c.become(modern)
		if status, answer := echo(t, b, session, false); status != http.StatusNotFound {
			t.Errorf("%d: a client in a session that is gone gets %d %s", i, status, answer)
		}
		if status, answer := echo(t, b, initialized(t, b), false); status != http.StatusOK || !strings.Contains(answer, "here") {
			t.Errorf("%d: a client in a new session gets %d %s", i, status, answer)
		}
	}
}

// What a server speaks is asked once.
func TestEraIsRemembered(t *testing.T) {
	t.Parallel()
	for _, modern := range []bool{false, true} {
		c, b := startChanging(t, "")
		c.become(modern)
		for range 3 {
			for _, status := range []int{first(echo(t, b, backend.Session{}, true)), first(echo(t, b, initialized(t, b), false))} {
				if status != http.StatusOK {
					t.Errorf("modern %t: a call is answered %d", modern, status)
				}
			}
		}
		// An initialize at a modern server learns from its answer what to tell the client.
		if n, most := c.discovers.Load(), map[bool]int32{false: 1, true: 3}[modern]; n > most {
			t.Errorf("modern %t: the server is asked %d times what it speaks, want at most %d", modern, n, most)
		}
	}
}

func first(status int, _ string) int { return status }

// REQ F-3: what the manifest says is not asked, and is not doubted.
func TestEraIsFixed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		speaks mcp.Revision
		modern bool // what the server really speaks
		works  bool
	}{
		{"2025-11-25", false, true},
		{"2025-11-25", true, false},
		{"2026-07-28", true, true},
		{"2026-07-28", false, false},
	} {
		c, b := startChanging(t, tt.speaks)
		c.become(tt.modern)
		status, answer := echo(t, b, backend.Session{}, true)
		if works := status == http.StatusOK && strings.Contains(answer, "here"); works != tt.works {
			t.Errorf("said to speak %s, modern %t: %d %s", tt.speaks, tt.modern, status, answer)
		}
		if n := c.discovers.Load(); n != 0 {
			t.Errorf("said to speak %s: the server is asked %d times", tt.speaks, n)
		}
	}
}

// An answer that says nothing of eras does not change what is known of a server.
func TestEraSurvivesTrouble(t *testing.T) {
	t.Parallel()
	var trouble atomic.Bool
	s := modernServer(func(req *backend.Request) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","content":[]}}`, req.Message.ID)
	})
	plain := s.do
	s.do = func(ctx context.Context, req *backend.Request) (*backend.Response, error) {
		if trouble.Load() {
			return nil, backend.Fail("b", http.StatusServiceUnavailable, backend.ReasonBusy, nil, "too busy")
		}
		return plain(ctx, req)
	}
	b := bridged(t, s, nil)
	session := open(t, b, "2025-11-25", "{}")
	trouble.Store(true)
	if status, answer := echo(t, b, session, false); status != http.StatusServiceUnavailable {
		t.Errorf("a server in trouble: %d %s", status, answer)
	}
	trouble.Store(false)
	if status, answer := echo(t, b, session, false); status != http.StatusOK {
		t.Errorf("after that: %d %s", status, answer)
	}
}

// Many servers refuse a method that they do not know as they refuse a session that they have forgotten.
func TestUnknownMethodOfALegacyServer(t *testing.T) {
	t.Parallel()
	_, b := startChanging(t, "")
	status, answer := post(t, b, "alice", backend.Session{}, true, `{"jsonrpc":"2.0","id":1,"method":"vendor/unknown","params":{`+modernMeta+`}}`)
	if status != http.StatusNotFound || !strings.Contains(answer, "-32601") {
		t.Errorf("got %d %s, want 404 and -32601", status, answer)
	}
}

// Modern servers refuse calls in words by which others refuse modern clients. Each such call is one
// all the same: the server is not asked again and again what it speaks.
func TestRefusedCallsRaiseNoDoubt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		y := newYoung(young{call: func(_ context.Context, _ *youngServer, req *backend.Request) (*backend.Response, error) {
			return failed(req, http.StatusOK, mcp.CodeInvalidParams, "unknown tool"), nil
		}})
		b := bridged(t, y.scripted, nil)
		session := open(t, b, "2025-11-25", "{}")
		for round := range 3 {
			before := y.count("server/discover")
			for i := range 20 {
				got, _ := ask(t, b, session, legacy(i, "tools/call", toolCall))
				wants(t, "an older client", got, "-32602", "unknown tool")
				wants(t, "a newer client", tell(t, b, modern(i, "tools/call", toolCall)), "-32602", "unknown tool")
			}
			if n := y.count("server/discover") - before; n != 1 {
				t.Errorf("round %d: 40 refused calls asked %d times what the server speaks, want once", round, n)
			}
			<-time.After(time.Minute)
		}
		_ = b.Close()
	})
}
