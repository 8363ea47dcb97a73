package authserver

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// grant is one way to get tokens. The driver has done what all of them share:
// authenticated the client, and found what the token is to be for. It does what
// follows too: sign and answer.
type grant interface {
	name() string
	redeem(ctx context.Context, req *tokenRequest) (*issue, error)
}

// tokenRequest is a request at the token endpoint, parsed once, here.
type tokenRequest struct {
	http     *http.Request
	client   *clients.Client
	form     url.Values
	audience string   // what the resource means; "" when the request has none
	scopes   []string // as asked; nil for none
	arrived  time.Time
}

// issue is what a grant gives.
type issue struct {
	person   identity
	at       time.Time // when the person was authenticated; zero when nobody was
	client   string
	audience string
	scopes   []string
	family   string // what is revoked together; "" for a token on its own
	refresh  string // "" for none
	nonce    string // for the OpenID token
	openID   bool
	lifetime time.Duration
	extra    map[string]any // further claims, such as act
	issued   string         // issued_token_type of RFC 8693
	// delivered is called before and after the answer has been written; nil for nothing.
	delivered func(before bool)
}

// serveToken redeems a grant. Answers are kept nowhere (RFC 6749 §5.1).
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	if !s.reserve(w, r) {
		s.writeError(w, errNoRoom())
		return
	}
	req := &tokenRequest{http: r, arrived: time.Now()}
	issued, err := s.redeem(req)
	var answer *tokenAnswer
	if err == nil {
		answer, err = s.sign(issued)
	}
	s.recordToken(req, issued, err)
	if err != nil {
		s.writeError(w, err)
		return
	}
	if issued.delivered != nil && r.Context().Err() == nil {
		issued.delivered(true)
		defer issued.delivered(false)
	}
	writeJSON(w, http.StatusOK, answer)
	_ = http.NewResponseController(w).Flush() // so that the client does not wait for what delivered writes
}

func (s *Server) redeem(req *tokenRequest) (*issue, error) {
	form, err := readForm(req.http)
	if err != nil {
		return nil, err
	}
	req.form = form
	if req.client, err = s.caller(req.http, form); err != nil {
		return nil, err
	}
	g := s.grants[form.Get("grant_type")]
	switch {
	case g == nil:
		return nil, refuse(oauth.CodeUnsupportedGrantType, "grant_type is missing or not one of the server's")
	case !req.client.May(g.name()) && g.name() != grantRefresh: // whoever was given a refresh token may use it
		return nil, refuse(oauth.CodeUnauthorizedClient, "the client is not registered for this grant")
	case len(form["resource"]) > 1:
		return nil, refuse(oauth.CodeInvalidTarget, "one resource at a time")
	}
	if asked := strings.Fields(form.Get("scope")); len(asked) > 0 {
		req.scopes = asked
	}
	if resource := s.indicator(form.Get("resource")); resource != "" {
		var ok bool
		if req.audience, ok = s.findTarget(resource); !ok || !s.mayTarget(req.client, req.audience) {
			return nil, badTarget(resource)
		}
	}
	issued, err := g.redeem(req.http.Context(), req)
	if err == nil {
		s.clients.Used(req.http.Context(), req.client)
	}
	return issued, err
}

// readForm reads the body. Parameters in the query would be in logs (RFC 6749 §3.2),
// and one that is there twice could be read in two ways.
func readForm(r *http.Request) (url.Values, error) {
	if t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); t != "application/x-www-form-urlencoded" {
		return nil, refuse(oauth.CodeInvalidRequest, "send the parameters as application/x-www-form-urlencoded")
	}
	if err := r.ParseForm(); err != nil {
		return nil, refuse(oauth.CodeInvalidRequest, "the parameters cannot be read")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 && name != "resource" && name != "audience" {
			return nil, refuse(oauth.CodeInvalidRequest, "duplicate parameter: "+oauth.Printable(name, 40))
		}
	}
	return r.PostForm, nil
}

// tokenAnswer is the body of RFC 6749 §5.1.
type tokenAnswer struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"`
	Refresh string `json:"refresh_token,omitempty"`
	Scope   string `json:"scope,omitempty"`
	ID      string `json:"id_token,omitempty"`
	Issued  string `json:"issued_token_type,omitempty"`
}

// sign makes the tokens: an access token as RFC 9068 has it, with what policies go by,
// so that an authenticated call needs no look into the store.
func (s *Server) sign(i *issue) (*tokenAnswer, error) {
	life := i.lifetime
	if life <= 0 || life > s.lifespans.Access {
		life = s.lifespans.Access
	}
	now := time.Now()
	claims := map[string]any{
		"iss": s.issuer, "sub": i.person.Subject, "aud": i.audience, "client_id": i.client,
		"iat": now.Unix(), "exp": now.Add(life).Unix(), "jti": oauth.NewVerifier(),
	}
	set := func(name string, value any, there bool) {
		if there {
			claims[name] = value
		}
	}
	set("scope", strings.Join(i.scopes, " "), len(i.scopes) > 0)
	set("auth_time", i.at.Unix(), !i.at.IsZero())
	set("name", i.person.Name, i.person.Name != "")
	set("email", i.person.Email, i.person.Email != "")
	set("email_verified", true, i.person.Verified)
	set("groups", i.person.Groups, len(i.person.Groups) > 0)
	set("roles", i.person.Roles, len(i.person.Roles) > 0)
	set(claimFamily, i.family, i.family != "")
	for name, value := range i.extra {
		claims[name] = value
	}
	access, err := s.signer.Sign("at+jwt", claims)
	if err != nil {
		return nil, err
	}
	answer := &tokenAnswer{
		Access: access.Reveal(), Type: "Bearer", Expires: int64(life.Seconds()),
		Refresh: i.refresh, Scope: strings.Join(i.scopes, " "), Issued: i.issued,
	}
	if i.openID && slices.Contains(i.scopes, scopeOpenID) {
		answer.ID, err = s.signID(i, now)
	}
	return answer, err
}

// signID makes the OpenID token, which tells the client who the person is.
func (s *Server) signID(i *issue, now time.Time) (string, error) {
	claims := map[string]any{
		"iss": s.issuer, "sub": i.person.Subject, "aud": i.client,
		"iat": now.Unix(), "exp": now.Add(s.lifespans.Access).Unix(), "auth_time": i.at.Unix(),
	}
	if i.nonce != "" {
		claims["nonce"] = i.nonce
	}
	if i.person.Name != "" && slices.Contains(i.scopes, scopeProfile) {
		claims["name"] = i.person.Name
	}
	if i.person.Email != "" && slices.Contains(i.scopes, scopeEmail) {
		claims["email"] = i.person.Email
		if i.person.Verified {
			claims["email_verified"] = true
		}
	}
	id, err := s.signer.Sign("JWT", claims)
	return id.Reveal(), err
}

// writeError is the one place that writes refusals to programs (RFC 6749 §5.2).
func (s *Server) writeError(w http.ResponseWriter, err error) {
	refused, ok := errors.AsType[*oauth.Error](err)
	if !ok {
		s.log.Error("token request failed", "issuer", s.issuer, "error", err)
		refused = &oauth.Error{Code: oauth.CodeServerError, Description: "the server cannot answer now; try again soon", Status: http.StatusServiceUnavailable}
	}
	status := refused.Status
	if status < 400 {
		status = http.StatusBadRequest
	}
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="`+s.issuer+`"`)
	}
	writeJSON(w, status, map[string]string{"error": refused.Code, "error_description": refused.Description})
}
