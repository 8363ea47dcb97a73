// Package backend reaches one MCP server behind the gateway.
//
// It owns everything between a cleaned request and a cleaned answer: the
// connection (plain and TLS HTTP, HTTP+SSE of 2024-11-05, a local command over
// stdio), redirects, which headers may be shown to which origin, what counts as
// an answer, time and size limits, and the log line and metric of each failure.
//
// It does not own who is calling, what the caller may do, session ids as clients
// see them, or where credentials come from: those arrive ready in a [Request].
package backend
