package gateway

import (
	"context"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/compile"
)

// authEvents takes the audit events of one authorization server (REQ G-5). They are
// counted always, and written down where an endpoint is audited that people sign in for.
type authEvents struct {
	server *Server
	of     compile.Name
}

var _ audit.Sink = (*authEvents)(nil)

// sink is where the endpoints' own events go, in the configuration of the moment.
func (a *authEvents) sink() audit.Sink {
	snap := a.server.take()
	if snap == nil {
		return audit.Discard{}
	}
	defer snap.release()
	for _, e := range snap.endpoints {
		if e.SignIn != nil && e.SignIn.Name == a.of && e.Audit != nil {
			return e.Audit
		}
	}
	return audit.Discard{}
}

// Reserve implements [audit.Sink].
func (a *authEvents) Reserve(ctx context.Context) error { return a.sink().Reserve(ctx) }

// Record implements [audit.Sink].
func (a *authEvents) Record(e *audit.Event) {
	a.server.opts.Metrics.AuthServerEvent(e.Server, e.Method, string(e.Outcome))
	a.sink().Record(e)
}

// Close implements [audit.Sink]: the sink is the process's.
func (a *authEvents) Close(context.Context) error { return nil }
