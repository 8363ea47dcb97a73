package gateway

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	linked "github.com/sallyport-dev/sallyport/internal/accounts"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/token"
)

const keptKeyTimeout = 10 * time.Second

func digestText(parts ...any) string { return hex.EncodeToString([]byte(digest(parts...))) }

// authServerAt finds the authorization server that a path belongs to. A proxy before
// the gateway may have taken the front of the path off, so a server answers under
// what remains of its path too, if that is no other's. Nothing that it says depends
// on the address it was found at.
func (snap *Snapshot) authServerAt(path string) *embedded {
	if len(snap.authServers) == 0 {
		return nil
	}
	at, _, ok := authserver.Split(path)
	if !ok {
		return nil
	}
	var found *embedded
	for _, a := range snap.authServers {
		if a.path == at {
			return a
		}
		if strings.HasSuffix(a.path, at) && (at == "" || at[0] == '/') {
			if found != nil {
				return nil
			}
			found = a
		}
	}
	return found
}

// serveAuthServer serves an authorization server's paths. Host is checked as for
// endpoints; Origin is the server's own business, since some of its paths are for
// every page and others for its own alone.
func (s *Server) serveAuthServer(w http.ResponseWriter, r *http.Request, a *embedded) {
	if err := s.checkHost(r); err != nil && !strings.EqualFold(r.Host, strings.TrimPrefix(strings.TrimPrefix(a.origin, "https://"), "http://")) {
		writeError(w, err, nil)
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout)) // a form that trickles in must not keep a goroutine
	defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
	a.Handler().ServeHTTP(w, r)
}

// resources are the addresses under which clients know an endpoint, and so what a
// token for it may be for: below the issuer's origin, behind each part of the
// issuer's path and each prefix that is configured.
func (c *compiler) resources(a *embedded, e *Endpoint, name string) []string {
	prefixes := []string{"", e.link.prefix}
	for i := range a.path {
		if a.path[i] == '/' {
			prefixes = append(prefixes, a.path[:i])
		}
	}
	prefixes = append(prefixes, a.path)
	if u, err := url.Parse(c.server.opts.PublicURL); err == nil {
		prefixes = append(prefixes, strings.TrimRight(u.Path, "/"))
	}
	var list []string
	for _, prefix := range prefixes {
		for _, path := range c.paths(name) {
			if at := a.origin + prefix + path; !slices.Contains(list, at) {
				list = append(list, at)
			}
		}
	}
	return list
}

// paths of an endpoint; the short one is there with one endpoint only, so that no
// token for it is good for two.
func (c *compiler) paths(name string) []string {
	if len(manifest.All[v1alpha1.MCPRemoteProxy](c.set))+len(manifest.All[v1alpha1.MCPServer](c.set)) == 1 {
		return []string{"/servers/" + name + "/mcp", "/mcp"}
	}
	return []string{"/servers/" + name + "/mcp"}
}

// resourceFor gives an authorization server the endpoints that clients may get tokens
// for: those that name it, in the configuration of the moment.
func (s *Server) resourceFor(key objectKey) func(string) (string, bool) {
	return func(indicator string) (string, bool) {
		snap := s.take()
		if snap == nil {
			return "", false
		}
		defer snap.release()
		var only []string
		for _, e := range snap.endpoints {
			if e.authServer == nil || e.authServer.key != key {
				continue
			}
			if indicator == "" && only != nil {
				return "", false // one of several; which?
			}
			only = e.resources
			for _, known := range e.resources {
				if sameResource(known, indicator) {
					return known, true
				}
			}
		}
		if indicator != "" || only == nil {
			return "", false
		}
		return only[0], true
	}
}

// sameResource compares an indicator with an address: scheme and host in any case,
// without a slash at the end (MCP authorization, canonical URIs), and on loopback
// under any of its names.
func sameResource(known, indicator string) bool {
	if known == indicator {
		return true
	}
	a, errA := url.Parse(known)
	b, errB := url.Parse(indicator)
	if errA != nil || errB != nil || b.Fragment != "" || b.RawQuery != "" || b.User != nil {
		return false
	}
	return strings.EqualFold(a.Scheme, b.Scheme) && a.Port() == b.Port() &&
		(strings.EqualFold(a.Hostname(), b.Hostname()) || isLoopbackHost(a.Host) && isLoopbackHost(b.Host)) &&
		a.EscapedPath() == strings.TrimSuffix(b.EscapedPath(), "/")
}

// signInDoor takes the tokens that an embedded authorization server made for this
// endpoint. They are verified in the process, by its keys, and it is asked whether
// they were revoked since.
func (c *compiler) signInDoor(o *manifest.Object, in *v1alpha1.Incoming, e *Endpoint) *authn.Resolver {
	closed := authn.NewResolver(true)
	name := string(in.AuthServerRef.Name)
	a, ok := c.authServers[objectKey{o.Namespace, name}]
	switch {
	case !ok:
		if _, found := c.set.Find("MCPExternalAuthConfig", o.Namespace, name); found {
			c.problem(o, "spec.authServerRef.name", "MCPExternalAuthConfig %q is not of type embeddedAuthServer; a credential for the backend goes into externalAuthConfigRef", name)
		} else {
			c.missing(o, "spec.authServerRef.name", "MCPExternalAuthConfig", name)
		}
		return closed
	case a == nil:
		return closed // what is wrong with it has been said
	}
	if slices.Contains(e.outgoing.passthrough, "Authorization") {
		c.problem(o, "spec.passthroughAuthorization", "the gateway itself reads Authorization here (authServerRef), and a client's token for the gateway is not forwarded; remove one of them")
	}
	e.authServer, e.resources = a, c.resources(a, e, o.Name)
	e.protection = &protection{AuthorizationServers: []string{a.Issuer()}, Scopes: a.spec.BaselineClientScopes}
	e.settings = append(e.settings, a.spec)
	verifier, err := token.NewVerifier(a.Keys(), token.Expectations{
		Issuer: a.Issuer(), Audiences: e.resources, Types: []string{"at+jwt"}, Leeway: clockSkew,
	})
	if err != nil {
		c.problem(o, "spec.authServerRef", "%v", err)
		return closed
	}
	return authn.NewResolver(true, append([]authn.Method{authn.NewBearer(authn.BearerConfig{
		JWT: &unrevoked{authn.NewJWT(verifier, authn.Mapping{}), a.Server}, Generation: a.Generation, Seen: e.tokenSeen,
	})}, c.certificates(o, in, e)...)...)
}

// unrevoked checks tokens, and that they are still good.
type unrevoked struct {
	tokens *authn.JWT
	server *authserver.Server
}

// Check implements [authn.Checker].
func (u *unrevoked) Check(ctx context.Context, raw string, now time.Time) (*identity.Caller, error) {
	caller, err := u.tokens.Check(ctx, raw, now)
	if err != nil {
		return nil, err
	}
	revoked, err := u.server.Revoked(caller.Claims)
	switch {
	case err != nil:
		return nil, &token.Unavailable{Cause: err}
	case revoked:
		return nil, &token.Invalid{Reason: "it was revoked"}
	}
	return caller, nil
}

// signsIn is the authorization server that an endpoint's callers sign in with; nil
// without one, or with a problem that the door speaks of.
func (c *compiler) signsIn(o *manifest.Object, in *v1alpha1.Incoming) *embedded {
	if in.AuthServerRef == nil {
		return nil
	}
	return c.authServers[objectKey{o.Namespace, string(in.AuthServerRef.Name)}]
}

// inject shows the backend the first provider's token where nothing else is said
// about its credential (REQ A-2, D-5).
func (c *compiler) inject(o *manifest.Object, ref *v1alpha1.ObjectRef, e *Endpoint) {
	a := e.authServer
	if a == nil || ref != nil || a.spec.DisableUpstreamTokenInjection {
		return
	}
	if _, ok := e.outgoing.static["Authorization"]; ok {
		c.problem(o, "spec.headerForward", "header Authorization is set by spec.authServerRef too, which shows the provider's token; set disableUpstreamTokenInjection: true there, or remove it here")
		return
	}
	e.outgoing.credential = a.tokens(a.names[0])
}

// tokens shows the callers' tokens of one provider.
func (a *embedded) tokens(provider string) *credential.Upstream {
	return &credential.Upstream{
		Accounts: a.Accounts(), Issuer: a.Issuer(), Provider: provider, Connect: a.ConnectURL, Want: a.Want,
		Missing: func(err error) (string, bool) {
			missing, ok := errors.AsType[*linked.NotLinked](err)
			if !ok {
				return "", false
			}
			return missing.Provider, true
		},
	}
}

// upstreamInject compiles the choice of another provider.
func (c *compiler) upstreamInject(o *manifest.Object, spec *v1alpha1.UpstreamInject) credentialMaker {
	return func(user backendUser) credential.Source {
		a := user.authServer
		if a == nil {
			c.problem(user.Object, "spec.externalAuthConfigRef", "MCPExternalAuthConfig %q shows the token of a provider that people sign in at, and nobody signs in here; add authServerRef", o.Name)
			return nil
		}
		if !slices.Contains(a.names, spec.ProviderName) {
			c.problem(o, "spec.upstreamInject.providerName", "the authorization server %s has no provider %q; it has %s", a.key.name, spec.ProviderName, strings.Join(a.names, ", "))
			return nil
		}
		return a.tokens(spec.ProviderName)
	}
}
