package compile

import (
	"errors"
	"net"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// KeySet is an issuer's keys.
type KeySet struct {
	Issuer string
	*token.KeySet
}

// AwaitsKeys tells whether keys of an issuer were never fetched, and may be soon.
func (p *Parts) AwaitsKeys() bool {
	return slices.ContainsFunc(p.KeySets, func(k KeySet) bool {
		fetched, err := k.Fetched()
		return !fetched && !hopeless(err)
	})
}

// hopeless tells failures that waiting does not mend: a name that does not exist, an
// address that the manifest does not admit.
func hopeless(err error) bool {
	_, refused := errors.AsType[*netguard.RefusedError](err)
	dns, ok := errors.AsType[*net.DNSError](err)
	return refused || ok && dns.IsNotFound
}
