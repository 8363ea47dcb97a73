package authserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/authserver"
)

// events is an audit sink that a test reads.
type events struct {
	mu   sync.Mutex
	full bool
	all  []audit.Event
}

func (e *events) Reserve(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.full {
		return audit.ErrFull
	}
	return nil
}

func (e *events) Record(ev *audit.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, *ev)
}

func (e *events) Close(context.Context) error { return nil }

// take returns what was recorded since, a line each.
func (e *events) take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var lines []string
	for _, ev := range e.all {
		lines = append(lines, strings.Join([]string{ev.Method, string(ev.Outcome), ev.Subject, ev.ClientID, ev.Provider, ev.Reason}, " "))
	}
	e.all = nil
	return lines
}

// REQ G-5, FINDING N2: whatever happens at the authorization server is an audit event.
func TestEvents(t *testing.T) {
	t.Parallel()
	lives := authserver.DefaultLifespans()
	lives.Overlap = 0
	g := newRig(t, setup{upstreams: []string{"a", "b"}, onDemand: []string{"b"}, lifespans: lives})
	b := g.browser()
	var access, refresh string
	for _, c := range []struct {
		what string
		do   func()
		want []string
	}{
		{"a page alone", func() { b.open(g.authorization()) }, nil},
		{"no", func() { b.press("decision", "deny") }, []string{"oauth/consent denied anonymous app  access_denied"}},
		{"yes", func() {
			b.open(g.authorization())
			a := g.redeem(g.codeOf(b.press("decision", "allow")))
			access, refresh = a.Access, a.Refresh
		}, []string{
			"account/link success alice app a ", "oauth/sign_in success alice app a ", "oauth/consent success alice app  ", "oauth/token success alice app  ",
		}},
		{"not asked again", func() { g.codeOf(b.open(g.authorization())) }, nil},
		{"a bad code", func() { g.redeem("made-up") }, []string{"oauth/token denied anonymous app  invalid_grant"}},
		{"an unknown client", func() { g.redeem("x", "client_id", "nobody") }, []string{"oauth/token denied anonymous   invalid_client"}},
		{"a refresh", func() { g.refresh(refresh) }, []string{"oauth/refresh success alice app  "}},
		{"a near miss", func() { g.refresh(refresh) }, []string{"oauth/reuse denied alice app  near_miss", "oauth/refresh denied anonymous app  invalid_grant"}},
		{"again", func() { g.refresh(refresh) }, []string{"oauth/reuse denied alice app  reused", "oauth/refresh denied anonymous app  invalid_grant"}},
		{"revoked", func() {
			a := g.redeem(g.codeOf(b.open(g.authorization())))
			access = a.Access
			g.events.take()
			b.do(http.MethodPost, g.issuer+"/oauth/revoke", url.Values{"token": {access}, "client_id": {"app"}})
		}, []string{"oauth/revoke success alice app  "}},
		{"another client's", func() {
			b.do(http.MethodPost, g.issuer+"/oauth/revoke", url.Values{"token": {g.redeem(g.codeOf(b.open(g.authorization()))).Access}, "client_id": {g.register("")}})
		}, []string{"oauth/token success alice app  ", "oauth/register success anonymous ID  ", "oauth/revoke denied anonymous ID  unauthorized_client"}},
		{"a provider that refuses", func() {
			g.providers["a"].refuse = "access_denied"
			other := g.browser()
			other.open(g.authorization())
			other.press("decision", "allow")
		}, []string{"oauth/sign_in denied anonymous app a access_denied"}},
		{"signed out", func() {
			b.open(g.issuer + "/oauth/logout")
			b.press("action", "logout")
		}, []string{"account/sign_out success alice   "}},
	} {
		c.do()
		got := g.events.take()
		for i, line := range got {
			for _, word := range strings.Fields(line) {
				if len(word) > 60 {
					got[i] = strings.ReplaceAll(line, word, "ID")
				}
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

// What cannot be written down is not done.
func TestNoRoomForEvents(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{})
	code := g.signIn()
	g.events.full = true
	if a := g.redeem(code); a.Status != http.StatusServiceUnavailable || a.Access != "" {
		t.Errorf("a token: %+v", a)
	}
	b := g.browser()
	b.open(g.authorization())
	if b.last.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a page: %d", b.last.StatusCode)
	}
	g.events.full = false
	if a := g.redeem(code); a.Status != http.StatusOK {
		t.Errorf("the code is used up: %+v", a)
	}
}

// What the docs promise to be in the log when a provider fails is there, with its name,
// and the client is told which it was (FINDING 2.16, N16).
func TestLogSaysWhy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail  func(*provider)
		error string
		logs  []string
	}{
		"down":    {func(p *provider) { p.down = errors.New("dial canary-host: connection refused") }, "server_error", []string{"provider=idp", "canary-host"}},
		"broken":  {func(p *provider) { p.broken = errors.New("iss is canary-issuer") }, "server_error", []string{"provider=idp", "canary-issuer"}},
		"refuses": {func(p *provider) { p.refuse = "access_denied" }, "access_denied", []string{"provider=idp", "error=access_denied", "because of idp"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, setup{})
			c.fail(g.providers["idp"])
			b := g.browser()
			b.open(g.authorization())
			back := b.press("decision", "allow")
			if back == nil || back.Query().Get("error") != c.error || !strings.Contains(back.Query().Get("error_description"), "idp") || strings.Contains(back.RawQuery, "canary") {
				t.Errorf("sent back with %v", back)
			}
			for _, word := range append(c.logs, "issuer="+g.issuer) {
				if !strings.Contains(g.log.String(), word) {
					t.Errorf("the log does not say %q:\n%s", word, g.log)
				}
			}
		})
	}
}
