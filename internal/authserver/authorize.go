package authserver

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// request is an authorization request that was found good: who asks for what, and
// where the answer goes. It travels sealed, first in the consent page's form, then in
// the record of the chain.
type request struct {
	Client    string   `json:"c"`
	Redirect  string   `json:"u"`
	Given     bool     `json:"g,omitempty"` // the request named the redirect URI
	State     string   `json:"s,omitempty"`
	Challenge string   `json:"p"`
	Audience  string   `json:"a"` // what the resource indicator means
	Scopes    []string `json:"o"`
	Nonce     string   `json:"n,omitempty"`
	Fresh     bool     `json:"f,omitempty"` // prompt=login: whoever is signed in does not count
	Hint      string   `json:"h,omitempty"`
}

// The errors of RFC 6749 §4.1.2.1 and OpenID Connect §3.1.2.6 that only the
// authorization endpoint has.
const (
	codeUnsupportedResponseType = "unsupported_response_type"
	codeRequestNotSupported     = "request_not_supported"
	codeLoginRequired           = "login_required"
	codeConsentRequired         = "consent_required"
	codeUnavailable             = "temporarily_unavailable"
)

const (
	maxParameter = 2048 // of state, nonce and hints: they are kept for minutes
	maxScopes    = 64
)

// serveAuthorize begins a sign-in. Until client and redirect URI are proved good,
// nothing is sent anywhere: what is wrong is a page (RFC 6749 §4.1.2.1, RFC 9700
// §4.11). From there on what is wrong goes back to the client.
func (s *Server) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		s.refusePage(w, http.StatusBadRequest, "This sign-in cannot begin", "The application sent a request that cannot be read. Go back to it and try again.")
		return
	}
	client, redirect, ok := s.whoAsks(w, r, query)
	if !ok {
		return
	}
	req := &request{Client: client.ID, Redirect: redirect, Given: query.Get("redirect_uri") != "", State: query.Get("state")}
	prompt, refused := s.readRequest(req, client, query)
	if refused != nil {
		if len(req.State) > maxParameter {
			req.State = ""
		}
		s.log.Info("authorization request refused", "issuer", s.issuer, "client", oauth.Printable(client.ID, 200), "error", refused)
		s.answer(w, req, refused)
		return
	}
	session := s.session(r)
	if session != nil && !req.Fresh && !slices.Contains(prompt, "consent") && s.consented(r.Context(), session.Person.Subject, req) {
		s.beginChain(w, r, req, session, slices.Contains(prompt, "none"))
		return
	}
	if slices.Contains(prompt, "none") {
		code := codeLoginRequired
		if session != nil {
			code = codeConsentRequired
		}
		s.answer(w, req, refuse(code, "a person has to be asked, and prompt=none forbids that"))
		return
	}
	s.askConsent(w, r, client, req, session)
}

// whoAsks finds the client and where its answers go.
func (s *Server) whoAsks(w http.ResponseWriter, r *http.Request, query url.Values) (*clients.Client, string, bool) {
	const title = "This sign-in cannot begin"
	bad := func(text string, cause error) {
		s.log.Info("authorization request refused", "issuer", s.issuer, "client", oauth.Printable(query.Get("client_id"), 200), "error", cause)
		s.refusePage(w, http.StatusBadRequest, title, text)
	}
	if len(query["client_id"]) != 1 || len(query["redirect_uri"]) > 1 {
		bad("The application did not say clearly who it is and where the answer goes.", errors.New("client_id is missing, or it or redirect_uri is there twice"))
		return nil, "", false
	}
	client, err := s.clients.Find(r.Context(), query.Get("client_id"))
	if err != nil {
		if refused, ok := errors.AsType[*oauth.Error](err); ok && refused.Code != oauth.CodeServerError { // also where its document cannot be had: that is the application's
			bad("The application that sent you here is not known, or its description cannot be used: "+refused.Description+".", err)
		} else {
			s.log.Error("client not found", "issuer", s.issuer, "error", err)
			s.refusePage(w, http.StatusServiceUnavailable, title, "The service cannot look up the application now. Try again soon.")
		}
		return nil, "", false
	}
	redirect, err := client.Redirect(query.Get("redirect_uri"))
	if err != nil {
		bad("The application wants the answer to go to an address that it has not registered. It may be somebody else who pretends to be it, so nothing was sent.", err)
		return nil, "", false
	}
	return client, redirect, true
}

// readRequest reads what else is in a request.
func (s *Server) readRequest(req *request, client *clients.Client, query url.Values) (prompt []string, refused *oauth.Error) {
	for name, values := range query {
		if len(values) > 1 && name != "resource" {
			return nil, refuse(oauth.CodeInvalidRequest, "a parameter is there twice: "+oauth.Printable(name, 40))
		}
		if len(values[0]) > maxParameter {
			return nil, refuse(oauth.CodeInvalidRequest, "a parameter is too long: "+oauth.Printable(name, 40))
		}
	}
	switch mode := query.Get("response_mode"); {
	case query.Has("request") || query.Has("request_uri"):
		return nil, refuse(codeRequestNotSupported, "request objects are not supported; send the parameters themselves")
	case query.Get("response_type") != "code":
		return nil, refuse(codeUnsupportedResponseType, "response_type must be code")
	case mode != "" && mode != "query":
		return nil, refuse(oauth.CodeInvalidRequest, "response_mode must be query")
	case !client.May("authorization_code"):
		return nil, refuse(oauth.CodeUnauthorizedClient, "the client is not registered for the authorization code grant")
	case !isChallenge(query.Get("code_challenge")):
		return nil, refuse(oauth.CodeInvalidRequest, "code_challenge is required (PKCE), of 43 characters")
	case query.Get("code_challenge_method") != "S256":
		// The default would be plain, which protects from nothing (RFC 9700 §2.1.1).
		return nil, refuse(oauth.CodeInvalidRequest, "code_challenge_method must be S256")
	}
	req.Challenge, req.Nonce, req.Hint = query.Get("code_challenge"), query.Get("nonce"), query.Get("login_hint")
	var ok bool
	if len(query["resource"]) > 1 {
		return nil, refuse(oauth.CodeInvalidTarget, "one resource at a time")
	}
	if req.Audience, ok = s.resource(query.Get("resource")); !ok || !s.mayTarget(client, req.Audience) {
		return nil, badTarget(query.Get("resource"))
	}
	if req.Scopes = s.grantedScopes(client, strings.Fields(query.Get("scope"))); len(req.Scopes) > maxScopes {
		return nil, refuse(oauth.CodeInvalidScope, "too many scopes")
	}
	prompt = strings.Fields(query.Get("prompt"))
	if len(prompt) > 1 && slices.Contains(prompt, "none") {
		return nil, refuse(oauth.CodeInvalidRequest, "prompt none stands alone")
	}
	req.Fresh = slices.Contains(prompt, "login") || slices.Contains(prompt, "select_account")
	return prompt, nil
}

func badTarget(resource string) *oauth.Error {
	if resource == "" {
		return refuse(oauth.CodeInvalidTarget, "say which endpoint the token is for: send its URL as resource")
	}
	return refuse(oauth.CodeInvalidTarget, "resource is no endpoint that this server signs people in to")
}

// mayTarget tells whether a client may have tokens for an audience. Its own are as
// somebody wrote them, which may be another spelling.
func (s *Server) mayTarget(client *clients.Client, audience string) bool {
	return len(client.Audiences) == 0 || slices.ContainsFunc(client.Audiences, func(own string) bool {
		meant, ok := s.resource(own)
		return ok && own != "" && meant == audience
	})
}

// grantedScopes are the scopes that somebody gets who asks for some: those that the
// client may have (RFC 6749 §3.3 lets a server leave some out, and the answer says
// which are granted). Without any of them it is all that everybody may have but
// offline_access, which one has to ask for.
func (s *Server) grantedScopes(client *clients.Client, asked []string) []string {
	var granted []string
	for _, scope := range asked {
		if s.mayHave(client, scope) && !slices.Contains(granted, scope) {
			granted = append(granted, scope)
		}
	}
	if granted != nil {
		return granted
	}
	for _, scope := range s.scopes {
		if s.mayHave(client, scope) && scope != scopeOffline {
			granted = append(granted, scope)
		}
	}
	return granted
}

// mayHave tells whether a client may have a scope: one that is for everybody, unless
// the client keeps to some; or one that the manifest gives this client by name.
// Whatever clients write into their own registrations, it widens nothing.
func (s *Server) mayHave(client *clients.Client, scope string) bool {
	if client.Scopes != nil && !slices.Contains(client.Scopes, scope) {
		return false
	}
	return slices.Contains(s.scopes, scope) || client.Static && client.Scopes != nil && slices.Contains(s.forServices, scope)
}

// isChallenge reports whether a text can be an S256 challenge (RFC 7636 §4.2).
func isChallenge(text string) bool {
	return len(text) == 43 && !strings.ContainsFunc(text, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_')
	})
}

func refuse(code, description string) *oauth.Error {
	return &oauth.Error{Code: code, Description: description, Status: http.StatusBadRequest}
}

// answer sends the browser back to the client with a refusal.
func (s *Server) answer(w http.ResponseWriter, req *request, refused *oauth.Error) {
	s.sendBack(w, req, url.Values{"error": {refused.Code}, "error_description": {refused.Description}})
}

// sendBack sends the browser back to the client. Every answer says who gives it
// (RFC 9207), so that a client of several servers cannot take one for another's.
func (s *Server) sendBack(w http.ResponseWriter, req *request, parameters url.Values) {
	parameters.Set("iss", s.issuer)
	if req.State != "" {
		parameters.Set("state", req.State)
	}
	separator := "?"
	if strings.Contains(req.Redirect, "?") {
		separator = "&"
	}
	w.Header().Set("Location", req.Redirect+separator+parameters.Encode())
	// 303: whatever brought the browser here, what follows is a GET without a body,
	// so that nothing of a form is sent on (RFC 9700 §4.12).
	w.WriteHeader(http.StatusSeeOther)
}

// code is what a client redeems: the record of it, under the hash of the code.
type code struct {
	Request request   `json:"r"`
	Person  identity  `json:"p"`
	Family  string    `json:"f"` // of the tokens that will be made from it
	At      time.Time `json:"t"` // when the person was authenticated
	Used    bool      `json:"u,omitempty"`
}
