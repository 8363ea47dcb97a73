package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/status"
)

// exchange is how the exchanges for one backend go.
func exchange(x *credential.ExchangeState) *status.Exchange {
	e := &status.Exchange{}
	if x.Known {
		e.Ready, e.Message = &x.Ready, x.Message
	}
	if !x.Last.IsZero() {
		e.Last = &status.LastExchange{At: x.Last.UTC(), Error: x.Failed}
	}
	return e
}

// serveStatus answers /status.
func (s *Server) serveStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(s.status())
}

func (s *Server) status() status.Status {
	st := status.Status{Servers: []status.Server{}, SessionKeys: s.keyNames}
	if why := s.refused.Load(); why != nil {
		st.Config.Error = *why
	}
	snap := s.take()
	if snap == nil {
		return st
	}
	defer snap.release()
	st.Config.Hash, st.Config.LoadedAt, st.Units = snap.revision, snap.since.UTC(), snap.units
	for _, e := range snap.served {
		server := status.Server{Name: e.Name, Kind: e.Kind, Backends: []status.Backend{}}
		for _, m := range e.Target.Members() {
			server.Backends = append(server.Backends, status.Backend{Name: m.Name, Status: m.Status, LastCheck: m.Last, Message: m.Why})
			if m.Exchange == nil {
				continue
			}
			if server.TokenExchange == nil {
				server.TokenExchange = &status.Exchange{}
			}
			server.TokenExchange.Add(exchange(m.Exchange))
		}
		st.Servers = append(st.Servers, server)
	}
	slices.SortFunc(st.Servers, func(a, b status.Server) int { return cmp.Compare(a.Name, b.Name) })
	return st
}

// noteRefused remembers why a configuration was not served, until one is.
func (s *Server) noteRefused(err error) {
	if err == nil {
		s.refused.Store(nil)
		return
	}
	why := err.Error()
	s.refused.Store(&why)
}

// prober is a target with one server, which can be asked. A virtual server asks its
// members itself.
type prober interface {
	Probe(ctx context.Context) error
}

// askBackends asks every backend, and every token endpoint, again and again whether it is
// there, until ctx ends, so that it is known without anybody's call.
func (s *Server) askBackends(ctx context.Context) {
	if s.opts.HealthEvery <= 0 {
		return
	}
	tick := time.NewTicker(s.opts.HealthEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.askOnce(ctx)
		}
	}
}

const (
	atOnce  = 16               // backends that are asked at a time
	askTime = 10 * time.Second // for an answer, however often they are asked
)

// askOnce asks every backend and token endpoint of the current configuration.
func (s *Server) askOnce(ctx context.Context) {
	snap := s.take()
	if snap == nil {
		return
	}
	defer snap.release()
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	places := make(chan struct{}, atOnce)
	var asking sync.WaitGroup
	ask := func(what func()) {
		places <- struct{}{}
		asking.Go(func() {
			defer func() { <-places }()
			what()
		})
	}
	for _, e := range snap.served {
		if p, ok := e.Target.(prober); ok {
			ask(func() { _ = p.Probe(ctx) }) // what it says is noted
		}
	}
	for _, x := range snap.parts.Exchanges {
		ask(func() { x.Probe(ctx) })
	}
	asking.Wait()
}
