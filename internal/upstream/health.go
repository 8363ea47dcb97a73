package upstream

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/status"
)

// Health is what the last exchange with a server says of it. Its zero value knows nothing.
type Health struct {
	state atomic.Int32
	at    atomic.Int64          // of the last exchange, in Unix seconds; 0 before the first
	why   atomic.Pointer[error] // of a state that is not good; nil for others
}

const (
	healthUnknown int32 = iota
	healthReady
	healthUnavailable
	healthUnauthenticated
	healthDegraded
)

// Close has nothing to give back.
func (h *Health) Close() error { return nil }

func (h *Health) String() string {
	return [...]string{status.Unknown, status.Ready, status.Unavailable, status.Unauthenticated, status.Degraded}[h.state.Load()]
}

// reached notes how an exchange with the server went, and why it did not go well.
func (u *Upstream) reached(state int32, why error) {
	u.Metrics.Up(state != healthUnavailable)
	u.Health.note(state, why)
}

func (h *Health) note(state int32, why error) {
	h.state.Store(state)
	switch {
	case why != nil:
		h.why.Store(&why)
	case h.why.Load() != nil: // it is shared: it is not written where nothing changes
		h.why.Store(nil)
	}
	if now := time.Now().Unix(); h.at.Load() != now {
		h.at.Store(now)
	}
}

// Why is what made the last exchange not a good one; "" where it was.
func (h *Health) Why() string {
	why := h.why.Load()
	if why == nil {
		return ""
	}
	return (*why).Error()
}

// Last is when the server was last spoken to; zero for never.
func (h *Health) Last() time.Time {
	at := h.at.Load()
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(at, 0).UTC()
}

// failed notes a failure that says something of the server's state.
func (u *Upstream) failed(err error) {
	f, ok := errors.AsType[*backend.Failure](err)
	if !ok {
		return
	}
	switch f.Reason {
	case backend.ReasonUnreachable, backend.ReasonTimeout, backend.ReasonCrashed, backend.ReasonRedirect, backend.ReasonRefusedAddress:
		u.reached(healthUnavailable, err)
	case backend.ReasonBadAnswer, backend.ReasonTooLarge:
		u.reached(healthDegraded, err)
	case backend.ReasonCredential:
		u.reached(healthUnauthenticated, err)
	}
}

// Probe asks the server whether it is there, with nobody's key: what it says of that is
// noted. A refused key says that it is there. last says that one more failure makes the
// server unavailable, which is only degraded before.
func (u *Upstream) Probe(ctx context.Context, last bool) error {
	const probe = `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},` +
		`"io.modelcontextprotocol/clientInfo":{"name":"sallyport-health","version":"1"}}}}`
	m, refused := mcp.Parse([]byte(probe), u.Message)
	if refused != nil {
		return refused
	}
	resp, err := u.Backend.Do(ctx, &backend.Request{
		Method: http.MethodPost, Body: []byte(probe), Message: &m, Private: u.Headers, Probe: true,
		Header: http.Header{
			"Accept": {"application/json, text/event-stream"}, "Content-Type": jsonType,
			mcp.HeaderProtocolVersion: {string(mcp.Rev20260728)}, mcp.HeaderMethod: {m.Method},
		},
	})
	switch f, ok := errors.AsType[*backend.Failure](err); {
	case err == nil:
		_ = resp.Body.Close()
		u.reached(healthReady, nil)
		return nil
	case ok && f.Reason == backend.ReasonCredential:
		u.reached(healthUnauthenticated, err)
		return nil
	case last:
		u.reached(healthUnavailable, err)
	default:
		u.Health.note(healthDegraded, err)
	}
	return err
}
