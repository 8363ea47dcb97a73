package authn

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Proof says how a reverse proxy before the gateway shows that it is the one. Any
// of them suffices; without any, nobody is believed (REQ C-4). Of several proxies
// in a row only the last speaks to the gateway: whom that one believed is its own
// affair, and what it wrote into X-Forwarded-For proves nothing here.
type Proof struct {
	Peers []netip.Prefix // addresses of the socket's other end
	// Certificates are the proxy's own; none without names. Any certificate will not do:
	// clients may have some of the same CA.
	Certificates Certificates
	SecretHeader string // "" for none
	Secret       secret.Value
}

// proven reports whether the request came straight from the proxy.
func (p *Proof) proven(r *Request) bool {
	if Within(r.Peer, p.Peers) {
		return true
	}
	if len(p.Certificates.Names) > 0 {
		if leaf := p.Certificates.leaf(r.TLS); leaf != nil && time.Now().Before(leaf.NotAfter) {
			return true
		}
	}
	if p.SecretHeader == "" || p.Secret.Empty() {
		return false
	}
	values := r.Header[p.SecretHeader]
	return len(values) == 1 && secret.New(values[0]).Equal(p.Secret)
}

// Within reports whether an address is in one of the networks. An IPv4 address in
// IPv6 clothes is the IPv4 address, and zones do not count.
func Within(a netip.Addr, networks []netip.Prefix) bool {
	a = a.Unmap().WithZone("")
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

// ProxyHeaders are the headers in which a proxy says who the person is. An empty
// one is not looked at.
type ProxyHeaders struct {
	User, Email, Name string
	Groups            string
	// GroupsSeparator is what stands between two groups; "" for a comma. With
	// [NoSeparator] each header of that name is one group.
	GroupsSeparator string
}

// NoSeparator is for groups whose names may have any character in them, such as
// distinguished names.
const NoSeparator = "none"

// Proxy believes an identity header from a proven reverse proxy (REQ C-2, C-4).
type Proxy struct {
	headers ProxyHeaders
	proof   Proof
	require bool // a request without the proxy's word is refused
}

// NewProxy makes the method. With require a request without the header is refused,
// else it carries nothing of this method.
func NewProxy(h ProxyHeaders, p Proof, require bool) *Proxy {
	for _, name := range []*string{&h.User, &h.Email, &h.Name, &h.Groups, &p.SecretHeader} {
		*name = http.CanonicalHeaderKey(*name)
	}
	h.GroupsSeparator = cmp.Or(h.GroupsSeparator, ",")
	return &Proxy{headers: h, proof: p, require: require}
}

// Authenticate takes the identity from the header. From anybody but the proxy the
// header is as good as absent.
func (p *Proxy) Authenticate(_ context.Context, r *Request) (*identity.Caller, *Denied) {
	if !p.proof.proven(r) {
		return nil, p.missing("the request does not come from a trusted proxy")
	}
	values, present := r.Header[p.headers.User]
	if !present {
		return nil, p.missing("the proxy sent no " + p.headers.User)
	}
	user := strings.TrimSpace(values[0])
	if len(values) != 1 || user == "" || !utf8.ValidString(user) {
		// Two names, or none where there should be one: the proxy passed a client's
		// header on, or its login is broken. Neither is a person.
		return nil, &Denied{
			Status: http.StatusBadRequest, Code: CodeInvalidRequest,
			Reason: p.headers.User + " is empty, or no text, or there more than once",
		}
	}
	groups := r.Header[p.headers.Groups]
	if len(groups) > 1 && p.headers.GroupsSeparator != NoSeparator {
		return nil, &Denied{
			Status: http.StatusBadRequest, Code: CodeInvalidRequest,
			Reason: p.headers.Groups + " is there more than once; if the proxy sends one for each group, set groupsSeparator: none",
		}
	}
	return &identity.Caller{
		Subject: user,
		Source:  identity.SourceProxy,
		Email:   single(r.Header, p.headers.Email),
		Name:    single(r.Header, p.headers.Name),
		Groups:  p.headers.split(groups),
	}, nil
}

// missing is what a request without a believable header gets.
func (p *Proxy) missing(reason string) *Denied {
	if !p.require {
		return nil
	}
	return &Denied{Status: http.StatusUnauthorized, Reason: reason}
}

func single(h http.Header, name string) string {
	if v := h[name]; len(v) == 1 && utf8.ValidString(v[0]) {
		return strings.TrimSpace(v[0])
	}
	return ""
}

func (h *ProxyHeaders) split(lines []string) []string {
	var list []string
	for _, line := range lines {
		parts := []string{line}
		if h.GroupsSeparator != NoSeparator {
			parts = strings.Split(line, h.GroupsSeparator)
		}
		for _, part := range parts {
			if part = strings.TrimSpace(part); part != "" && utf8.ValidString(part) {
				list = append(list, part)
			}
		}
	}
	return list
}
