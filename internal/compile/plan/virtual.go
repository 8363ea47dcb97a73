package plan

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/composite/workflow"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Virtual is how the upstreams of an endpoint are made one.
type Virtual struct {
	Group      string
	ServerName string // what it calls itself to clients
	Strategy   string // prefix, priority or manual
	Format     string // of prefixes
	Order      []string
	Members    []Member // as the endpoint's upstreams
	Whole      bool     // a list lacks no member
	Verbose    bool     // all is logged, whatever the process's level
	Health     HealthChecks
	Breaker    v1alpha1.CircuitBreaker // as far as it is enabled
	Optimizer  *Optimizer              // a search in place of all tools; nil for none
	Composites []*workflow.Tool

	failed []string // members that have problems of their own
}

// Member is one upstream of a virtual server.
type Member struct {
	Timeout time.Duration
	Tools   *v1alpha1.MCPToolConfigSpec // nil where they are as the member has them
	Hidden  bool                        // clients see none of its tools
}

// HealthChecks say how members are asked whether they are there.
type HealthChecks struct {
	Every, Timeout time.Duration
	Unhealthy      int // failures in a row after which a member counts as unavailable
}

// virtualServer plans an endpoint before the members of a group.
func (c one) virtualServer(spec *v1alpha1.VirtualMCPServerSpec) {
	group := string(spec.GroupRef.Name)
	if _, ok := manifest.Lookup[v1alpha1.MCPGroup](c.view, c.Namespace, group); !ok {
		c.missing("spec.groupRef.name", "MCPGroup", group)
		return
	}
	serving, moved := c.virtualServing(spec)
	c.moved = moved
	members, failed := c.members(group), c.failedMembers(group)
	if len(members)+len(failed) == 0 {
		c.warn("spec.groupRef.name", "MCPGroup %q has no members, so nothing is served; name it in groupRef of MCPRemoteProxy, MCPServer or MCPServerEntry", group)
	}
	cfg := spec.Config
	if cfg == nil {
		cfg = &v1alpha1.VirtualConfig{}
	}
	v := &Virtual{Group: group, ServerName: cmp.Or(cfg.Name, c.Name), Optimizer: c.optimizer(cfg.Optimizer), failed: failed}
	c.aggregation(v, cfg.Aggregation, members)
	c.operational(v, cfg.Operational, members)
	c.composites(v, cfg, members)
	ups := make([]*Upstream, 0, len(members))
	for _, m := range members {
		up := m.plan(c.of(m.object), c.signsIn(&serving.Incoming), c.outgoing(spec.OutgoingAuth, m.name))
		if up.Remote != nil {
			c.passesTo(up, serving.PassthroughHeaders)
		}
		if up.Verbose = v.Verbose; up.Verbose { // and not what another server shares
			up.Key = keep.Key(up.Key, "verbose")
		}
		ups = append(ups, up)
	}
	if out := spec.OutgoingAuth; out != nil {
		for name := range out.Backends {
			c.known(v, "spec.outgoingAuth.backends."+name, name, members)
		}
	}
	c.serve(serving, v, ups...)
}

// virtualServing is what all serving kinds have, said in ToolHive's places for a virtual
// server or in ours; moved says which stand in ToolHive's.
func (c one) virtualServing(spec *v1alpha1.VirtualMCPServerSpec) (_ *v1alpha1.Serving, moved map[string]string) {
	s := spec.Serving
	moved = map[string]string{}
	if spec.AuthServerConfig != nil {
		s.AuthServerRef = &v1alpha1.AuthServerRef{Kind: inPlace, Name: v1alpha1.ObjectName(c.Name)}
	}
	if in := spec.IncomingAuth; in != nil {
		for field, there := range map[string]bool{"oidcConfigRef": in.OIDCConfigRef != nil, "authzConfig": in.AuthzConfig != nil, "authzConfigRef": in.AuthzConfigRef != nil} {
			if there {
				moved["spec."+field] = "spec.incomingAuth." + field
			}
		}
		s.OIDCConfigRef = cmp.Or(in.OIDCConfigRef, s.OIDCConfigRef)
		s.AuthzConfig, s.AuthzConfigRef = cmp.Or(in.AuthzConfig, s.AuthzConfig), cmp.Or(in.AuthzConfigRef, s.AuthzConfigRef)
	}
	if cfg := spec.Config; cfg != nil {
		s.RateLimiting, s.Audit = cmp.Or(cfg.RateLimiting, s.RateLimiting), cmp.Or(cfg.Audit, s.Audit)
		if s.RateLimiting == cfg.RateLimiting {
			moved["spec.rateLimiting"] = "spec.config.rateLimiting"
		}
		if s.PassthroughHeaders == nil {
			s.PassthroughHeaders = cfg.PassthroughHeaders
			moved["spec.passthroughHeaders"] = "spec.config.passthroughHeaders"
		} else if len(cfg.PassthroughHeaders) > 0 && !sameHeaders(s.PassthroughHeaders, cfg.PassthroughHeaders) {
			c.warn("spec.config.passthroughHeaders", "names other headers than spec.passthroughHeaders, which counts; remove one of them") // REQ E-6
		}
	}
	return &s, moved
}

func sameHeaders(a, b v1alpha1.PassthroughHeaders) bool {
	names := func(list v1alpha1.PassthroughHeaders) []string {
		var all []string
		for _, h := range list {
			all = append(all, http.CanonicalHeaderKey(string(h)))
		}
		slices.Sort(all)
		return all
	}
	return slices.Equal(names(a), names(b))
}

// member is a resource in a group.
type member struct {
	name   string
	object *manifest.Object
	remote *v1alpha1.Remote // nil for a command
	server *v1alpha1.MCPServerSpec
	via    string // transport of a remote
}

// group notes that a resource names a group that there is none of.
func (c one) group(ref *v1alpha1.ObjectRef) {
	if ref == nil {
		return
	}
	if _, ok := manifest.Lookup[v1alpha1.MCPGroup](c.view, c.Namespace, string(ref.Name)); !ok {
		c.missing("spec.groupRef.name", "MCPGroup", string(ref.Name))
	}
}

// members are the resources in a group, by name.
func (c one) members(group string) (all []member) {
	in := func(o *manifest.Object, ref *v1alpha1.ObjectRef, m member) {
		if ref == nil || string(ref.Name) != group || o.Namespace != c.Namespace {
			return
		}
		m.name, m.object = o.Name, o
		for _, other := range all {
			if other.name == m.name {
				c.of(o).problem("metadata.name", "duplicate member %q of MCPGroup %q: %s has the name too; give one of them another", m.name, group, other.object.Kind)
				return
			}
		}
		all = append(all, m)
	}
	for _, o := range manifest.All[v1alpha1.MCPRemoteProxy](c.set) {
		in(o.Object, o.Value.Spec.GroupRef, member{remote: &o.Value.Spec.Remote, via: o.Value.Spec.Transport})
	}
	for _, o := range manifest.All[v1alpha1.MCPServer](c.set) {
		in(o.Object, o.Value.Spec.GroupRef, member{server: &o.Value.Spec})
	}
	for _, o := range manifest.All[v1alpha1.MCPServerEntry](c.set) {
		in(o.Object, o.Value.Spec.GroupRef, member{remote: &o.Value.Spec.Remote, via: o.Value.Spec.Transport})
	}
	slices.SortFunc(all, func(a, b member) int { return strings.Compare(a.name, b.name) })
	for _, m := range all {
		c.view.Note(manifest.Use{Kind: m.object.Kind, Namespace: m.object.Namespace, Name: m.name}, fmt.Sprint(m.object.Raw["spec"]))
	}
	return all
}

// failedMembers are the names of the resources in a group that have problems of their own.
// These have been spoken of, and what would be wrong without them need not be.
func (c one) failedMembers(group string) (names []string) {
	for _, o := range c.set.Objects {
		spec, _ := o.Raw["spec"].(map[string]any)
		ref, _ := spec["groupRef"].(map[string]any)
		if o.Failed && o.Namespace == c.Namespace && ref["name"] == group && slices.Contains([]string{"MCPRemoteProxy", "MCPServer", "MCPServerEntry"}, o.Kind) {
			names = append(names, o.Name)
		}
	}
	return names
}

// plan plans the member's server. auth, if it is not nil, is the credential that the
// virtual server says.
func (m *member) plan(c one, people *AuthServer, auth *v1alpha1.ObjectRef) *Upstream {
	if m.server != nil {
		return c.command(m.server)
	}
	spec := *m.remote
	if auth != nil {
		spec.ExternalAuthConfigRef, spec.OAuth = auth, nil
		if auth.Name == "" { // none
			spec.ExternalAuthConfigRef = nil
		}
	}
	up := c.remote(&spec, m.via, people)
	up.Shown.outgoing = auth != nil
	up.Shown.chosen = up.Shown.chosen || auth != nil
	return up
}

// outgoing is the credential that a virtual server says of a member: nil for the member's
// own, one without a name for none.
func (c one) outgoing(out *v1alpha1.VirtualOutgoingAuth, name string) *v1alpha1.ObjectRef {
	if out == nil {
		return nil
	}
	b, ok := out.Backends[name]
	if !ok && out.Default != nil {
		b, ok = *out.Default, true
	}
	switch {
	case ok && b.ExternalAuthConfigRef != nil:
		return b.ExternalAuthConfigRef
	case out.Source == "inline" && !ok:
		return &v1alpha1.ObjectRef{}
	}
	return nil
}

// passesTo plans which headers of the client are passed on to a member. One that the
// member is shown by another setting is a problem that names both (REQ E-3).
func (c one) passesTo(up *Upstream, names v1alpha1.PassthroughHeaders) {
	for i, name := range names {
		header := http.CanonicalHeaderKey(string(name))
		if by, taken := up.Shown.setBy[header]; taken {
			if up.Shown.outgoing && by == "spec.externalAuthConfigRef" {
				by = "spec.outgoingAuth for"
			} else {
				by += " of"
			}
			c.problem(Index("spec.passthroughHeaders", i), "header %s is set by %s %s %s too; keep one of them", header, by, up.Kind, up.Name)
			continue
		}
		up.Shown.setBy[header] = c.at("spec.passthroughHeaders") + " of VirtualMCPServer " + c.Name
		up.Shown.Passthrough = append(up.Shown.Passthrough, header)
	}
}

// aMember is the kind of what is not there where a group has no member of a name: a
// resource of one of several kinds.
const aMember = "Member"

// known notes a name that is none of a member.
func (c one) known(v *Virtual, field, name string, members []member) {
	if slices.Contains(v.failed, name) {
		c.unsaid++
		return
	}
	if !slices.ContainsFunc(members, func(m member) bool { return m.name == name }) {
		var names []string
		for _, m := range members {
			names = append(names, m.name)
		}
		c.lacks(field, aMember, "names %q, which is no member of the group; the members are %s", name, cmp.Or(strings.Join(names, ", "), "none"))
	}
}

// aggregation plans which tools clients see, and under which names.
func (c one) aggregation(v *Virtual, a *v1alpha1.Aggregation, members []member) {
	v.Strategy, v.Format = "prefix", "{workload}_"
	v.Members = make([]Member, len(members))
	if a == nil {
		return
	}
	v.Strategy = cmp.Or(a.ConflictResolution, v.Strategy)
	if r := a.ConflictResolutionConfig; r != nil {
		v.Format = cmp.Or(r.PrefixFormat, v.Format)
		for i, name := range r.PriorityOrder {
			v.Order = append(v.Order, string(name))
			c.known(v, Index("spec.config.aggregation.conflictResolutionConfig.priorityOrder", i), string(name), members)
		}
		for _, m := range members {
			if prefix := strings.ReplaceAll(v.Format, "{workload}", m.name); v.Strategy == "prefix" && len(prefix) > longPrefix {
				c.warn("spec.config.aggregation.conflictResolutionConfig.prefixFormat",
					"makes the prefix %s, and of 64 characters that clients take that leaves %d: longer names of tools are cut and get a suffix; shorten it", prefix, max(0, 64-len(prefix)))
			}
		}
		if strings.Trim(strings.ReplaceAll(v.Format, "{workload}", ""), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			c.warn("spec.config.aggregation.conflictResolutionConfig.prefixFormat",
				"has characters that not every client takes in the name of a tool, so every name gets a _ there and a suffix; use letters, digits, - and _")
		}
	}
	for i := range v.Members {
		v.Members[i].Hidden = a.ExcludeAllTools || a.DefaultToolVisibility == "deny"
	}
	for i, t := range a.Tools {
		field := Index("spec.config.aggregation.tools", i)
		c.known(v, field+".workload", string(t.Workload), members)
		at := slices.IndexFunc(members, func(m member) bool { return m.name == string(t.Workload) })
		if at < 0 {
			continue
		}
		v.Members[at].Hidden = a.ExcludeAllTools || t.ExcludeAll
		switch {
		case t.ToolConfigRef != nil:
			cfg, ok := manifest.Lookup[v1alpha1.MCPToolConfig](c.view, c.Namespace, string(t.ToolConfigRef.Name))
			if !ok {
				c.missing(field+".toolConfigRef.name", "MCPToolConfig", string(t.ToolConfigRef.Name))
				continue
			}
			v.Members[at].Tools = &cfg.Value.Spec
		case len(t.Filter) > 0 || len(t.Overrides) > 0:
			v.Members[at].Tools = &v1alpha1.MCPToolConfigSpec{ToolsFilter: t.Filter, ToolsOverride: t.Overrides}
		}
	}
	c.givenTwice(v, members)
}

// longPrefix is how long a prefix is that leaves little of the names behind it.
const longPrefix = 40

// givenTwice notes a name that overrides give to tools of two members, where nothing
// else tells those apart.
func (c one) givenTwice(v *Virtual, members []member) {
	if v.Strategy != "manual" {
		return
	}
	given := map[string]string{}
	for i, m := range members {
		t := v.Members[i].Tools
		if t == nil || v.Members[i].Hidden {
			continue
		}
		for _, own := range slices.Sorted(maps.Keys(t.ToolsOverride)) {
			name := string(t.ToolsOverride[own].Name)
			if name == "" || len(t.ToolsFilter) > 0 && !slices.Contains(t.ToolsFilter, v1alpha1.ToolName(own)) {
				continue
			}
			if other, taken := given[name]; taken && other != m.name {
				c.problem("spec.config.aggregation.tools", "overrides give the name %q to a tool of %s and to one of %s; give one of them another", name, other, m.name)
			}
			given[name] = m.name
		}
	}
}

// operational plans what happens when members are slow or away.
func (c one) operational(v *Virtual, o *v1alpha1.Operational, members []member) {
	v.Health = HealthChecks{Every: 30 * time.Second, Timeout: 10 * time.Second, Unhealthy: 3}
	var timeouts v1alpha1.WorkloadTimeouts
	if o != nil && o.Timeouts != nil {
		timeouts = *o.Timeouts
	}
	for i, m := range members {
		v.Members[i].Timeout = cmp.Or(timeouts.PerWorkload[m.name], timeouts.Default, "30s").Duration()
	}
	for _, name := range slices.Sorted(maps.Keys(timeouts.PerWorkload)) {
		c.known(v, "spec.config.operational.timeouts.perWorkload."+name, name, members)
	}
	if o == nil {
		return
	}
	v.Verbose = o.LogLevel == "debug"
	if o.FailureHandling == nil {
		return
	}
	f := o.FailureHandling
	v.Whole = f.PartialFailureMode == "fail"
	v.Health = HealthChecks{
		Every: cmp.Or(f.HealthCheckInterval, "30s").Duration(), Timeout: cmp.Or(f.HealthCheckTimeout, "10s").Duration(), Unhealthy: int(cmp.Or(f.UnhealthyThreshold, 3)),
	}
	if b := f.CircuitBreaker; b != nil && b.Enabled {
		v.Breaker = v1alpha1.CircuitBreaker{Enabled: true, FailureThreshold: cmp.Or(b.FailureThreshold, 5), Timeout: cmp.Or(b.Timeout, "60s")}
	}
}

// passthrough are the headers of the client that any upstream gets.
func (e *Endpoint) passthrough() (all []string) {
	for _, up := range e.Upstreams {
		for _, name := range up.Shown.Passthrough {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// says is what an endpoint shows what is behind it, for the log.
func (e *Endpoint) says() string {
	if e.Virtual == nil {
		return e.Upstreams[0].Shown.says()
	}
	return "each member is sent what its own resource or outgoingAuth says"
}

// Own is what a member calls what clients know by a name, as far as a prefix says which
// member that is; else the name itself. A composite tool is the server's own.
func (v *Virtual) Own(e *Endpoint, public string) (name, member string) {
	if slices.ContainsFunc(v.Composites, func(t *workflow.Tool) bool { return t.Name == public }) {
		return public, e.Name
	}
	if v.Strategy == "prefix" {
		for _, up := range e.Upstreams {
			if own, ok := strings.CutPrefix(public, v.prefix(up.Name)); ok {
				return own, up.Name
			}
		}
	}
	return public, ""
}
