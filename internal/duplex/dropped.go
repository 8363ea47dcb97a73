package duplex

// Why a server's message reached nobody, as metrics say it.
const (
	droppedUnaddressed = "unaddressed" // it names no request, and callers share the connection
	droppedStale       = "stale"       // it names a request that is not in flight
	droppedNoStream    = "no_stream"   // too many waited for a stream to be opened
	droppedTooLong     = "too_long"    // more than the configured limit
	droppedNoise       = "noise"       // it is no message at all
)
