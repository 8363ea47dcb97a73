package accounts_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/accounts"
	"github.com/sallyport-dev/sallyport/internal/idp"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// realProvider signs alice in at a certified provider whose access tokens last so long,
// and which ends the grant when a refresh token comes twice.
func realProvider(t *testing.T, life time.Duration) (*idp.OIDC, *oauth.Tokens) {
	t.Helper()
	const callback = "http://127.0.0.1:7777/oauth/callback"
	server := testkit.StartIdPWith(t, life)
	id, password := server.Register(t, callback)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	reach := oauth.Reach{AllowLoopbackHTTP: true, Client: &http.Client{Transport: transport}}
	discovery := idp.NewDiscovery(server.Issuer, reach)
	w := newWorld(t, store.NewMemory(), nil)
	keys, err := token.NewKeySet(token.KeySetConfig{Locate: discovery.KeysURL, Client: reach.Client, Idle: true, Log: w.logger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	p, err := idp.NewOIDC(idp.OIDCConfig{
		Client: idp.Client{Name: "okta", ID: id, Secret: secret.New(password), Reach: reach, Params: map[string]string{"prompt": "consent"}},
		Issuer: server.Issuer, Discovery: discovery, Keys: keys,
	})
	if err != nil {
		t.Fatal(err)
	}
	leg := idp.Leg{RedirectURI: callback, State: oauth.NewVerifier(), Nonce: oauth.NewVerifier(), Verifier: oauth.NewVerifier()}
	to, err := p.Begin(t.Context(), leg)
	if err != nil {
		t.Fatal(err)
	}
	back, err := server.SignIn(t.Context(), to, "alice")
	if err != nil {
		t.Fatal(err)
	}
	grant, err := p.Finish(t.Context(), leg, back.Query().Get("code"), back.Query().Get("iss"))
	if err != nil {
		t.Fatal(err)
	}
	return p, grant.Tokens
}

// REQ D-8: three replicas keep a person signed in at a real provider over several lives
// of its tokens; and when the provider ends the grant, each says so.
func TestRealProviderRotation(t *testing.T) {
	t.Parallel()
	p, tokens := realProvider(t, time.Second)
	w := newWorld(t, store.NewMemory(), nil)
	real := func(c *accounts.Config) {
		c.Refresh = func(ctx context.Context, _ string, refresh secret.Value) (*oauth.Tokens, error) {
			return p.Refresh(ctx, refresh)
		}
		c.Revoke = func(ctx context.Context, _ string, t *oauth.Tokens) error { return p.Revoke(ctx, t) }
	}
	replicas := []*accounts.Book{w.replica(real), w.replica(real), w.replica(real)}
	link(t, replicas[0], "alice", "okta", tokens)
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	var all sync.WaitGroup
	for _, b := range replicas {
		defer b.Close()
		all.Go(func() {
			for ctx.Err() == nil && w.count("okta success") < 3 {
				if _, err := b.Token(ctx, "alice", "okta"); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("signed out: %v", err)
					return
				}
				<-time.After(5 * time.Millisecond)
			}
		})
	}
	all.Wait()
	if n := w.count("okta success"); n < 2 {
		t.Errorf("renewed %d times; log:\n%s", n, w.log)
	}
	if err := replicas[1].Unlink(t.Context(), "alice", "okta"); err != nil {
		t.Fatal(err)
	}
	_, err := replicas[1].Token(t.Context(), "alice", "okta")
	wantNotLinked(t, err, false)
	_, err = p.Refresh(t.Context(), tokens.Refresh)
	if refused, ok := errors.AsType[*oauth.Error](err); !ok || refused.Code != oauth.CodeInvalidGrant {
		t.Errorf("after the person disconnected the provider says %v", err)
	}
}
