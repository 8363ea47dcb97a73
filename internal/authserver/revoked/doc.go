// Package revoked knows which sign-ins ended while access tokens of theirs are still
// about.
//
// Access tokens are verified without the store, so each process keeps the list, and
// looks every few seconds what others have added. A call pays nothing for it; a
// revoked token ends at once in the process that revoked it, and within seconds in
// the others. When the store cannot be read for half a minute nothing is known, and
// it says so.
//
// It owns the list and its place in the store. It does not own why a sign-in ends, nor
// what becomes of a request.
package revoked
