package netguard

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// Policy says which addresses one backend may have. The zero value admits public
// addresses only.
type Policy struct {
	// AllowPrivate admits loopback, RFC 1918 and unique local (RFC 4193) addresses.
	// Cloud metadata services and link-local addresses are never admitted.
	AllowPrivate bool
	// PlainOnlyPrivate refuses public addresses: for plain http, which may carry a
	// credential inside a machine or a private network and nowhere else.
	PlainOnlyPrivate bool
}

// RefusedError is an address that may not be connected to.
type RefusedError struct {
	Addr   netip.Addr
	Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("address %s is refused: %s", e.Addr, e.Reason)
}

// Check says whether the policy admits an address; a *RefusedError says why not.
func (p Policy) Check(addr netip.Addr) error {
	refuse := func(reason string) error { return &RefusedError{Addr: addr, Reason: reason} }
	ip := addr.WithZone("").Unmap()
	if embedded, ok := embeddedIPv4(ip); ok {
		ip = embedded // what the packets reach in the end
	}
	switch {
	case !ip.IsValid():
		return refuse("it is no address")
	case isMetadata(ip):
		return refuse("cloud metadata services are never a backend")
	case ip.IsLinkLocalUnicast():
		return refuse("link-local addresses are never a backend")
	case ip.IsUnspecified() || ip.IsMulticast():
		return refuse("it is not the address of one host")
	case ip.IsLoopback() || ip.IsPrivate():
		if !p.AllowPrivate {
			return refuse("it is loopback or private; allowPrivateEndpoint: true admits it")
		}
		return nil
	case isSpecial(ip):
		return refuse("it is in a range reserved for special use")
	case p.PlainOnlyPrivate:
		return refuse("plain http is for loopback and private addresses only; use https")
	}
	return nil
}

// Dialer dials what the policy admits. It checks each address of a name right
// before connecting, so an answer that changed since is checked too. It uses no
// proxy from the environment: a proxy would do the dialling unguarded.
func (p Policy) Dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout: timeout,
		Control: func(_, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return &RefusedError{Reason: "it is no address"}
			}
			return p.Check(ap.Addr())
		},
	}
}

// isMetadata knows the metadata services that have an address of their own kind;
// those on link-local addresses are refused with all of these.
func isMetadata(ip netip.Addr) bool {
	switch ip {
	case netip.AddrFrom4([4]byte{100, 100, 100, 200}), // Alibaba Cloud
		netip.AddrFrom4([4]byte{192, 0, 0, 192}),     // Oracle Cloud
		netip.AddrFrom4([4]byte{168, 63, 129, 16}),   // Azure's host agent
		netip.AddrFrom4([4]byte{169, 254, 169, 254}), // AWS, Google, Azure and most others
		netip.MustParseAddr("fd00:ec2::254"),         // AWS over IPv6
		netip.MustParseAddr("fd20:ce::254"):          // Google over IPv6
		return true
	}
	return false
}

// isSpecial knows the ranges of the IANA special-purpose registries, beyond those
// that Check names.
func isSpecial(ip netip.Addr) bool {
	holds := func(p netip.Prefix) bool { return p.Contains(ip) }
	if ip.Is4() {
		return slices.ContainsFunc(ssrf.IPv4DeniedPrefixes, holds)
	}
	return !ssrf.IPv6GlobalUnicast.Contains(ip) || slices.ContainsFunc(ssrf.IPv6DeniedPrefixes, holds)
}

var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215
	sixToFour  = netip.MustParsePrefix("2002::/16")      // RFC 3056
	teredo     = netip.MustParsePrefix("2001::/32")      // RFC 4380
	compatible = netip.MustParsePrefix("::/96")          // RFC 4291 §2.5.5.1
)

// embeddedIPv4 is the IPv4 address that an IPv6 address carries for a translator
// or tunnel. Refusing these ranges as a whole would cut off networks that have
// IPv6 with NAT64 only; so what counts is where the packets go.
func embeddedIPv4(ip netip.Addr) (netip.Addr, bool) {
	if !ip.Is6() {
		return ip, false
	}
	b := ip.As16()
	at := func(i int) (netip.Addr, bool) { return netip.AddrFrom4([4]byte(b[i : i+4])), true }
	switch {
	case nat64.Contains(ip), nat64Local.Contains(ip):
		return at(12)
	case sixToFour.Contains(ip):
		return at(2)
	case teredo.Contains(ip): // the client's address stands there inverted
		var v4 [4]byte
		binary.BigEndian.PutUint32(v4[:], ^binary.BigEndian.Uint32(b[12:]))
		return netip.AddrFrom4(v4), true
	case compatible.Contains(ip) && binary.BigEndian.Uint32(b[12:]) > 1: // but not :: and ::1
		return at(12)
	}
	return ip, false
}
