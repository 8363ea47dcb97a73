// Package oauth is OAuth's wire, as a client of authorization servers sees it:
// token requests and their answers, errors, PKCE, discovery documents, challenges.
//
// It owns one token request for every grant (RFC 6749 §4.1, §4.4 and §6, RFC 7523,
// RFC 8693), so that bounded reads, client authentication and errors without
// secrets are written once. It does not own what a token is for, where it is kept,
// how tokens are verified (internal/token), or which addresses may be dialled: the
// HTTP client comes from above.
package oauth
