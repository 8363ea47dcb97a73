// Package credential is the inner door: what a backend sees of credentials.
//
// It owns the ways to obtain an outgoing credential, the memory of those that were
// obtained, and the names of the headers that carry them, so that conflicts are
// found when configuration is loaded. It does not own the other headers of a
// request, where secrets are kept, which addresses may be dialled, or what a client
// is told of a failure: it says what kind of failure it was.
package credential
