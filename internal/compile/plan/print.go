package plan

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// String is the plan as a person reads it. No secret is in it.
func (p *Plan) String() string {
	var b strings.Builder
	for _, e := range p.Endpoints {
		e.print(&page{b: &b})
	}
	for _, u := range p.Members {
		to := page{b: &b}
		to.title(&u.Resource, "a member of groups")
		u.print(&to)
		to.rests(&u.Resource)
	}
	for _, a := range p.AuthServers {
		a.print(&page{b: &b})
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

func (p *page) title(r *Resource, what string) {
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
func (p *page) rests(r *Resource) {
	for _, u := range r.Uses() {
		p.row("rests on", "%s", u)
	}
}

func (e *Endpoint) print(p *page) {
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
	e.Door.print(p)
	for _, n := range e.Notes {
		p.row("note", "%s", n)
	}
	e.Policy.print(p)
	if e.Virtual != nil {
		e.Virtual.print(p, e)
	} else {
		e.Upstreams[0].print(p)
	}
	printTools(p, e.Tools)
	printRates(p, e.Rates)
	printConcurrency(p, e.AtOnce)
	p.row("traced", "%s", traced(e.Telemetry))
	p.row("audited", "%s", map[bool]string{true: "yes", false: "no"}[e.Audit])
	p.rests(&e.Resource)
}

func (d *Door) print(p *page) {
	for _, who := range d.Who() {
		p.row("lets in", "%s", who)
	}
	if d.QueryToken {
		p.row("lets in", "by WebSocket with a token in the query, too")
	}
}

// Who says whom the door lets in, and by what. Anonymous callers come last.
func (d *Door) Who() (who []string) {
	for _, m := range d.Methods {
		who = append(who, m.String())
	}
	switch {
	case d.Everybody():
		who = append(who, "everybody, as anonymous")
	case d.Anonymous:
		who = append(who, "everybody else, as anonymous")
	case len(d.Methods) == 0:
		who = append(who, "nobody")
	}
	return who
}

// String says whom the method lets in.
func (m Method) String() string {
	switch {
	case m.Tokens != nil:
		return m.Tokens.String()
	case m.SignIn != nil:
		return "who signs in at " + m.SignIn.Name + ", " + string(m.SignIn.Spec.Issuer)
	case m.Proxy != nil:
		return m.Proxy.String()
	case m.Assertion != nil:
		return fmt.Sprintf("whom a signed assertion names (%s%s%s)", m.Assertion.Preset, with(", team %s", m.Assertion.Team), with(", for %s", cmp.Or(m.Assertion.Audience, m.Assertion.Signer, m.Assertion.Domain)))
	case m.Certificate != nil:
		of := "any authority that the listener believes"
		if m.Certificate.Authorities != "" {
			of = "the authorities in caBundleRef"
		}
		return "who has a TLS client certificate of " + of + with(", issued to %s", strings.Join(m.Certificate.Names, " or "))
	}
	return "nobody"
}

// String says whose tokens are taken.
func (t *Tokens) String() string {
	who := "who has a token"
	if t.Accounts != nil {
		who = fmt.Sprintf("service account %s/%s, by its token", cmp.Or(t.Accounts.Namespace, "*"), cmp.Or(t.Accounts.Name, "*"))
	}
	keys := with(", with keys at %s", string(t.Issuer.JWKSURL)) + with(", pinned to %s", t.Issuer.JWKSCertFingerprint)
	return fmt.Sprintf("%s of %s%s%s%s%s%s", who, t.Issuer.Issuer, with(" for %s", strings.Join(t.Audiences, " or ")),
		with(" issued to %s", strings.Join(t.Clients, " or ")), with(" with scopes %s", strings.Join(t.Scopes, " ")), keys, with(", or an opaque one by %s", cmp.Or(string(t.Issuer.IntrospectionURL), t.Issuer.IntrospectionPreset)))
}

// String says whose word is believed, and where it stands.
func (x *Proxy) String() string {
	h := x.Headers
	who := fmt.Sprintf("whom a proxy names in %s%s%s%s", h.User, with(", e-mail in %s", h.Email), with(", name in %s", h.Name), with(", groups in %s", h.Groups))
	proof := "at " + cmp.Or(join(x.Peers), "no address")
	if len(x.Certificates) > 0 {
		proof += ", with a certificate of " + strings.Join(x.Certificates, " or ")
	}
	if x.SecretHeader != "" {
		proof += ", with a secret in " + x.SecretHeader
	}
	return who + ", known " + proof
}

func (x *Policy) print(p *page) {
	p.row("may", "%s", x.May())
	if x.Set != nil {
		for _, name := range x.Set.Names() {
			p.row("may", "policy %q", name)
		}
	}
}

// May says what those may do who are let in.
func (x *Policy) May() string {
	switch {
	case x.Unrestricted:
		return "do everything: there are no policies"
	case x.Set == nil:
		return "do nothing"
	case x.Config.Shadow:
		return "do everything: policies are only watched (shadow)"
	}
	return "do what policies permit, and nothing else"
}

func (u *Upstream) print(p *page) {
	defer u.Lock.print(p)
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
	if r.CABundle != "" {
		p.row("behind it", "with a certificate of the authorities in caBundleRef")
	}
	for _, h := range r.Redirects.AllowedHosts {
		p.row("behind it", "redirects to %s are followed, without credentials", h)
	}
	if r.Redirects.AllowDowngrade {
		p.row("behind it", "redirects from https to http are followed, without credentials")
	}
	u.Shown.print(p)
}

func (s *Shown) print(p *page) {
	for _, what := range s.What() {
		p.row("shown", "%s", what)
	}
}

// What says what is shown, header by header, and where it comes from.
func (s *Shown) What() (what []string) {
	for _, h := range s.Headers {
		what = append(what, h.Name+", from "+h.From)
	}
	for _, name := range s.Passthrough {
		what = append(what, name+", as the client sends it")
	}
	if s.Credential != nil {
		what = append(what, s.Credential.String())
	}
	if what == nil {
		what = []string{"no credential"}
	}
	return what
}

// String says what is shown, in which headers, and what it is made of.
func (x *Credential) String() string {
	subject := "the caller's own token"
	if x.Provider != nil {
		subject = "the caller's token of " + x.Provider.Name
	}
	var text string
	made := func(what string) string {
		return what + with(" for %s", x.Audience) + with(" with scopes %s", strings.Join(x.Scopes, " ")) + ", made of " + subject + " at " + x.Endpoint
	}
	switch x.Type {
	case TypeAccount:
		text = "the token of the gateway's own account, whoever calls"
	case v1alpha1.AuthForwardClientToken:
		text = subject + with(", if it is for %s too", x.Audience)
	case v1alpha1.AuthUpstreamInject:
		text = subject
	case v1alpha1.AuthIdentityAssertion:
		text = "an assertion about the caller" + with(" by %s", x.Issuer) + with(" for %s", x.Audience)
	case v1alpha1.AuthAWSSTS:
		text = made("a signature of an AWS role")
	case v1alpha1.AuthXAA:
		text = made("a token") + " and " + x.Target
	default:
		text = made("a token")
	}
	return strings.Join(x.Headers, ", ") + ": " + text + with(" (MCPExternalAuthConfig %s)", x.From)
}

func printTools(p *page, t *v1alpha1.MCPToolConfigSpec) {
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

func printRates(p *page, r *v1alpha1.RateLimiting) {
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

func printConcurrency(p *page, c *v1alpha1.Concurrency) {
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

// with is a phrase about something, where there is something to say.
func with(format, text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf(format, text)
}

func join(list []netip.Prefix) string {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = p.String()
	}
	return strings.Join(texts, ", ")
}
