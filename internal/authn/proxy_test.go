package authn_test

import (
	"crypto/x509"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// REQ C-4: each proof suffices, none is easily had, and from elsewhere the header is as good as absent.
func TestProxyProof(t *testing.T) {
	t.Parallel()
	loopback := authn.Proof{Peers: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}
	several := authn.Proof{Peers: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/64"), netip.MustParsePrefix("192.0.2.7/32")}}
	certificate := authn.Proof{Certificates: authn.Certificates{Names: []string{"proxy.internal"}}}
	shared := authn.Proof{SecretHeader: "x-proxy-secret", Secret: secret.New("s3cret")}
	const alice = "X-Authenticated-User: alice"
	for _, tt := range []struct {
		name  string
		proof authn.Proof
		req   *authn.Request
		ok    bool
	}{
		{"nobody is trusted", authn.Proof{}, request("127.0.0.1", alice), false},
		{"loopback", loopback, request("127.0.0.1", alice), true},
		{"loopback, all of it", loopback, request("127.8.9.10", alice), true},
		{"loopback 6", loopback, request("::1", alice), true},
		{"loopback in IPv6 clothes", loopback, request("::ffff:127.0.0.1", alice), true},
		{"not loopback", loopback, request("10.1.2.3", alice), false},
		{"no peer", loopback, request("", alice), false},
		{"a forwarded address proves nothing", loopback, request("10.1.2.3", alice, "X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Real-Ip: 127.0.0.1"), false},
		{"a forwarded address disproves nothing", loopback, request("127.0.0.1", alice, "X-Forwarded-For: 203.0.113.9"), true},
		{"one of several", several, request("10.1.255.255", alice), true},
		{"another of several", several, request("fd00::5", alice), true},
		{"one with a zone", several, request("fd00::5%eth0", alice), true},
		{"a single address", several, request("192.0.2.7", alice), true},
		{"its neighbour", several, request("192.0.2.8", alice), false},
		{"loopback is not among them", several, request("127.0.0.1", alice), false},
		{"certificate", certificate, withCert(request("203.0.113.9", alice), true, named("proxy.internal")), true},
		{"certificate of somebody else", certificate, withCert(request("203.0.113.9", alice), true, named("laptop.internal")), false},
		{"certificate that was not verified", certificate, withCert(request("203.0.113.9", alice), false, named("proxy.internal")), false},
		{"certificate that has expired since", certificate, withCert(request("203.0.113.9", alice), true, cert(func(c *x509.Certificate) {
			c.DNSNames, c.NotAfter = []string{"proxy.internal"}, time.Now().Add(-time.Second)
		})), false},
		{"certificate without a name", authn.Proof{Certificates: authn.Certificates{Names: []string{"", "cn:", "dns:"}}}, withCert(request("203.0.113.9", alice), true, named("")), false},
		{"no certificate", certificate, request("203.0.113.9", alice), false},
		{"certificate where addresses count", several, withCert(request("203.0.113.9", alice), true, named("proxy.internal")), false},
		{"secret", shared, request("203.0.113.9", alice, "X-Proxy-Secret: s3cret"), true},
		{"wrong secret", shared, request("203.0.113.9", alice, "X-Proxy-Secret: s3cre"), false},
		{"empty secret", shared, request("203.0.113.9", alice, "X-Proxy-Secret: "), false},
		{"no secret", shared, request("203.0.113.9", alice), false},
		{"doubled secret", shared, request("203.0.113.9", alice, "X-Proxy-Secret: s3cret", "X-Proxy-Secret: s3cret"), false},
		{"two secrets", shared, request("203.0.113.9", alice, "X-Proxy-Secret: guess", "X-Proxy-Secret: s3cret"), false},
		{"a secret that is none", authn.Proof{SecretHeader: "X-Proxy-Secret"}, request("203.0.113.9", alice, "X-Proxy-Secret: "), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := authn.ProxyHeaders{User: "x-authenticated-user"}
			lax, strict := nothing, want{status: 401}
			if tt.ok {
				lax = want{caller: "proxy alice"}
				strict = lax
			}
			c, d := authn.NewProxy(p, tt.proof, false).Authenticate(t.Context(), tt.req)
			lax.is(t, c, d)
			c, d = authn.NewProxy(p, tt.proof, true).Authenticate(t.Context(), tt.req)
			strict.is(t, c, d)
		})
	}
}

// REQ C-2: without the header the caller is nobody, or refused; one that is empty, blank or doubled is refused in any case.
func TestProxyHeader(t *testing.T) {
	t.Parallel()
	refused := want{status: 400, code: "invalid_request"}
	for _, tt := range []struct {
		name        string
		lines       []string
		lax, strict want
	}{
		{"none", nil, nothing, want{status: 401}},
		{"alice", []string{"X-Authenticated-User: alice"}, want{caller: "proxy alice"}, want{caller: "proxy alice"}},
		{"space around", []string{"X-Authenticated-User:  alice "}, want{caller: "proxy alice"}, want{caller: "proxy alice"}},
		{"space within", []string{"X-Authenticated-User: Alice Ä. Liddell"}, want{caller: "proxy Alice Ä. Liddell"}, want{caller: "proxy Alice Ä. Liddell"}},
		{"the name of nobody", []string{"X-Authenticated-User: anonymous"}, want{caller: "proxy anonymous"}, want{caller: "proxy anonymous"}},
		{"empty", []string{"X-Authenticated-User: "}, refused, refused},
		{"blank", []string{"X-Authenticated-User:    "}, refused, refused},
		{"a tab", []string{"X-Authenticated-User: \t"}, refused, refused},
		{"a space that is not ASCII", []string{"X-Authenticated-User: \u00a0\u2003"}, refused, refused},
		{"no text", []string{"X-Authenticated-User: al\xffice"}, refused, refused},
		{"doubled", []string{"X-Authenticated-User: alice", "X-Authenticated-User: alice"}, refused, refused},
		{"two", []string{"X-Authenticated-User: root", "X-Authenticated-User: alice"}, refused, refused},
		{"one and an empty one", []string{"X-Authenticated-User: alice", "X-Authenticated-User: "}, refused, refused},
		{"another header", []string{"X-Authenticated-Users: alice", "X_Authenticated_User: alice", "Remote-User: alice"}, nothing, want{status: 401}},
		{"a token instead", []string{"Authorization: Bearer x"}, nothing, want{status: 401}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := authn.ProxyHeaders{User: "X-Authenticated-User"}
			proof := authn.Proof{Peers: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
			c, d := authn.NewProxy(h, proof, false).Authenticate(t.Context(), request("127.0.0.1", tt.lines...))
			tt.lax.is(t, c, d)
			c, d = authn.NewProxy(h, proof, true).Authenticate(t.Context(), request("127.0.0.1", tt.lines...))
			tt.strict.is(t, c, d)
			c, d = authn.NewProxy(h, proof, false).Authenticate(t.Context(), request("10.0.0.1", tt.lines...))
			nothing.is(t, c, d) // from elsewhere, whatever it is
		})
	}
}

// FINDING S4
// A certificate's names are of a kind each: the common name of a person's certificate
// is no proxy's. REQ C-4
func TestProxyCertificateNames(t *testing.T) {
	t.Parallel()
	leaf := cert(func(c *x509.Certificate) {
		first, second := &url.URL{Scheme: "spiffe", Host: "a", Path: "/x"}, &url.URL{Scheme: "spiffe", Host: "a", Path: "/proxy"}
		c.URIs, c.DNSNames, c.EmailAddresses = []*url.URL{first, second}, []string{"first.internal", "proxy.internal"}, []string{"ops@example.com"}
		c.Subject.CommonName = "edge"
	})
	person := cert(func(c *x509.Certificate) { c.Subject.CommonName = "proxy.internal" })
	for _, tt := range []struct {
		name         string
		leaf, person bool
	}{
		{"proxy.internal", true, false},
		{"PROXY.internal", true, false},
		{"dns:proxy.internal", true, false},
		{"spiffe://a/proxy", true, false},
		{"uri:spiffe://a/proxy", true, false},
		{"uri:spiffe://A/proxy", false, false},
		{"email:ops@example.com", true, false},
		{"ops@example.com", false, false},
		{"edge", false, false},
		{"cn:edge", true, false},
		{"cn:proxy.internal", false, true},
		{"uri:proxy.internal", false, false},
		{"email:proxy.internal", false, false},
	} {
		p := authn.NewProxy(authn.ProxyHeaders{User: "X-User"}, authn.Proof{Certificates: authn.Certificates{Names: []string{"other", tt.name}}}, false)
		for shown, want := range map[*x509.Certificate]bool{leaf: tt.leaf, person: tt.person} {
			c, d := p.Authenticate(t.Context(), withCert(request("203.0.113.9", "X-User: ceo"), true, shown))
			if (c != nil) != want || d != nil {
				t.Errorf("%s for %s: %v, %v", tt.name, shown.Subject, c, d)
			}
		}
	}
}

// FINDING S8
// Groups of two headers are not merged: one could be a client's. A separator, or none,
// is the operator's to say.
func TestProxyGroups(t *testing.T) {
	t.Parallel()
	const dn = "cn=admins,ou=groups"
	for name, tt := range map[string]struct {
		separator string
		lines     []string
		want      []string
		refused   bool
	}{
		"by commas":             {"", []string{"X-Groups: a, b ,,c"}, []string{"a", "b", "c"}, false},
		"a client's and its":    {"", []string{"X-Groups: admins", "X-Groups: users"}, nil, true},
		"by another":            {"|", []string{"X-Groups: " + dn + "|b"}, []string{dn, "b"}, false},
		"by another, twice":     {"|", []string{"X-Groups: a", "X-Groups: b"}, nil, true},
		"a header each":         {authn.NoSeparator, []string{"X-Groups: " + dn, "X-Groups: b"}, []string{dn, "b"}, false},
		"a header each, empty":  {authn.NoSeparator, []string{"X-Groups:  ", "X-Groups: b"}, []string{"b"}, false},
		"no header":             {"", nil, nil, false},
		"one that is not ASCII": {"", []string{"X-Groups: a\xff,b"}, []string{"b"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := authn.NewProxy(authn.ProxyHeaders{User: "X-User", Groups: "x-groups", GroupsSeparator: tt.separator},
				authn.Proof{Peers: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, false)
			c, d := p.Authenticate(t.Context(), request("127.0.0.1", append(tt.lines, "X-User: alice")...))
			if tt.refused {
				want{status: 400, code: "invalid_request"}.is(t, c, d)
				return
			}
			if d != nil {
				t.Fatal(d)
			}
			if diff := cmp.Diff(tt.want, c.Groups); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
		})
	}
}

// REQ C-11: a token that is presented decides, else a proven proxy's header, else nobody
// comes in.
func TestBothDoors(t *testing.T) {
	t.Parallel()
	k := newKey(t, "k1")
	proxy := authn.NewProxy(authn.ProxyHeaders{User: "X-User"}, authn.Proof{Peers: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, false)
	door := authn.NewResolver(true, authn.NewBearer(authn.BearerConfig{JWT: jwt(t, authn.Mapping{}, k)}), proxy, authn.Certificate{})
	token := "Authorization: Bearer " + k.sign(t, good(nil))
	certified := func(r *authn.Request) *authn.Request { return withCert(r, true, named("machine")) }
	for name, tt := range map[string]struct {
		req  *authn.Request
		want want
	}{
		"a token":                        {request("127.0.0.1", token), want{caller: "jwt alice"}},
		"a token and a header":           {request("127.0.0.1", token, "X-User: bob"), want{caller: "jwt alice"}},
		"a bad token and a header":       {request("127.0.0.1", "Authorization: Bearer bad", "X-User: bob"), want{status: 401, code: "invalid_token"}},
		"a header":                       {request("127.0.0.1", "X-User: bob"), want{caller: "proxy bob"}},
		"a header and another scheme":    {request("127.0.0.1", "X-User: bob", "Authorization: Basic x"), want{caller: "proxy bob"}},
		"a header, from elsewhere":       {request("203.0.113.9", "X-User: bob"), want{status: 401}},
		"nothing":                        {request("127.0.0.1"), want{status: 401}},
		"a proxy with a certificate":     {certified(request("127.0.0.1", "X-User: bob")), want{caller: "proxy bob"}},
		"a certificate, and no proxy":    {certified(request("203.0.113.9", "X-User: bob")), want{caller: "certificate machine"}},
		"an empty header from the proxy": {request("127.0.0.1", "X-User: "), want{status: 400, code: "invalid_request"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, d := door.Resolve(t.Context(), tt.req)
			tt.want.is(t, c, d)
		})
	}
}
