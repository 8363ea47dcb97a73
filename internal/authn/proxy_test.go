package authn_test

import (
	"crypto/x509"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// REQ C-4: each proof suffices, none is easily had, and from elsewhere the header is as good as absent.
func TestProxyProof(t *testing.T) {
	t.Parallel()
	loopback := authn.Proof{Peers: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}
	several := authn.Proof{Peers: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/64"), netip.MustParsePrefix("192.0.2.7/32")}}
	certificate := authn.Proof{Certificates: []string{"proxy.internal"}}
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
		{"certificate without a name", authn.Proof{Certificates: []string{""}}, withCert(request("203.0.113.9", alice), true, named("")), false},
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

// REQ C-8: the other headers, as each known proxy has them.
func TestProxyPresets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		preset string
		lines  []string
		want   identity.Caller
	}{
		{"oauth2-proxy", []string{
			"X-Auth-Request-User: u1", "X-Auth-Request-Email: a@example.com", "X-Auth-Request-Preferred-Username: alice", "X-Auth-Request-Groups: a,role:b",
		}, identity.Caller{Subject: "u1", Email: "a@example.com", Name: "alice", Groups: []string{"a", "role:b"}}},
		{"oauth2-proxy-upstream", []string{
			"X-Forwarded-User: u1", "X-Forwarded-Email: a@example.com", "X-Forwarded-Preferred-Username: alice", "X-Forwarded-Groups: a,role:b",
		}, identity.Caller{Subject: "u1", Email: "a@example.com", Name: "alice", Groups: []string{"a", "role:b"}}},
		{"authelia", []string{"Remote-User: alice", "Remote-Email: a@example.com", "Remote-Name: Alice", "Remote-Groups: a, b ,,c"}, identity.Caller{
			Subject: "alice", Email: "a@example.com", Name: "Alice", Groups: []string{"a", "b", "c"},
		}},
		{"authelia", []string{"Remote-User: alice", "Remote-Groups: a,b", "Remote-Groups: c"}, identity.Caller{Subject: "alice", Groups: []string{"a", "b", "c"}}},
		{"authelia", []string{"Remote-User: alice", "Remote-Groups: ", "Remote-Email: a@example.com", "Remote-Email: b@example.com"}, identity.Caller{Subject: "alice"}},
		{"traefik-forward-auth", []string{"X-Forwarded-User: a@example.com", "X-Forwarded-Groups: root"}, identity.Caller{Subject: "a@example.com", Email: "a@example.com"}},
		{"envoy", []string{"X-Jwt-Claim-Sub: alice", "X-Jwt-Claim-Email: a@example.com", "X-Jwt-Claim-Groups: WyJhIl0"}, identity.Caller{Subject: "alice", Email: "a@example.com"}},
		{"istio", []string{"X-Jwt-Claim-Sub: alice", "X-Jwt-Claim-Name: Alice"}, identity.Caller{Subject: "alice", Name: "Alice"}},
		{"pomerium", []string{"X-Pomerium-Claim-Email: a@example.com", "X-Pomerium-Claim-Groups: a,b"}, identity.Caller{
			Subject: "a@example.com", Email: "a@example.com", Groups: []string{"a", "b"},
		}},
	} {
		t.Run(tt.preset, func(t *testing.T) {
			t.Parallel()
			h, ok := authn.Preset(tt.preset)
			if !ok {
				t.Fatal("unknown")
			}
			p := authn.NewProxy(h, authn.Proof{Peers: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, true)
			got, d := p.Authenticate(t.Context(), request("127.0.0.1", tt.lines...))
			if d != nil {
				t.Fatal(d)
			}
			tt.want.Source = "proxy"
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, ok := authn.Preset("nginx"); ok {
		t.Error("there is a preset for what has no fixed headers")
	}
}
