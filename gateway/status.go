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
)

// status is what /status tells, for whoever keeps an eye on several gateways: which
// configuration is served, and whether the servers behind it are there.
type status struct {
	Config  configStatus   `json:"config"`
	Servers []serverStatus `json:"servers"`
	// SessionKeys are names of the keys that sessions are sealed with, by which replicas can
	// be compared: the first seals, all open.
	SessionKeys []string `json:"sessionKeys"`
	// Units are the files, where each is a configuration of its own.
	Units []unitStatus `json:"units,omitempty"`
}

type unitStatus struct {
	Name string `json:"name"`
	configStatus
}

type configStatus struct {
	Hash     string    `json:"hash,omitempty"`
	LoadedAt time.Time `json:"loadedAt,omitzero"`
	Error    string    `json:"error,omitempty"` // why a newer one is not served
}

type serverStatus struct {
	Name     string          `json:"name"`
	Kind     string          `json:"kind"`
	Backends []backendStatus `json:"backends"`
	// TokenExchange is there where tokens are exchanged for a backend.
	TokenExchange *exchangeStatus `json:"tokenExchange,omitempty"`
}

type backendStatus struct {
	Name      string    `json:"name"`
	Status    string    `json:"status"` // ready, degraded, unavailable, unauthenticated or unknown
	LastCheck time.Time `json:"lastCheck,omitzero"`
	Message   string    `json:"message,omitempty"` // why it is not ready
}

// exchangeStatus is how the exchanges of a server are: ready where every token endpoint
// answers, which is not known before one was asked.
type exchangeStatus struct {
	Ready   *bool         `json:"ready,omitempty"`
	Message string        `json:"message,omitempty"`
	Last    *lastExchange `json:"last,omitempty"`
}

type lastExchange struct {
	At    time.Time `json:"at"`
	Error string    `json:"error,omitempty"` // why it made no token
}

// add takes in one of a server's exchanges.
func (s *exchangeStatus) add(x *credential.ExchangeState) {
	if x.Known && (s.Ready == nil || *s.Ready) {
		s.Ready, s.Message = &x.Ready, x.Message
	}
	if !x.Last.IsZero() && (s.Last == nil || x.Last.After(s.Last.At)) {
		s.Last = &lastExchange{At: x.Last.UTC(), Error: x.Failed}
	}
}

// serveStatus answers /status.
func (s *Server) serveStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(s.status())
}

func (s *Server) status() status {
	st := status{Servers: []serverStatus{}, SessionKeys: s.keyNames}
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
		server := serverStatus{Name: e.Name, Kind: e.Kind, Backends: []backendStatus{}}
		for _, m := range e.Target.Members() {
			server.Backends = append(server.Backends, backendStatus{Name: m.Name, Status: m.Status, LastCheck: m.Last, Message: m.Why})
			if m.Exchange == nil {
				continue
			}
			if server.TokenExchange == nil {
				server.TokenExchange = &exchangeStatus{}
			}
			server.TokenExchange.add(m.Exchange)
		}
		st.Servers = append(st.Servers, server)
	}
	slices.SortFunc(st.Servers, func(a, b serverStatus) int { return cmp.Compare(a.Name, b.Name) })
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

// atOnce is how many backends are asked at a time.
const atOnce = 16

// askOnce asks every backend and token endpoint of the current configuration.
func (s *Server) askOnce(ctx context.Context) {
	snap := s.take()
	if snap == nil {
		return
	}
	defer snap.release()
	ctx, cancel := context.WithTimeout(ctx, min(s.opts.HealthEvery, 10*time.Second))
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
