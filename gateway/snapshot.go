package gateway

import (
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/status"
)

// Snapshot is one whole configuration, compiled: immutable, swapped in as a whole
// or not at all. What must outlive a swap (connections, processes) is held in
// reference-counted pools; a snapshot gives its references back when it was
// retired and its last exchange has ended.
type Snapshot struct {
	parts     *compile.Parts
	endpoints map[string]*compile.Endpoint  // by resource name
	served    map[string]*pipeline.Endpoint // the same, as surfaces know them
	revision  string                        // of its manifests
	since     time.Time                     // that it is served
	described described
	units     []status.Unit      // where each file is a configuration of its own
	only      *pipeline.Endpoint // the one endpoint there is, also served at /mcp; else nil

	uses atomic.Int64 // exchanges under way, plus one while it is current
}

// newSnapshot serves parts.
func newSnapshot(parts *compile.Parts) *Snapshot {
	snap := &Snapshot{parts: parts, endpoints: map[string]*compile.Endpoint{}, served: map[string]*pipeline.Endpoint{}}
	snap.uses.Store(1)
	for _, e := range parts.Endpoints {
		snap.endpoints[e.Name], snap.served[e.Name] = e, e.Endpoint
		if len(parts.Endpoints) == 1 && !parts.Beside {
			snap.only = e.Endpoint
		}
	}
	return snap
}

// acquire keeps the snapshot alive for one exchange. It fails when the snapshot
// was retired meanwhile; the caller then takes the new one.
func (s *Snapshot) acquire() bool {
	for {
		n := s.uses.Load()
		if n == 0 {
			return false
		}
		if s.uses.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives up one use; the last one closes what nobody else uses.
func (s *Snapshot) release() {
	if s.uses.Add(-1) == 0 {
		s.parts.Release()
	}
}

// Endpoints is how many resources have an endpoint.
func (s *Snapshot) Endpoints() int { return len(s.endpoints) }

// fingerprint of the endpoint that name has, or "".
func (s *Snapshot) fingerprint(name string) string {
	if e := s.endpoints[name]; e != nil {
		return e.Fingerprint
	}
	return ""
}
