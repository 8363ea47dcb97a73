package gateway

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// tokenExchange compiles RFC 8693; nil with a problem.
func (c *compiler) tokenExchange(o *manifest.Object, spec *v1alpha1.TokenExchange) credentialMaker {
	const field = "spec.tokenExchange"
	at := string(spec.TokenURL)
	password, ok := c.clientSecret(o, field+".clientSecretRef", spec.ClientSecretRef)
	if !ok || !c.judgeAddress(o, field+".tokenUrl", at, spec.AllowPrivateIPs) {
		return nil
	}
	return func(user backendUser) credential.Source {
		subject, ok := c.subject(o, field+".subjectProviderName", string(spec.SubjectProviderName), user)
		if !ok {
			return nil
		}
		subject.IDToken = strings.HasSuffix(spec.SubjectTokenType, "id_token")
		return c.keepSource(c.sourceKey(user, spec, password.Reveal()), func() credential.Source {
			return credential.TokenExchange{
				Subject:  subject,
				Outcome:  c.outcome(user, string(spec.ExternalTokenHeaderName)),
				Endpoint: oauth.Endpoint{URL: at, Auth: oauth.ClientAuth{ID: spec.ClientID, Secret: password}, Client: tokenClient(at, spec.AllowPrivateIPs)},
				Audience: spec.Audience, Scopes: spec.Scopes, SubjectType: spec.SubjectTokenType,
			}.Source()
		})
	}
}

// entra is where tenants of the public cloud have their endpoints.
const entra = "https://login.microsoftonline.com"

// onBehalfOf compiles Entra's on-behalf-of flow; nil with a problem.
func (c *compiler) onBehalfOf(o *manifest.Object, spec *v1alpha1.OBO) credentialMaker {
	const field = "spec.obo"
	at := strings.TrimRight(cmp.Or(string(spec.Authority), entra), "/") + "/" + spec.TenantID + "/oauth2/v2.0/token"
	password, ok := c.clientSecret(o, field+".clientSecretRef", &spec.ClientSecretRef)
	if !ok || !c.judgeAddress(o, field+".authority", at, spec.AllowPrivateIPs) {
		return nil
	}
	scopes := []string(spec.Scopes)
	if len(scopes) == 0 {
		scopes = []string{strings.TrimRight(spec.Audience, "/") + "/.default"}
	}
	return func(user backendUser) credential.Source {
		subject, ok := c.subject(o, field+".subjectTokenProviderName", string(spec.SubjectTokenProviderName), user)
		if !ok {
			return nil
		}
		return c.keepSource(c.sourceKey(user, spec, password.Reveal()), func() credential.Source {
			return credential.OnBehalfOf{
				Subject: subject,
				Outcome: c.outcome(user, ""),
				Endpoint: oauth.Endpoint{
					URL: at, Auth: oauth.ClientAuth{ID: spec.ClientID, Secret: password, Method: oauth.AuthPost}, Client: tokenClient(at, spec.AllowPrivateIPs),
				},
				Scopes: scopes, Skew: spec.CacheSkew.Duration(),
			}.Source()
		})
	}
}

// crossApp compiles enterprise-managed authorization; nil with a problem.
func (c *compiler) crossApp(o *manifest.Object, spec *v1alpha1.XAA) credentialMaker {
	const field = "spec.xaa"
	idp, target := string(spec.IDPTokenURL), cmp.Or(string(spec.TargetTokenURL), spec.TargetAudience)
	idpPassword, ok := c.clientSecret(o, field+".idpClientSecretRef", spec.IDPClientSecretRef)
	targetPassword, ok2 := c.clientSecret(o, field+".targetClientSecretRef", spec.TargetClientSecretRef)
	named := field + ".targetTokenUrl"
	if spec.TargetTokenURL == "" {
		named = field + ".targetAudience"
	}
	ok = ok && ok2 && c.judgeAddress(o, field+".idpTokenUrl", idp, spec.AllowPrivateIPs)
	if !ok || !c.judgeAddress(o, named, target, spec.AllowPrivateIPs) {
		return nil
	}
	targetClient := tokenClient(target, spec.AllowPrivateIPs)
	if spec.InsecureTargetTokenURL {
		targetClient = guardedClient(netguard.Policy{AllowPrivate: spec.AllowPrivateIPs, Setting: privateSetting}, nil)
	}
	return func(user backendUser) credential.Source {
		subject, ok := c.subject(o, field+".subjectProviderName", string(spec.SubjectProviderName), user)
		if !ok {
			return nil
		}
		subject.IDToken = strings.HasSuffix(spec.SubjectTokenType, "id_token")
		return c.keepSource(c.sourceKey(user, spec, idpPassword.Reveal(), targetPassword.Reveal()), func() credential.Source {
			return credential.CrossApp{
				Subject: subject,
				Outcome: c.outcome(user, ""),
				IDP:     oauth.Endpoint{URL: idp, Auth: oauth.ClientAuth{ID: spec.IDPClientID, Secret: idpPassword}, Client: tokenClient(idp, spec.AllowPrivateIPs)},
				Target: oauth.Endpoint{
					URL: string(spec.TargetTokenURL), Auth: oauth.ClientAuth{ID: spec.TargetClientID, Secret: targetPassword}, Client: targetClient,
				},
				Issuer: spec.TargetAudience, Resource: cmp.Or(spec.TargetResource, user.remoteURL), Scopes: spec.Scopes, SubjectType: spec.SubjectTokenType,
			}.Source()
		})
	}
}

// subject says whose token an endpoint's credential is made of: the caller's own, or
// that of an upstream provider where callers sign in with an embedded authorization
// server, whose own tokens mean nothing to others. ok is false with a problem.
func (c *compiler) subject(o *manifest.Object, field, provider string, user backendUser) (s credential.Subject, ok bool) {
	a := user.authServer
	switch {
	case provider == "" && a == nil:
		return credential.Subject{}, true
	case a == nil:
		c.problem(user.Object, "spec.externalAuthConfigRef", "MCPExternalAuthConfig %q takes the token of a provider that people sign in at, and nobody signs in here; add authServerRef", o.Name)
		return credential.Subject{}, false
	case provider == "":
		provider = a.names[0]
	case !slices.Contains(a.names, provider):
		c.problem(o, field, "the authorization server %s has no provider %q; it has %s", a.key.name, provider, strings.Join(a.names, ", "))
		return credential.Subject{}, false
	}
	return credential.Subject{Upstream: a.tokens(provider)}, true
}

// sourceKey tells one endpoint's sources apart. One that takes the tokens of an
// authorization server is good for that very server.
func (c *compiler) sourceKey(user backendUser, settings ...any) string {
	var server string
	if user.authServer != nil {
		server = fmt.Sprintf("%p", user.authServer.Server)
	}
	return digest(append([]any{"source", user.Namespace, user.Kind, user.Name, server}, settings...)...)
}

// outcome counts what becomes of an endpoint's exchanges.
func (c *compiler) outcome(user backendUser, header string) credential.Outcome {
	return credential.Outcome{Header: header, Seen: c.server.opts.Metrics.Server(user.Name).TokenExchanged}
}

// judgeAddress refuses what is no URL, and warns of an address that no request will
// reach. A name is looked at when it is dialled.
func (c *compiler) judgeAddress(o *manifest.Object, field, address string, allowPrivate bool) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		c.problem(o, field, "is not a URL; write it like https://idp.example.com/oauth2/token")
		return false
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if refused := tokenPolicy(address, allowPrivate).Check(ip); refused != nil {
			c.warnings = append(c.warnings, o.Problem(field, "%v, so every call will fail", refused))
		}
	}
	return true
}

// tokenClient is the HTTP client for a token endpoint. It follows no redirect: what
// is sent there is good for nobody else (REQ A-5).
func tokenClient(address string, allowPrivate bool) *http.Client {
	return guardedClient(tokenPolicy(address, allowPrivate), nil)
}

func tokenPolicy(address string, allowPrivate bool) netguard.Policy {
	return netguard.Policy{AllowPrivate: allowPrivate, PlainOnlyPrivate: strings.HasPrefix(address, "http:"), Setting: privateSetting}
}

// privateSetting is what manifests call the admission of private addresses here.
const privateSetting = "allowPrivateIPs"
