package plan

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Door is the outer door: how callers come in. The zero Door lets nobody in.
type Door struct {
	// Methods are ways to prove who one is, tried in this order; one is enough.
	Methods []Method
	// Anonymous lets in who shows nothing of any method.
	Anonymous  bool
	QueryToken bool // a WebSocket's token may come in its query
}

// Method is one way to prove who is calling: exactly one of its fields is set.
type Method struct {
	Tokens      *Tokens
	SignIn      *AuthServer // tokens that this server made for the endpoint
	Proxy       *Proxy
	Assertion   *v1alpha1.ProxyAssertion
	Certificate *Certificate
}

// Tokens are those of an issuer elsewhere.
type Tokens struct {
	Issuer       *v1alpha1.OIDCIssuer
	Audiences    []string // a token must have one of them
	Scopes       []string // and all of these
	Advertised   []string // scopes that clients are told to ask for; nil for Scopes
	Clients      []string // that tokens must be issued to; nil for any
	Accounts     *ServiceAccounts
	CABundle     string       // PEM; "" for the system's certificates
	ClientSecret secret.Value // for introspection

	owner *manifest.Object
	field string // of the issuer in owner
}

// Problem is what is wrong with a field of the issuer; "" for all of it.
func (t *Tokens) Problem(field string, cause error) manifest.Problem {
	if field != "" {
		field = "." + field
	}
	return t.owner.Problem(t.field+field, "%v", cause)
}

// At is the place of a field of the issuer.
func (t *Tokens) At(field string) manifest.Problem { return t.owner.Problem(t.field+"."+field, "") }

// ServiceAccounts says which service accounts of a cluster are callers.
type ServiceAccounts struct {
	Namespace, Name string // "" for any
	ClusterAuth     bool   // the API server is asked as the gateway's pod
}

// Certificate takes callers from the TLS client certificates that they show.
type Certificate struct {
	Authorities string   // PEM, that certificates must be of; "" for all that the listener believes
	Names       []string // that certificates must be issued to; none for all
}

// takes reports whether a method is among the door's.
func (d *Door) takes(is func(Method) bool) bool { return slices.ContainsFunc(d.Methods, is) }

// Everybody reports whether nobody is ever asked who they are.
func (d *Door) Everybody() bool { return d.Anonymous && len(d.Methods) == 0 }

// ReadsTokens reports whether the gateway reads the Authorization header.
func (d *Door) ReadsTokens() bool {
	return d.takes(func(m Method) bool { return m.Tokens != nil || m.SignIn != nil })
}

// door plans how callers come in.
//
// Clients authenticate to the gateway unless that is switched off; only then may a
// proxy speak for them (REQ C-1 to C-4, C-10).
func (c one) door(in *v1alpha1.Incoming, e *Endpoint) {
	tp := c.process.TrustedProxy.over(in.TrustedProxy)
	e.Link.Proxies = c.peers(tp.addresses)
	if in.OIDCConfigRef != nil {
		e.Link.Resource = string(in.OIDCConfigRef.ResourceURL)
	}
	for _, ref := range in.OIDCConfigRefs { // it is the endpoint's, whoever makes the tokens
		e.Link.Resource = cmp.Or(e.Link.Resource, string(ref.ResourceURL))
	}
	d := &e.Door
	add := func(m ...Method) { d.Methods = append(d.Methods, m...) }
	switch {
	case !tp.clientAuth && tp.trust:
		d.Anonymous = !tp.reject
		add(c.proxy(&tp, e)...)
	case !tp.clientAuth:
		d.Anonymous = true
		e.note("SECURITY: authentication of clients is switched off, so everybody is anonymous and no identity header is believed")
	case in.AuthServerRef != nil:
		signIn := c.signIn(in.AuthServerRef)
		add(signIn...)
		add(c.certificate(in, e)...)
		if len(signIn) > 0 && in.OIDCConfigRef != nil {
			c.sameIssuer(in, signIn[0].SignIn, e)
		}
	case in.OIDCConfig != nil || in.OIDCConfigRef != nil || in.OIDCConfigRefs != nil:
		add(c.tokens(in)...)
		add(c.certificate(in, e)...)
	case in.ClientCertificate != nil:
		add(c.certificate(in, e)...)
	default:
		d.Anonymous = true
		if c.process.Reach == ThisProcess {
			break
		}
		e.note("serving anonymous clients, since no incoming authentication is configured; " + e.says())
	}
	switch {
	case !tp.clientAuth || !tp.trust:
	case d.Anonymous:
		e.note("the identity header of a proxy is ignored, since clients authenticate to the gateway themselves; switch that off to trust the proxy")
	default:
		// A token that is presented decides, and else the proxy's word, before the
		// certificate that the proxy shows (REQ C-11).
		tp.reject = false
		at := 0
		for at < len(d.Methods) && (d.Methods[at].Tokens != nil || d.Methods[at].SignIn != nil) {
			at++
		}
		d.Methods = slices.Insert(d.Methods, at, c.proxy(&tp, e)...)
	}
	if c.process.Reach == Network && d.Everybody() {
		e.note("SECURITY: whoever reaches this machine over the network may use this server, since nobody is asked who they are; add authServerRef or oidcConfigRef, or listen on 127.0.0.1")
	}
	// Where nobody reads tokens, one in a query could be taken for a header to pass on.
	d.QueryToken = in.WebSocket != nil && in.WebSocket.QueryToken && d.ReadsTokens()
	if d.ReadsTokens() && slices.Contains(e.passthrough(), "Authorization") {
		c.problem("spec.passthroughAuthorization", "the gateway itself reads Authorization here (%s), and a client's token for the gateway is not forwarded; remove one of them", reader(in))
	}
}

// reader is the setting by which the gateway reads tokens.
func reader(in *v1alpha1.Incoming) string {
	switch {
	case in.AuthServerRef == nil:
		return "oidcConfig"
	case in.AuthServerRef.Kind == inPlace:
		return "authServerConfig"
	}
	return "authServerRef"
}

// note tells operators something of the door, beside what else there is to tell.
func (e *Endpoint) note(text string) { e.Notes = append(e.Notes, text) }

// says is what an upstream is shown, for the log.
func (s *Shown) says() string {
	switch {
	case s.Credential != nil && s.Credential.Account != nil:
		return "if the backend asks for authorization it is sent the token of the gateway's own account, whoever calls"
	case s.Credential != nil || len(s.Headers) > 0:
		return "the backend is sent the headers that the manifest sets"
	}
	return "the backend is sent no credential"
}

// signsIn is the authorization server that callers sign in with; nil where they do not.
func (c one) signsIn(in *v1alpha1.Incoming) *AuthServer {
	if in.AuthServerRef == nil {
		return nil
	}
	if a := c.authServerOf(in.AuthServerRef); a != nil {
		return a
	}
	return &AuthServer{broken: true} // signIn says why
}

// signIn takes the tokens that an embedded authorization server made for the endpoint.
func (c one) signIn(ref *v1alpha1.AuthServerRef) []Method {
	const field = "spec.authServerRef.name"
	a, name := c.authServerOf(ref), string(ref.Name)
	if ref.Kind == inPlace {
		c.view.Include(a.view)
		return []Method{{SignIn: a}}
	}
	it, ok := manifest.Lookup[v1alpha1.MCPExternalAuthConfig](c.view, c.Namespace, name)
	if !ok {
		c.missing(field, "MCPExternalAuthConfig", name)
		return nil
	}
	if it.Value.Spec.EmbeddedAuthServer == nil {
		c.problem(field, "MCPExternalAuthConfig %q is not of type embeddedAuthServer; a credential for the backend goes into externalAuthConfigRef", name)
		return nil
	}
	c.view.Include(a.view)
	return []Method{{SignIn: a}}
}

// sameIssuer holds a configuration of tokens beside an authorization server to what that
// one makes: ToolHive has both, and they say the same (REQ B-32).
func (c one) sameIssuer(in *v1alpha1.Incoming, a *AuthServer, e *Endpoint) {
	ref := in.OIDCConfigRef
	t := c.sharedIssuer("spec.oidcConfigRef.name", ref)
	if t == nil || a.Spec == nil {
		return
	}
	addresses := e.Addresses(a, c.process.PublicURL)
	switch {
	case t.Issuer.Issuer != a.Spec.Issuer:
		c.problem("spec.oidcConfigRef.name", "is of the issuer %s, and %s of %s; keep the one that clients sign in with, or name both issuers in oidcConfigRefs", t.Issuer.Issuer, reader(in), a.Spec.Issuer)
	case ref.Audience != "" && !slices.Contains(addresses, strings.TrimSuffix(ref.Audience, "/")):
		c.problem("spec.oidcConfigRef.audience", "is no address of this endpoint, and %s makes tokens for those alone; write %s", reader(in), addresses[0])
	case len(ref.Scopes)+len(ref.AdvertisedScopes)+len(ref.AllowedClients) > 0:
		c.warn("spec.oidcConfigRef", "scopes and clients are the authorization server's to say, beside %s: baselineClientScopes, and policies; remove them here", reader(in))
	}
}

// tokens takes tokens of issuers elsewhere.
func (c one) tokens(in *v1alpha1.Incoming) (methods []Method) {
	if in.OIDCConfigRefs == nil {
		return c.issuedBy(c.issuer(in))
	}
	taken, opaque := map[v1alpha1.IssuerURL]bool{}, false
	for i := range in.OIDCConfigRefs {
		field := Index("spec.oidcConfigRefs", i) + ".name"
		t := c.sharedIssuer(field, &in.OIDCConfigRefs[i])
		if t == nil {
			continue
		}
		switch asks := t.Issuer.IntrospectionURL != "" || t.Issuer.IntrospectionPreset != ""; {
		case taken[t.Issuer.Issuer]:
			c.problem(field, "is of the issuer %s, as another of the list is; keep one of them", t.Issuer.Issuer)
		case asks && opaque:
			c.problem(field, "has opaque tokens, as another of the list has: nothing tells whose one is, and none may be shown to another issuer; keep introspection at one of them")
		default:
			opaque = opaque || asks
		}
		taken[t.Issuer.Issuer] = true
		methods = append(methods, c.issuedBy(t)...)
	}
	return methods
}

func (c one) issuedBy(t *Tokens) []Method {
	if t == nil {
		return nil
	}
	at := c.of(t.owner)
	t.CABundle = at.caBundle(t.field+".caBundleRef.configMapRef", t.Issuer.CABundleRef)
	if (t.Issuer.IntrospectionURL != "" || t.Issuer.IntrospectionPreset != "") && t.Issuer.ClientSecretRef != nil {
		t.ClientSecret, _ = at.secret(t.field+".clientSecretRef", *t.Issuer.ClientSecretRef)
	}
	return []Method{{Tokens: t}}
}

// sharedIssuer is who a shared configuration's tokens are of; nil with a problem, or where
// that has one.
func (c one) sharedIssuer(field string, ref *v1alpha1.OIDCConfigRef) *Tokens {
	cfg, ok := manifest.Lookup[v1alpha1.MCPOIDCConfig](c.view, c.Namespace, string(ref.Name))
	if !ok {
		c.missing(field, "MCPOIDCConfig", string(ref.Name))
		return nil
	}
	t := &Tokens{Issuer: cfg.Value.Spec.Inline, owner: cfg.Object, field: "spec.inline"}
	if k := cfg.Value.Spec.KubernetesServiceAccount; k != nil {
		t = c.of(cfg.Object).ofCluster(k, "spec.kubernetesServiceAccount")
	}
	t.Audiences = nonEmpty(ref.Audience)
	t.demand(&ref.Demands)
	return t
}

// issuer is who the door's tokens are of; nil with a problem.
func (c one) issuer(in *v1alpha1.Incoming) *Tokens {
	if in.OIDCConfigRef != nil {
		return c.sharedIssuer("spec.oidcConfigRef.name", in.OIDCConfigRef)
	}
	if k := in.OIDCConfig.Kubernetes; k != nil {
		t := c.ofCluster(&k.ServiceAccountIssuer, "spec.oidcConfig.kubernetes")
		t.Audiences = []string{k.Audience}
		return t
	}
	i := in.OIDCConfig.Inline
	t := &Tokens{Issuer: &i.OIDCIssuer, Audiences: append(nonEmpty(i.Audience), i.Audiences...), owner: c.Object, field: "spec.oidcConfig.inline"}
	t.demand(&i.Demands)
	return t
}

// demand takes what a manifest demands of tokens besides their audience.
func (t *Tokens) demand(d *v1alpha1.Demands) {
	t.Scopes, t.Advertised, t.Clients = d.Scopes, d.AdvertisedScopes, d.AllowedClients
}

func nonEmpty(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

// ofCluster is a cluster as the issuer of its service accounts' tokens, in the words of
// any issuer.
func (c one) ofCluster(k *v1alpha1.ServiceAccountIssuer, field string) *Tokens {
	a := &ServiceAccounts{Namespace: k.Namespace, Name: string(k.ServiceAccount), ClusterAuth: k.UseClusterAuth == nil || *k.UseClusterAuth}
	if a.Name != "" {
		a.Namespace = cmp.Or(a.Namespace, c.Namespace)
	}
	iss := &v1alpha1.OIDCIssuer{
		Issuer: k.Issuer, JWKSURL: k.JWKSURL, IntrospectionURL: k.IntrospectionURL, CABundleRef: k.CABundleRef,
		JWKSAllowPrivateIP: k.JWKSAllowPrivateIP, ClaimMappings: k.ClaimMappings, ClockSkew: "30s",
	}
	if a.ClusterAuth {
		iss.JWKSURL = cmp.Or(iss.JWKSURL, v1alpha1.IssuerURL(c.process.ClusterKeysURL))
	}
	return &Tokens{Issuer: iss, Accounts: a, owner: c.Object, field: field}
}

const verifyRemedy = "start the gateway with --tls-client-ca"

// certificate takes callers from client certificates, if the manifest asks for it.
func (c one) certificate(in *v1alpha1.Incoming, e *Endpoint) []Method {
	if in.ClientCertificate == nil {
		return nil
	}
	if !c.process.ClientCertificates {
		e.note("nobody can come in by a client certificate, since nothing verifies them; " + verifyRemedy)
	}
	bundle := c.caBundle("spec.clientCertificate.caBundleRef.configMapRef", in.ClientCertificate.CABundleRef)
	return []Method{{Certificate: &Certificate{Authorities: bundle, Names: in.ClientCertificate.Names}}}
}
