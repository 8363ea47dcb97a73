package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// keysWait is how long readiness waits for the first keys of issuers: a gateway whose
// issuer is down serves those endpoints that can do without.
const keysWait = 30 * time.Second

// firstKeys remembers whether the keys of the first configuration were there, or were
// waited for in vain. Issuers of later ones do not make a gateway not ready that serves.
type firstKeys struct {
	mu    sync.Mutex
	since time.Time // of the first look
	over  bool
}

// awaited tells whether the snapshot's keys are still to be waited for.
func (f *firstKeys) awaited(snap *Snapshot, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return false
	}
	if f.since.IsZero() {
		f.since = now
	}
	f.over = now.Sub(f.since) >= keysWait || !snap.parts.AwaitsKeys()
	return !f.over
}

// Ready reports whether the server has something to serve, can tell who calls, and
// takes new requests (REQ G-14).
func (s *Server) Ready() bool {
	snap := s.current.Load()
	return snap != nil && !s.leaving.Load() && !s.firstKeys.awaited(snap, time.Now())
}

// serveReady answers /readyz; with ?verbose it names each part.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) {
	ready := s.Ready()
	if !r.URL.Query().Has("verbose") {
		if !ready {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n")
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	part := func(ok bool, name, why string) {
		mark := "[+]"
		if !ok {
			mark = "[-]"
		}
		_, _ = fmt.Fprintln(w, mark, name+": "+why)
	}
	s.readyParts(part)
	part(ready, "ready", map[bool]string{true: "yes", false: "no"}[ready])
}

// readyParts says of each part whether it is well. Not all of them keep the server from
// being ready: keys that are missing do so for a while, audit without room never does.
func (s *Server) readyParts(part func(ok bool, name, why string)) {
	snap := s.current.Load()
	if snap == nil {
		part(false, "configuration", "not loaded")
		return
	}
	part(true, "configuration", fmt.Sprintf("%d endpoints", snap.Endpoints()))
	told := map[string]bool{}
	for _, k := range snap.parts.KeySets {
		if told[k.Issuer] {
			continue
		}
		told[k.Issuer] = true
		switch ok, err := k.Fetched(); {
		case ok:
			part(true, "keys of "+k.Issuer, "fetched")
		case err != nil:
			part(false, "keys of "+k.Issuer, "not fetched: "+err.Error())
		default:
			part(false, "keys of "+k.Issuer, "being fetched for the first time")
		}
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel() // look, and do not wait
	if err := s.opts.Audit.Reserve(ended); err != nil {
		part(false, "audit", "no room for events: calls that are audited are refused")
	} else {
		part(true, "audit", "there is room for events")
	}
	if s.leaving.Load() {
		part(false, "shutdown", "the gateway is about to end")
	}
}
