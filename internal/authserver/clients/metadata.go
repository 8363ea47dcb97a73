package clients

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// The errors of RFC 7591 §3.2.2.
const (
	codeInvalidRedirect = "invalid_redirect_uri"
	codeInvalidMetadata = "invalid_client_metadata"
	codeNoSuchStatement = "unapproved_software_statement"
	codeTryLater        = "temporarily_unavailable"
	codeInvalidToken    = "invalid_token" // RFC 6750 §3.1
	responseCode        = "code"
	grantCode           = "authorization_code"
	grantRefresh        = "refresh_token"
	maxName             = 128
	maxScope            = 1024
	maxText             = 256
)

// metadata is what a client says about itself (RFC 7591 §2), checked, and as it is
// kept and answered. What nothing here goes by, such as logos and contacts, is left out
// (RFC 7591 §3.2.1), so that it can be as odd as it likes.
type metadata struct {
	RedirectURIs    []string        `json:"redirect_uris,omitempty"`
	AuthMethod      string          `json:"token_endpoint_auth_method"`
	GrantTypes      []string        `json:"grant_types"`
	ResponseTypes   []string        `json:"response_types,omitempty"`
	ApplicationType string          `json:"application_type"`
	Name            string          `json:"client_name,omitempty"`
	URI             string          `json:"client_uri,omitempty"`
	Scope           string          `json:"scope,omitempty"`
	JWKSURI         string          `json:"jwks_uri,omitempty"`
	JWKS            json.RawMessage `json:"jwks,omitempty"`
}

// rules are what differs between the ways to become a client.
type rules struct {
	methods       []string // of authentication; the first one is taken when the client names none
	grants        []string // that a client may have
	noSecrets     bool     // a client that asks for a secret becomes a public one
	plainLoopback bool     // jwks_uri may be http on loopback
}

// reader takes fields out of a document and remembers the first that is wrong.
// Names are case-sensitive and stand once: token.ParseClaims sees to that.
type reader struct {
	claims token.Claims
	err    *oauth.Error
}

func (r *reader) fail(code, format string, args ...any) {
	if r.err == nil {
		r.err = refuse(code, fmt.Sprintf(format, args...))
	}
}

func (r *reader) text(name string, most int) string {
	v, there := r.claims[name]
	s, ok := v.(string)
	switch {
	case there && !ok && v != nil:
		r.fail(codeInvalidMetadata, "%s must be text", name)
	case len(s) > most:
		r.fail(codeInvalidMetadata, "%s has more than %d bytes", name, most)
	}
	return s
}

func (r *reader) texts(name string, most int) []string {
	v, there := r.claims[name]
	if !there || v == nil {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		r.fail(codeInvalidMetadata, "%s must be a list of texts", name)
		return nil
	}
	if len(list) > most {
		r.fail(codeInvalidMetadata, "%s has %d entries, more than %d", name, len(list), most)
		return nil
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		s, ok := e.(string)
		if !ok {
			r.fail(codeInvalidMetadata, "%s must be a list of texts", name)
			return nil
		}
		out = append(out, s)
	}
	return out
}

// shown is text that decides nothing; what is none, or too long, costs nobody a
// sign-in.
func (r *reader) shown(name string, most int) string {
	s, _ := r.claims[name].(string)
	return strings.TrimSpace(oauth.Printable(strings.TrimSpace(s), most))
}

// page is the address of something to read; it may be shown as a link, so it is a web
// address or left out.
func (r *reader) page(name string) string {
	s, _ := r.claims[name].(string)
	if u, err := parseURI(s); err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return s
}

// parseMetadata reads what a client says about itself and fills in what it leaves
// open. What the server does not offer is left out, as RFC 7591 §3.2.1 allows:
// clients list every grant they know.
func parseMetadata(claims token.Claims, how rules) (*metadata, *oauth.Error) {
	r := &reader{claims: claims}
	if claims["software_statement"] != nil {
		r.fail(codeNoSuchStatement, "software statements are not accepted here; leave software_statement out")
	}
	m := &metadata{Name: r.shown("client_name", maxName), URI: r.page("client_uri"), Scope: r.scope()}
	m.grants(r, how)
	m.redirects(r)
	m.authentication(r, how)
	return m, r.err
}

// scope is a list of scopes; what cannot be one (RFC 6749 §3.3) is left out.
func (r *reader) scope() string {
	text, _ := r.claims["scope"].(string)
	if len(text) > maxScope {
		r.fail(codeInvalidMetadata, "scope has more than %d bytes", maxScope)
	}
	return strings.Join(slices.DeleteFunc(strings.Fields(text), func(s string) bool {
		return strings.ContainsFunc(s, func(c rune) bool { return c < '!' || c > '~' || c == '"' || c == '\\' })
	}), " ")
}

func (m *metadata) grants(r *reader, how rules) {
	asked := r.texts("grant_types", 20)
	if len(asked) == 0 {
		asked = []string{grantCode} // RFC 7591 §2
	}
	for _, g := range asked {
		if slices.Contains(how.grants, g) && !slices.Contains(m.GrantTypes, g) {
			m.GrantTypes = append(m.GrantTypes, g)
		}
	}
	if len(m.GrantTypes) == 0 {
		r.fail(codeInvalidMetadata, "grant_types has none that this server offers: %s", strings.Join(how.grants, ", "))
	}
	responses := r.texts("response_types", 20)
	switch {
	case !slices.Contains(m.GrantTypes, grantCode):
	case len(responses) == 0 || slices.Contains(responses, responseCode):
		m.ResponseTypes = []string{responseCode}
	default:
		r.fail(codeInvalidMetadata, "response_types must have code, the only one offered")
	}
}

// redirects checks the redirect URIs and what they say about the application type.
// Older MCP clients register http://localhost and leave the type out, which by
// OpenID's rule would be web and refused, so it is inferred.
func (m *metadata) redirects(r *reader) {
	uris := r.texts("redirect_uris", maxRedirectURIs)
	local, app := false, false
	for i, uri := range uris {
		to, err := parseRedirect(uri)
		if err != nil {
			r.fail(codeInvalidRedirect, "redirect URI %d %v", i+1, err)
			return
		}
		local, app = local || to == targetLoopback || to == targetWeb && onLoopback(uri), app || to == targetApp
		if !slices.Contains(m.RedirectURIs, uri) {
			m.RedirectURIs = append(m.RedirectURIs, uri)
		}
	}
	if len(uris) == 0 && slices.Contains(m.GrantTypes, grantCode) {
		r.fail(codeInvalidRedirect, "redirect_uris is missing: authorization_code needs one")
	}
	m.ApplicationType = Web
	if local || app || r.claims["application_type"] == Native {
		m.ApplicationType = Native
	}
	if r.claims["application_type"] == Web && m.ApplicationType != Web {
		r.fail(codeInvalidRedirect, "a web application's redirect URIs are https and not on localhost; register as native")
	}
}

func onLoopback(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && (isLoopback(u.Hostname()) || isLoopback("["+u.Hostname()+"]"))
}

func (m *metadata) authentication(r *reader, how rules) {
	m.AuthMethod = r.text("token_endpoint_auth_method", maxText)
	if m.AuthMethod == "" {
		m.AuthMethod = how.methods[0]
	}
	if how.noSecrets && (m.AuthMethod == oauth.AuthBasic || m.AuthMethod == oauth.AuthPost) {
		m.AuthMethod = oauth.AuthNone
	}
	if !slices.Contains(how.methods, m.AuthMethod) {
		r.fail(codeInvalidMetadata, "token_endpoint_auth_method must be one of %s", strings.Join(how.methods, ", "))
	}
	m.JWKSURI = r.text("jwks_uri", maxURI)
	if m.JWKSURI != "" {
		if err := fetchable(m.JWKSURI, how.plainLoopback); err != nil {
			r.fail(codeInvalidMetadata, "jwks_uri %v", err)
		}
	}
	if set, there := r.claims["jwks"]; there && set != nil {
		m.JWKS = r.jwks(set)
		if m.JWKSURI != "" {
			r.fail(codeInvalidMetadata, "jwks and jwks_uri exclude each other")
		}
	}
	if m.AuthMethod == oauth.AuthPrivateKeyJWT && m.JWKS == nil && m.JWKSURI == "" {
		r.fail(codeInvalidMetadata, "private_key_jwt needs jwks or jwks_uri")
	}
}

// jwks takes a key set by value. A private key in it would be in a store and in
// answers from then on.
func (r *reader) jwks(set any) json.RawMessage {
	object, _ := set.(map[string]any)
	keys, _ := object["keys"].([]any)
	for _, k := range keys {
		key, _ := k.(map[string]any)
		for _, part := range []string{"d", "p", "q", "k"} {
			if _, there := key[part]; there {
				r.fail(codeInvalidMetadata, "jwks holds a private or symmetric key; publish the public part alone, and replace that key: it has been seen")
			}
		}
	}
	text, err := json.Marshal(set)
	if err == nil {
		_, err = token.NewFixedKeys(text)
	}
	if err != nil {
		r.fail(codeInvalidMetadata, "jwks cannot be used: %v", err)
		return nil
	}
	return text
}

// fields splits a list of scopes; nil for one that names none, which bounds nothing.
func fields(scope string) []string {
	if list := strings.Fields(scope); len(list) > 0 {
		return list
	}
	return nil
}

// client makes a client of it.
func (m *metadata) client(id string) *Client {
	c := &Client{
		ID: id, Name: m.Name, RedirectURIs: m.RedirectURIs, GrantTypes: m.GrantTypes, Scopes: fields(m.Scope),
		AuthMethod: m.AuthMethod, ApplicationType: m.ApplicationType, jwks: m.JWKS, jwksURI: m.JWKSURI,
	}
	if strings.HasPrefix(m.URI, "https://") {
		c.URI = m.URI
	}
	return c
}

func unavailable(description string) *oauth.Error {
	return &oauth.Error{Code: codeTryLater, Description: description, Status: http.StatusServiceUnavailable}
}
