package oauthclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Config says which remote, and as whom.
type Config struct {
	Name     string   // of the server, for people
	Resource *url.URL // the remote MCP endpoint

	// Machine gets tokens by client credentials (RFC 6749 §4.4); otherwise a person
	// signs in once.
	Machine bool

	ClientID string       // registered beforehand; "" to register here
	Secret   secret.Value // of that client; empty for a public one
	Key      *token.Signer
	Method   string // of client authentication; "" for what the server supports
	// MetadataURL is a client ID metadata document that stands for this client.
	MetadataURL string
	Issuer      string            // the one authorization server to use; "" for what the remote names
	Scopes      []string          // instead of those that the remote asks for first
	Params      map[string]string // further ones of the authorization request
	Target      string            // what tokens are asked for (RFC 8707), instead of what the remote says; NoTarget for nothing

	AllowPrivate bool         // loopback and private addresses, and plain http to them
	HTTP         *http.Client // guarded, follows no redirect, and keeps plain http inside private networks
	Vault        Vault        // nil keeps the account in memory
	Browser      *Browser     // nil where no person can be asked
	Log          *slog.Logger // nil for none
	// Refreshed is called with what came of each refresh: success, revoked or failed;
	// nil for nobody.
	Refreshed func(result string)
}

// NoTarget is for authorization servers that do not know resource indicators.
const NoTarget = "none"

// Client is the gateway's account at one remote. It is safe for concurrent use.
type Client struct {
	cfg   Config
	log   *slog.Logger
	vault Vault
	key   string // of the account in the vault
	reach oauth.Reach

	mu      sync.Mutex
	account account
	loaded  bool
	stop    context.CancelFunc
	life    context.Context // of renewals: no single request's

	renewals keep.Flights[struct{}, struct{}]
}

// New prepares a client. Nothing is fetched before it is needed.
func New(cfg Config) (*Client, error) {
	if cfg.Resource == nil || cfg.HTTP == nil {
		return nil, errors.New("make OAuth client: no resource, or no HTTP client")
	}
	if cfg.Machine && cfg.ClientID == "" {
		return nil, errors.New("make OAuth client: client credentials need a client id")
	}
	c := &Client{cfg: cfg, log: cfg.Log, vault: cfg.Vault, key: vaultKey(cfg)}
	// The guard in the HTTP client looks at the address itself.
	c.reach = oauth.Reach{Client: cfg.HTTP, AllowHTTP: cfg.AllowPrivate}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.vault == nil {
		c.vault = NewMemory()
	}
	c.life, c.stop = context.WithCancel(context.Background())
	return c, nil
}

// Close ends a renewal under way.
func (c *Client) Close() error {
	c.stop()
	return nil
}

// The time limits of a renewal.
const (
	// signInTime is how long a person may take; the state is worthless afterwards.
	signInTime = 5 * time.Minute
	// machineTime is for what needs no person.
	machineTime = 30 * time.Second
	// patience is how long one request waits for a person. Most clients give up after
	// a minute; before that they can still be told what is going on.
	patience = 50 * time.Second
	// probation is how long a new token that is refused shows that another one like it
	// would be refused too.
	probation = time.Minute
)

// SignInError means that a person has to act before the remote can be used. Its text
// is for the client.
type SignInError struct {
	Pending bool // a browser is waiting for the person now
}

func (e *SignInError) Error() string {
	if e.Pending {
		return "somebody has to sign in to the remote server first; the gateway has printed the address to open; then send this again"
	}
	return "nobody has signed in to the remote server for the gateway, or the sign-in has ended; run sallyport login"
}

// Token is the access token to show the remote. It is empty when there is none yet:
// the remote then says what it wants, and Renew acts on that. An error means that
// there should be one and is not.
func (c *Client) Token(ctx context.Context) (secret.Value, error) {
	a, err := c.current(ctx)
	if err != nil || a.Access == "" {
		return secret.Value{}, err
	}
	if a.fresh(time.Now()) {
		return secret.New(a.Access), nil
	}
	if a.Refresh == "" && !c.cfg.Machine {
		return secret.Value{}, nil // it would be refused; the challenge says more
	}
	shown := secret.New(a.Access)
	if err := c.join(ctx, func(ctx context.Context) error { return c.renewAhead(ctx, shown) }); err != nil {
		return secret.Value{}, err
	}
	a, err = c.current(ctx)
	return secret.New(a.Access), err
}

// Renew gets another token after the remote refused shown, which is empty when it was
// shown none. The error is a *SignInError when a person has to act.
func (c *Client) Renew(ctx context.Context, shown secret.Value, challenge oauth.AuthChallenge) error {
	a, err := c.current(ctx)
	if err != nil {
		return err
	}
	if a.Access != "" && !shown.Equal(secret.New(a.Access)) && a.fresh(time.Now()) {
		return nil // somebody else has renewed it meanwhile
	}
	return c.join(ctx, func(ctx context.Context) error { return c.renew(ctx, shown, challenge) })
}

// current is the account as this process knows it.
func (c *Client) current(ctx context.Context) (account, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.loaded {
		return c.account, nil
	}
	a, err := loadAccount(ctx, c.vault, c.key)
	if err != nil {
		return account{}, fmt.Errorf("read the account of %s: %w", c.cfg.Name, err)
	}
	c.account, c.loaded = a, true
	return a, nil
}

func (c *Client) remember(a account) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account, c.loaded = a, true
}

// join waits for the renewal under way, or begins one. It goes on when the one who
// asked is gone: a person who is in the middle of signing in is not to be cut off
// because a client lost its patience.
func (c *Client) join(ctx context.Context, renew func(context.Context) error) error {
	limit := machineTime
	if c.cfg.Browser != nil {
		limit = signInTime + machineTime
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, &SignInError{Pending: true})
	defer cancel()
	_, err := c.renewals.Do(ctx, struct{}{}, limit, func(ctx context.Context) (none struct{}, _ error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.life, cancel)()
		err := renew(ctx)
		if _, known := errors.AsType[*SignInError](err); err != nil && !known {
			// Who waited may be gone by now, and with them who would log it.
			c.log.Warn("no token for the remote server", "error", err)
		}
		return none, err
	})
	return err
}

// SignIn has a person sign in whether it is needed or not, for the scopes given or
// those that the remote names.
func (c *Client) SignIn(ctx context.Context) error {
	if c.cfg.Machine {
		return errors.New("client credentials need nobody to sign in")
	}
	if _, err := c.current(ctx); err != nil {
		return err
	}
	return c.signInNow(ctx)
}

// Forget removes the account: tokens and registrations.
func (c *Client) Forget(ctx context.Context) error {
	c.remember(account{})
	return c.vault.Update(ctx, c.key, func([]byte) ([]byte, error) { return nil, nil })
}

// union is a and what b adds, in order.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
