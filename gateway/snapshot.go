package gateway

import (
	"sync/atomic"

	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
)

// Snapshot is one whole configuration, compiled: immutable, swapped in as a whole
// or not at all. What must outlive a swap (connections, processes) is held in
// reference-counted pools; a snapshot gives its references back when it was
// retired and its last exchange has ended.
type Snapshot struct {
	endpoints map[string]*Endpoint           // by resource name
	only      *Endpoint                      // the one endpoint there is, also served at /mcp; else nil
	entries   int                            // backends without an endpoint
	accounts  map[string]*oauthclient.Client // the gateway's own, by resource name

	assertionKeys map[string][]byte // by MCPExternalAuthConfig: the public keys of its assertions

	authServers []*embedded

	releases []func()
	uses     atomic.Int64 // exchanges under way, plus one while it is current
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
	if s.uses.Add(-1) > 0 {
		return
	}
	for _, release := range s.releases {
		release()
	}
}

// Endpoints is how many resources have an endpoint.
func (s *Snapshot) Endpoints() int { return len(s.endpoints) }

// fingerprint of the endpoint that name has, or "".
func (s *Snapshot) fingerprint(name string) string {
	if e := s.endpoints[name]; e != nil {
		return e.fingerprint
	}
	return ""
}

// Check says what is wrong with a validated set beyond its schema, by compiling
// it for nobody. Nothing is dialled and no process is started.
func Check(set *manifest.Set) manifest.Problems {
	s := newCheckServer()
	snap, problems, warnings := s.compile(set)
	snap.release()
	return append(problems, warnings...).Sort()
}
