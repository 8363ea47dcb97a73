// Package duplex reaches a server over connections that carry one stream of messages
// each way: a local command over stdio, or a server of HTTP+SSE (2024-11-05). It makes
// exchanges in the shape of Streamable HTTP of them.
//
// It owns sessions and what keeps them apart, ids on the wire, which message belongs
// to which request, a server that ends and is started again, and what is dropped
// because it can be told to be nobody's. It does not own how a command is run
// (package process below it), HTTP itself (package backend), or the bridge between
// revisions: the table of a server's own requests is a type that can be handed over
// to it.
package duplex
