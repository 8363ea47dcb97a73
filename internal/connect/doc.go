// Package connect is one MCP client on standard input and output, in front of a gateway in the same process: what clients
// that only start commands are given in place of a URL.
//
// It owns the line between the two (link.go), which nobody else on the machine can reach, and carrying messages over it
// (connect.go). It does not own the messages: the gateway's WebSocket surface serves them as it serves every client's.
package connect
