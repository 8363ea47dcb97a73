package netguard

import (
	"net/netip"
	"slices"

	"code.dny.dev/ssrf"
)

// kind is what sort of address it is. Every kind but the first two is refused
// whatever the policy says, and is the reason for that.
type kind string

const (
	kindPublic  kind = "public"
	kindPrivate kind = "private"

	kindInvalid    kind = "it is no address"
	kindMetadata   kind = "cloud metadata services are never a backend"
	kindLinkLocal  kind = "link-local addresses are never a backend"
	kindNoHost     kind = "it is not the address of one host"
	kindTranslated kind = "it is translated to an IPv4 address that is not public"
	kindSpecial    kind = "it is in a range reserved for special use"
)

// kindOf sorts an address. Its zone plays no part, and an IPv4 address is the
// same in its IPv6 spelling (RFC 4291 §2.5.5.2), since connect makes it so.
func kindOf(addr netip.Addr) kind {
	ip := addr.WithZone("").Unmap()
	switch {
	case !ip.IsValid():
		return kindInvalid
	case slices.ContainsFunc(metadata(), func(p netip.Prefix) bool { return p.Contains(ip) }):
		return kindMetadata
	case ip.IsLinkLocalUnicast():
		return kindLinkLocal
	case ip.IsUnspecified() || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return kindNoHost
	case ip.IsLoopback() || ip.IsPrivate():
		return kindPrivate
	case ssrf.IPv6NAT64Prefix.Contains(ip):
		return translated(ip)
	case isSpecial(ip):
		return kindSpecial
	}
	return kindPublic
}

// metadata are the services that hand credentials to whoever asks from inside a
// cloud, where their address is none of the link-local ones.
func metadata() []netip.Prefix {
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, 169, 254}), 32), // AWS, Google, Azure and most others
		netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 100, 100, 200}), 32), // Alibaba Cloud
		netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 0, 192}), 32),     // Oracle Cloud
		netip.PrefixFrom(netip.AddrFrom4([4]byte{168, 63, 129, 16}), 32),   // Azure's host agent
		// Unique local, and so "private" by their form.
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x0e, 3: 0xc2}), 32),          // fd00:ec2::/32, AWS: metadata, pod identities
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x20, 2: 0x00, 3: 0xce}), 32), // fd20:ce::/32, Google
	}
}

// translated sorts an address of the well-known NAT64 prefix (RFC 6052 §2.1) by
// the IPv4 address at its end, where the packets go. Networks with IPv6 alone reach
// the public IPv4 internet through it. The private addresses behind it are those of
// the translator's network (RFC 6052 §3.1 forbids them), so that a manifest's
// permission for private addresses does not cover them.
//
// All other ranges that carry an IPv4 address are refused as a whole, being special:
// the local NAT64 prefix 64:ff9b:1::/48, which leaves open where in it the IPv4
// address stands (RFC 8215), and the tunnels of old, 6to4, Teredo and IPv4-compatible.
func translated(ip netip.Addr) kind {
	b := ip.As16()
	if kindOf(netip.AddrFrom4([4]byte(b[12:]))) != kindPublic {
		return kindTranslated
	}
	return kindPublic
}

// isSpecial knows the ranges of the IANA special-purpose registries. In IPv6 only
// 2000::/3 has been handed out for use at all.
func isSpecial(ip netip.Addr) bool {
	holds := func(p netip.Prefix) bool { return p.Contains(ip) }
	if ip.Is4() {
		return slices.ContainsFunc(ssrf.IPv4DeniedPrefixes, holds)
	}
	return !ssrf.IPv6GlobalUnicast.Contains(ip) || slices.ContainsFunc(ssrf.IPv6DeniedPrefixes, holds)
}
