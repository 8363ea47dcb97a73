package authn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
)

// Certificate takes the caller from a TLS client certificate that the listener has
// verified.
type Certificate struct {
	Which Certificates
}

// Certificates are some of those that the listener verifies.
type Certificates struct {
	// Authorities are those of which one must be in the verified chain, above the leaf.
	// Empty for all.
	Authorities []*x509.Certificate
	// Names are what a certificate must be issued to, one of them: dns:NAME, uri:URI,
	// email:ADDRESS or cn:NAME; without a kind a DNS name or a URI. A common name is
	// what the requester wrote, as a rule, so it counts where it is asked for alone.
	// Empty for all.
	Names []string
}

// leaf is the client's certificate, if the listener has verified it and it is one of
// these; nil otherwise.
func (c *Certificates) leaf(state *tls.ConnectionState) *x509.Certificate {
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil
	}
	leaf := state.VerifiedChains[0][0]
	if len(c.Authorities) > 0 && !c.issued(state.VerifiedChains) || len(c.Names) > 0 && !c.named(leaf) {
		return nil
	}
	return leaf
}

func (c *Certificates) named(leaf *x509.Certificate) bool {
	return slices.ContainsFunc(c.Names, func(name string) bool {
		kind, value, typed := strings.Cut(name, ":")
		isDNS := func(name string) bool {
			return slices.ContainsFunc(leaf.DNSNames, func(n string) bool { return strings.EqualFold(n, name) })
		}
		isURI := func(name string) bool {
			return slices.ContainsFunc(leaf.URIs, func(u *url.URL) bool { return u.String() == name })
		}
		switch {
		case typed && value == "" || name == "":
			return false
		case kind == "dns" && typed:
			return isDNS(value)
		case kind == "uri" && typed:
			return isURI(value)
		case kind == "email" && typed:
			return slices.Contains(leaf.EmailAddresses, value)
		case kind == "cn" && typed:
			return leaf.Subject.CommonName == value
		}
		return isDNS(name) || isURI(name)
	})
}

// Authenticate names the caller by the certificate's first URI (as SPIFFE has it),
// else e-mail, DNS name or common name. Other parts of the subject are often what
// the requester wrote, unverified, so they are no groups.
func (c Certificate) Authenticate(_ context.Context, r *Request) (*identity.Caller, *Denied) {
	leaf := c.Which.leaf(r.TLS)
	if leaf == nil {
		return nil, nil // somebody else's is here as good as none
	}
	if !time.Now().Before(leaf.NotAfter) { // it was good when the connection began
		return nil, invalidToken("the client certificate has expired")
	}
	caller := &identity.Caller{
		Subject: certificateName(leaf), Source: identity.SourceCertificate, Issuer: leaf.Issuer.String(),
		Name: leaf.Subject.CommonName, Expires: leaf.NotAfter,
	}
	if caller.Subject == "" {
		return nil, invalidToken("the client certificate names nobody")
	}
	if len(leaf.EmailAddresses) > 0 {
		caller.Email = leaf.EmailAddresses[0]
	}
	return caller, nil
}

// issued reports whether one of the authorities stands in one of the chains, whose
// signatures the listener has verified.
func (c *Certificates) issued(chains [][]*x509.Certificate) bool {
	return slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool {
		return slices.ContainsFunc(chain[1:], func(above *x509.Certificate) bool {
			return slices.ContainsFunc(c.Authorities, above.Equal)
		})
	})
}

func certificateName(leaf *x509.Certificate) string {
	switch {
	case len(leaf.URIs) > 0:
		return leaf.URIs[0].String()
	case len(leaf.EmailAddresses) > 0:
		return leaf.EmailAddresses[0]
	case len(leaf.DNSNames) > 0:
		return leaf.DNSNames[0]
	}
	return leaf.Subject.CommonName
}

// Authorities are the certificates of a PEM bundle, as [x509.CertPool] reads it.
func Authorities(bundle string) (list []*x509.Certificate) {
	for rest := []byte(bundle); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return list
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			list = append(list, cert)
		}
	}
}
