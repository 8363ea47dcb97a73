package authn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
)

// Certificate takes the caller from a TLS client certificate that the listener has
// verified.
type Certificate struct {
	// Authorities narrow down which of the listener's certificates count: one of
	// these must be in the verified chain, above the leaf. Empty for all.
	Authorities []*x509.Certificate
}

// Authenticate names the caller by the certificate's first URI (as SPIFFE has it),
// else e-mail, DNS name or common name. Other parts of the subject are often what
// the requester wrote, unverified, so they are no groups.
func (c Certificate) Authenticate(_ context.Context, r *Request) (*identity.Caller, *Denied) {
	leaf := verifiedLeaf(r.TLS)
	if leaf == nil {
		return nil, nil
	}
	if len(c.Authorities) > 0 && !c.issued(r.TLS.VerifiedChains) {
		return nil, nil // somebody else's: here it is as good as none
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
func (c Certificate) issued(chains [][]*x509.Certificate) bool {
	return slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool {
		return slices.ContainsFunc(chain[1:], func(above *x509.Certificate) bool {
			return slices.ContainsFunc(c.Authorities, above.Equal)
		})
	})
}

// verifiedLeaf is the client's certificate, if the listener has verified one.
func verifiedLeaf(state *tls.ConnectionState) *x509.Certificate {
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil
	}
	return state.VerifiedChains[0][0]
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
