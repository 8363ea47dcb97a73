package audit

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Event is one exchange, as the package comment describes its fields.
type Event struct {
	Time       time.Time // when the request arrived
	ID         string
	Server     string
	HTTPMethod string
	Method     string // MCP method, "" when there is none
	Target     string
	Subject    string
	Source     string
	Revision   string // MCP revision
	Outcome    Outcome
	Status     int    // HTTP status
	Reason     string // fixed words, never a credential
	Duration   time.Duration
	Client     string // peer address without port
}

// Outcome is how an exchange ended.
type Outcome string

// The outcomes. Denied is the gateway's own no (policy, authentication, limits,
// a malformed message); Error is every other end without a result.
const (
	Success Outcome = "success"
	Denied  Outcome = "denied"
	Error   Outcome = "error"
)

// Sink takes events. It is safe for use by many goroutines.
type Sink interface {
	// Record takes an event down. It keeps nothing of e, and may block while the
	// sink is slower than its callers.
	Record(e *Event)

	// Close writes what was recorded before, or gives up when ctx ends.
	Close(ctx context.Context) error
}

// Discard is a Sink that keeps nothing.
type Discard struct{}

// Record does nothing.
func (Discard) Record(*Event) {}

// Close does nothing.
func (Discard) Close(context.Context) error { return nil }

// Sinks are several as one. What one of them waits for holds up all.
type Sinks []Sink

// Record implements Sink.
func (s Sinks) Record(e *Event) {
	for _, sink := range s {
		sink.Record(e)
	}
}

// Close implements Sink: they close side by side, so that none takes another's time.
func (s Sinks) Close(ctx context.Context) error {
	errs := make([]error, len(s))
	var closing sync.WaitGroup
	for i, sink := range s {
		closing.Go(func() { errs[i] = sink.Close(ctx) })
	}
	closing.Wait()
	return errors.Join(errs...)
}
