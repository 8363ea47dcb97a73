package duplex

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// generation is one link of a connection from its opening to its end, and its receiver.
type generation struct {
	conn     *connection
	since    time.Time
	link     link             // nil until opened
	over     *backend.Failure // once ended
	detached bool             // the connection has ended it, or had it ended: what still comes is nobody's
}

func (g *generation) received(raw []byte) bool {
	known := true
	for one := range split(bytes.TrimPrefix(raw, []byte(mcp.BOM))) {
		m, ok := readMessage(one)
		if !ok {
			known = false
			g.conn.dropped(droppedNoise)
			continue
		}
		g.conn.mu.Lock()
		detached := g.detached
		g.conn.mu.Unlock()
		switch {
		case detached:
		case m.kind == mcp.KindResponse && !m.id.Present():
			g.conn.unreadable(m)
		case m.kind == mcp.KindResponse:
			g.conn.response(m)
		default:
			g.conn.user.unasked(m)
		}
	}
	return known
}

func (g *generation) skipped(limit int, key string) {
	conn := g.conn
	f := backend.Fail(conn.name, http.StatusBadGateway, backend.ReasonTooLarge, nil,
		fmt.Sprintf("the server sent a message of more than %d bytes, which the gateway does not take; ask for less, or raise the limit", limit))
	conn.mu.Lock()
	calls := conn.calls
	if g.detached {
		calls = nil
	} else if c := calls[key]; c != nil {
		calls = map[string]*call{key: c}
	}
	// Without a key any of them may have been the one: none must wait for ever.
	failed := make([]*call, 0, len(calls))
	for key, c := range calls {
		failed = append(failed, c)
		delete(conn.calls, key)
	}
	conn.mu.Unlock()
	conn.dropped(droppedTooLong)
	conn.log.Warn("message of server is too long and was dropped", "limit", limit, "requests_failed", len(failed))
	for _, c := range failed {
		_ = c.queue.put(event{failure: f}, 0) // closed: the client went first
	}
}

func (g *generation) ended(why *backend.Failure) {
	conn := g.conn
	conn.mu.Lock()
	g.over = why
	var calls map[string]*call
	unasked := !g.detached
	if conn.generation == g {
		conn.generation, conn.up = nil, false
		calls, conn.calls = conn.calls, make(map[string]*call)
	}
	if unasked {
		now := time.Now()
		conn.back.failed(now, now.Sub(g.since))
	}
	conn.mu.Unlock()
	for _, c := range calls {
		_ = c.queue.put(event{failure: why}, 0) // closed: the client went first
	}
	if unasked {
		conn.user.interrupted()
	}
}
