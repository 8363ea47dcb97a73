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
	Within     string // id of the event that this one is a part of; "" for none
	Part       string // which part
	Server     string
	Member     string // of a virtual server, that the target belongs to
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
	Via        string // what of the gateway itself sent it; "" for a client
	ClientID   string // of OAuth, for events of an authorization server
	Provider   string // that a person was sent to, for the same
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
	// Reserve comes before what is to be recorded is done: it makes sure that there is
	// room for an event, waits some seconds for it, and fails with [ErrFull] when there
	// is none. Who fails does nothing that would have to be recorded.
	Reserve(ctx context.Context) error

	// Record takes an event down. It keeps nothing of e, and never waits.
	Record(e *Event)

	// Close writes what was recorded before, or gives up when ctx ends.
	Close(ctx context.Context) error
}

// ErrFull means that events cannot be written fast enough, or at all, and that there
// is no room for more.
var ErrFull = errors.New("audit events cannot be written, and no more find room")

// Discard is a Sink that keeps nothing.
type Discard struct{}

// Reserve always succeeds.
func (Discard) Reserve(context.Context) error { return nil }

// Record does nothing.
func (Discard) Record(*Event) {}

// Close does nothing.
func (Discard) Close(context.Context) error { return nil }

// Sinks are several as one. What one of them waits for holds up all.
type Sinks []Sink

// Reserve implements Sink: there has to be room in each.
func (s Sinks) Reserve(ctx context.Context) error {
	for _, sink := range s {
		if err := sink.Reserve(ctx); err != nil {
			return err
		}
	}
	return nil
}

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
