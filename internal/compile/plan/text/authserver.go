package text

import (
	"cmp"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
)

func (p *page) authServer(a *plan.AuthServer) {
	s := a.Spec
	p.title(&a.Resource, "an authorization server")
	p.row("issuer", "%s", s.Issuer)
	for i := range a.Providers {
		p.provider(&a.Providers[i], s.PrimaryUpstreamProvider)
	}
	p.clients(s)
	for i := range s.TrustedIssuers {
		p.row("clients", "tokens and assertions of %s are taken", s.TrustedIssuers[i].IssuerURL)
	}
	access, refresh, code := s.TokenLifespans.Lifespans()
	if s.TokenLifespans != nil {
		p.row("tokens", "access %s, refresh %s, code %s", access, refresh, code)
	}
	p.row("keys", "%s sign, %s seal", keys(len(a.SigningKeys)), keys(len(a.SealingKeys)))
	switch {
	case a.Storage == nil:
		p.row("kept in", "the store of the process")
	case a.Storage.Redis == nil:
		p.row("kept in", "memory: it ends with the process")
	case a.Storage.Redis.Spec.SentinelConfig != nil:
		p.row("kept in", "Redis, the server %s of its Sentinels", a.Storage.Redis.Spec.SentinelConfig.MasterName)
	default:
		p.row("kept in", "Redis at %s", a.Storage.Redis.Spec.Addr)
	}
	if s.DisableUpstreamTokenInjection {
		p.row("backends", "are shown no provider's token")
	}
	p.rests(&a.Resource)
}

func (p *page) provider(x *plan.Provider, primary string) {
	var at, id string
	switch {
	case x.Spec.OIDCConfig != nil:
		at, id = string(x.Spec.OIDCConfig.IssuerURL), x.Spec.OIDCConfig.ClientID
	case x.Spec.OAuth2Config != nil:
		at, id = string(x.Spec.OAuth2Config.AuthorizationEndpoint), x.Spec.OAuth2Config.ClientID
	}
	text := x.Name + with(", %s", at) + with(" (%s)", x.Spec.Preset) + with(", as client %s", cmp.Or(id, "that registers itself")) + with(" with a secret from %s", x.SecretFrom)
	if x.Spec.Login == "onDemand" {
		text += ", when a call needs its token"
	}
	if x.Name == primary {
		text += "; it says who people are"
	}
	p.row("people", "sign in at %s", text)
}

func (p *page) clients(s *v1alpha1.EmbeddedAuthServer) {
	if !s.DisableClientRegistration {
		with := "without secrets"
		if s.ConfidentialRegistration() {
			with = "with or without secrets"
		}
		p.row("clients", "register themselves, %s", with)
	}
	if s.CIMD != nil && s.CIMD.Enabled {
		hosts := "any host"
		if len(s.CIMD.AllowedDomains) > 0 {
			hosts = strings.Join(texts(s.CIMD.AllowedDomains), ", ")
		}
		p.row("clients", "publish themselves, on %s", hosts)
	}
	for _, c := range s.StaticClients {
		p.row("clients", "%s, by this manifest", c.ClientID)
	}
	for _, c := range s.DelegateClients {
		p.row("clients", "%s, for other people, with scopes %s at %s", c.ClientID, strings.Join(c.Scopes, " "), strings.Join(texts(c.Audiences), ", "))
	}
	if len(s.BaselineClientScopes) > 0 {
		p.row("clients", "may ask for the scopes %s", strings.Join(s.BaselineClientScopes, " "))
	}
}

func keys(n int) string {
	switch n {
	case 0:
		return "one that is made and kept"
	case 1:
		return "one from a Secret"
	}
	return "the first of several from Secrets"
}
