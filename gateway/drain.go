package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/pipeline"
)

// BeginLeave makes the server not ready, so that balancers send clients elsewhere, while
// it goes on serving those that they still send. Each answer closes its connection.
func (s *Server) BeginLeave() { s.leaving.Store(true) }

// BeginDrain refuses new requests and ends the streams that only listen. Requests
// under way go on. The channel is closed when those streams are gone, and the
// connections that carry requests too (HTTP+SSE, WebSocket).
func (s *Server) BeginDrain() <-chan struct{} {
	s.leaving.Store(true)
	s.draining.Store(true)
	s.places.Close()
	return s.surfaces.Drain()
}

// carriesMessage tells whether a request is a message for an endpoint. Such a one is
// refused by the path, which knows the id that the answer has to have.
func (snap *Snapshot) carriesMessage(r *http.Request) bool {
	e, _ := snap.route(r.URL.Path)
	return e != nil && r.Method == http.MethodPost
}

// leave goes on serving for delay, or until something fails.
func leave(server *Server, delay time.Duration, failed <-chan error, log *slog.Logger) error {
	server.BeginLeave()
	if delay <= 0 {
		return nil
	}
	log.Info("not ready any more; serving goes on until balancers have noticed", "for", delay)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case err := <-failed:
		return err
	}
}

// cutOffTime is for those who are cut off to be told so.
const cutOffTime = 500 * time.Millisecond

// drain ends the servers: the first one, of clients, within limit; then the rest.
// gone is closed when nobody listens any more: the first server does not know of
// connections that have become WebSockets. cut ends the requests of the first.
func drain(servers []*http.Server, gone <-chan struct{}, limit time.Duration, cut context.CancelCauseFunc, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	late := servers[0].Shutdown(ctx)
	select {
	case <-gone:
	case <-ctx.Done():
		late = ctx.Err()
	}
	if late != nil {
		log.Warn("requests were still under way at the end of the drain time and are cut off", "limit", limit)
		cut(pipeline.ErrCutOff)
		ctx, cancel := context.WithTimeout(context.Background(), cutOffTime)
		defer cancel()
		_ = servers[0].Shutdown(ctx) // who is not gone by then is closed
	}
	var err error
	for _, s := range servers {
		err = errors.Join(err, ignoreClosed(s.Close()))
	}
	return err
}
