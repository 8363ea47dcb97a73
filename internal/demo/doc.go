// Package demo is the MCP server that `sallyport demo` puts behind the gateway, and
// the OpenID provider that `sallyport demo --sign-in` has people sign in at.
//
// It owns a handful of tools, a prompt, a resource and a resource template,
// chosen so that a newcomer can try each thing a gateway must carry: plain
// calls, progress, questions back to the person, and what a backend gets to see.
// It speaks every revision of Streamable HTTP and needs nothing from outside the
// binary. The provider asks for no password and is for loopback alone.
//
// It does not own listeners or the gateway in front of it, and it is no part of
// the data plane: it is the only shipped package that imports the Go SDK.
package demo
