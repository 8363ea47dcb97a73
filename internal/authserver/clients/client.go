package clients

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// Client is who may ask for tokens. It is shared between requests and never
// changed. Name and the addresses are a stranger's words unless the client is from
// a manifest.
type Client struct {
	ID   string
	Name string // printable, one line; "" for none
	Host string // of the metadata document that ID is the address of; "" for others
	URI  string // a page about it: https, or ""

	RedirectURIs []string
	GrantTypes   []string
	Scopes       []string // nil: it named none
	Audiences    []string // the resources it may ask for; nil for all
	AuthMethod   string   // one of oauth.Auth…

	// Known: the manifest admits the host that published it, or every host that its
	// answers can go to, by name.
	Known bool

	ApplicationType string // native or web
	Registered      time.Time
	Static          bool // it is from a manifest

	used    time.Time // when its stored registration was last renewed
	secrets [][sha256.Size]byte
	jwks    []byte
	jwksURI string
}

// The application types (OpenID Connect Registration §2).
const (
	Native = "native"
	Web    = "web"
)

// Redirect is where to send an answer: the redirect URI of a request if it is a
// registered one, or the only registered one when the request has none
// (RFC 6749 §3.1.2.3). Until this has succeeded nothing may be sent anywhere.
func (c *Client) Redirect(uri string) (string, error) {
	if uri == "" {
		if len(c.RedirectURIs) == 1 {
			return c.RedirectURIs[0], nil
		}
		return "", refuse(oauth.CodeInvalidRequest, "redirect_uri is missing, and the client has not exactly one of them")
	}
	for _, registered := range c.RedirectURIs {
		if sameRedirect(registered, uri) {
			return uri, nil
		}
	}
	return "", refuse(oauth.CodeInvalidRequest, "redirect_uri is not one that the client has registered")
}

// Public tells whether the client cannot keep a secret, so that its id proves
// nothing.
func (c *Client) Public() bool { return c.AuthMethod == oauth.AuthNone }

// May tells whether the client may use a grant.
func (c *Client) May(grant string) bool { return slices.Contains(c.GrantTypes, grant) }

func refuse(code, description string) *oauth.Error {
	return &oauth.Error{Code: code, Description: description, Status: http.StatusBadRequest}
}

// unknown is what everybody hears whose client is unknown or not proved, so that
// the answers do not tell one from the other.
func unknown() *oauth.Error {
	return &oauth.Error{Code: oauth.CodeInvalidClient, Description: "the client is unknown, or did not prove who it is", Status: http.StatusUnauthorized}
}
