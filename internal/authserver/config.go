package authserver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/accounts"
	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/authserver/delegation"
	"github.com/sallyport-dev/sallyport/internal/authserver/pending"
	"github.com/sallyport-dev/sallyport/internal/authserver/records"
	"github.com/sallyport-dev/sallyport/internal/authserver/revoked"
	"github.com/sallyport-dev/sallyport/internal/idp"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/page"
	"github.com/sallyport-dev/sallyport/internal/ratelimit"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Config describes one authorization server.
type Config struct {
	Issuer string // an origin, or a path below it; without a slash at the end
	Signer *token.Signer
	Ring   *seal.Ring
	Store  store.Store

	Upstreams []Upstream
	// Primary names the upstream whose subject is the person's; "" for the first.
	Primary string

	Clients *clients.Registry
	// Name is what audit events call the server; Audit takes them, nil for nobody.
	Name  string
	Audit audit.Sink
	// Refreshed is told of each refresh of a provider's token; nil for nobody.
	Refreshed func(provider, result string)

	Lifespans Lifespans
	// Scopes are what every client may ask for, besides those that every server knows.
	Scopes []string
	// Delegated are scopes that only clients may have whose manifest names them.
	Delegated []string
	// Resource finds the endpoint that a resource indicator means (RFC 8707), and the
	// audience of tokens for it. Without an indicator it is the only endpoint there is.
	Resource func(indicator string) (audience string, ok bool)
	// Endpoints are what tokens may be for, as people read of them; nil for nothing to
	// say.
	Endpoints func() []Endpoint
	// Site is whose pages people see; by default the issuer's host's.
	Site page.Site

	// Trusted are other issuers whose tokens and assertions are taken.
	Trusted []delegation.Issuer

	Log *slog.Logger
}

// Endpoint is what tokens may be for.
type Endpoint struct {
	Addresses   []string // the audiences of tokens for it
	Title       string
	Description string // a sentence, or ""
	// Tools lists what it offers to whom an access token is for, in the course of a request of theirs; nil where
	// nothing can be listed.
	Tools func(r *http.Request, token string) ([]page.Item, error)
}

// Upstream is an identity provider that people are sent to.
type Upstream struct {
	Name     string // a DNS label
	Title    string // for people; "" for the name
	Provider idp.Provider
	OnDemand bool     // not part of signing in; linked when a call first needs it
	Scopes   []string // for people: what the provider is asked for
}

// Lifespans are how long things are good for.
type Lifespans struct {
	Access  time.Duration
	Code    time.Duration
	Refresh time.Duration // since its last use
	Session time.Duration // of a browser
	// Overlap is how long after it was replaced a refresh token still gets its
	// successor.
	Overlap time.Duration
}

// DefaultLifespans keep what can be stolen short-lived.
func DefaultLifespans() Lifespans {
	return Lifespans{Access: 15 * time.Minute, Code: 5 * time.Minute, Refresh: 7 * 24 * time.Hour, Session: 8 * time.Hour, Overlap: 30 * time.Second}
}

// flowLife is how long a person may take from consent to the last provider.
const flowLife = 10 * time.Minute

// Server is one authorization server. It is safe for use by many goroutines.
type Server struct {
	issuer      string
	origin      string // of the issuer, without its path
	name        string
	audit       audit.Sink
	id          string // of the issuer, in store keys and cookie names
	era         string // of the primary provider: what every family's id begins with
	secure      bool   // the issuer is https
	signer      *token.Signer
	records     records.Records
	upstreams   []Upstream // the primary one first
	clients     *clients.Registry
	accounts    *accounts.Book
	lifespans   Lifespans
	scopes      []string // for every client
	forServices []string
	findTarget  func(string) (string, bool)
	endpoints   func() []Endpoint
	site        page.Site
	forms       *http.CrossOriginProtection
	revoked     *revoked.List
	answered    answered
	pending     pending.SignIns
	said        *ratelimit.Limiter // warnings that strangers can cause, each now and then
	grants      map[string]grant
	own         *token.Verifier // of the server's own access tokens, whomever they are for
	trust       *delegation.Trust
	log         *slog.Logger
}

// New makes a server. Nothing is fetched or written before somebody asks.
func New(cfg Config) (*Server, error) {
	u, err := url.Parse(cfg.Issuer)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("issuer is no http or https URL")
	case u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(cfg.Issuer, "/"):
		return nil, errors.New("issuer has a query, a fragment, or a slash at its end; remove that")
	case len(cfg.Upstreams) == 0:
		return nil, errors.New("there is no upstream provider to send people to")
	}
	upstreams, err := primaryFirst(cfg.Upstreams, cfg.Primary)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(cfg.Issuer))
	id := hex.EncodeToString(sum[:8])
	prefix, era := "authserver/"+id+"/", hash(upstreams[0].Name)[:8]
	s := &Server{
		issuer: cfg.Issuer, origin: u.Scheme + "://" + u.Host, name: cfg.Name, audit: cfg.Audit, id: id, era: era, secure: u.Scheme == "https", signer: cfg.Signer,
		// Subjects are the primary provider's: where another one takes its place, the
		// same name is somebody else, who must inherit no sign-in.
		records:   records.Records{Store: cfg.Store, Ring: cfg.Ring, Prefix: prefix + era + "/"},
		upstreams: upstreams, clients: cfg.Clients, lifespans: cfg.Lifespans,
		scopes: allScopes(cfg.Scopes), forServices: cfg.Delegated, findTarget: cfg.Resource, endpoints: cfg.Endpoints, site: cfg.Site, log: cfg.Log,
		forms: http.NewCrossOriginProtection(),
		said:  ratelimit.New(ratelimit.Rate{Burst: 1, Period: 10 * time.Minute}),
	}
	s.site.Name = cmp.Or(s.site.Name, u.Host)
	if s.endpoints == nil {
		s.endpoints = func() []Endpoint { return nil }
	}
	if err := s.forms.AddTrustedOrigin(s.origin); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	if s.audit == nil {
		s.audit = audit.Discard{}
	}
	s.clients.Tell(func(r *http.Request, id string) { s.record(r, event{method: eventRegister, client: id}) })
	s.revoked = revoked.New(revoked.Config{
		Store: cfg.Store, Key: func(part string) string { return (&records.Records{Prefix: prefix}).Key("revoked", part) },
		Life: cfg.Lifespans.Access, Log: cfg.Log.With("issuer", cfg.Issuer),
	})
	s.accounts = accounts.New(accounts.Config{
		Store: cfg.Store, Ring: cfg.Ring, Log: cfg.Log, Seen: cfg.Refreshed,
		Issuer:  cfg.Issuer + " " + upstreams[0].Name,
		Refresh: s.refreshUpstream, Revoke: s.revokeUpstream,
	})
	if err := s.trustOthers(&cfg); err != nil {
		return nil, err
	}
	return s, nil
}

// primaryFirst puts the provider in front that says who the person is: what it
// answers decides which of the others are linked already.
func primaryFirst(all []Upstream, primary string) ([]Upstream, error) {
	if primary == "" {
		primary = all[0].Name
	}
	i := slices.IndexFunc(all, func(u Upstream) bool { return u.Name == primary })
	if i < 0 {
		return nil, errors.New("the primary provider is none of the upstream providers")
	}
	if all[i].OnDemand {
		return nil, errors.New("the primary provider signs people in, so it cannot be on demand")
	}
	sorted := append([]Upstream{all[i]}, all[:i]...)
	return append(sorted, all[i+1:]...), nil
}

// The scopes that every server knows.
const (
	scopeOpenID  = "openid"
	scopeProfile = "profile"
	scopeEmail   = "email"
	scopeOffline = "offline_access"
)

func allScopes(more []string) []string {
	all := []string{scopeOpenID, scopeProfile, scopeEmail, scopeOffline}
	for _, s := range more {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// Issuer is the server's issuer identifier.
func (s *Server) Issuer() string { return s.issuer }

// Keys verify the server's access tokens in the same process.
func (s *Server) Keys() token.Keys { return s.signer }

// claimFamily is the claim of an access token that says what it is revoked with.
const claimFamily = "sid"

// Revoked tells whether a verified access token has been revoked since. The error
// means that nothing can be said now.
func (s *Server) Revoked(claims map[string]any) (bool, error) {
	if family, _ := claims[claimFamily].(string); family != "" && !strings.HasPrefix(family, s.era) {
		return true, nil // another provider said then who the person is
	}
	for _, name := range []string{claimFamily, "jti"} { // a token of an exchange may be revoked by itself
		id, _ := claims[name].(string)
		if revoked, err := s.revoked.Has(id); revoked || err != nil {
			return revoked, err
		}
	}
	return false, nil
}

// WhenRevoked calls end once, when the access token with these claims is good no more
// before its time. stop ends the wait.
func (s *Server) WhenRevoked(claims map[string]any, end func()) (stop func()) {
	var ids []string
	for _, name := range []string{claimFamily, "jti"} {
		if id, _ := claims[name].(string); id != "" {
			ids = append(ids, id)
		}
	}
	return s.revoked.Watch(ids, end)
}

// Generation changes whenever access tokens that were good may be good no more. It is
// for every request to ask.
func (s *Server) Generation() uint64 { return s.revoked.Generation() }

// Accounts are the people's accounts at the providers.
func (s *Server) Accounts() *accounts.Book { return s.accounts }

// Close ends the server, after refreshes that are under way.
func (s *Server) Close() error { return s.accounts.Close() }

// endpoint is the address of one of the server's paths.
func (s *Server) endpoint(local string) string { return s.issuer + local }

func (s *Server) upstream(name string) *Upstream {
	for i := range s.upstreams {
		if s.upstreams[i].Name == name {
			return &s.upstreams[i]
		}
	}
	return nil
}

func (s *Server) refreshUpstream(ctx context.Context, provider string, refresh secret.Value) (*oauth.Tokens, error) {
	u := s.upstream(provider)
	if u == nil { // it is configured no more
		return nil, refuse(oauth.CodeInvalidGrant, "there is no such provider any more")
	}
	return u.Provider.Refresh(ctx, refresh)
}

func (s *Server) revokeUpstream(ctx context.Context, provider string, t *oauth.Tokens) error {
	u := s.upstream(provider)
	if u == nil {
		return nil
	}
	return u.Provider.Revoke(ctx, t)
}

func (u *Upstream) title() string {
	if u.Title != "" {
		return u.Title
	}
	return u.Name
}
