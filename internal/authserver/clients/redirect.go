package clients

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	maxRedirectURIs = 20
	maxURI          = 2048
)

// target is what kind of place a redirect URI leads to.
type target int

const (
	targetWeb      target = iota // https
	targetLoopback               // plain http on the person's own machine (RFC 8252 §7.3)
	targetApp                    // a private-use scheme (RFC 8252 §7.1)
)

// dangerousSchemes run code in the browser, read from its machine, or start a
// program that takes orders from the address. They are refused although no browser
// should follow a redirect to most of them.
var dangerousSchemes = []string{
	"about", "blob", "chrome", "chrome-extension", "content", "data", "edge", "feed", "file", "filesystem", "ftp", "gopher", "hcp",
	"intent", "jar", "javascript", "ldap", "livescript", "mailto", "mhtml", "mk", "mocha", "moz-extension", "news", "nntp", "resource",
	"rlogin", "search", "shell", "sms", "smb", "ssh", "tel", "telnet", "vbscript", "view-source", "wais", "ws", "wss", "wyciwyg",
}

// parseRedirect says where a redirect URI leads, or what is wrong with it.
//
// Browsers and URL libraries read odd URIs differently (backslashes, white space,
// user names, escapes in the host), so that one that looks like a known host here
// could lead elsewhere there. Whatever could be read in two ways is refused.
func parseRedirect(uri string) (target, error) {
	u, err := parseURI(uri)
	if err != nil {
		return 0, err
	}
	if strings.Contains(uri, "*") {
		return 0, errors.New("has a *, and there are no wildcards; register each address")
	}
	for _, ours := range []string{"code", "state", "iss", "error", "error_description", "error_uri", "response"} {
		if u.Query().Has(ours) {
			return 0, fmt.Errorf("has a parameter %q, which is the answer's own", ours)
		}
	}
	switch {
	case u.Scheme == "https":
		return targetWeb, nil
	case u.Scheme == "http":
		if _, _, ok := splitLoopback(uri); !ok {
			return 0, errors.New("is plain http; use https, or http on 127.0.0.1, [::1] or localhost")
		}
		return targetLoopback, nil
	case slices.Contains(dangerousSchemes, u.Scheme), strings.HasPrefix(u.Scheme, "ms-"), strings.HasPrefix(u.Scheme, "search-"):
		return 0, fmt.Errorf("has the scheme %s, which is not for redirects", u.Scheme)
	}
	return targetApp, nil
}

// parseURI reads an absolute, hierarchical URI without anything that could be read
// in two ways.
func parseURI(uri string) (*url.URL, error) {
	if len(uri) > maxURI {
		return nil, fmt.Errorf("has more than %d characters", maxURI)
	}
	for _, c := range []byte(uri) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return nil, errors.New("has a character that no URI may have; escape it with % and two hex digits")
		}
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return nil, errors.New("is no URI")
	case u.Scheme == "" || !strings.HasPrefix(uri, u.Scheme+":"): // the parser lowers it
		return nil, errors.New("must begin with its scheme, in lower case")
	case strings.Contains(uri, "#"):
		return nil, errors.New("has a fragment (#)")
	case u.User != nil || strings.Contains(u.Host, "@"):
		return nil, errors.New("has a user name or password")
	case u.Opaque != "" || !strings.HasPrefix(uri, u.Scheme+":/"):
		return nil, errors.New("has no slash behind its scheme")
	}
	if u.Scheme == "https" || u.Scheme == "http" {
		if u.Hostname() == "" || strings.ContainsAny(u.Host, "%,;'()!$&=+~") || !goodPort(u.Host) {
			return nil, errors.New("has no proper host")
		}
	}
	return u, nil
}

func goodPort(host string) bool {
	i := strings.LastIndexByte(host, ':')
	return i < 0 || strings.HasSuffix(host, "]") || isPort(host[i+1:])
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0 && text[0] != '0'
}

// splitLoopback takes the port out of a plain http URI on a loopback address.
// It cuts the text and does not parse it, so that two URIs whose parts agree are
// the same text but for the port.
func splitLoopback(uri string) (host, rest string, ok bool) {
	authority, ok := strings.CutPrefix(uri, "http://")
	if !ok {
		return "", "", false
	}
	if i := strings.IndexAny(authority, "/?#"); i >= 0 {
		authority, rest = authority[:i], authority[i:]
	}
	host = authority
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		if !isPort(authority[i+1:]) {
			return "", "", false
		}
		host = authority[:i]
	}
	return host, rest, isLoopback(host)
}

// isLoopback knows the host part of a URI, brackets included.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	inner, six := strings.CutPrefix(host, "[")
	if six {
		inner = strings.TrimSuffix(inner, "]")
	}
	ip, err := netip.ParseAddr(inner)
	return err == nil && ip.IsLoopback() && ip.Zone() == "" && ip.Is6() == six && !ip.Is4In6()
}

// sameRedirect tells whether a request's redirect URI is a registered one: the same
// text, or for a loopback address the same text but for the port, which a native
// application gets from its system when it starts to listen (RFC 8252 §7.3).
// localhost is treated as the addresses are, since so many clients register it. An
// empty path is the path / (RFC 3986 §6.2.3).
func sameRedirect(registered, asked string) bool {
	registered, asked = withPath(registered), withPath(asked)
	if registered == asked {
		return true
	}
	host, rest, ok := splitLoopback(registered)
	if !ok {
		return false
	}
	askedHost, askedRest, ok := splitLoopback(asked)
	return ok && host == askedHost && rest == askedRest
}

// withPath writes out the path of a web address that has nothing behind its host.
func withPath(uri string) string {
	scheme, rest, _ := strings.Cut(uri, "://")
	if (scheme == "http" || scheme == "https") && !strings.ContainsAny(rest, "/?#") {
		return uri + "/"
	}
	return uri
}
