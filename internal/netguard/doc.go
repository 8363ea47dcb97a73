// Package netguard decides which addresses the gateway may connect to. It is the
// one place where outbound connections are guarded, and it decides at the moment
// of dialling, on the address that a name has resolved to, so that no spelling of
// an address and no change of a name's answer gets round it.
//
// It owns the lists of special addresses, the dialer, outbound proxies, the one HTTP
// client for everything but backends, and the bounded reading of its answers. It does
// not own the redirects of backends, or who may set an exception: that arrives as a
// [Policy].
package netguard
