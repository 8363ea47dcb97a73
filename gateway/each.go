package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/status"
)

// applyEach serves files each of which is a configuration of its own: what is wrong with
// one costs that one.
func (s *Server) applyEach(set *manifest.Set) {
	parts, units := s.each.Make(set.Units, s.process())
	next := newSnapshot(parts)
	next.since, next.units = time.Now(), []status.Unit{}
	revisions := sha256.New()
	for _, u := range units {
		st := status.Unit{Name: u.Name, Config: status.Config{Hash: u.Revision}}
		if u.Revision != "" {
			st.LoadedAt = u.Since.UTC()
		}
		if len(u.Problems) > 0 {
			st.Error = u.Problems.Error()
		}
		_, _ = fmt.Fprintln(revisions, u.Name, u.Revision)
		next.units = append(next.units, st)
		next.described.servers = append(next.described.servers, u.Kept.servers...)
		next.described.warnings = append(next.described.warnings, u.Kept.warnings...)
		for _, p := range u.Problems {
			next.described.warnings = append(next.described.warnings, "not served, or as it was before: "+p.String())
			if u.News {
				s.opts.Log.Error("a file is not served as it is; what was served of it goes on", "file", u.Name, "problem", p.String())
			}
		}
	}
	next.revision = hex.EncodeToString(revisions.Sum(nil)[:16])
	s.swap(next)
}
