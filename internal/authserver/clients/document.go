package clients

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// document finds the client whose id is the address of a metadata document.
func (r *Registry) document(ctx context.Context, id, from string) (*Client, error) {
	if !r.cfg.Documents.Enabled {
		return nil, unknown()
	}
	host, err := parseDocumentID(id, r.cfg.Documents.AllowPrivate)
	if err != nil {
		return nil, badDocument("client_id %v", err)
	}
	if !allowedHost(r.cfg.Documents.Hosts, host) {
		return nil, badDocument("clients of %s are not admitted here", oauth.Printable(host, 100))
	}
	doc, err := r.documents.get(ctx, id, from, time.Time{})
	if problem, ok := errors.AsType[*fetchError](err); ok {
		if problem.soon {
			return nil, unavailable("the client's metadata document cannot be had: " + problem.reason)
		}
		return nil, badDocument("the client's metadata document cannot be had: %s", problem.reason)
	}
	m, refused := readDocument(id, doc.body, rules{
		// There is nobody to share a secret with.
		methods: []string{oauth.AuthNone, oauth.AuthPrivateKeyJWT}, grants: r.cfg.Grants, plainLoopback: r.cfg.Documents.AllowPrivate,
	})
	if refused != nil {
		return nil, badDocument("the client's metadata document is wrong: %s", refused.Description)
	}
	c := m.client(id)
	c.Host, c.Known = host, r.cfg.Documents.Hosts != nil
	return c, nil
}

func badDocument(format string, args ...any) *oauth.Error {
	return &oauth.Error{Code: oauth.CodeInvalidClient, Description: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

// parseDocumentID says on which host a client's document is. The address must be
// one that has one spelling: a path without dot segments, no fragment, no user.
func parseDocumentID(id string, plainLoopback bool) (host string, err error) {
	if err := fetchable(id, plainLoopback); err != nil {
		return "", err
	}
	u, err := url.Parse(id)
	if err != nil {
		return "", errors.New("invalid URL")
	}
	if u.Path == "" || u.Path == "/" {
		return "", errors.New("has no path; it is the address of a document")
	}
	for _, segment := range strings.Split(u.Path, "/") { // unescaped: %2e is a dot
		if segment == "." || segment == ".." {
			return "", errors.New("has a path with . or .. in it")
		}
	}
	return strings.ToLower(u.Host), nil
}

// allowedHost knows names, and *.example.com for what is below a name.
func allowedHost(hosts []string, host string) bool {
	if hosts == nil {
		return true
	}
	name := host
	if u := (&url.URL{Host: host}); u.Port() != "" {
		name = u.Hostname()
	}
	for _, h := range hosts {
		below, wild := strings.CutPrefix(strings.ToLower(h), "*")
		if wild && strings.HasPrefix(below, ".") && strings.HasSuffix(name, below) && len(name) > len(below) || strings.EqualFold(h, name) {
			return true
		}
	}
	return false
}

// readDocument reads a metadata document. What makes it this client's is that it
// says so itself: its client_id is the address it was fetched from, exactly.
func readDocument(id string, body []byte, how rules) (*metadata, *oauth.Error) {
	claims, err := token.ParseClaims(body)
	if err != nil {
		return nil, refuse(codeInvalidMetadata, "it is no JSON object with each name once")
	}
	if said := claims.Text("client_id"); said != id {
		return nil, refuse(codeInvalidMetadata, "its client_id is "+quoted(said)+", not the address it was fetched from")
	}
	for _, name := range []string{"client_secret", "client_secret_expires_at"} {
		if claims.Has(name) {
			return nil, refuse(codeInvalidMetadata, "it has a "+name+", and everybody can read it; use private_key_jwt")
		}
	}
	m, refused := parseMetadata(claims, how)
	switch {
	case refused != nil:
		return nil, refused
	case m.Name == "":
		return nil, refuse(codeInvalidMetadata, "client_name is missing")
	case len(m.RedirectURIs) == 0:
		return nil, refuse(codeInvalidMetadata, "redirect_uris is missing")
	}
	return m, nil
}

func quoted(s string) string { return `"` + oauth.Printable(s, 100) + `"` }
