// Package credential is the inner door: what a backend sees of credentials.
//
// It owns the ways to obtain an outgoing credential and the names of the headers
// that carry it, so that conflicts are found when configuration is loaded. It does
// not own the other headers of a request, nor where secrets are kept.
package credential
