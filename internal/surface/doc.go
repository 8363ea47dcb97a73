// Package surface is the side of the gateway that clients see: Streamable HTTP,
// HTTP+SSE, WebSocket, and lists as plain JSON.
//
// Each transport is a [pipeline.Client]: it reads a message, says what its headers
// say, finds its session, brings the answer back and refuses. The package owns paths'
// last parts, statuses, streams and their heartbeats, session ids as clients hold them,
// CORS, the documents that lead clients to a token, and how connections end when the
// configuration changes or the process does.
//
// It does not own what happens to a message between being read and being answered
// (internal/pipeline), which endpoints there are (the gateway), or what is behind them
// (internal/target).
package surface
