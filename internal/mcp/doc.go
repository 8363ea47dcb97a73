// Package mcp is the wire format of the Model Context Protocol, as far as a
// gateway has to read it.
//
// It owns the strict reading of one JSON-RPC message ([Parse]), the revisions and
// which of them a request speaks ([Era]), MCP's own HTTP headers and their
// agreement with the body ([CheckHeaders]), JSON-RPC errors as values ([Error]),
// replacing parts of a message and nothing else of it ([Splice]), and event
// streams ([EventReader], [Tracker], [AppendEvent]).
//
// The rule of the package: what policy decides on is what the backend reads. A
// message that two readers could read differently is refused, never interpreted;
// a message that is accepted is passed on byte for byte (REQ F-4, F-5).
//
// It does not own connections, sessions, HTTP routing or any method's meaning,
// and does no I/O beyond the readers it is handed. It imports nothing of this
// module.
package mcp
