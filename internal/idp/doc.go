// Package idp is the gateway as a client of identity providers: OpenID providers,
// and plain OAuth 2.0 ones that say by an API who signed in.
//
// It owns the authorization request, the redemption of the code, the proof of who
// came back (ID token, userinfo, the token answer), refresh and revocation at the
// provider, registration there (RFC 7591), and the quirks of known providers. It
// does not own the browser: who began a leg and whether the same browser came back
// is for whoever keeps the leg. Nor does it keep tokens (internal/accounts), decide
// which addresses may be dialled (the HTTP client comes from above), or who may
// sign in.
package idp
