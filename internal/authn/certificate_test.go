package authn_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authn"
)

// withCert is a request over TLS with a client certificate.
func withCert(r *authn.Request, verified bool, leaf *x509.Certificate) *authn.Request {
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	if verified {
		r.TLS.VerifiedChains = [][]*x509.Certificate{{leaf, {Subject: pkix.Name{CommonName: "CA"}}}}
	}
	return r
}

// cert names somebody, for an hour.
func cert(change func(*x509.Certificate)) *x509.Certificate {
	c := &x509.Certificate{NotAfter: time.Now().Add(time.Hour), Issuer: pkix.Name{CommonName: "CA"}}
	change(c)
	return c
}

func named(name string) *x509.Certificate {
	return cert(func(c *x509.Certificate) { c.DNSNames = []string{name} })
}

// Who a client certificate is.
func TestCertificate(t *testing.T) {
	t.Parallel()
	spiffe, _ := url.Parse("spiffe://example.com/agent")
	subject := pkix.Name{CommonName: "cn", OrganizationalUnit: []string{"admins"}, Organization: []string{"admins"}}
	for _, tt := range []struct {
		name string
		req  *authn.Request
		want want
	}{
		{"no TLS", request("127.0.0.1"), nothing},
		{"no certificate", &authn.Request{TLS: &tls.ConnectionState{}}, nothing},
		{"not verified", withCert(request(""), false, named("a")), nothing},
		{"URI first", withCert(request(""), true, cert(func(c *x509.Certificate) {
			c.URIs, c.EmailAddresses, c.DNSNames, c.Subject = []*url.URL{spiffe}, []string{"a@example.com"}, []string{"dns"}, subject
		})), want{caller: "certificate spiffe://example.com/agent"}},
		{"then e-mail", withCert(request(""), true, cert(func(c *x509.Certificate) {
			c.EmailAddresses, c.DNSNames, c.Subject = []string{"a@example.com"}, []string{"dns"}, subject
		})), want{caller: "certificate a@example.com"}},
		{"then DNS name", withCert(request(""), true, cert(func(c *x509.Certificate) { c.DNSNames, c.Subject = []string{"dns"}, subject })), want{caller: "certificate dns"}},
		{"then common name", withCert(request(""), true, cert(func(c *x509.Certificate) { c.Subject = subject })), want{caller: "certificate cn"}},
		{"nobody", withCert(request(""), true, cert(func(*x509.Certificate) {})), want{status: 401, code: "invalid_token", reason: "nobody"}},
		{"expired since", withCert(request(""), true, cert(func(c *x509.Certificate) {
			c.Subject, c.NotAfter = subject, time.Now().Add(-time.Second)
		})), want{status: 401, code: "invalid_token", reason: "expired"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, d := authn.Certificate{}.Authenticate(t.Context(), tt.req)
			tt.want.is(t, c, d)
			if c != nil && (len(c.Groups) > 0 || c.Issuer != "CN=CA" || c.Expires.IsZero()) {
				t.Errorf("groups %q, issuer %q, expires %s: a subject's units are the requester's word", c.Groups, c.Issuer, c.Expires)
			}
		})
	}
}

// Of the listener's authorities an endpoint can choose some.
func TestCertificateAuthorities(t *testing.T) {
	t.Parallel()
	ca := &x509.Certificate{Raw: []byte("ours"), Subject: pkix.Name{CommonName: "CA"}}
	other := &x509.Certificate{Raw: []byte("theirs"), Subject: pkix.Name{CommonName: "CA"}}
	request := func(chains ...[]*x509.Certificate) *authn.Request {
		r := request("127.0.0.1")
		r.TLS = &tls.ConnectionState{VerifiedChains: chains}
		return r
	}
	leaf := named("dns")
	leaf.Raw = []byte("leaf")
	alice := want{caller: "certificate dns"}
	for _, tt := range []struct {
		name        string
		authorities []*x509.Certificate
		req         *authn.Request
		want        want
	}{
		{"any", nil, request([]*x509.Certificate{leaf, other}), alice},
		{"ours", []*x509.Certificate{ca}, request([]*x509.Certificate{leaf, ca}), alice},
		{"above one that is between", []*x509.Certificate{ca}, request([]*x509.Certificate{leaf, other, ca}), alice},
		{"by another way", []*x509.Certificate{ca}, request([]*x509.Certificate{leaf, other}, []*x509.Certificate{leaf, ca}), alice},
		{"theirs", []*x509.Certificate{ca}, request([]*x509.Certificate{leaf, other}), nothing},
		{"the leaf is no authority", []*x509.Certificate{leaf}, request([]*x509.Certificate{leaf, other}), nothing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, d := authn.Certificate{Which: authn.Certificates{Authorities: tt.authorities}}.Authenticate(t.Context(), tt.req)
			tt.want.is(t, c, d)
		})
	}
}
