// Package authn is the outer door: it finds out who is calling.
//
// It owns the one resolver that every surface uses, the ways in which a caller can
// prove an identity (tokens, a proven proxy's header, signed assertions, client
// certificates), and how claims become a caller. It does not own signatures and
// key sets (internal/token), what the caller may do, or how a refusal is written:
// a refusal is a value, [Denied], whose reason is for the operator alone.
package authn
