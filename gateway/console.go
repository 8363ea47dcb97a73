package gateway

import (
	"slices"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/console"
)

// describe keeps of a plan what people read of it.
func (snap *Snapshot) describe(p *plan.Plan) {
	snap.described = console.Describe(p)
	for _, problem := range slices.Concat(p.Warnings, p.Advice) {
		snap.warnings = append(snap.warnings, problem.String())
	}
}

// now is the gateway as the console shows it.
func (s *Server) now() console.Now {
	now := console.Now{PublicURL: s.opts.PublicURL, Leaving: s.leaving.Load()}
	if at := s.listener.Load(); at != nil {
		now.Listener = *at
	}
	if why := s.refused.Load(); why != nil {
		now.Refused = *why
	}
	snap := s.take()
	if snap == nil {
		now.Release = func() {}
		return now
	}
	now.Release = snap.release
	now.Servers, now.Warnings, now.Revision, now.Since = snap.described, snap.warnings, snap.revision, snap.since
	for _, a := range snap.parts.AuthServers {
		now.Issuers = append(now.Issuers, console.Issuer{Name: a.Name.Name, Server: a.Server})
	}
	s.readyParts(func(ok bool, name, why string) {
		if !ok {
			now.Lacks = append(now.Lacks, name+": "+why)
		}
	})
	now.Endpoint = func(server string) console.Endpoint {
		e := snap.endpoints[server]
		return console.Endpoint{Target: e.Target, Policy: e.Policy, Door: e.Door, CallerOf: e.CallerOf}
	}
	return now
}
