package authserver_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/authserver"
)

// REQ D-10, FINDING 2.2: several windows of one application, or a laptop that wakes,
// refresh with one token at once: all get the same successor, and everybody goes on.
func TestSiblings(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{})
	first := g.redeem(g.signIn())
	answers := append(together(5, func() answer { return g.refresh(first.Refresh) }), g.refresh(first.Refresh))
	for i, a := range answers {
		if a.Status != http.StatusOK || a.Refresh != answers[0].Refresh {
			t.Errorf("sibling %d: %+v; want 200 and the successor that all get", i+1, a)
		} else if _, err := g.claims(a.Access); err != nil {
			t.Errorf("sibling %d's access token: %v", i+1, err)
		}
	}
	if next := g.refresh(answers[3].Refresh); next.Status != http.StatusOK {
		t.Errorf("the next refresh: %+v", next)
	}
}

// REQ D-10: after the overlap a replaced token ends the line; shown again, it ends the
// access tokens too. The log says which of the two it was.
func TestNearMiss(t *testing.T) {
	t.Parallel()
	lives := authserver.DefaultLifespans()
	lives.Overlap = 0
	g := newRig(t, setup{lifespans: lives})
	first := g.redeem(g.signIn())
	second := g.refresh(first.Refresh)
	if again := g.refresh(first.Refresh); again.Error != "invalid_grant" {
		t.Fatalf("after the overlap: %+v", again)
	}
	if _, err := g.claims(second.Access); err != nil {
		t.Errorf("a first near miss ended the access token: %v", err)
	}
	if !strings.Contains(g.log.String(), "after refreshOverlap") {
		t.Errorf("the log does not say that it was a near miss: %s", g.log)
	}
	if after := g.refresh(second.Refresh); after.Error != "invalid_grant" {
		t.Errorf("the line goes on: %+v", after)
	}
	if _, err := g.claims(second.Access); err == nil {
		t.Error("a second one left the access token alone")
	}
}

// FINDING 2.15: what was left out when the person was asked is left out at a refresh.
func TestRefreshScopes(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{})
	const asked = "profile nobody:knows docs:read"
	first := g.redeem(g.signIn("scope", asked))
	for _, c := range []struct{ scope, want string }{
		{asked, "profile docs:read"}, {"docs:read admin", "docs:read"}, {"nobody:knows", "profile docs:read"}, {"", "profile docs:read"},
	} {
		a := g.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}, "scope": {c.scope}})
		if a.Status != http.StatusOK || a.Scope != c.want {
			t.Errorf("refreshed for %q: %+v; want %q", c.scope, a, c.want)
		}
		first = a
	}
}
