package duplex

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

// newSession makes a session for the caller of req. Where there is no room, the
// session that has been idle for longest makes some: clients that went without a word
// are more frequent than those that say goodbye. It is one of the caller's own where
// the caller has their share already (REQ G-2, G-9).
func (d *Duplex) newSession(req *backend.Request) (*session, *backend.Failure) {
	for {
		s, candidates, f := d.admit(req)
		if s != nil || f != nil {
			return s, f
		}
		oldest := longestIdle(candidates)
		if oldest == nil {
			return nil, d.full(len(candidates))
		}
		d.log.Info("idle session ended to make room for another one", "idle", time.Since(oldest.lastUsed()).Round(time.Second))
		d.drop(oldest, unknownSession(d.name))
	}
}

// admit makes a session if there is room for it; else it gives the sessions of which
// one could make room.
func (d *Duplex) admit(req *backend.Request) (*session, []*session, *backend.Failure) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, nil, d.gone()
	}
	var all, own []*session
	for _, s := range d.sessions {
		all = append(all, s)
		if s.caller == req.Caller {
			own = append(own, s)
		}
	}
	switch {
	case len(own) >= d.perCaller:
		return nil, own, nil
	case len(all) >= d.maxSessions:
		return nil, all, nil
	case d.live >= 2*d.maxSessions: // of those that have ended, too many have not done so yet
		return nil, nil, d.full(d.live)
	}
	s := &session{hub: d, id: rand.Text(), caller: req.Caller}
	s.connection = newConnection(connectionConfig{
		name: d.name, opener: d.opener, first: remember(nil, outbound{public: req.Header, private: req.Private}).out,
		answer: d.answer, rest: d.idle, patience: slowReader, metrics: d.metrics,
	}, d.log, s)
	d.sessions[s.id] = s
	d.live++
	return s, nil, nil
}

// full is the failure of a session for which there is no room among n.
func (d *Duplex) full(n int) *backend.Failure {
	f := backend.Fail(d.name, http.StatusServiceUnavailable, backend.ReasonBusy, nil,
		fmt.Sprintf("all %d sessions that may be open at this server are in use; try again later, or end one", n))
	f.RetryAfter = 10 * time.Second
	return f
}

// longestIdle is the session in which nothing has gone on for longest; nil when
// something goes on in each.
func longestIdle(all []*session) *session {
	var oldest *session
	for _, s := range all {
		if !s.idling() {
			continue
		}
		if oldest == nil || s.lastUsed().Before(oldest.lastUsed()) {
			oldest = s
		}
	}
	return oldest
}
