package authserver_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/authserver"
)

// REQ G-10: an operator sees what is kept of a person, and ends it for them: the tokens of
// an application, a browser's session, an account. The audit says who it was.
func TestHeld(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{})
	b := g.browser()
	b.open(g.authorization())
	first := g.redeem(g.codeOf(b.press("decision", "allow")))
	if none, err := g.server.Held(t.Context(), "bob"); len(none) > 0 || err != nil {
		t.Errorf("of somebody who never was here: %v, %v", none, err)
	}
	all, err := g.server.Held(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	byKind := map[string]authserver.Held{}
	for _, h := range all {
		byKind[h.Kind] = h
	}
	if a := byKind[authserver.HeldApp]; len(all) != 3 || a.Name != "App" || !strings.HasSuffix(a.For, resource) || a.Since.IsZero() || byKind[authserver.HeldBrowser].ID == "" || !strings.Contains(byKind[authserver.HeldAccount].For, "ALICE") {
		t.Fatalf("held: %+v", all)
	}
	g.events.take()
	r := httptest.NewRequest("POST", "/", nil)
	for _, kind := range []string{authserver.HeldApp, authserver.HeldBrowser, authserver.HeldAccount} {
		if err := g.server.End(r, "bob", kind, byKind[kind].ID); err != nil { // it is not bob's
			t.Errorf("%s of somebody else: %v", kind, err)
		}
	}
	if left, _ := g.server.Held(t.Context(), "alice"); len(left) != 3 {
		t.Errorf("what is alice's was ended as bob's: %+v", left)
	}
	g.events.take()
	for _, kind := range []string{authserver.HeldApp, authserver.HeldBrowser, authserver.HeldAccount} {
		if err := g.server.End(r, "alice", kind, byKind[kind].ID); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	var methods []string
	for _, e := range g.events.all {
		if e.Source != "operator" || e.Subject != "alice" {
			t.Errorf("event %+v", e)
		}
		methods = append(methods, e.Method)
	}
	if got := strings.Join(methods, " "); got != "oauth/revoke account/sign_out account/unlink" {
		t.Errorf("events: %s", got)
	}
	if left, _ := g.server.Held(t.Context(), "alice"); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	if _, err := g.claims(first.Access); err == nil {
		t.Error("the access token is still good")
	}
	if r := g.refresh(first.Refresh); r.Error != "invalid_grant" {
		t.Errorf("the refresh token is still good: %+v", r)
	}
	b.open(g.issuer + "/oauth/connections")
	if !strings.Contains(b.body, "Sign in with") {
		t.Errorf("the browser is still signed in: %s", b.body)
	}
}
