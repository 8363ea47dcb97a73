// Package era remembers which revisions a server was found to speak, and when that may be
// doubted.
//
// It owns no more than that: how a server is asked, and what of its answers raises a doubt,
// is the bridge's.
package era
