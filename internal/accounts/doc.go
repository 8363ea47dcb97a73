// Package accounts keeps people's linked accounts at upstream providers: the tokens
// that a provider issued for a person, fresh whenever a backend is to be shown one.
//
// It owns the sealed records in a store, the tokens in memory, and their renewal:
// ahead of expiry, one at a time over all replicas, never losing a refresh token
// that was rotated. It does not own how a provider is asked (internal/idp; a function
// comes from above), who signed in, or which backend may see which token.
package accounts
