package duplex

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

// memory is what a session says to a server that was started again, in this order.
type memory struct {
	initialize, initialized, level *said
	subscribed                     map[string]*said // by resource
}

// said is a message that is kept to be said again.
type said struct {
	id  []byte // nil for a notification
	out outbound
}

// maxSubscriptions bounds how many resource subscriptions are kept.
const maxSubscriptions = 256

func remember(id []byte, out outbound) *said {
	return &said{id: id, out: outbound{
		body: slices.Clone(out.body), public: out.public.Clone(), private: out.private.Clone(),
	}}
}

// worthKeeping reports requests that leave something behind at the server that a
// new server lacks.
func worthKeeping(method string) bool {
	switch method {
	case "initialize", "logging/setLevel", "resources/subscribe", "resources/unsubscribe":
		return true
	}
	return false
}

// greet implements user: a server that was started again hears what the
// session has already said.
func (s *session) greet(ctx context.Context) *backend.Failure {
	s.mu.Lock()
	again, m := s.established, s.memory
	m.subscribed = maps.Clone(m.subscribed)
	s.mu.Unlock()
	if !again {
		return nil
	}
	if f := s.replay(ctx, m); f != nil {
		s.log.Warn("server was started again but does not take the session up; the client has to begin anew", "error", f)
		f := unknownSession(s.name)
		s.hub.drop(s, f)
		return f
	}
	s.log.Warn("server was started again and the session goes on; what the server kept in memory is lost")
	return nil
}

func (s *session) replay(ctx context.Context, m memory) *backend.Failure {
	answer, f := s.ask(ctx, m.initialize.id, m.initialize.out)
	if f != nil {
		return f
	}
	if answer.failed() {
		return backend.Fail(s.name, http.StatusBadGateway, backend.ReasonBadAnswer, fmt.Errorf("initialize: JSON-RPC error %d", answer.code()), "the server refused the session")
	}
	s.mu.Lock()
	g := s.generation
	s.mu.Unlock()
	if m.initialized != nil && g != nil {
		if err := g.link.send(ctx, m.initialized.out); err != nil {
			return backend.Fail(s.name, http.StatusBadGateway, backend.ReasonCrashed, err, "the server refused the session")
		}
	}
	rest := slices.Collect(maps.Values(m.subscribed))
	if m.level != nil {
		rest = append(rest, m.level)
	}
	for _, one := range rest {
		if _, f := s.ask(ctx, one.id, one.out); f != nil {
			return f
		}
	}
	return nil
}
