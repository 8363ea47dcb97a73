package credential

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// ExchangeState is how an exchange is: whether it can work, and how it went.
type ExchangeState struct {
	Known   bool      // somebody has asked
	Ready   bool      // every token endpoint answers; a refusal is an answer
	Message string    // why it is not ready
	Last    time.Time // of the last exchange; zero for none
	Failed  string    // why that made no token; "" where it made one
}

// exchangeHealth notes how an exchange is.
type exchangeHealth struct {
	mu    sync.Mutex
	state ExchangeState
}

// State is how the exchange is.
func (s *Exchange) State() ExchangeState {
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	return s.health.state
}

// ended notes how an exchange for a caller went.
func (h *exchangeHealth) ended(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state.Last, h.state.Failed = time.Now(), ""
	if err != nil {
		h.state.Failed = err.Error()
	}
	f, failed := errors.AsType[*Failure](err)
	if failed && f.Kind == Unavailable && !f.answered {
		h.state.Known, h.state.Ready, h.state.Message = true, false, f.Error()
		return
	}
	h.state.Known, h.state.Ready, h.state.Message = true, true, ""
}

// Probe asks the token endpoints whether they are there, and notes it. No caller's token
// and no secret of the gateway's client goes there.
func (s *Exchange) Probe(ctx context.Context) {
	var all []error
	for _, e := range s.endpoints {
		if err := e.Reached(ctx); err != nil {
			all = append(all, err)
		}
	}
	err := errors.Join(all...)
	if ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return // the process ends
	}
	s.health.mu.Lock()
	defer s.health.mu.Unlock()
	s.health.state.Known, s.health.state.Ready, s.health.state.Message = true, err == nil, ""
	if err != nil {
		s.health.state.Message = err.Error()
	}
}

// at names the token endpoints that the exchange is made at, as far as they are known.
func (s *Exchange) at(endpoints ...oauth.Endpoint) *Exchange {
	for i := range endpoints {
		if endpoints[i].URL != "" {
			s.endpoints = append(s.endpoints, &endpoints[i])
		}
	}
	return s
}
