// Package netguard decides which addresses the gateway may connect to. It is the
// one place where outbound connections are guarded, and it decides at the moment
// of dialling, on the address that a name has resolved to, so that no spelling of
// an address and no change of a name's answer gets round it.
//
// It owns the lists of special addresses and the dialer. It does not own redirects,
// TLS, or who may set an exception: that arrives as a [Policy].
package netguard
