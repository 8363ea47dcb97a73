package netguard

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// Policy says which addresses one peer may have: a backend, an issuer, a client that
// publishes a document. The zero value admits public addresses only.
type Policy struct {
	// AllowPrivate admits loopback, RFC 1918 and unique local (RFC 4193) addresses.
	// Cloud metadata services and link-local addresses are never admitted.
	AllowPrivate bool
	// PlainOnlyPrivate refuses public addresses: for plain http, which may carry a
	// credential inside a machine or a private network and nowhere else.
	PlainOnlyPrivate bool
	// Setting is what a manifest calls AllowPrivate, for who reads the refusal; "" for
	// allowPrivateEndpoint.
	Setting string
	// Proxies are those through which connections leave.
	Proxies *Proxies
}

// RefusedError is an address that may not be connected to.
type RefusedError struct {
	Addr   netip.Addr
	Name   string // in place of Addr, where a proxy would look it up
	Reason string // names no address, and the setting if there is one
}

func (e *RefusedError) Error() string {
	if e.Name != "" {
		return fmt.Sprintf("host %s is refused: %s", e.Name, e.Reason)
	}
	return fmt.Sprintf("address %s is refused: %s", e.Addr, e.Reason)
}

// Check says whether the policy admits an address; a *RefusedError says why not.
func (p Policy) Check(addr netip.Addr) error {
	reason := ""
	switch kind := kindOf(addr); {
	case kind == kindPublic && p.PlainOnlyPrivate:
		reason = "plain http is for loopback and private addresses only; use https"
	case kind == kindPublic:
	case kind == kindPrivate && !p.AllowPrivate:
		reason = "it is loopback or private; " + cmp.Or(p.Setting, "allowPrivateEndpoint") + ": true admits it"
	case kind == kindPrivate:
	default:
		reason = string(kind)
	}
	if reason == "" {
		return nil
	}
	return &RefusedError{Addr: addr, Reason: reason}
}

// Dialer dials what its policy admits. It checks each address of a name right before
// connecting, so an answer that changed since is checked too. What goes through a proxy
// is judged by its name: see [Policy.CheckName].
type Dialer struct {
	net.Dialer
	policy Policy
	plain  bool
}

// Dialer makes a dialer for https.
func (p Policy) Dialer(timeout time.Duration) *Dialer {
	return &Dialer{policy: p, Dialer: net.Dialer{
		Timeout: timeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return &RefusedError{Reason: string(kindInvalid)}
			}
			return p.Check(ap.Addr())
		},
	}}
}

// PlainDialer makes a dialer for http, which other proxies may be for.
func (p Policy) PlainDialer(timeout time.Duration) *Dialer {
	d := p.Dialer(timeout)
	d.plain = true
	return d
}

// DialContext connects to an address, through a proxy where there is one for it.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	proxy, err := d.policy.Proxies.through(d.plain, address)
	if err != nil {
		return nil, err
	}
	if proxy != nil {
		return d.tunnel(ctx, proxy, network, address)
	}
	return d.Dialer.DialContext(ctx, network, address)
}
