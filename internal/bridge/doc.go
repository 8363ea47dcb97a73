// Package bridge has a server of one revision speak to clients of another.
//
// A [Bridge] is a backend around a backend. It owns what differs between the
// revisions with sessions (2024-11-05 to 2025-11-25, here legacy) and those without
// (2026-07-28 and later, here modern): which of them a server speaks, initialize and
// server/discover, sessions on one side and metadata with every request on the other,
// questions that a server asks in the middle of a call, subscriptions, log levels,
// the shape of results and the codes of errors. Where client and server speak
// the same, bytes pass as they are.
//
// It does not own how a server is reached (internal/backend), what it is shown
// (internal/upstream), who the caller is, or what the client's transport looks like.
package bridge
