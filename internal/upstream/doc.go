// Package upstream is one MCP server behind the gateway, with everything that
// belongs to it alone.
//
// An [Upstream] owns the inner door (what the server is shown besides the message,
// and another credential when it refuses one), what clients see of its tools, what it
// said of them, the revision it was found to speak, its health, and the span and
// metrics of each call. It takes a [Call] and gives an [Answer], its own or the
// server's.
//
// It does not own how the server is reached (internal/backend), who is calling and
// what they may do (internal/pipeline), which server a name leads to (internal/target),
// or anything of the connection to the client: nothing here knows HTTP's side of that.
package upstream
