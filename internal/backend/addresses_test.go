package backend_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// pods are servers at addresses of their own, with one port and one name, each with sessions that the others do not
// know.
type pods struct {
	t    *testing.T
	port string

	mu      sync.Mutex
	running map[string]*httptest.Server // by address
	fails   error                       // of DNS
	asked   int
	keys    map[string]int // requests by address that showed the credential
}

// start starts one, at an address of loopback.
func (p *pods) start(address string) {
	p.t.Helper()
	if p.port == "" {
		p.port = "0"
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(address, p.port))
	if err != nil {
		p.t.Fatal(err)
	}
	_, p.port, _ = net.SplitHostPort(ln.Addr().String())
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		if r.Header.Get("X-Api-Key") == "secret" {
			p.keys[address]++
		}
		p.mu.Unlock()
		session := "session-of-" + address
		switch got := r.Header.Get(mcp.HeaderSessionID); {
		case r.Host != "pods.test:"+p.port:
			http.Error(w, "another host", http.StatusMisdirectedRequest)
		case r.URL.Path == "/moved":
			w.Header().Set("Location", "/mcp")
			w.WriteHeader(http.StatusTemporaryRedirect)
		case got != "" && got != session:
			w.WriteHeader(http.StatusNotFound)
		default:
			w.Header().Set(mcp.HeaderSessionID, session)
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":{"at":%q}}`, address)
		}
	}))
	_ = s.Listener.Close()
	s.Listener = ln
	s.Start()
	p.t.Cleanup(s.Close)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[address] = s
}

// stop ends one; DNS names it no more.
func (p *pods) stop(address string) {
	p.mu.Lock()
	s := p.running[address]
	delete(p.running, address)
	p.mu.Unlock()
	s.CloseClientConnections()
	s.Close()
}

func (p *pods) lookup(_ context.Context, _, host string) (all []netip.Addr, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if host != "pods.test" {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	for address := range p.running {
		all = append(all, netip.MustParseAddr(address))
	}
	return all, p.fails
}

// open opens the backend, at a path.
func (p *pods) open(path string) *backend.HTTP {
	p.t.Helper()
	b, err := backend.NewHTTP(backend.HTTPConfig{
		Name: "pods", URL: &url.URL{Scheme: "http", Host: "pods.test:" + p.port, Path: path}, AllowPrivate: true, EachAddress: true, Lookup: p.lookup,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = b.Close() })
	return b
}

func newPods(t *testing.T, addresses ...string) *pods {
	t.Helper()
	p := &pods{t: t, running: map[string]*httptest.Server{}, keys: map[string]int{}}
	for _, a := range addresses {
		p.start(a)
	}
	return p
}

func askPods(t *testing.T, b *backend.HTTP, s backend.Session) (*backend.Response, error) {
	t.Helper()
	req := call()
	req.Session, req.Private = s, http.Header{"X-Api-Key": {"secret"}}
	resp, err := b.Do(t.Context(), req)
	if err == nil {
		resp.Body.Close()
	}
	return resp, err
}

// What begins is spread over the addresses; a session stays where it began, whoever else is there and whatever gateway
// asks; and it is unknown when its server is gone, also where another one answers in its place.
func TestSessionsPerAddress(t *testing.T) {
	t.Parallel()
	all := []string{"127.0.71.1", "127.0.71.2", "127.0.71.3"}
	p := newPods(t, all...)
	b := p.open("/mcp")
	sessions := map[string]backend.Session{}
	for range 200 {
		resp, err := askPods(t, b, backend.Session{})
		if err != nil {
			t.Fatal(err)
		}
		sessions[resp.Session.Origin] = resp.Session
	}
	if len(sessions) != len(all) {
		t.Fatalf("200 beginnings were at %d of %d addresses", len(sessions), len(all))
	}
	another := p.open("/mcp") // another replica, or the gateway after its restart
	for origin, s := range sessions {
		for range 20 {
			for _, b := range []*backend.HTTP{b, another} {
				resp, err := askPods(t, b, s)
				if err != nil || resp.Session.Origin != origin {
					t.Fatalf("a session of %s: %v", origin, err)
				}
			}
		}
	}
	for _, a := range all {
		if p.keys[a] == 0 {
			t.Errorf("%s is not shown the credential", a)
		}
	}
	if p.asked > 20 {
		t.Errorf("DNS was asked %d times", p.asked)
	}

	gone := "http://" + net.JoinHostPort(all[0], p.port)
	p.stop(all[0])
	_, err := askPods(t, p.open("/mcp"), sessions[gone])
	if f, ok := errors.AsType[*backend.Failure](err); !ok || f.Reason != backend.ReasonSession || f.Public.Status != http.StatusNotFound {
		t.Errorf("a session of a server that is gone: %v", err)
	}
	for range 20 { // b does not know yet that it is gone
		resp, err := askPods(t, b, backend.Session{})
		if err != nil {
			t.Fatalf("what begins while one is gone: %v", err)
		}
		if resp.Session.Origin == gone {
			t.Fatal("it begins at who is gone")
		}
	}
	testkit.Eventually(t, "who knew the server hears that it is gone", func() bool {
		_, err := askPods(t, b, sessions[gone])
		f, ok := errors.AsType[*backend.Failure](err)
		return ok && f.Reason == backend.ReasonSession
	})
	p.start("127.0.71.4")
	fresh := p.open("/mcp")
	resp, err := askPods(t, fresh, backend.Session{ID: "session-of-127.0.71.4", Origin: "http://" + net.JoinHostPort("127.0.71.4", p.port)})
	if err != nil || resp.Session.ID != "session-of-127.0.71.4" {
		t.Errorf("a session of a server that has just come: %v", err)
	}
}

// A session leads to no address that is none of the host's, and credentials neither.
func TestSessionsPerAddressAreTheHosts(t *testing.T) {
	t.Parallel()
	p, other := newPods(t, "127.0.72.1"), newPods(t)
	other.port = p.port
	other.start("127.0.72.2") // somebody else's
	b := p.open("/mcp")
	for _, origin := range []string{
		"http://127.0.72.2:" + p.port, "http://127.0.72.1:1", "https://127.0.72.1:" + p.port, "http://pods.test:" + p.port, "http://[::1]:" + p.port, "", "nonsense",
	} {
		_, err := askPods(t, b, backend.Session{ID: "x", Origin: origin})
		if f, ok := errors.AsType[*backend.Failure](err); !ok || f.Reason != backend.ReasonSession {
			t.Errorf("a session of %q: %v", origin, err)
		}
	}
	if len(other.keys) > 0 {
		t.Error("somebody else was shown the credential")
	}
}

// A redirect of a server to its own name stays at its address, with session and credential.
func TestSessionsPerAddressFollowRedirects(t *testing.T) {
	t.Parallel()
	p := newPods(t, "127.0.73.1", "127.0.73.2")
	b := p.open("/moved")
	for range 20 {
		first, err := askPods(t, b, backend.Session{})
		if err != nil {
			t.Fatal(err)
		}
		if again, err := askPods(t, b, first.Session); err != nil || again.Session != first.Session {
			t.Fatalf("after a redirect: %v", err)
		}
	}
	if n := p.keys["127.0.73.1"] + p.keys["127.0.73.2"]; n != 80 {
		t.Errorf("the credential was shown %d times in 40 exchanges of two hops each", n)
	}
}

// What DNS cannot say for a moment is as it was; what it denies is gone.
func TestSessionsPerAddressWithoutDNS(t *testing.T) {
	t.Parallel()
	p := newPods(t, "127.0.74.1")
	b := p.open("/mcp")
	resp, err := askPods(t, b, backend.Session{})
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.fails = &net.DNSError{Err: "server misbehaving", IsTemporary: true}
	p.mu.Unlock()
	if _, err := askPods(t, b, resp.Session); err != nil {
		t.Errorf("with what was known: %v", err)
	}
	_, err = askPods(t, p.open("/mcp"), backend.Session{})
	if f, ok := errors.AsType[*backend.Failure](err); !ok || f.Reason != backend.ReasonUnreachable {
		t.Errorf("nothing is known: %v", err)
	}
	p.mu.Lock()
	p.fails = nil
	p.mu.Unlock()
	p.stop("127.0.74.1")
	_, err = askPods(t, p.open("/mcp"), backend.Session{})
	if f, ok := errors.AsType[*backend.Failure](err); !ok || f.Reason != backend.ReasonUnreachable {
		t.Errorf("nobody is there: %v", err)
	}
}

// Certificates are for names, and not for the addresses behind them.
func TestSessionsPerAddressWantHTTP(t *testing.T) {
	t.Parallel()
	if _, err := backend.NewHTTP(backend.HTTPConfig{Name: "pods", URL: &url.URL{Scheme: "https", Host: "pods.test"}, EachAddress: true}); err == nil {
		t.Error("https is taken")
	}
}
