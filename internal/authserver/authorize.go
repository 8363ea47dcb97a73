package authserver

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/page"
)

// request is an authorization request that was found good: who asks for what, and
// where the answer goes. It travels sealed, first in the consent page's form, then in
// the record of the chain.
type request struct {
	Client    string   `json:"c"`
	Title     string   `json:"m,omitempty"` // of the client, for people
	Redirect  string   `json:"u"`
	Given     bool     `json:"g,omitempty"` // the request named the redirect URI
	State     string   `json:"s,omitempty"`
	Challenge string   `json:"p"`
	Audience  string   `json:"a"` // what the resource indicator means; "" until the person has chosen
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
		s.refusePage(w, http.StatusBadRequest, "This sign-in cannot begin", "The application sent a request that cannot be read. Go back to it and try again.", err)
		return
	}
	client, redirect, ok := s.whoAsks(w, r, query)
	if !ok {
		return
	}
	req := &request{Client: client.ID, Title: clientTitle(client), Redirect: redirect, Given: query.Get("redirect_uri") != "", State: query.Get("state")}
	prompt, refused := s.readRequest(req, client, query)
	if refused != nil {
		if len(req.State) > maxParameter {
			req.State = ""
		}
		s.answerEarly(w, r, client, req, refused)
		return
	}
	session := s.session(r)
	if session != nil && !req.Fresh && !slices.Contains(prompt, "consent") && s.consented(r.Context(), session.Person.Subject, req) {
		s.beginChain(w, r, req, session, false, slices.Contains(prompt, "none"))
		return
	}
	if slices.Contains(prompt, "none") {
		code := codeLoginRequired
		if session != nil {
			code = codeConsentRequired
		}
		s.answerEarly(w, r, client, req, refuse(code, "a person has to be asked, and prompt=none forbids that"))
		return
	}
	s.askConsent(w, r, client, req, session)
}

// whoAsks finds the client and where its answers go.
func (s *Server) whoAsks(w http.ResponseWriter, r *http.Request, query url.Values) (*clients.Client, string, bool) {
	const title = "This sign-in cannot begin"
	bad := func(text string, cause error) {
		s.refusePage(w, http.StatusBadRequest, title, text, fmt.Errorf("client %s: %w", oauth.Printable(query.Get("client_id"), 200), cause))
	}
	if len(query["client_id"]) != 1 || len(query["redirect_uri"]) > 1 {
		bad("The application did not say clearly who it is and where the answer goes.", errors.New("client_id is missing, or it or redirect_uri is a duplicate"))
		return nil, "", false
	}
	client, err := s.clients.Find(r.Context(), query.Get("client_id"), s.clients.Sender(r))
	if err != nil {
		if refused, ok := errors.AsType[*oauth.Error](err); ok && refused.Code != oauth.CodeServerError { // also where its document cannot be had: that is the application's
			if refused.Status == http.StatusUnauthorized {
				s.unknownClient(w, fmt.Errorf("client %s: %w", oauth.Printable(query.Get("client_id"), 200), err))
				return nil, "", false
			}
			bad("The description of the application that sent you here cannot be used: "+refused.Description+".", err)
		} else {
			s.refusePage(w, http.StatusServiceUnavailable, title, "The service cannot look up the application now. Try again soon.", err)
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
			return nil, refuse(oauth.CodeInvalidRequest, "duplicate parameter: "+oauth.Printable(name, 40))
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
	indicator := s.indicator(query.Get("resource"))
	if req.Audience, ok = s.findTarget(indicator); !ok || !s.mayTarget(client, req.Audience) {
		choices := s.choices(client)
		switch {
		case indicator != "" || len(choices) == 0:
			return nil, badTarget(indicator)
		case len(choices) == 1:
			req.Audience = choices[0].Addresses[0]
		default:
			req.Audience = "" // the person says which
		}
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

// indicator is a request's resource. Some clients send the origin, or the issuer, where
// they know nothing better: that names no endpoint.
func (s *Server) indicator(resource string) string {
	if r := strings.TrimSuffix(resource, "/"); strings.EqualFold(r, s.origin) || r == s.issuer {
		return ""
	}
	return resource
}

// choices are the endpoints that a client may have tokens for.
func (s *Server) choices(client *clients.Client) []Endpoint {
	return slices.DeleteFunc(s.endpoints(), func(e Endpoint) bool {
		return len(e.Addresses) == 0 || !s.mayTarget(client, e.Addresses[0])
	})
}

// mayTarget tells whether a client may have tokens for an audience. Its own are as
// somebody wrote them, which may be another spelling.
func (s *Server) mayTarget(client *clients.Client, audience string) bool {
	return len(client.Audiences) == 0 || slices.ContainsFunc(client.Audiences, func(own string) bool {
		meant, ok := s.findTarget(own)
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

// answerEarly refuses before a person has decided anything. A browser that a link of
// somebody's brought here is then sent nowhere: whoever can register could have people
// led to any place from this address (RFC 9700 §4.11.2). A client of the manifest, the
// person's own machine, and a client that the person has allowed get their answer.
func (s *Server) answerEarly(w http.ResponseWriter, r *http.Request, client *clients.Client, req *request, refused *oauth.Error) {
	session := s.session(r)
	cause := fmt.Errorf("client %s: %w", oauth.Printable(client.ID, 200), refused)
	if client.Static || page.Local(req.Redirect) || session != nil && s.consented(r.Context(), session.Person.Subject, req) {
		s.log.Info("authorization request refused", "issuer", s.issuer, "error", cause)
		s.answer(w, req, refused)
		return
	}
	s.refusePage(w, http.StatusBadRequest, "This sign-in cannot begin", "The application that sent you here asked in a way that is refused: "+refused.Description+" ("+refused.Code+"). Go back to it; who makes it can mend that.", cause)
}

// unknownClient tells people what to do whose application comes with an id that is
// gone: most of them never register anew by themselves.
func (s *Server) unknownClient(w http.ResponseWriter, cause error) {
	s.explain(w, http.StatusBadRequest, "Your application has to register again", cause, func(p *page.Page) {
		p.Element("p", "It came with a registration that this service does not know: it was made at another service, or this one has been set up anew since. Nothing was sent to it. Have it forget the old registration, and connect once more:", "role", "alert")
		p.Open("dl")
		p.Field("Claude Code", "type /mcp, choose the server, then Clear authentication, and authenticate again")
		p.Field("Claude, ChatGPT", "in the settings, remove the connector and add it again")
		p.Field("VS Code", "run the command Authentication: Remove Dynamic Authentication Providers, and start the server again")
		p.Field("Cursor, Windsurf and other editors", "remove the server from the MCP settings and add it again")
		p.Field("MCP Inspector", "press Clear OAuth State in the auth settings, and connect again")
		p.Field("mcp-remote", "delete the folder .mcp-auth in your home folder")
		p.Close("dl")
	})
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
