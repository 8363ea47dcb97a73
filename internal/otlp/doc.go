// Package otlp sends to OpenTelemetry collectors, by OTLP/HTTP in Protocol Buffers or
// JSON.
//
// It owns the request (its address, headers, resource and limits in time), what an
// answer means, and a [Queue] for signals that may be dropped when they come
// faster than they can be sent. It does not own what is sent: the JSON of log
// records, spans and data points is the business of whoever has them, and so is
// whether to wait or to drop. It makes Protocol Buffers of that JSON, where they
// are wanted. Nothing of a header, a URL or a body is in its errors.
package otlp
