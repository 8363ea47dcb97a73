// Package oauthclient is the gateway as an OAuth client of a remote MCP server: it
// finds out where the remote's tokens come from, registers there, gets them, keeps
// them and renews them.
//
// It owns discovery (RFC 9728, RFC 8414, and the rules of MCP 2025-03-26), the
// choice of an authorization server, registrations by issuer (given beforehand, a
// client ID metadata document, RFC 7591), which scopes are asked for, the
// authorization code flow with a browser and a callback on loopback, client
// credentials, refresh, and the vault that keeps accounts between runs.
//
// An account is the gateway's own, not a caller's: whoever may use the endpoint acts
// with it. It does not own how the token reaches the backend (internal/credential),
// what becomes of a challenge on the way of a request (gateway), or a person's own
// accounts at providers (internal/accounts).
//
// What a remote and its authorization server say is a stranger's word. Every address
// they name is dialled through internal/netguard, nothing they name is followed by
// redirect, and the only address a browser is sent to is https, or http on loopback
// where the manifest admits private addresses.
package oauthclient
