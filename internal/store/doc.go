// Package store keeps what must outlive a request: sign-ins, registered clients,
// linked accounts, counters that replicas share.
//
// It owns one small interface over bytes with an expiry, and its implementations:
// memory, a single file, Redis. Every operation is atomic for its key. It does not
// own what is kept or what keys are made of; but callers keep two rules: what is secret
// is sealed before it comes here, and a key is never a secret itself, only its hash
// ([Digest]).
package store
