package gateway

import (
	"slices"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/console"
)

// described is what people read of plans.
type described struct {
	servers  []*console.Server // nil where nobody looks
	warnings []string
}

// describe says what operators should know of a plan, and keeps of it what people read.
func (s *Server) describe(p *plan.Plan) (d described) {
	for _, w := range p.Warnings {
		s.opts.Log.Warn("configuration is served, but not as it is meant", "problem", w.String())
	}
	for _, a := range p.Advice {
		s.opts.Log.Warn("configuration may not say what was meant", "problem", a.String())
	}
	s.announce(p)
	if s.opts.Recent == nil {
		return d
	}
	d.servers = console.Describe(p)
	for _, problem := range slices.Concat(p.Warnings, p.Advice) {
		d.warnings = append(d.warnings, problem.String())
	}
	return d
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
	now.Servers, now.Warnings, now.Revision, now.Since = snap.described.servers, snap.described.warnings, snap.revision, snap.since
	now.Issuers, now.Accounts = snap.parts.Holders()
	s.readyParts(func(ok bool, name, why string) {
		if !ok {
			now.Lacks = append(now.Lacks, name+": "+why)
		}
	})
	now.Endpoint = func(server string) console.Endpoint {
		e := snap.endpoints[server]
		tools, send := s.surfaces.Inside(e.Endpoint)
		return console.Endpoint{Target: e.Target, Policy: e.Policy, Door: e.Door, CallerOf: e.CallerOf, Fingerprint: e.Fingerprint, Tools: tools, Send: send}
	}
	return now
}
