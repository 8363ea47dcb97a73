// Package inside looks at a deployment from its manifests: at what is wrong with them, and
// at all that they name.
//
// It owns what is asked of backends, issuers, identity providers and files, and which
// field of which manifest is behind what comes back; and what manifests tell of a gateway
// that somebody looks at from outside.
//
// It does not own how any of these is reached: servers are asked by the parts that would
// serve them (internal/compile), issuers by those that check tokens. It serves nothing,
// signs nobody in, and says no secret.
package inside
