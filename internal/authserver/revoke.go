package authserver

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/authserver/records"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// serveRevoke ends what a token belongs to (RFC 7009): with either token of a
// sign-in the whole of it, with a token of an exchange that one alone. Of a token
// that is no good any more there is nothing to end, and nothing to say.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	form, err := readForm(r)
	if err != nil {
		s.writeError(w, err)
		return
	}
	client, err := s.clients.Authenticate(r.Context(), r, form)
	if err == nil && form.Get("token") == "" {
		err = refuse(oauth.CodeInvalidRequest, "token is missing")
	}
	if err == nil && !s.reserve(w, r) {
		err = errNoRoom()
	}
	if err == nil {
		err = s.revoke(r, client, form.Get("token"))
	}
	if err != nil {
		s.writeError(w, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (s *Server) revoke(r *http.Request, client *clients.Client, raw string) error {
	ctx := r.Context()
	t, err := s.lookAt(ctx, raw)
	if err != nil || t == nil {
		return err
	}
	if t.client != client.ID {
		s.log.Warn("a client wants to revoke another one's token", "issuer", s.issuer, "client", oauth.Printable(client.ID, 200))
		s.record(r, event{method: eventRevoke, client: client.ID, reason: oauth.CodeUnauthorizedClient})
		return refuse(oauth.CodeUnauthorizedClient, "the token is another client's")
	}
	s.record(r, event{method: eventRevoke, client: client.ID, subject: t.subject})
	s.log.Info("token revoked by its client", "issuer", s.issuer, "client", oauth.Printable(client.ID, 200), "subject", t.subject)
	if t.claims.Has("act") || t.family == "" {
		return s.revoked.Add(ctx, t.claims.Text("jti"))
	}
	return s.endFamily(ctx, t.family)
}

// serveIntrospect tells a client what a token is (RFC 7662). Only clients that
// authenticate are answered, so that whoever finds a token cannot try it out here;
// and only about tokens that are theirs, or for a resource that is.
func (s *Server) serveIntrospect(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	form, err := readForm(r)
	if err != nil {
		s.writeError(w, err)
		return
	}
	client, err := s.clients.Authenticate(r.Context(), r, form)
	if err == nil && client.Public() {
		err = &oauth.Error{Code: oauth.CodeInvalidClient, Description: "only clients that authenticate may ask", Status: http.StatusUnauthorized}
	}
	if err == nil && form.Get("token") == "" {
		err = refuse(oauth.CodeInvalidRequest, "token is missing")
	}
	var t *known
	if err == nil {
		t, err = s.lookAt(r.Context(), form.Get("token"))
	}
	if err != nil {
		s.writeError(w, err)
		return
	}
	if t == nil || t.client != client.ID && (t.claims == nil || !client.Static || len(client.Audiences) == 0 || !s.mayTarget(client, t.claims.Text("aud"))) {
		writeJSON(w, http.StatusOK, map[string]any{"active": false})
		return
	}
	writeJSON(w, http.StatusOK, t.answer(s.issuer))
}

// known is a token of this server that is good now.
type known struct {
	client, subject, family string
	claims                  token.Claims // of an access token; nil for a refresh token
}

// lookAt finds out what a token is; nil for one that is no good. The hint of a
// request is not needed to tell them apart.
func (s *Server) lookAt(ctx context.Context, raw string) (*known, error) {
	if id, generation, ok := s.openRefresh(raw); ok {
		var f family
		_, err := s.records.Get(ctx, s.familyKey(id), &f)
		if errors.Is(err, records.ErrGone) || err == nil && (f.Ended || !s.current(id, &f, generation, time.Now())) {
			return nil, nil
		}
		return &known{client: f.Client, subject: f.Person.Subject, family: id}, err
	}
	claims, _, err := s.own.Verify(ctx, raw, time.Now())
	if err != nil {
		return nil, nil //nolint:nilerr // it is no token of this server, which is an answer
	}
	s.Generation() // the list of what is revoked is young enough
	revoked, err := s.Revoked(claims)
	if err != nil || revoked {
		return nil, err
	}
	return &known{client: claims.Text("client_id"), subject: claims.Text("sub"), family: claims.Text(claimFamily), claims: claims}, nil
}

// answer is what RFC 7662 §2.2 has.
func (t *known) answer(issuer string) map[string]any {
	a := map[string]any{"active": true, "iss": issuer, "client_id": t.client, "sub": t.subject}
	if t.claims == nil {
		return a
	}
	a["token_type"] = "Bearer"
	for _, name := range []string{"aud", "exp", "iat", "jti", "scope", "act", "auth_time"} {
		if v, there := t.claims[name]; there {
			a[name] = v
		}
	}
	return a
}
