package oauthclient

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// account is what is remembered of one remote. It is written to the vault as a
// whole, and nowhere else: it holds secrets as text.
type account struct {
	Issuer    string    `json:"issuer,omitempty"` // who gave the tokens
	Resource  string    `json:"resource,omitempty"`
	Access    string    `json:"access,omitempty"`
	Refresh   string    `json:"refresh,omitempty"`
	Expires   time.Time `json:"expires,omitzero"` // zero when the server did not say
	Obtained  time.Time `json:"obtained,omitzero"`
	Refreshed bool      `json:"refreshed,omitempty"` // the access token came by refresh
	// Requested are the scopes that were asked for so far, for a step-up.
	Requested []string `json:"requested,omitempty"`
	// Clients are registrations, by issuer: one server's credentials are never shown
	// to another (SEP-2352).
	Clients map[string]registration `json:"clients,omitempty"`
}

// registration is this gateway as a client of one authorization server.
type registration struct {
	ID       string    `json:"id"`
	Secret   string    `json:"secret,omitempty"`
	Method   string    `json:"method,omitempty"`
	Redirect string    `json:"redirect,omitempty"` // the redirect URI it was made with
	Expires  time.Time `json:"expires,omitzero"`   // of the secret
}

// ahead is how long before its end a token counts as expired: it has to last for the
// way to the remote.
const ahead = 30 * time.Second

func (a *account) fresh(now time.Time) bool {
	if a.Access == "" {
		return false
	}
	if a.Expires.IsZero() {
		return true
	}
	margin := min(ahead, a.Expires.Sub(a.Obtained)/4)
	return now.Add(margin).Before(a.Expires)
}

// take puts an answer's tokens into the account. A server that gives no new refresh
// token means the old one (RFC 6749 §6).
func (a *account) take(t *oauth.Tokens, refreshed bool, now time.Time) {
	a.Access, a.Expires, a.Obtained, a.Refreshed = t.Access.Reveal(), t.Expires, now, refreshed
	if !t.Refresh.Empty() || !refreshed {
		a.Refresh = t.Refresh.Reveal()
	}
}

// Vault keeps accounts between runs. It is safe for use by many goroutines and, where
// it is on a disk, by many processes.
type Vault interface {
	// Load returns what is kept under a key; nil for nothing.
	Load(ctx context.Context, key string) ([]byte, error)
	// Update calls change with what is kept, and keeps what it returns; nil removes.
	// Nobody else reads for an update of the same key meanwhile, in any process.
	Update(ctx context.Context, key string, change func(old []byte) ([]byte, error)) error
}

// vaultKey names an account: the remote, and who the gateway is there. The same
// remote with another client id or other grants is another account.
func vaultKey(cfg Config) string {
	kind := "person"
	if cfg.Machine {
		kind = "machine"
	}
	text, _ := json.Marshal([]string{cfg.Resource.String(), kind, cfg.ClientID, cfg.MetadataURL, cfg.Issuer}) // strings never fail
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func loadAccount(ctx context.Context, v Vault, key string) (account, error) {
	kept, err := v.Load(ctx, key)
	return readAccount(kept), err
}

// readAccount reads what update wrote. What cannot be read, as by another version,
// counts as nothing: somebody signs in again.
func readAccount(kept []byte) (a account) {
	if json.Unmarshal(kept, &a) != nil {
		return account{}
	}
	return a
}

// update changes the account in the vault, and what this process knows of it. With an
// error from change nothing is kept.
func (c *Client) update(ctx context.Context, change func(*account) error) error {
	var a account
	err := c.vault.Update(ctx, c.key, func(old []byte) ([]byte, error) {
		a = readAccount(old)
		if err := change(&a); err != nil {
			return nil, err
		}
		return json.Marshal(a)
	})
	if err == nil {
		c.remember(a)
	}
	return err
}

// State is how the account is, for whoever may look: nothing of it is a secret.
type State struct {
	Machine  bool      // it needs no person
	Issuer   string    // who gave the token; "" for none
	Holds    bool      // there is a token, or what gets one
	Expires  time.Time // of the token; zero for unknown
	Obtained time.Time
	Renews   bool // without anybody
	Scopes   []string
}

// State tells how the account is. Nothing is fetched for it.
func (c *Client) State(ctx context.Context) (State, error) {
	a, err := c.current(ctx)
	return State{
		Machine: c.cfg.Machine, Issuer: a.Issuer, Holds: a.Access != "" || a.Refresh != "", Expires: a.Expires, Obtained: a.Obtained,
		Renews: c.cfg.Machine || a.Refresh != "", Scopes: a.Requested,
	}, err
}
