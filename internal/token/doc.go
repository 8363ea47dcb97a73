// Package token verifies JSON Web Tokens by an issuer's keys, and signs those of the
// gateway's own issuers.
//
// It owns key sets (fetched, kept, refreshed, pinned), signature and claim checks,
// the strict reading of claims, and the cache of tokens that were good. It knows
// RFC 7515, 7517, 7519 and 8725. It does not own how a token reaches the gateway,
// what a caller may do with it, or which addresses may be dialled: the HTTP client
// comes from above.
package token
