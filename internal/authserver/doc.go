// Package authserver is the OAuth 2.1 authorization server inside the gateway: it
// sends people to their identity providers and gives MCP clients tokens for the
// gateway's endpoints.
//
// A sign-in goes like this; each step has a file:
//
//	authorize.go  the client's request is checked: who asks, and where the answer may go
//	consent.go    the person is asked, before any provider is visited (confused deputy)
//	chain.go      the browser visits the providers, one after the other
//	complete.go   accounts are linked, the browser is signed in, a code goes back
//	token.go      the code, and later the refresh token, is redeemed
//
// It owns these endpoints, what is shown to people, codes, refresh tokens and their
// families, the browser's sign-in, and the server's metadata. It does not own who may
// be a client (internal/authserver/clients), how a provider is spoken to
// (internal/idp), the tokens that providers gave (internal/accounts), how the gateway
// checks the tokens made here (internal/token, internal/authn), or what a person may
// do with one (internal/policy).
//
// Servers share nothing: every key in the store, every cookie and every sealed text
// belongs to one issuer.
package authserver
