// Package delegation decides whom a token that somebody shows speaks for: one of
// this server's own that a service exchanges (RFC 8693), one of another issuer, or
// another issuer's assertion about a workload or a person (RFC 7523, and the
// identity assertion of MCP's enterprise-managed authorization).
//
// It owns which issuers are trusted for what, the checks of their tokens, the chain
// of actors, and that an assertion is good once. It does not own who the client is
// (internal/authserver/clients), the token endpoint and the tokens that it issues
// (internal/authserver), or how signatures are checked (internal/token).
package delegation
