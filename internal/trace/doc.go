// Package trace is the gateway's part in distributed traces: W3C trace context,
// sampling, and spans that go to an OpenTelemetry collector.
//
// It owns the context's text form, the decision whether a request is traced, the
// span and its JSON. It does not own which spans there are or what they say (the
// gateway's path does), the sending (internal/otlp), or where a context is found
// and put: in HTTP headers and in a message's _meta.
//
// Everything works on a nil *Tracer and a nil *Span and then does nothing, so that
// a request that is not traced pays for a comparison.
package trace
