package delegation

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// typeIdentity is the type of an identity assertion's header.
const typeIdentity = "oauth-id-jag+jwt"

// Profile names the identity assertion among the grant profiles of a server's
// metadata.
const Profile = "urn:ietf:params:oauth:grant-profile:id-jag"

// Assertion finds whom an assertion speaks for (RFC 7523 §3). The audience is what
// the request's resource means, "" when it has none; that of the Subject is always
// there. The error is an *oauth.Error with invalid_grant, or invalid_target.
func (t *Trust) Assertion(ctx context.Context, c *clients.Client, raw, audience string) (*Subject, error) {
	typ, issuer := token.Peek(raw)
	iss := t.issuers[issuer]
	var s *Subject
	var err error
	switch {
	case iss != nil && typ == typeIdentity && iss.People != nil:
		s, err = t.person(ctx, iss, c, raw, audience)
	case iss != nil && typ != typeIdentity && iss.Workloads != nil:
		s, err = t.workload(ctx, iss, raw, audience)
	default:
		return nil, refuse(oauth.CodeInvalidGrant, "the assertion is of no issuer whose assertions are taken here")
	}
	if err == nil {
		err = t.once(ctx, iss, s, raw)
	}
	if err != nil {
		refused := t.refusal(c, "assertion", err)
		if refused.Code == oauth.CodeInvalidRequest {
			refused.Code = oauth.CodeInvalidGrant
		}
		return nil, refused
	}
	return s, nil
}

// person takes an identity assertion. The issuer has decided that this person may
// use this resource through this client, so each of the three must fit; whoever else
// gets hold of it can do nothing with it.
func (t *Trust) person(ctx context.Context, iss *Issuer, c *clients.Client, raw, audience string) (*Subject, error) {
	bad := func(why string) (*Subject, error) { return nil, refuse(oauth.CodeInvalidGrant, "%s", why) }
	if c.Public() {
		return nil, &oauth.Error{Code: oauth.CodeUnauthorizedClient, Description: "an identity assertion needs a client that authenticates", Status: 400}
	}
	claims, expires, err := t.verify(ctx, iss, raw, []string{typeIdentity}, []string{t.cfg.Issuer}, iss.People.MaxAge)
	if err != nil {
		return nil, err
	}
	if aud := claims.Texts("aud"); len(aud) != 1 {
		return bad("the assertion is for others too")
	}
	if claims.Text("client_id") != c.ID {
		return bad("the assertion is for another client")
	}
	if claims.Text("jti") == "" {
		return bad("the assertion has no jti")
	}
	resource := claims.Text("resource")
	if resource == "" {
		return bad("the assertion has no resource")
	}
	meant, ok := t.cfg.Resource(resource)
	if !ok {
		return bad("the assertion is for a resource that is none of this server's")
	}
	if audience != "" && audience != meant {
		return nil, refuse(oauth.CodeInvalidTarget, "resource is not that of the assertion")
	}
	s := t.subject(iss, claims, expires)
	s.Audience, s.Scopes = meant, claims.Scopes()
	if s.Scopes == nil {
		s.Scopes = []string{}
	}
	return s, nil
}

// workload takes an assertion of a program, whose subject the manifest names.
func (t *Trust) workload(ctx context.Context, iss *Issuer, raw, audience string) (*Subject, error) {
	audiences := iss.Workloads.Audiences
	if len(audiences) == 0 {
		audiences = []string{t.cfg.Issuer, t.cfg.Issuer + "/oauth/token"}
	}
	claims, expires, err := t.verify(ctx, iss, raw, []string{"", "jwt"}, audiences, iss.Workloads.MaxAge)
	if err != nil {
		return nil, err
	}
	resources, bound := iss.Workloads.Resources[claims.Text("sub")]
	if !bound {
		return nil, refuse(oauth.CodeInvalidGrant, "the assertion's subject is not one that the manifest names (subjectBindings)")
	}
	if audience == "" && len(resources) == 1 {
		audience, _ = t.cfg.Resource(resources[0])
	}
	if audience == "" || !slices.ContainsFunc(resources, func(allowed string) bool {
		meant, ok := t.cfg.Resource(allowed) // the manifest may spell it in another way
		return ok && meant == audience
	}) {
		return nil, refuse(oauth.CodeInvalidTarget, "resource is missing or not one that the subject may ask for (allowedResources)")
	}
	s := t.subject(iss, claims, expires)
	s.Audience, s.Actor = audience, nil
	return s, nil
}

// verify checks what all assertions have in common: an age that is bounded, whatever
// the issuer says.
func (t *Trust) verify(ctx context.Context, iss *Issuer, raw string, types, audiences []string, most time.Duration) (token.Claims, time.Time, error) {
	v, err := token.NewVerifier(iss.Keys, token.Expectations{Issuer: iss.URL, Audiences: audiences, Types: types, Leeway: leeway})
	if err != nil {
		return nil, time.Time{}, err
	}
	claims, expires, err := v.Verify(ctx, raw, time.Now())
	if err != nil {
		return nil, time.Time{}, err
	}
	issued, ok := claims.Time("iat")
	switch {
	case claims.Text("sub") == "":
		return nil, time.Time{}, refuse(oauth.CodeInvalidGrant, "the assertion has no sub")
	case !ok:
		return nil, time.Time{}, refuse(oauth.CodeInvalidGrant, "the assertion has no iat")
	case expires.Add(-leeway).Sub(issued) > most:
		return nil, time.Time{}, refuse(oauth.CodeInvalidGrant, "the assertion is good for longer than %s (maxAssertionAge)", most)
	}
	return claims, expires, nil
}

// once tells whether an assertion is shown for the first time. One without a jti is
// known by what was signed; its signature may have several forms.
func (t *Trust) once(ctx context.Context, iss *Issuer, s *Subject, raw string) error {
	id := "jti " + s.Claims.Text("jti")
	if s.Claims.Text("jti") == "" {
		id = raw[:strings.LastIndexByte(raw, '.')]
	}
	fresh, err := t.cfg.Store.Add(ctx, "assertion/"+t.scope+"/"+store.Digest(iss.URL, id), nil, max(time.Until(s.Expires), time.Second))
	if err != nil {
		return &token.Unavailable{Cause: err}
	}
	if !fresh {
		return refuse(oauth.CodeInvalidGrant, "the assertion was used before")
	}
	return nil
}
