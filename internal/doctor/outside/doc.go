// Package outside looks at a gateway as its clients do: through its public URL, and
// through whatever stands before it.
//
// It owns what is asked there, and which setting of which proxy is behind what comes
// back: names and addresses, TLS, the way in, the documents that lead clients to a token,
// headers that a proxy drops or passes on, WebSocket, the size of messages, streams, and
// what must not be public. It speaks HTTP by internal/netguard, but for two questions that
// a client library does not ask.
//
// It does not own what manifests mean (inside does; hints come from there), starts no
// sign-in, and never changes anything. The token it is given goes to the URL's own origin
// and nowhere else; none is ever said.
package outside
