package v1alpha1

import "time"

// AuthServerRef names the embedded authorization server that clients of an endpoint
// sign in with.
type AuthServerRef struct {
	// Kind is MCPExternalAuthConfig.
	// +kubebuilder:validation:Enum=MCPExternalAuthConfig
	// +kubebuilder:default=MCPExternalAuthConfig
	// +optional
	Kind string `json:"kind,omitempty"`
	// Name of the MCPExternalAuthConfig, of type embeddedAuthServer.
	Name ObjectName `json:"name"`
}

// EmbeddedAuthServer is an OAuth 2.1 authorization server inside the gateway. MCP
// clients find it through the endpoints that name it in authServerRef, register or
// publish themselves, and get tokens for these endpoints once a person has signed in
// at the upstream providers.
//
// +kubebuilder:validation:XValidation:rule=`self.issuer.startsWith('https://') || self.issuer.matches('^http://(localhost|127\\.[0-9.]+|\\[::1\\])(:[0-9]+)?(/.*)?$') || has(self.insecureAllowHTTP) && self.insecureAllowHTTP`,fieldPath=".issuer",message="must be https, or http on loopback; insecureAllowHTTP: true admits http everywhere"
// +kubebuilder:validation:XValidation:rule=`!self.issuer.endsWith('/')`,fieldPath=".issuer",message="must not end with a slash; clients compare it letter by letter"
// +kubebuilder:validation:XValidation:rule=`!has(self.primaryUpstreamProvider) || self.upstreamProviders.exists(p, has(p.name) && p.name == self.primaryUpstreamProvider) || self.upstreamProviders.size() == 1 && self.primaryUpstreamProvider == 'default'`,fieldPath=".primaryUpstreamProvider",message="must be the name of one of upstreamProviders"
// +kubebuilder:validation:XValidation:rule=`!(has(self.allowConfidentialClientRegistration) && self.allowConfidentialClientRegistration) || !(has(self.insecureAllowHTTP) && self.insecureAllowHTTP)`,fieldPath=".allowConfidentialClientRegistration",message="cannot be set with insecureAllowHTTP: client secrets would travel in the clear; remove one of them"
// +kubebuilder:validation:XValidation:rule=`!has(self.delegateClients) || self.issuer.startsWith('https://') || self.issuer.matches('^http://(localhost|127\\.[0-9.]+|\\[::1\\])(:[0-9]+)?(/.*)?$')`,fieldPath=".delegateClients",message="need an issuer that is https, or http on loopback: their secrets must not travel in the clear"
// +kubebuilder:validation:XValidation:rule=`!has(self.storage) || !has(self.storage.redis) || has(self.hmacSecretRefs) && has(self.signingKeySecretRefs)`,fieldPath=".storage.redis",message="needs signingKeySecretRefs and hmacSecretRefs: every replica must have the same keys, and Redis must not have them"
type EmbeddedAuthServer struct {
	// Issuer names the server, and is where it is: the gateway's own address, or a path
	// below it, without a slash at its end.
	Issuer IssuerURL `json:"issuer"`
	// UpstreamProviders are the identity providers that people are sent to, in this
	// order.
	UpstreamProviders UpstreamProviders `json:"upstreamProviders"`
	// PrimaryUpstreamProvider is the provider that says who a person is; by default the
	// first one. It is visited before the others.
	// +kubebuilder:validation:MaxLength=63
	// +optional
	PrimaryUpstreamProvider string `json:"primaryUpstreamProvider,omitempty"`
	// SigningKeySecretRefs name private keys in PEM (RSA, P-256, P-384, P-521, Ed25519).
	// The first signs tokens, all are published: to change keys put the new one first,
	// and take the old one off when its last token has expired. Without any a key is
	// made, and kept where sign-ins are.
	// +kubebuilder:validation:MaxItems=5
	// +listType=atomic
	// +optional
	SigningKeySecretRefs []SecretKeyRef `json:"signingKeySecretRefs,omitempty"`
	// HMACSecretRefs name secrets of 32 bytes or more. The first seals refresh tokens
	// and what is kept of sign-ins, all open. Without any one is made, and kept where
	// sign-ins are.
	// +kubebuilder:validation:MaxItems=5
	// +listType=atomic
	// +optional
	HMACSecretRefs []SecretKeyRef `json:"hmacSecretRefs,omitempty"`
	// Branding says whose pages people see.
	// +optional
	Branding *Branding `json:"branding,omitempty"`
	// TokenLifespans say how long tokens are good for.
	// +optional
	TokenLifespans *TokenLifespans `json:"tokenLifespans,omitempty"`
	// RefreshOverlap is how long after it was replaced a refresh token still gives its
	// client the same successor, so that processes that share it stay signed in; at most
	// 5m, 0s for not at all.
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('5m')",message="must be at most 5m: who stole a refresh token has that much time"
	// +kubebuilder:default="30s"
	// +optional
	RefreshOverlap Lifespan `json:"refreshOverlap,omitempty"`
	// CIMD admits clients that publish a document about themselves and use its address
	// as their id.
	// +optional
	CIMD *ClientDocuments `json:"cimd,omitempty"`
	// StaticClients are clients that need not register.
	// +kubebuilder:validation:MaxItems=64
	// +listType=map
	// +listMapKey=clientId
	// +optional
	StaticClients []StaticClient `json:"staticClients,omitempty"`
	// DisableClientRegistration lets no client register itself (RFC 7591).
	// +kubebuilder:default=false
	// +optional
	DisableClientRegistration bool `json:"disableClientRegistration,omitempty"`
	// Registration bounds what clients may register themselves.
	// +optional
	Registration *ClientRegistration `json:"registration,omitempty"`
	// AllowConfidentialClientRegistration issues secrets to clients that register and
	// ask for one, and otherwise makes them public clients. By default it is on, but not
	// with insecureAllowHTTP.
	// +optional
	AllowConfidentialClientRegistration *bool `json:"allowConfidentialClientRegistration,omitempty"`
	// BaselineClientScopes are scopes that every client may ask for.
	// +optional
	BaselineClientScopes Scopes `json:"baselineClientScopes,omitempty"`
	// DisableUpstreamTokenInjection shows backends no token of an upstream provider
	// where an endpoint has authServerRef alone. Without it they are shown the first
	// provider's.
	// +kubebuilder:default=false
	// +optional
	DisableUpstreamTokenInjection bool `json:"disableUpstreamTokenInjection,omitempty"`
	// Storage says where sign-ins are kept, if not where the process keeps them.
	// +optional
	Storage *AuthServerStorage `json:"storage,omitempty"`
	// InsecureAllowHTTP admits an http issuer that is not on loopback: whoever is on the
	// way can then read tokens.
	// +kubebuilder:default=false
	// +optional
	InsecureAllowHTTP bool `json:"insecureAllowHTTP,omitempty"`

	// DelegateClients are services that may exchange tokens (RFC 8693).
	// +optional
	DelegateClients DelegateClients `json:"delegateClients,omitempty"`
	// TrustedIssuers are other issuers whose tokens and assertions are taken at the
	// token endpoint.
	// +optional
	TrustedIssuers TrustedIssuers `json:"trustedIssuers,omitempty"`

	// Not built yet. Each of these is refused by name.

	// AuthorizationEndpointBaseURL advertises the authorization endpoint at another
	// address.
	// +kubebuilder:validation:XValidation:rule="false",message="authorizationEndpointBaseUrl is not supported: a sign-in that begins at one host and ends at another cannot be bound to the browser; remove it, and make issuer the address that browsers use"
	// +optional
	AuthorizationEndpointBaseURL string `json:"authorizationEndpointBaseUrl,omitempty"`
	// ForceConfidentialRedirectURIs are redirect URIs that only clients with a secret
	// may register.
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="false",message="forceConfidentialRedirectUris is not supported yet; remove it"
	// +optional
	ForceConfidentialRedirectURIs []string `json:"forceConfidentialRedirectUris,omitempty"`
	// InsecureAllowConfidentialOverLoopbackHTTP is what allowConfidentialClientRegistration
	// does on loopback anyway.
	// +kubebuilder:default=false
	// +kubebuilder:validation:XValidation:rule="!self",message="insecureAllowConfidentialOverLoopbackHTTP is not needed: allowConfidentialClientRegistration works on loopback too; remove it"
	// +optional
	InsecureAllowConfidentialOverLoopbackHTTP bool `json:"insecureAllowConfidentialOverLoopbackHTTP,omitempty"`
}

// ConfidentialRegistration reports whether clients that register can have secrets.
func (s *EmbeddedAuthServer) ConfidentialRegistration() bool {
	if s.AllowConfidentialClientRegistration != nil {
		return *s.AllowConfidentialClientRegistration
	}
	return !s.InsecureAllowHTTP
}

// TokenLifespans say how long what an authorization server issues is good for.
type TokenLifespans struct {
	// AccessTokenLifespan is between a minute and a day. A token that was stolen is good
	// until then.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1m') && duration(self) <= duration('24h')",message="must be between 1m and 24h"
	// +kubebuilder:default="15m"
	// +optional
	AccessTokenLifespan Lifespan `json:"accessTokenLifespan,omitempty"`
	// RefreshTokenLifespan is between an hour and 30 days, since the token was last used.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1h') && duration(self) <= duration('720h')",message="must be between 1h and 720h (30 days)"
	// +kubebuilder:default="168h"
	// +optional
	RefreshTokenLifespan Lifespan `json:"refreshTokenLifespan,omitempty"`
	// AuthCodeLifespan is between 30 seconds and 10 minutes.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('30s') && duration(self) <= duration('10m')",message="must be between 30s and 10m"
	// +kubebuilder:default="5m"
	// +optional
	AuthCodeLifespan Lifespan `json:"authCodeLifespan,omitempty"`
}

// Lifespan is how long something is good for, like 15m or 72h.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$`
type Lifespan string

// Duration is the lifespan as a length of time; zero for what is not said.
func (l Lifespan) Duration() time.Duration {
	d, _ := time.ParseDuration(string(l)) // the schema has checked it
	return d
}

// Lifespans are the three as lengths of time; zero for what is not said.
func (t *TokenLifespans) Lifespans() (access, refresh, code time.Duration) {
	if t == nil {
		return 0, 0, 0
	}
	return t.AccessTokenLifespan.Duration(), t.RefreshTokenLifespan.Duration(), t.AuthCodeLifespan.Duration()
}

// Branding says whose pages people see when they sign in.
type Branding struct {
	// Name of the organisation or service; by default the issuer's host.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Name string `json:"name,omitempty"`
	// LogoURL is the https address of an image, which browsers fetch without saying
	// where they are.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule=`isURL(self) && self.startsWith('https://')`,message="must be an https address, like https://example.com/logo.svg"
	// +optional
	LogoURL string `json:"logoUrl,omitempty"`
	// SupportURL is where people get help: an https or mailto address.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule=`self.matches('^(https://[^\\s/]+|mailto:[^\\s@]+@[^\\s@]+)')`,message="must be an https or mailto address, like mailto:help@example.com"
	// +optional
	SupportURL string `json:"supportUrl,omitempty"`
}

// ClientRegistration bounds what clients may register themselves.
type ClientRegistration struct {
	// Limit is how many different clients may be registered from one address in an hour.
	// The same client again does not count. By default there is no limit: a client's id
	// carries what was registered, and nothing is stored.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	// +optional
	Limit int32 `json:"limit,omitempty"`
	// RedirectHosts are the hosts that answers may go to: a name for itself,
	// *.example.com for all names below example.com. The person's own machine is always
	// good. By default every host is.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	// +optional
	RedirectHosts []ClientDomain `json:"redirectHosts,omitempty"`
}

// StaticClient is a client of the authorization server that was registered by hand.
type StaticClient struct {
	// ClientID is what the client calls itself.
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[\x21-\x7E]+$`
	// +kubebuilder:validation:XValidation:rule="!self.contains('://')",message="must not be an address: those are documents about clients (cimd)"
	ClientID string `json:"clientId"`
	// ClientName is what people are told when they are asked.
	// +kubebuilder:validation:MaxLength=128
	// +optional
	ClientName string `json:"clientName,omitempty"`
	// ClientSecretRef names the client's secret. Without it the client is public.
	// +optional
	ClientSecretRef *SecretKeyRef `json:"clientSecretRef,omitempty"`
	// RedirectURIs are where answers may go. On a loopback address every port is good.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MaxLength=2048
	// +kubebuilder:validation:items:Pattern=`^[a-z][a-z0-9+.-]*:/[^\s#]*$`
	// +listType=set
	RedirectURIs []string `json:"redirectUris"`
	// Scopes are those that it may ask for; by default all.
	// +optional
	Scopes Scopes `json:"scopes,omitempty"`
}
