// Package backend reaches one MCP server behind the gateway.
//
// It owns everything between a cleaned request and a cleaned answer: the
// transport (package h1 for plain HTTP, net/http's for TLS), redirects, which headers may be shown to which origin, what counts as
// an answer, time and size limits, and the log line and metric of each failure.
//
// It owns the shape of an exchange and of its failure, too, which other ways to a
// server share: package duplex for HTTP+SSE of 2024-11-05 and local commands.
//
// It does not own who is calling, what the caller may do, session ids as clients
// see them, or where credentials come from: those arrive ready in a [Request].
package backend
