package plan

import (
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Upstream is one backend and what it is shown: a [Remote], or a [Command].
type Upstream struct {
	Resource
	Remote  *Remote
	Command *Command
	Shown   Shown
	Lock    *ToolLock                // nil where its tools may change
	Speaks  v1alpha1.ProtocolVersion // the one revision that it is spoken to in; "" finds out
	// CallTimeout is how long it may take to begin an answer; "" for the process's own.
	CallTimeout v1alpha1.Period
	// Key is equal for the same backend: a connection pool, a process and a session are
	// good for that one.
	Key string
	// Verbose logs all, whatever the process's level.
	Verbose bool
}

// Remote is a server at an address.
type Remote struct {
	URL          *url.URL
	Transport    string // streamable-http or sse
	AllowPrivate bool
	EachAddress  bool   // each address of the host is a server of its own
	CABundle     string // PEM; "" for the system's certificates
	Proxy        string // through which it is reached; direct for none, "" for the process's own
	Redirects    v1alpha1.Redirects
}

// Address is where the server is, for people: without a query, which may be a secret.
func (r *Remote) Address() string {
	at := *r.URL
	if at.RawQuery != "" {
		at.RawQuery = "…"
	}
	at.User, at.Fragment = nil, ""
	return at.String()
}

// Command is a server that the gateway runs.
type Command struct {
	Args []string
	Dir  string // "" for the gateway's own
	Env  []Variable
	// Sessions bounds those of clients; zero fields have the defaults.
	Sessions v1alpha1.SessionLimits
}

// Variable is one of a command's environment.
type Variable struct {
	Name  string
	Value secret.Value
}

// Shown is what a backend is shown besides the message: the manifest's own headers, the
// client's that are passed on, and a credential. No two of them set the same header.
type Shown struct {
	Headers     []Header
	Passthrough []string    // canonical names
	Credential  *Credential // nil for none

	setBy    map[string]string // canonical name → the setting
	chosen   bool              // the manifest says which credential, or that there is none
	outgoing bool              // and does so in the virtual server's outgoingAuth
}

// Header is a header with the same value for every caller.
type Header struct {
	Name  string // canonical
	Value secret.Value
	From  string // the setting
}

// Passes reports whether a header of the client is passed on.
func (s *Shown) Passes(name string) bool { return slices.Contains(s.Passthrough, name) }

// SetBy is the setting that a header comes from; "" for none.
func (s *Shown) SetBy(name string) string { return s.setBy[http.CanonicalHeaderKey(name)] }

// claim notes that a setting sets a header, unless another one does.
func (c one) claim(s *Shown, field, name string) bool {
	name = http.CanonicalHeaderKey(name)
	if other, ok := s.setBy[name]; ok {
		c.problem(field, "header %s is set by %s too; keep one of them", name, other)
		return false
	}
	s.setBy[name] = field
	return true
}

// remoteProxy plans an endpoint before a remote server.
func (c one) remoteProxy(spec *v1alpha1.MCPRemoteProxySpec) {
	c.group(spec.GroupRef)
	up := c.remote(&spec.Remote, spec.Transport, c.signsIn(&spec.Incoming))
	c.passes(&up.Shown, &spec.Serving, spec.PassthroughAuthorization)
	c.serve(&spec.Serving, nil, up)
}

// member plans a backend that has no endpoint of its own.
func (c one) member(spec *v1alpha1.MCPServerEntrySpec) {
	c.group(spec.GroupRef)
	if spec.GroupRef == nil {
		c.warn("spec", "has no endpoint of its own and is in no group, so nothing is served of it; set groupRef to the MCPGroup of a VirtualMCPServer, or make it an MCPRemoteProxy")
	}
	c.plan.Members = append(c.plan.Members, c.remote(&spec.Remote, spec.Transport, &AuthServer{elsewhere: true}))
}

// localServer plans an endpoint before a command.
func (c one) localServer(spec *v1alpha1.MCPServerSpec) {
	c.group(spec.GroupRef)
	switch {
	case len(spec.Command) == 0:
		c.problem("spec.image", "is for a container, which needs a cluster: sallyport operator; to run the server on this machine, say its program in command")
	case spec.Transport != "" && spec.Transport != "stdio":
		c.problem("spec.transport", "is %s, which is for a container in a cluster: sallyport operator; on this machine a server speaks on its standard input and output", spec.Transport)
	}
	if spec.ExternalAuthConfigRef != nil {
		c.problem("spec.externalAuthConfigRef", "cannot be set for a server spoken to over stdio, which is shown no credential of a call; remove it, and give the server what it needs with secrets")
	}
	c.serve(&spec.Serving, nil, c.command(spec))
}

// command plans a server that the gateway runs.
func (c one) command(spec *v1alpha1.MCPServerSpec) *Upstream {
	cmd := &Command{Dir: spec.WorkingDir}
	for _, arg := range slices.Concat(spec.Command, spec.Args) {
		cmd.Args = append(cmd.Args, string(arg))
	}
	var env []string
	set := func(name, value string) {
		cmd.Env = append(cmd.Env, Variable{name, secret.New(value)})
		env = append(env, name+"="+value)
	}
	for _, v := range spec.Env {
		set(string(v.Name), v.Value)
	}
	for i, s := range spec.Secrets {
		value, ok := c.secret(Index("spec.secrets", i), v1alpha1.SecretKeyRef{Name: s.Name, Key: s.Key})
		if !ok {
			continue
		}
		name := string(s.TargetEnvName)
		if name == "" {
			name = string(s.Key)
		}
		set(name, value.Reveal())
	}
	if spec.Sessions != nil {
		cmd.Sessions = *spec.Sessions
	}
	return &Upstream{
		Resource: c.resource(), Command: cmd, Shown: Shown{setBy: map[string]string{}}, Speaks: spec.ProtocolVersion, CallTimeout: spec.CallTimeout,
		Key: keep.Key("stdio", c.Name, spec.ProtocolVersion, spec.CallTimeout, cmd.Args, cmd.Dir, env, cmd.Sessions),
	}
}

// remote plans a server at an address, and what it is shown. people is the
// authorization server that callers sign in with; nil for none.
func (c one) remote(spec *v1alpha1.Remote, transport string, people *AuthServer) *Upstream {
	up := &Upstream{Resource: c.resource(), Speaks: spec.ProtocolVersion, CallTimeout: spec.CallTimeout, Shown: Shown{setBy: map[string]string{}}}
	u, err := url.Parse(string(spec.RemoteURL))
	if err != nil || u.Host == "" {
		c.problem("spec.remoteUrl", "is not a URL; write it like https://mcp.example.com/mcp")
		u = &url.URL{}
	}
	c.reachable("spec.remoteUrl", u, netguard.Policy{AllowPrivate: spec.AllowPrivateEndpoint, PlainOnlyPrivate: u.Scheme == "http"})
	up.Remote = &Remote{URL: u, Transport: transport, AllowPrivate: spec.AllowPrivateEndpoint, EachAddress: spec.SessionsPerAddress, Proxy: string(spec.ProxyURL)}
	if up.Remote.Proxy != "" {
		if _, err := netguard.ProxyAt(up.Remote.Proxy); err != nil {
			c.problem("spec.proxyUrl", "%v", err)
		}
	}
	if spec.Redirects != nil {
		up.Remote.Redirects = *spec.Redirects
	}
	up.Remote.CABundle = c.caBundle("spec.caBundleRef.configMapRef", spec.CABundleRef)
	up.Key = keep.Key("remote", c.Name, spec.RemoteURL, transport, spec.ProtocolVersion, spec.CallTimeout, spec.AllowPrivateEndpoint, up.Remote.Redirects, up.Remote.CABundle, up.Remote.Proxy, up.Remote.EachAddress)
	c.headerForward(&up.Shown, spec.HeaderForward)
	if up.Shown.chosen = spec.ExternalAuthConfigRef != nil; up.Shown.chosen {
		c.external(up, string(spec.ExternalAuthConfigRef.Name), people)
	}
	c.account(up, spec.OAuth)
	return up
}

// reachable warns of an address that no request will reach. A name is looked at when
// it is dialled; an address can be judged now.
func (c one) reachable(field string, u *url.URL, policy netguard.Policy) {
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if refused := policy.Check(ip); refused != nil {
			c.warn(field, "%v, so every call will fail", refused)
		}
	}
}

// passes plans which headers of the client are passed on.
func (c one) passes(s *Shown, spec *v1alpha1.Serving, authorization bool) {
	pass := func(field, name string) {
		if c.claim(s, field, name) {
			s.Passthrough = append(s.Passthrough, http.CanonicalHeaderKey(name))
		}
	}
	for i, name := range spec.PassthroughHeaders {
		pass(Index("spec.passthroughHeaders", i), string(name))
	}
	if authorization {
		pass("spec.passthroughAuthorization", "Authorization")
	}
}

// headerForward plans the manifest's own headers, in a fixed order.
func (c one) headerForward(s *Shown, fwd *v1alpha1.HeaderForward) {
	if fwd == nil {
		return
	}
	add := func(field, name string, value secret.Value, from string) {
		if c.claim(s, field, name) {
			s.Headers = append(s.Headers, Header{http.CanonicalHeaderKey(name), value, from})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fwd.AddPlaintextHeaders)) {
		add("spec.headerForward.addPlaintextHeaders."+name, name, secret.New(string(fwd.AddPlaintextHeaders[name])), "this manifest")
	}
	for i, h := range fwd.AddHeadersFromSecret {
		field := Index("spec.headerForward.addHeadersFromSecret", i)
		if value, ok := c.headerSecret(field+".valueSecretRef", h.ValueSecretRef); ok {
			add(field+".headerName", string(h.HeaderName), value, "Secret "+string(h.ValueSecretRef.Name))
		}
	}
}
