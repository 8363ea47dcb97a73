package backend

import "time"

// Limits bound what one exchange with a backend may take. A zero field means its
// default.
type Limits struct {
	ConnectTimeout time.Duration // to a connection; 10 s
	AnswerTimeout  time.Duration // from the request to the head of its answer, over all hops; 2 min
	// BodyTimeout bounds the wait for more of an answer that is no event stream.
	// A stream may be silent for ever. As AnswerTimeout, but at most 30 s.
	BodyTimeout time.Duration

	MaxAnswerBytes int64 // of an answer that is no event stream; 64 MiB
	// MaxEventBytes bounds one event of a stream; 16 MiB. Whoever takes a stream
	// apart applies it: for the HTTP kind that is the gateway.
	MaxEventBytes int
}

// WithDefaults puts the defaults in place of what is not set.
func (l Limits) WithDefaults() Limits {
	l.ConnectTimeout = orDefault(l.ConnectTimeout, 10*time.Second)
	l.AnswerTimeout = orDefault(l.AnswerTimeout, 2*time.Minute)
	l.BodyTimeout = orDefault(l.BodyTimeout, min(l.AnswerTimeout, 30*time.Second))
	l.MaxAnswerBytes = orDefault(l.MaxAnswerBytes, 64<<20)
	l.MaxEventBytes = orDefault(l.MaxEventBytes, 16<<20)
	return l
}

func orDefault[T int | int64 | time.Duration](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

const (
	// maxHead bounds the head of an answer, in bytes.
	maxHead = 64 << 10
	// maxSessionID bounds a backend's session id, which travels inside the client's.
	maxSessionID = 2 << 10
	// maxRedirects is how many redirects of one exchange are followed (REQ A-4).
	maxRedirects = 10
	// readAheadLength is how much of an answer is read before the client sees any
	// of it: what breaks or stops in there becomes a clear error.
	readAheadLength = 32 << 10
	// checkedLength is how much of that is read as JSON. It catches whatever is not
	// JSON at all; all of a large answer would cost more than the whole exchange.
	checkedLength = 4 << 10
	// idleTimeout is how long an unused connection is kept.
	idleTimeout = 90 * time.Second
	// maxIdle is how many unused connections are kept per address.
	maxIdle = 1024
)
