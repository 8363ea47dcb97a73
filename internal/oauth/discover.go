package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/netguard"
)

// Reach is how somebody's endpoints are reached, and which may be used.
type Reach struct {
	// Client decides which addresses may be dialled, and follows no redirect: a code
	// or a secret would go along.
	Client *http.Client
	// AllowHTTP admits plain http everywhere, AllowLoopbackHTTP on loopback.
	AllowHTTP, AllowLoopbackHTTP bool
	// Remedy says what admits plain http, for who reads the refusal; "" for nothing.
	Remedy string
}

// Check says whether an endpoint may be used. What discovery names is checked like
// what a manifest names: its document is a stranger's, and goes to a browser.
func (r *Reach) Check(what, endpoint string) error {
	u, err := url.Parse(endpoint)
	switch {
	case endpoint == "":
		return fmt.Errorf("there is no %s", what)
	case err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("invalid URL of the %s", what)
	case u.Scheme == "https" || u.Scheme == "http" && (r.AllowHTTP || r.AllowLoopbackHTTP && isLoopback(u.Hostname())):
		return nil
	case u.Scheme == "http" && r.Remedy != "":
		return fmt.Errorf("the %s is plain http; %s", what, r.Remedy)
	case u.Scheme == "http":
		return fmt.Errorf("the %s is plain http", what)
	}
	return fmt.Errorf("the %s is neither https nor http", what)
}

// Origin is scheme, host and port, in lower case and without a default port (RFC 3986
// §6.2.3).
func Origin(u *url.URL) string {
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return scheme + "://" + host
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// SameIssuer compares issuers character by character (RFC 8414 §3.3), except that an
// empty path is a slash (RFC 3986 §6.2.3): many write one and not the other.
func SameIssuer(a, b string) bool {
	return a == b || strings.Count(a, "/")+strings.Count(b, "/") == 5 && strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/")
}

// ServerMetadataURLs are where an issuer's metadata may be, in the order in which
// MCP clients try them (MCP 2026-07-28 authorization server discovery), or OpenID's
// own place first.
func ServerMetadataURLs(issuer string, openID bool) ([]string, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("invalid URL of the issuer; it has no query and no fragment")
	}
	const server, provider = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
	path := strings.TrimRight(u.Path, "/")
	paths := []string{server + path, provider + path, path + provider}
	if openID {
		paths = []string{path + provider, server + path, provider + path}
	}
	var places []string
	for _, p := range paths {
		if at := (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: p}).String(); !slices.Contains(places, at) {
			places = append(places, at)
		}
	}
	return places, nil
}

// DiscoverServer fetches an issuer's metadata: whatever answers at one of its places
// with a document about that issuer. One about another issuer is not used (RFC 8414
// §3.3): it could send people to an attacker's endpoints. The issuer goes on by the
// name that its own document has.
func DiscoverServer(ctx context.Context, r *Reach, issuer string, openID bool) (*ServerMetadata, error) {
	places, err := ServerMetadataURLs(issuer, openID)
	if err != nil {
		return nil, fmt.Errorf("discover authorization server: %w", err)
	}
	var failed []error
	for _, at := range places {
		if err := r.Check("issuer", at); err != nil {
			return nil, fmt.Errorf("discover authorization server: %w", err)
		}
		var m ServerMetadata
		err := GetJSON(ctx, r.Client, at, &m)
		_, unreachable := errors.AsType[*netguard.Unreachable](err)
		switch {
		case unreachable: // and so are the others
			return nil, fmt.Errorf("discover authorization server: %w", err)
		case err != nil:
			failed = append(failed, err)
		case !SameIssuer(m.Issuer, issuer):
			failed = append(failed, fmt.Errorf("%s is about the issuer %q, not %q", at, Printable(m.Issuer, 200), issuer))
		default:
			return &m, nil
		}
	}
	return nil, fmt.Errorf("discover authorization server: %w", errors.Join(failed...))
}

// NotThere means that an address answered, and has no such document.
type NotThere struct{ Cause error }

func (e *NotThere) Error() string { return e.Cause.Error() }
func (e *NotThere) Unwrap() error { return e.Cause }

// GetJSON fetches a public document of bounded size. Errors name the address without
// its query; a page, what is no JSON and every status that speaks of the document is a
// *NotThere.
func GetJSON(ctx context.Context, client *http.Client, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return errors.New("fetch a document: invalid URL")
	}
	req.Header.Set("Accept", "application/json")
	a, err := netguard.Fetch(client, req, maxAnswer)
	if err != nil {
		if status, ok := errors.AsType[*netguard.StatusError](err); errors.Is(err, netguard.ErrPage) ||
			ok && status.Status < http.StatusInternalServerError && status.Status != http.StatusTooManyRequests {
			return &NotThere{err}
		}
		return err
	}
	if Lenient(a.Body, into) != nil {
		return &NotThere{fmt.Errorf("fetch %s: it is no JSON as it should be", netguard.Place(req.URL))}
	}
	return nil
}
