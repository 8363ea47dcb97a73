package authn

import (
	"context"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Proof says how a reverse proxy before the gateway shows that it is the one. Any
// of them suffices; without any, nobody is believed (REQ C-4).
type Proof struct {
	Peers        []netip.Prefix // addresses of the socket's other end
	Certificate  bool           // a verified TLS client certificate
	SecretHeader string         // canonical name; "" for none
	Secret       secret.Value
}

// proven reports whether the request came straight from the proxy.
func (p *Proof) proven(r *Request) bool {
	peer := r.Peer.Unmap().WithZone("")
	if slices.ContainsFunc(p.Peers, func(n netip.Prefix) bool { return n.Contains(peer) }) {
		return true
	}
	if p.Certificate && r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	if p.SecretHeader == "" || p.Secret.Empty() {
		return false
	}
	values := r.Header[p.SecretHeader]
	return len(values) == 1 && subtle.ConstantTimeCompare([]byte(values[0]), []byte(p.Secret.Reveal())) == 1
}

// ProxyHeaders are the headers in which a proxy says who the person is. Names are
// canonical; an empty one is not looked at.
type ProxyHeaders struct {
	User, Email, Name string
	Groups            string // separated by comma, or a header per group
}

// Proxy believes an identity header from a proven reverse proxy (REQ C-2, C-4).
type Proxy struct {
	headers ProxyHeaders
	proof   Proof
	require bool // a proven request without the header is refused
}

// NewProxy makes the method. With require a request without the header is refused,
// else it goes on to be anonymous.
func NewProxy(h ProxyHeaders, p Proof, require bool) *Proxy {
	return &Proxy{headers: h, proof: p, require: require}
}

// Authenticate takes the identity from the header. From anybody but the proxy the
// header is as good as absent.
func (p *Proxy) Authenticate(_ context.Context, r *Request) (*identity.Caller, *Denied) {
	values, present := r.Header[p.headers.User]
	if !p.proof.proven(r) {
		return nil, p.missing("the request does not come from a trusted proxy")
	}
	if !present {
		return nil, p.missing("the proxy sent no " + p.headers.User)
	}
	if len(values) != 1 || strings.TrimSpace(values[0]) == "" {
		// Two names, or none where there should be one: the proxy passed a client's
		// header on, or its login is broken. Neither is a person.
		return nil, &Denied{Status: http.StatusUnauthorized, Code: CodeInvalidRequest, Reason: p.headers.User + " is empty or there more than once"}
	}
	return &identity.Caller{
		Subject: strings.TrimSpace(values[0]),
		Source:  identity.SourceProxy,
		Email:   single(r.Header, p.headers.Email),
		Name:    single(r.Header, p.headers.Name),
		Groups:  several(r.Header, p.headers.Groups),
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
	if v := h[name]; len(v) == 1 {
		return strings.TrimSpace(v[0])
	}
	return ""
}

func several(h http.Header, name string) []string {
	var list []string
	for _, line := range h[name] {
		for part := range strings.SplitSeq(line, ",") {
			if part = strings.TrimSpace(part); part != "" {
				list = append(list, part)
			}
		}
	}
	return list
}
