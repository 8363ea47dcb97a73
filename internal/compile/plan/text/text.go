package text

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
)

// Of is a plan as a person reads it. No secret is in it.
func Of(p *plan.Plan) string {
	var b strings.Builder
	for _, e := range p.Endpoints {
		(&page{b: &b}).endpoint(e)
	}
	for _, u := range p.Members {
		to := page{b: &b}
		to.title(&u.Resource, "a member of groups")
		to.upstream(u)
		to.rests(&u.Resource)
	}
	for _, a := range p.AuthServers {
		(&page{b: &b}).authServer(a)
	}
	for _, g := range p.Gateways {
		to := page{b: &b}
		to.title(&g.Resource, "the pods of a cluster; a process that serves these manifests makes nothing of it")
		to.row("serves", "%s", cmp.Or(strings.Join(g.Servers, ", "), "nothing: no gatewayRef names it"))
		to.rests(&g.Resource)
	}
	return b.String()
}

// page is what is printed of one resource: rows of a label and a text.
type page struct {
	b    *strings.Builder
	last string // label
}

func (p *page) title(r *plan.Resource, what string) {
	if p.b.Len() > 0 {
		p.b.WriteByte('\n')
	}
	fmt.Fprintf(p.b, "%s %s: %s\n", r.Kind, r.Name, what)
}

// row adds a text, under the label if that is a new one.
func (p *page) row(label, format string, args ...any) {
	shown := label
	if label == p.last {
		shown = ""
	}
	p.last = label
	fmt.Fprintf(p.b, "  %-10s %s\n", shown, fmt.Sprintf(format, args...))
}

// rests says what a resource rests on besides itself.
func (p *page) rests(r *plan.Resource) {
	for _, u := range r.Uses() {
		p.row("rests on", "%s", u)
	}
}

func (p *page) endpoint(e *plan.Endpoint) {
	p.title(&e.Resource, "an endpoint")
	if e.Title != e.Name {
		p.row("for people", "%s%s", e.Title, with(": %s", e.About))
	}
	p.row("served at", "%s%s", strings.Join(e.Paths, ", "), with(", as clients see it below %s", e.Link.Prefix))
	if e.Gateway != "" {
		p.row("served at", "in a cluster by the pods of MCPGateway %s", e.Gateway)
	}
	for _, host := range e.Link.Outside.Hosts {
		p.row("served at", "%s://%s%s%s, through a Gateway", e.Link.Outside.Scheme, host, e.Link.Outside.Prefix, e.Paths[0])
	}
	if e.Link.TrustHeaders {
		p.row("served at", "where a proxy at %s says so (X-Forwarded-Proto, -Host, -Prefix)", join(e.Link.Proxies))
	}
	p.door(&e.Door)
	for _, n := range e.Notes {
		p.row("note", "%s", n)
	}
	p.policy(&e.Policy)
	if e.Virtual != nil {
		p.virtual(e)
	} else {
		p.upstream(e.Upstreams[0])
	}
	p.tools(e.Tools)
	p.rates(e.Rates)
	p.concurrency(e.AtOnce)
	p.row("traced", "%s", traced(e.Telemetry))
	p.row("audited", "%s", map[bool]string{true: "yes", false: "no"}[e.Audit])
	p.rests(&e.Resource)
}

func (p *page) door(d *plan.Door) {
	for _, who := range Who(d) {
		p.row("lets in", "%s", who)
	}
	if d.QueryToken {
		p.row("lets in", "by WebSocket with a token in the query, too")
	}
}

func (p *page) policy(x *plan.Policy) {
	p.row("may", "%s", May(x))
	if x.Set != nil {
		for _, name := range x.Set.Names() {
			p.row("may", "policy %q", name)
		}
	}
}

func (p *page) upstream(u *plan.Upstream) {
	defer p.toolLock(u.Lock)
	settings := with(", spoken to in %s", string(u.Speaks)) + with(", which has %s to begin an answer", string(u.CallTimeout))
	if c := u.Command; c != nil {
		p.row("behind it", "the command %q%s%s", c.Args, with(", in %s", c.Dir), settings)
		for _, v := range c.Env {
			p.row("behind it", "with the variable %s", v.Name)
		}
		if s := c.Sessions; s.Max+s.PerCaller > 0 || s.IdleTimeout != "" {
			p.row("behind it", "in at most %d sessions, %d of one caller, each until it is idle for %s",
				cmp.Or(s.Max, 64), cmp.Or(s.PerCaller, cmp.Or(s.Max, 64)/2), cmp.Or(string(s.IdleTimeout), "30m"))
		}
		return
	}
	r := u.Remote
	p.row("behind it", "%s, by %s%s", r.Address(), r.Transport, settings)
	if r.Proxy != "" {
		p.row("behind it", "through the proxy %s", r.Proxy)
	}
	if r.AllowPrivate {
		p.row("behind it", "on a loopback or private address, if it is there")
	}
	if r.EachAddress {
		p.row("behind it", "at each address of that name, where a session stays that began there")
	}
	if r.CABundle != "" {
		p.row("behind it", "with a certificate of the authorities in caBundleRef")
	}
	for _, h := range r.Redirects.AllowedHosts {
		p.row("behind it", "redirects to %s are followed, without credentials", h)
	}
	if r.Redirects.AllowDowngrade {
		p.row("behind it", "redirects from https to http are followed, without credentials")
	}
	p.shown(&u.Shown)
}

func (p *page) shown(s *plan.Shown) {
	for _, what := range What(s) {
		p.row("shown", "%s", what)
	}
}

func (p *page) tools(t *v1alpha1.MCPToolConfigSpec) {
	if t == nil {
		return
	}
	if len(t.ToolsFilter) > 0 {
		p.row("tools", "%s are seen, and no others", strings.Join(texts(t.ToolsFilter), ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(t.ToolsOverride)) {
		o := t.ToolsOverride[name]
		var changed []string
		if o.Name != "" {
			changed = append(changed, "called "+string(o.Name))
		}
		if o.Description != "" {
			changed = append(changed, "described anew")
		}
		if o.Annotations != nil {
			changed = append(changed, "annotated anew")
		}
		p.row("tools", "%s is %s", name, strings.Join(changed, ", "))
	}
}

func (p *page) rates(r *v1alpha1.RateLimiting) {
	if r == nil {
		return
	}
	bucket := func(who string, b *v1alpha1.RateBucket) {
		if b != nil {
			p.row("limited", "%s: %d calls at once, and as many again in %s", who, b.MaxTokens, b.RefillPeriod)
		}
	}
	bucket("all callers together", r.Shared)
	bucket("each caller", r.PerUser)
	for _, t := range r.Tools {
		bucket("all callers of "+string(t.Name)+" together", t.Shared)
		bucket("each caller of "+string(t.Name), t.PerUser)
	}
}

func (p *page) concurrency(c *v1alpha1.Concurrency) {
	if c == nil {
		return
	}
	if c.Shared > 0 {
		p.row("limited", "all callers together: %d calls under way", c.Shared)
	}
	if c.PerUser > 0 {
		p.row("limited", "each caller: %d calls under way", c.PerUser)
	}
}

func traced(t *v1alpha1.Telemetry) string {
	switch {
	case t == nil || t.OpenTelemetry == nil:
		return "as the process says"
	case !t.OpenTelemetry.Enabled || t.OpenTelemetry.Tracing == nil || !t.OpenTelemetry.Tracing.Enabled:
		return "no"
	}
	return "a share of " + cmp.Or(t.OpenTelemetry.Tracing.SamplingRate, "0")
}

func (p *page) toolLock(l *plan.ToolLock) {
	if l != nil {
		p.row("tools", "are held to ConfigMap %s, which has %d; one that differs: %s", l.Name, len(l.Tools), l.Drift)
	}
}
