package delegation

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Config describes what one authorization server trusts.
type Config struct {
	Issuer string     // the server's own
	Keys   token.Keys // the server's own
	// Revoked tells whether a verified token of the server's own has been revoked.
	Revoked func(claims map[string]any) (bool, error)
	Store   store.Store
	Issuers []Issuer
	// Resource finds the audience that a resource indicator means.
	Resource func(indicator string) (audience string, ok bool)
	Log      *slog.Logger
}

// Issuer is another issuer, and what its tokens are good for; what is nil they are
// not good for.
type Issuer struct {
	URL  string
	Keys token.Keys
	// SameSubjects says that its subjects are those of the server itself.
	SameSubjects bool

	Exchange  *Exchange
	Workloads *Workloads
	People    *People
}

// Exchange lets services exchange the issuer's tokens.
type Exchange struct {
	Audience string   // which they must have
	Clients  []string // which may; "*" for each
	// ActorClaim names the client that got the token, which must be one of Actors; ""
	// for any client.
	ActorClaim string
	Actors     []string
	MayAct     bool // the token itself may say in may_act who may exchange it
}

// Workloads lets programs show the issuer's assertions about themselves.
type Workloads struct {
	Audiences []string // one of which they must have; nil for the server's issuer and token endpoint
	MaxAge    time.Duration
	// Resources are the audiences that each subject may ask for.
	Resources map[string][]string
}

// People lets clients show the issuer's assertions about people.
type People struct {
	MaxAge time.Duration
}

// Trust decides. It is safe for use by many goroutines.
type Trust struct {
	cfg     Config
	scope   string // of keys in the store
	own     *token.Verifier
	issuers map[string]*Issuer
}

// Subject is who a token speaks for, and what can be said of them.
type Subject struct {
	ID, Name, Email string
	Groups, Roles   []string
	Authenticated   time.Time // when a person was; zero if nobody says
	Expires         time.Time // a token made of this must end by then
	// Scopes bound those of a token made of this; nil for no bound.
	Scopes []string
	// Audience is the only one that a token made of this may have; "" for no bound.
	Audience string
	// Actor is the act claim of the token that was shown; nil for none.
	Actor map[string]any
	// Claims are those that were verified.
	Claims token.Claims
	// Own tells whether the server itself made the token.
	Own bool
}

// leeway is for clocks of issuers that differ.
const leeway = time.Minute

// New makes a Trust.
func New(cfg Config) (*Trust, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	own, err := token.NewVerifier(cfg.Keys, token.Expectations{Issuer: cfg.Issuer, Anyone: true, Types: []string{"at+jwt"}})
	if err != nil {
		return nil, err
	}
	t := &Trust{cfg: cfg, scope: store.Digest(cfg.Issuer), own: own, issuers: map[string]*Issuer{}}
	for i := range cfg.Issuers {
		iss := &cfg.Issuers[i]
		if iss.URL == cfg.Issuer || t.issuers[iss.URL] != nil {
			return nil, fmt.Errorf("trusted issuer %s is the server's own, or a duplicate", iss.URL)
		}
		t.issuers[iss.URL] = iss
	}
	return t, nil
}

// Assertions tells whether any issuer's assertions are taken, and whether those
// about people are.
func (t *Trust) Assertions() (any, people bool) {
	for _, iss := range t.issuers {
		any = any || iss.Workloads != nil || iss.People != nil
		people = people || iss.People != nil
	}
	return any, people
}

// subject is whom verified claims name. A subject of another issuer is told apart
// from the server's own by its issuer, which has no # in it, so that nobody who can
// choose a name there is somebody here.
func (t *Trust) subject(iss *Issuer, claims token.Claims, expires time.Time) *Subject {
	s := &Subject{
		ID: claims.Text("sub"), Name: claims.Text("name"), Email: claims.Text("email"), Groups: claims.Texts("groups"), Roles: claims.Texts("roles"),
		Expires: expires, Claims: claims, Own: iss == nil,
	}
	if at, ok := claims.Time("auth_time"); ok {
		s.Authenticated = at
	}
	if iss != nil && !iss.SameSubjects && s.ID != "" {
		s.ID = iss.URL + "#" + s.ID
	}
	s.Actor, _ = claims["act"].(map[string]any)
	return s
}

func refuse(code, format string, args ...any) *oauth.Error {
	return &oauth.Error{Code: code, Description: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

// unavailable: nothing can be said now, which is no fault of who asks.
func unavailable(what string) *oauth.Error {
	return &oauth.Error{Code: "temporarily_unavailable", Description: what + "; try again in a moment", Status: http.StatusServiceUnavailable}
}
