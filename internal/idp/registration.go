package idp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// RegistrationConfig makes the gateway a client of a provider at run time (RFC 7591).
type RegistrationConfig struct {
	Provider          string // its name, for errors and log lines
	Discovery         string // the metadata document that names the endpoint; or
	Endpoint          string // the endpoint itself
	InitialToken      secret.Value
	SoftwareID        string
	SoftwareStatement string
	RedirectURI       string
	Scopes            []string
	Reach             oauth.Reach
	Store             store.Store // keeps the client that all replicas are, and seals what it keeps
	Log               *slog.Logger
}

// Registration is the gateway's registration at one provider. It is made when the
// first person is sent there and kept in the store, so that all replicas are one
// client, after a restart too.
type Registration struct {
	cfg     RegistrationConfig
	obtains keep.Flights[struct{}, *registered]

	mu     sync.Mutex
	client *registered
}

// registered is a client as it is stored.
type registered struct {
	ID      string    `json:"id"`
	Secret  string    `json:"secret,omitempty"`
	Method  string    `json:"method,omitempty"`
	Expires time.Time `json:"exp,omitzero"` // of the secret
}

const (
	registrationTimeout = 15 * time.Second
	expiresSoon         = time.Minute
)

// NewRegistration prepares a registration. Nothing is sent before a person is.
func NewRegistration(cfg RegistrationConfig) (*Registration, error) {
	for what, address := range map[string]string{"discoveryUrl": cfg.Discovery, "registrationEndpoint": cfg.Endpoint} {
		if address == "" {
			continue
		}
		if err := cfg.Reach.Check(what, address); err != nil {
			return nil, fmt.Errorf("provider %s: %w", cfg.Provider, err)
		}
	}
	if (cfg.Discovery == "") == (cfg.Endpoint == "") {
		return nil, fmt.Errorf("provider %s: exactly one of discoveryUrl and registrationEndpoint must be set", cfg.Provider)
	}
	return &Registration{cfg: cfg}, nil
}

// auth is the client that the gateway is: the one in memory, in the store, or a new
// one.
func (r *Registration) auth(ctx context.Context) (oauth.ClientAuth, error) {
	if c := r.known(); c != nil {
		return c.auth(), nil
	}
	c, err := r.obtains.Do(ctx, struct{}{}, registrationTimeout, func(ctx context.Context) (*registered, error) {
		if c := r.known(); c != nil { // somebody was faster
			return c, nil
		}
		c, err := r.obtain(ctx)
		if err == nil {
			r.mu.Lock()
			r.client = c
			r.mu.Unlock()
		}
		return c, err
	})
	if err != nil {
		return oauth.ClientAuth{}, fmt.Errorf("register at the provider: %w", err)
	}
	return c.auth(), nil
}

func (c *registered) auth() oauth.ClientAuth {
	return oauth.ClientAuth{ID: c.ID, Secret: secret.New(c.Secret), Method: c.Method}
}

func (c *registered) good() bool {
	return c.Expires.IsZero() || time.Until(c.Expires) > expiresSoon
}

func (r *Registration) known() *registered {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil && r.client.good() {
		return r.client
	}
	return nil
}

// key names the client in the store by all that makes it another one.
func (r *Registration) key() string {
	return "upstream-client/" + store.Digest(r.cfg.Discovery, r.cfg.Endpoint, r.cfg.RedirectURI, r.cfg.SoftwareID)
}

// obtain takes the stored client, or registers one. Of several replicas that register
// at once, the one that stores first is all of them.
func (r *Registration) obtain(ctx context.Context) (*registered, error) {
	key := r.key()
	stored, raw, err := r.load(ctx, key)
	if err != nil || stored != nil && stored.good() {
		return stored, err
	}
	fresh, err := r.register(ctx)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(fresh)
	if err != nil {
		return nil, err
	}
	var written bool
	if raw == nil {
		written, err = r.cfg.Store.Add(ctx, key, text, 0)
	} else {
		written, err = r.cfg.Store.Swap(ctx, key, raw, text, 0)
	}
	if err != nil {
		return nil, err
	}
	if written {
		r.cfg.Log.Info("registered at the provider", "provider", r.cfg.Provider, "client", oauth.Printable(fresh.ID, 100))
		return fresh, nil
	}
	theirs, _, err := r.load(ctx, key)
	if err == nil && theirs == nil {
		err = errors.New("another replica registered too, and its client cannot be read")
	}
	return theirs, err
}

func (r *Registration) load(ctx context.Context, key string) (*registered, []byte, error) {
	raw, err := r.cfg.Store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var c registered
	if json.Unmarshal(raw, &c) != nil {
		return nil, raw, nil
	}
	return &c, raw, nil
}

// forget drops a client that the provider does not know any more, so that the next
// sign-in registers anew.
func (r *Registration) forget(ctx context.Context, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == nil || r.client.ID != id {
		return // somebody was faster
	}
	r.client = nil
	key := r.key()
	if stored, _, err := r.load(ctx, key); err != nil || stored == nil || stored.ID != id {
		return
	}
	if err := r.cfg.Store.Delete(ctx, key); err == nil {
		r.cfg.Log.Warn("the provider does not know its registered client any more; the next sign-in registers anew", "provider", r.cfg.Provider)
	}
}

// register asks the provider for a client (RFC 7591 §3.1).
func (r *Registration) register(ctx context.Context) (*registered, error) {
	endpoint, method, err := r.endpoint(ctx)
	if err != nil {
		return nil, err
	}
	wish := map[string]any{
		"client_name": "Sallyport", "redirect_uris": []string{r.cfg.RedirectURI}, "application_type": "web",
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
		"token_endpoint_auth_method": method,
	}
	for name, value := range map[string]string{
		"software_id": r.cfg.SoftwareID, "software_statement": r.cfg.SoftwareStatement, "scope": joined(r.cfg.Scopes),
	} {
		if value != "" {
			wish[name] = value
		}
	}
	a, err := oauth.Register(ctx, r.cfg.Reach.Client, endpoint, r.cfg.InitialToken, wish)
	if err != nil {
		return nil, scrubbed(err, r.cfg.InitialToken.Reveal(), r.cfg.SoftwareStatement)
	}
	c := &registered{ID: a.ID, Secret: a.Secret.Reveal(), Method: a.Method}
	if c.Method == "" {
		c.Method = method
	}
	switch {
	case c.Secret == "":
		c.Method = oauth.AuthNone
	case c.Method != oauth.AuthBasic && c.Method != oauth.AuthPost:
		return nil, fmt.Errorf("the provider wants the authentication method %q, which was not asked for", oauth.Printable(c.Method, 60))
	default:
		c.Expires = a.Expires
	}
	return c, nil
}

// endpoint finds where to register, and with which method of authentication.
func (r *Registration) endpoint(ctx context.Context) (at, method string, err error) {
	at, method = r.cfg.Endpoint, oauth.AuthBasic
	if r.cfg.Discovery != "" {
		var m oauth.ServerMetadata
		if err := oauth.GetJSON(ctx, r.cfg.Reach.Client, r.cfg.Discovery, &m); err != nil {
			return "", "", err
		}
		at = m.RegistrationEndpoint
		if !slices.Contains(m.TokenAuthMethods, oauth.AuthBasic) && slices.Contains(m.TokenAuthMethods, oauth.AuthPost) {
			method = oauth.AuthPost
		}
	}
	return at, method, r.cfg.Reach.Check("registration endpoint", at)
}
