package authn

import (
	"context"

	"github.com/sallyport-dev/sallyport/internal/identity"
)

// Certificate takes the caller from a TLS client certificate that the listener has
// verified.
type Certificate struct{}

// Authenticate names the caller by the certificate's first URI (as SPIFFE has it),
// else e-mail, DNS name or common name.
func (Certificate) Authenticate(_ context.Context, r *Request) (*identity.Caller, *Denied) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil, nil
	}
	leaf := r.TLS.VerifiedChains[0][0]
	caller := &identity.Caller{
		Source: identity.SourceCertificate, Issuer: leaf.Issuer.String(),
		Name: leaf.Subject.CommonName, Groups: leaf.Subject.OrganizationalUnit, Expires: leaf.NotAfter,
	}
	switch {
	case len(leaf.URIs) > 0:
		caller.Subject = leaf.URIs[0].String()
	case len(leaf.EmailAddresses) > 0:
		caller.Subject, caller.Email = leaf.EmailAddresses[0], leaf.EmailAddresses[0]
	case len(leaf.DNSNames) > 0:
		caller.Subject = leaf.DNSNames[0]
	default:
		caller.Subject = leaf.Subject.CommonName
	}
	if caller.Subject == "" {
		return nil, invalidToken("the client certificate names nobody")
	}
	return caller, nil
}
