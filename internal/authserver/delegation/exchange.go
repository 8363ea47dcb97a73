package delegation

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// The types of tokens (RFC 8693 §3).
const (
	TypeAccess = "urn:ietf:params:oauth:token-type:access_token"
	TypeJWT    = "urn:ietf:params:oauth:token-type:jwt"
	TypeID     = "urn:ietf:params:oauth:token-type:id_token"
)

// maxActors bounds the chain of services that act for one another.
const maxActors = 4

// Subject finds whom the subject token of an exchange speaks for, and whether this
// client may have it exchanged. The error is an *oauth.Error: invalid_request for a
// token that is no good, as RFC 8693 §2.2.2 has it.
func (t *Trust) Subject(ctx context.Context, c *clients.Client, raw, typ string) (*Subject, error) {
	if typ != TypeAccess && typ != TypeJWT && typ != TypeID {
		return nil, refuse(oauth.CodeInvalidRequest, "subject_token_type must be that of an access token, an ID token or a JWT")
	}
	_, issuer := token.Peek(raw)
	var s *Subject
	var err error
	switch iss := t.issuers[issuer]; {
	case issuer == t.cfg.Issuer && typ != TypeID:
		s, err = t.ownSubject(ctx, raw)
	case iss != nil && iss.Exchange != nil:
		s, err = t.foreignSubject(ctx, iss, c, raw)
	default:
		return nil, refuse(oauth.CodeInvalidRequest, "the subject token is of no issuer whose tokens are exchanged here")
	}
	if err != nil {
		return nil, t.refusal(c, "subject token", err)
	}
	if s.ID == "" {
		return nil, refuse(oauth.CodeInvalidRequest, "the subject token has no sub")
	}
	if depth(s.Actor) >= maxActors {
		return nil, refuse(oauth.CodeInvalidRequest, "too many services already act for one another in this token")
	}
	return s, nil
}

// ownSubject takes a token that this server has issued: its scopes are the most
// that the next one can have.
func (t *Trust) ownSubject(ctx context.Context, raw string) (*Subject, error) {
	claims, expires, err := t.own.Verify(ctx, raw, time.Now())
	if err != nil {
		return nil, err
	}
	if t.cfg.Revoked != nil {
		revoked, err := t.cfg.Revoked(claims)
		switch {
		case err != nil:
			return nil, &token.Unavailable{Cause: err}
		case revoked:
			return nil, &token.Invalid{Reason: "it has been revoked"}
		}
	}
	s := t.subject(nil, claims, expires)
	s.Scopes = claims.Scopes()
	if s.Scopes == nil {
		s.Scopes = []string{}
	}
	return s, nil
}

func (t *Trust) foreignSubject(ctx context.Context, iss *Issuer, c *clients.Client, raw string) (*Subject, error) {
	ex := iss.Exchange
	if !slices.Contains(ex.Clients, c.ID) && !slices.Contains(ex.Clients, "*") {
		return nil, refuse(oauth.CodeInvalidRequest, "the client may not exchange tokens of this issuer (allowedDelegateClients)")
	}
	v, err := token.NewVerifier(iss.Keys, token.Expectations{Issuer: iss.URL, Audiences: []string{ex.Audience}, Leeway: leeway})
	if err != nil {
		return nil, err
	}
	claims, expires, err := v.Verify(ctx, raw, time.Now())
	if err != nil {
		return nil, err
	}
	if refused := t.mayExchange(ex, c, claims); refused != nil {
		return nil, refused
	}
	return t.subject(iss, claims, expires), nil
}

// mayExchange looks at what a token says of who may act with it (RFC 8693 §4.4). One
// that names somebody is for nobody else, also where the manifest believes no
// may_act: ignoring it would widen what the token allows.
func (t *Trust) mayExchange(ex *Exchange, c *clients.Client, claims token.Claims) *oauth.Error {
	if claims.Has("may_act") {
		may, _ := claims["may_act"].(map[string]any)
		issuer, bound := may["iss"]
		switch {
		case !ex.MayAct:
			return refuse(oauth.CodeInvalidRequest, "the subject token says who may act with it (may_act), and this issuer's word on that is not taken (allowMayAct)")
		case may["sub"] != c.ID || bound && issuer != t.cfg.Issuer:
			return refuse(oauth.CodeInvalidRequest, "the subject token says that another may act with it (may_act)")
		}
		return nil
	}
	if ex.ActorClaim != "" && !slices.Contains(ex.Actors, claims.Text(ex.ActorClaim)) {
		return refuse(oauth.CodeInvalidRequest, "the subject token was not got by one of the clients whose tokens are exchanged (allowedActors)")
	}
	return nil
}

// Act is the act claim of a token with which a client acts for whom another token
// speaks (RFC 8693 §4.1).
func (s *Subject) Act(client string) map[string]any {
	act := map[string]any{"sub": client}
	if s.Actor != nil {
		act["act"] = s.Actor
	}
	return act
}

func depth(act map[string]any) int {
	n := 0
	for ; act != nil && n <= maxActors; n++ {
		act, _ = act["act"].(map[string]any)
	}
	return n
}

// refusal logs what is wrong with a token for the operator, and says of it what the
// client can do something about.
func (t *Trust) refusal(c *clients.Client, what string, err error) *oauth.Error {
	if refused, ok := errors.AsType[*oauth.Error](err); ok {
		t.cfg.Log.Info(what+" refused", "client", oauth.Printable(c.ID, 200), "error", err)
		return refused
	}
	if _, ok := errors.AsType[*token.Unavailable](err); ok {
		t.cfg.Log.Warn(what+" not verified", "client", oauth.Printable(c.ID, 200), "error", err)
		return unavailable("the " + what + " cannot be verified now")
	}
	t.cfg.Log.Info(what+" refused", "client", oauth.Printable(c.ID, 200), "error", err)
	return refuse(oauth.CodeInvalidRequest, "the %s is not signed by its issuer, not for this server, expired or revoked", what)
}
