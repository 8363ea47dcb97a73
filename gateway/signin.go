package gateway

import (
	"context"
	"fmt"

	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
)

// SignIn has a person sign in to a remote server of a validated set, and keeps that in
// the vault, where a server that serves the set finds it.
func SignIn(ctx context.Context, set *manifest.Set, server string, at Accounts) error {
	return withAccount(set, server, at, func(c *oauthclient.Client) error { return c.SignIn(ctx) })
}

// Forget removes from the vault what SignIn left there.
func Forget(ctx context.Context, set *manifest.Set, server string, at Accounts) error {
	return withAccount(set, server, at, func(c *oauthclient.Client) error { return c.Forget(ctx) })
}

func withAccount(set *manifest.Set, server string, at Accounts, do func(*oauthclient.Client) error) error {
	s := newCheckServer()
	s.opts.Accounts = at
	snap, problems, _ := s.compile(set)
	defer snap.release()
	if len(problems) > 0 {
		return problems
	}
	client := snap.accounts[server]
	if client == nil {
		return fmt.Errorf("no server %q has oauth in these manifests", server)
	}
	return do(client)
}
