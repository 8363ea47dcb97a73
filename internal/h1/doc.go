// Package h1 is a small HTTP/1.1 client: [Transport.Send], and for what is a request of
// net/http already an [http.RoundTripper].
//
// It is here because net/http's transport costs more per call than all the rest of
// the gateway: this one works on the caller's own goroutine, writes a request at
// once, and keeps no buffer while a stream is silent. It reads answers more
// strictly: what programs on the way could read in two ways is refused.
//
// A request is sent again at most once, and only where that does no harm: its method
// is idempotent (RFC 9110 §9.2.2), or whoever sends it says so (to RoundTrip by an
// Idempotency-Key, as to net/http), or it provably reached no program.
//
// It owns connections, their pool, and the framing of messages. It does not own
// redirects, cookies, compression, proxies, or which address may be dialled: that is
// the dial function's. Request bodies are held in memory, for one write.
package h1
