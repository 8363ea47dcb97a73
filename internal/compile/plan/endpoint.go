package plan

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// serve plans the endpoint of a resource before its upstreams, several of them where it
// is a virtual server: everything that serving kinds share. No endpoint is made anywhere
// else.
func (c one) serve(s *v1alpha1.Serving, v *Virtual, ups ...*Upstream) {
	if taken := c.named[c.Name]; taken != nil {
		c.problem("metadata.name", "%s %s has the endpoint /servers/%s already; give one of them another name", taken.Kind, taken.Name, c.Name)
		return
	}
	c.named[c.Name] = c.Object
	e := &Endpoint{
		Resource: c.resource(), Title: cmp.Or(s.Title, c.Name), About: s.Description, Paths: c.paths(), Upstreams: ups, Virtual: v,
		Link:  Link{Prefix: string(s.EndpointPrefix), TrustHeaders: s.TrustProxyHeaders, Outside: outside(s.Gateway)},
		Rates: s.RateLimiting, AtOnce: s.MaxConcurrent, Telemetry: c.telemetry(s), Audit: s.Audit != nil && s.Audit.Enabled,
	}
	c.shares(s, e)
	c.door(&s.Incoming, e)
	for _, other := range c.plan.Endpoints {
		if other.Link.Resource == e.Link.Resource && e.Link.Resource != "" {
			c.problem("spec.oidcConfigRef.resourceUrl", "is that of %s %s too, and a token for one would be one for both; give each its own", other.Kind, other.Name)
		}
	}
	for _, up := range ups {
		c.inject(up, e)
		c.wantsMet(&s.Incoming, up, e)
	}
	e.Policy = c.policy(s, &e.Door)
	e.Tools = c.toolConfig(s.ToolConfigRef)
	c.lock(s.ToolLock, ups)
	e.Fingerprint = keep.Key(c.Raw["spec"], c.view.Digest(), c.process.TrustedProxy)
	c.plan.Endpoints = append(c.plan.Endpoints, e)
}

// paths of the endpoint; the short one is there with one endpoint only, so that no
// token for it is good for two.
func (c one) paths() []string {
	own := "/servers/" + c.Name + "/mcp"
	if c.alone {
		return []string{own, "/mcp"}
	}
	return []string{own}
}

// outside are the host names of an endpoint's own.
func outside(g *v1alpha1.GatewayRoute) (o Outside) {
	if g == nil {
		return o
	}
	o.Scheme, o.Prefix = cmp.Or(g.Scheme, "https"), string(g.PathPrefix)
	for _, h := range g.Hostnames {
		o.Hosts = append(o.Hosts, string(h))
	}
	return o
}

// Addresses are those under which clients know the endpoint, and so what a token that
// an authorization server makes for it may be for: below the issuer's origin, behind
// each part of the issuer's path and each prefix that is configured; and below the host
// names that are the endpoint's own.
func (e *Endpoint) Addresses(a *AuthServer, publicURL string) []string {
	out := &e.Link.Outside
	prefixes := []string{"", e.Link.Prefix, out.Prefix}
	for i := range a.Path {
		if a.Path[i] == '/' {
			prefixes = append(prefixes, a.Path[:i])
		}
	}
	prefixes = append(prefixes, a.Path)
	if u, err := url.Parse(publicURL); err == nil {
		prefixes = append(prefixes, strings.TrimRight(u.Path, "/"))
	}
	var list []string
	if at, ok := strings.CutSuffix(e.Link.Resource, "/mcp"); ok {
		for _, spelled := range Spellings("/mcp") {
			list = append(list, at+spelled)
		}
	} else if e.Link.Resource != "" {
		list = append(list, strings.TrimSuffix(e.Link.Resource, "/"))
	}
	for _, prefix := range prefixes {
		for _, path := range e.Paths {
			for _, spelled := range Spellings(path) {
				if at := a.Origin + prefix + spelled; !slices.Contains(list, at) {
					list = append(list, at)
				}
			}
		}
	}
	for _, host := range out.Hosts {
		for _, spelled := range Spellings("/servers/" + e.Name + "/mcp") {
			if at := out.Scheme + "://" + host + out.Prefix + spelled; !slices.Contains(list, at) {
				list = append(list, at)
			}
		}
	}
	return list
}

// Spellings are the paths by which clients know what is at an endpoint's path: a token
// for one of its surfaces is one for all (REQ G-7).
func Spellings(path string) []string {
	base := strings.TrimSuffix(path, "/mcp")
	return []string{path, base + "/sse", base + "/ws"}
}

// Audiences are audiences that a manifest names and, where one is an address of the
// endpoint, its other addresses.
func Audiences(named, paths []string) []string {
	all := slices.Clone(named)
	for _, a := range named {
		for _, path := range paths {
			spellings := Spellings(path)
			for _, spelled := range spellings {
				base, ok := strings.CutSuffix(strings.TrimSuffix(a, "/"), spelled)
				if !ok || !strings.Contains(base, "://") {
					continue
				}
				for _, s := range spellings {
					all = append(all, base+s, base+s+"/")
				}
			}
		}
	}
	return all
}

// SignIn is the authorization server that the endpoint's callers sign in with; nil for
// none.
func (e *Endpoint) SignIn() *AuthServer {
	for _, m := range e.Door.Methods {
		if m.SignIn != nil {
			return m.SignIn
		}
	}
	return nil
}

// inject shows the backend the first provider's token where nothing else is said
// about its credential (REQ A-2, D-5). An authorization server in place of a virtual server
// has none shown that no member names, as in ToolHive.
func (c one) inject(up *Upstream, e *Endpoint) {
	a := e.SignIn()
	if a == nil || a.broken || a.Kind == inPlace || up.Remote == nil || up.Shown.chosen || a.Spec.DisableUpstreamTokenInjection || up.Shown.Passes("Authorization") {
		return
	}
	if field, taken := up.Shown.setBy["Authorization"]; taken {
		c.problem(field, "header Authorization is set by spec.authServerRef too, which shows the provider's token; set disableUpstreamTokenInjection: true there, or remove it here")
		return
	}
	up.Shown.Credential = &Credential{
		Type: v1alpha1.AuthUpstreamInject, Server: a, Provider: &a.Providers[0], Headers: authorization(), Wants: WantsToken, Key: c.key("source", a.Key),
	}
}

// wantsMet finds a credential that is made of what is known of callers, where nobody
// asks for that.
func (c one) wantsMet(in *v1alpha1.Incoming, up *Upstream, e *Endpoint) {
	const field = "spec.externalAuthConfigRef"
	if up.Shown.Credential == nil {
		return
	}
	tp := c.process.TrustedProxy.over(in.TrustedProxy)
	configured := in.OIDCConfig != nil || in.OIDCConfigRef != nil || in.OIDCConfigRefs != nil || in.AuthServerRef != nil
	switch want := up.Shown.Credential.Wants; {
	case want == WantsIdentity && e.Door.Everybody():
		c.problem(field, "tells the backend who the caller is, and nothing here asks callers for that; add oidcConfigRef, oidcConfig, authServerRef or trustedProxy")
	case want != WantsToken || e.Door.ReadsTokens():
	case configured && tp.clientAuth:
		// What is wrong with it has been said.
	case configured:
		c.problem(field, "needs the caller's token, and authentication of clients by token is switched off (trustedProxy.clientAuthEnabled or MCP_CLIENT_AUTH_ENABLED); switch it on, or use another type of credential")
	default:
		c.problem(field, "needs the caller's token, and nothing here asks callers for one; add oidcConfigRef, oidcConfig or authServerRef")
	}
}

// telemetry is what the resource says of traces, or what it names says.
func (c one) telemetry(s *v1alpha1.Serving) *v1alpha1.Telemetry {
	ref := s.TelemetryConfigRef
	if ref == nil {
		return s.Telemetry
	}
	cfg, ok := manifest.Lookup[v1alpha1.MCPTelemetryConfig](c.view, c.Namespace, string(ref.Name))
	if !ok {
		c.missing("spec.telemetryConfigRef.name", "MCPTelemetryConfig", string(ref.Name))
		return nil
	}
	return &cfg.Value.Spec
}

// toolConfig plans what clients see of the tools.
func (c one) toolConfig(ref *v1alpha1.ObjectRef) *v1alpha1.MCPToolConfigSpec {
	if ref == nil {
		return nil
	}
	cfg, ok := manifest.Lookup[v1alpha1.MCPToolConfig](c.view, c.Namespace, string(ref.Name))
	if !ok {
		c.missing("spec.toolConfigRef.name", "MCPToolConfig", string(ref.Name))
		return nil
	}
	return &cfg.Value.Spec
}
