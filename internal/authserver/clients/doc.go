// Package clients knows who may ask the authorization server for tokens.
//
// It owns the three ways to become a client: in the manifest, by registration
// (RFC 7591, managed by RFC 7592), and by publishing a Client ID Metadata Document;
// what a client may say about itself, redirect URIs above all; and how a client
// proves at an endpoint that it is the one it names. All that a client says about
// itself is a stranger's text: good for showing, never for deciding.
//
// It does not own what a client may do, consent, grants or tokens
// (internal/authserver), nor which addresses may be dialled (internal/netguard).
package clients
