package outside

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/doctor"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Options are what is looked at, and how.
type Options struct {
	URL     *url.URL
	Token   secret.Value      // that lets a caller in; empty for none
	Roots   *x509.CertPool    // nil for the system's
	Proxies *netguard.Proxies // through which connections leave; nil for none
	MaxBody int64             // the gateway's own limit of a message
	// PlainPort is where a redirect to https is looked for; "" for the usual one.
	PlainPort string
	Patience  time.Duration // with what has to come at once; 0 for the usual
	Alive     time.Duration // that a stream is watched; 0 leaves that out
	Known     Known
}

// Known is what manifests say of the gateway. Its zero value is nothing.
type Known struct {
	Endpoints       []string                    // paths, for who has typed another
	IdentityHeaders []string                    // that a proxy names people in
	Identity        manifest.Problem            // where they are believed
	Resource        manifest.Problem            // where the endpoint's own address is said
	Issuers         map[string]manifest.Problem // where an issuer is named
}

// usualIdentityHeaders are those that proxies name people in.
func usualIdentityHeaders() []string {
	return []string{
		"X-Authenticated-User", "X-Auth-Request-User", "X-Forwarded-User", "X-Forwarded-Email", "Remote-User", "X-Remote-User",
		"X-Webauth-User", "X-Jwt-Claim-Sub", "Tailscale-User-Login", "L5d-Client-Id",
	}
}

// exam is one look at a gateway.
type exam struct {
	Options
	*doctor.Report
	client  *http.Client
	dialer  *netguard.Dialer
	via     string // the proxy that connections leave by; "" for none
	private bool   // the gateway was reached at a private address
	base    string // path of the endpoint without its surface
	surface string // the last part of its path, with a slash in front; "" for an address of another form
	opened  door   // what was answered to who shows nothing
}

// Examine looks at a gateway through its public URL. It stops where what follows would
// say the same again.
func Examine(ctx context.Context, o Options, r *doctor.Report) {
	o.Patience, o.PlainPort = cmp.Or(o.Patience, 10*time.Second), cmp.Or(o.PlainPort, "80")
	if len(o.Known.IdentityHeaders) == 0 {
		o.Known.IdentityHeaders = usualIdentityHeaders()
	}
	policy := netguard.Policy{AllowPrivate: true, Proxies: o.Proxies} // a person typed the address
	x := &exam{Options: o, Report: r, client: netguard.NewClient(policy, netguard.Options{Roots: o.Roots}), dialer: policy.Dialer(5 * time.Second)}
	if o.URL.Scheme == "http" {
		x.dialer = policy.PlainDialer(5 * time.Second)
	}
	defer x.client.CloseIdleConnections()
	x.base = strings.TrimSuffix(o.URL.Path, "/")
	for _, s := range []string{"/mcp", "/sse", "/ws"} {
		if front, ok := strings.CutSuffix(x.base, s); ok {
			x.base, x.surface = front, s
			break
		}
	}
	for _, look := range []func(context.Context) bool{x.names, x.certificate, x.wayIn} {
		if !look(ctx) {
			return
		}
	}
	for _, look := range []func(context.Context){
		x.plain, x.documents, x.authorization, x.token, x.forged, x.socket, x.bodies, x.exposed, x.streams,
	} {
		if ctx.Err() != nil {
			return
		}
		look(ctx)
	}
}

// address is the host and port that the URL leads to.
func (x *exam) address() string {
	port := x.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[x.URL.Scheme]
	}
	return net.JoinHostPort(x.URL.Hostname(), port)
}

// names resolves the name, and connects to each of its addresses: a client takes any.
func (x *exam) names(ctx context.Context) bool {
	host := x.URL.Hostname()
	if proxy, err := x.Proxies.For(&http.Request{URL: x.URL}); err == nil && proxy != nil {
		x.via = proxy.Host
		x.OK("name", "connections leave by the proxy %s, which looks names up", x.via)
		return true
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addresses) == 0 {
		x.Fail("name", "the DNS records of "+host, "%s has no address: clients cannot find the gateway", host)
		return false
	}
	_, port, _ := net.SplitHostPort(x.address())
	leads := host + " leads to "
	if _, err := netip.ParseAddr(host); err == nil {
		leads = ""
	}
	var good, bad []string
	for _, a := range addresses {
		conn, err := x.dialer.DialContext(ctx, "tcp", net.JoinHostPort(a.Unmap().String(), port))
		if err != nil {
			bad = append(bad, a.Unmap().String())
			continue
		}
		_ = conn.Close()
		good = append(good, a.Unmap().String())
		x.private = x.private || local(a)
	}
	switch {
	case len(good) == 0:
		x.Fail("name", "the DNS records of "+host+", a firewall, or what listens there", "%s%s: nothing listens there at port %s", leads, strings.Join(bad, " and "), port)
	case len(bad) > 0:
		x.Warn("name", "the DNS records of "+host+", or what listens there", "%s%s too, where nothing listens at port %s: clients that try it first wait", leads, strings.Join(bad, " and "), port)
	default:
		x.OK("name", "%s%s, where port %s is open", leads, strings.Join(good, " and "), port)
	}
	return len(good) > 0
}

func local(a netip.Addr) bool { return a.Unmap().IsLoopback() || a.Unmap().IsPrivate() }

// dial connects to the gateway as a client of HTTP/1.1 does.
func (x *exam) dial(ctx context.Context) (net.Conn, error) {
	conn, err := x.dialer.DialContext(ctx, "tcp", x.address())
	if err != nil || x.URL.Scheme == "http" {
		return conn, err
	}
	over := tls.Client(conn, &tls.Config{ServerName: x.URL.Hostname(), RootCAs: x.Roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	if err := over.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return over, nil
}

// at is an address at the gateway's origin.
func (x *exam) at(path string) string {
	return (&url.URL{Scheme: x.URL.Scheme, Host: x.URL.Host, Path: path}).String()
}

// sibling is the path of another surface of the endpoint; "" where none can be told.
func (x *exam) sibling(surface string) string {
	if x.surface == "" {
		return ""
	}
	return x.base + surface
}

// origin is the URL's, as addresses are compared.
func (x *exam) origin() string { return oauth.Origin(x.URL) }
