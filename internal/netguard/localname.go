package netguard

import (
	"net/netip"
	"strings"
)

// IsLocalName reports whether a host is spelled as a loopback or private address: what a person who typed it meant to be
// near. Where connections go is not judged by it, since any name can resolve to anything.
func IsLocalName(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.IsLoopback() || ip.IsPrivate())
}
