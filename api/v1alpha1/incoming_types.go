package v1alpha1

import "time"

// Incoming is the outer door: how a client of an endpoint proves who it is.
//
// +kubebuilder:validation:XValidation:rule="!has(self.oidcConfig) || !has(self.oidcConfigRef)",fieldPath=".oidcConfigRef",message="cannot be set beside oidcConfig; keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.oidcConfigRefs) || !has(self.oidcConfig) && !has(self.oidcConfigRef)",fieldPath=".oidcConfigRefs",message="cannot be set beside oidcConfig or oidcConfigRef; put all issuers into the list"
// +kubebuilder:validation:XValidation:rule="!has(self.authServerRef) || !has(self.oidcConfig) && !has(self.oidcConfigRefs)",fieldPath=".authServerRef",message="cannot be set beside oidcConfig or oidcConfigRefs; keep one of them"
type Incoming struct {
	// OIDCConfig checks the tokens that clients show, with settings in place. It is
	// always about the incoming token, also where another one is shown to the
	// server behind the endpoint.
	// +optional
	OIDCConfig *OIDCConfig `json:"oidcConfig,omitempty"`
	// OIDCConfigRef names the MCPOIDCConfig that checks the tokens that clients
	// show. It is always about the incoming token.
	// +optional
	OIDCConfigRef *OIDCConfigRef `json:"oidcConfigRef,omitempty"`
	// OIDCConfigRefs name several MCPOIDCConfigs whose tokens are taken, each by its own
	// rules: a token is for the one that its iss names. One of them at most may have
	// opaque tokens, as those are shown to their issuer.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=name
	// +optional
	OIDCConfigRefs []OIDCConfigRef `json:"oidcConfigRefs,omitempty"`
	// ClientCertificate lets callers in who show a TLS client certificate. Where
	// tokens are checked too, either is enough.
	// +optional
	ClientCertificate *ClientCertificate `json:"clientCertificate,omitempty"`
	// AuthServerRef names the embedded authorization server that clients sign in with.
	// Tokens that it made for this endpoint are taken, and no others. An oidcConfigRef
	// beside it must be of the same issuer, and name the endpoint's address.
	// +optional
	AuthServerRef *AuthServerRef `json:"authServerRef,omitempty"`
	// TrustedProxy believes an authenticating proxy before the gateway about who
	// the caller is.
	// +optional
	TrustedProxy *TrustedProxy `json:"trustedProxy,omitempty"`
	// WebSocket says what is special about clients that connect by WebSocket.
	// +optional
	WebSocket *WebSocket `json:"webSocket,omitempty"`
}

// WebSocket is what holds for the WebSocket path of an endpoint alone.
type WebSocket struct {
	// QueryToken takes the token from the query parameter access_token too, for
	// clients that cannot set a header, such as browsers. Proxies and browsers keep
	// addresses in logs and histories, so such tokens should live for minutes only.
	// +kubebuilder:default=false
	// +optional
	QueryToken bool `json:"queryToken,omitempty"`
}

// OIDCConfig is a token check in place.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'inline') == has(self.inline)",fieldPath=".inline",message="must be set when type is inline, and only then"
// +kubebuilder:validation:XValidation:rule="(self.type == 'kubernetes') == has(self.kubernetes)",fieldPath=".kubernetes",message="must be set when type is kubernetes, and only then"
type OIDCConfig struct {
	// Type says what kind of issuer this is: inline, or kubernetes for tokens of the
	// cluster's service accounts.
	// +kubebuilder:validation:Enum=inline;kubernetes
	// +kubebuilder:default=inline
	// +optional
	Type string `json:"type,omitempty"`
	// Inline are the settings.
	// +optional
	Inline *OIDCInline `json:"inline,omitempty"`
	// Kubernetes are the settings for tokens of service accounts.
	// +optional
	Kubernetes *OIDCKubernetes `json:"kubernetes,omitempty"`
}

// OIDCInline is an issuer together with what its tokens must say here.
//
// +kubebuilder:validation:XValidation:rule="has(self.audience) || has(self.audiences) || has(self.allowedClients)",fieldPath=".audience",message="must be set: without an audience a token for any other service would do; use the endpoint's URL, or allowedClients where the issuer's tokens have no aud"
type OIDCInline struct {
	OIDCIssuer `json:",inline"`
	// Audience that a token must have: the endpoint's URL, or what the issuer puts
	// into aud for it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Audience string `json:"audience,omitempty"`
	// Audiences are further audiences; a token must have one of all.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	// +listType=atomic
	// +optional
	Audiences []string `json:"audiences,omitempty"`

	Demands `json:",inline"`
}

// Demands are what a token must say besides its audience, and what clients are told to
// ask for.
type Demands struct {
	// Scopes that a token must have, all of them, except those that are about identity
	// and in no access token: openid, profile, email, address, phone, offline_access.
	// +optional
	Scopes Scopes `json:"scopes,omitempty"`
	// AdvertisedScopes are what clients are told to ask for, where it is not the Scopes:
	// Entra ID wants api://ID/access asked for, and shows access.
	// +optional
	AdvertisedScopes Scopes `json:"advertisedScopes,omitempty"`
	// AllowedClients are the OAuth clients that tokens may be issued to, by client_id or
	// azp. With it a token without aud will do, as those of Amazon Cognito are; one with
	// an audience still needs the right one.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	// +listType=set
	// +optional
	AllowedClients []string `json:"allowedClients,omitempty"`
}

// Scopes are OAuth scopes (RFC 6749 section 3.3).
//
// +kubebuilder:validation:MaxItems=32
// +kubebuilder:validation:items:MaxLength=256
// +kubebuilder:validation:items:Pattern=`^[\x21\x23-\x5B\x5D-\x7E]+$`
// +listType=atomic
type Scopes []string

// OIDCConfigRef names a shared issuer and says what its tokens must say here.
//
// +kubebuilder:validation:XValidation:rule="has(self.audience) || has(self.allowedClients)",fieldPath=".audience",message="must be set: without an audience a token for any other service would do; use the endpoint's URL, or allowedClients where the issuer's tokens have no aud"
type OIDCConfigRef struct {
	// Name of the MCPOIDCConfig.
	Name ObjectName `json:"name"`
	// Audience that a token must have: the endpoint's URL, or what the issuer puts
	// into aud for it. Endpoints should not share one, or a token for one of them
	// is good for all.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Audience string `json:"audience,omitempty"`
	// ResourceURL is the public URL of this one endpoint, as clients are told it. By
	// default it is what they used, or --public-url with the endpoint's path.
	// +kubebuilder:validation:XValidation:rule=`self.matches('^(https://|http://(localhost|127\\.[0-9.]+|\\[::1\\])(:|/|$))')`,message="must be https, or http on loopback"
	// +optional
	ResourceURL IssuerURL `json:"resourceUrl,omitempty"`

	Demands `json:",inline"`
}

// OIDCIssuer is who signs, or vouches for, the tokens that clients show.
//
// +kubebuilder:validation:XValidation:rule="self.issuer.startsWith('https://') || (has(self.insecureAllowHTTP) && self.insecureAllowHTTP) || (has(self.jwksAllowPrivateIP) && self.jwksAllowPrivateIP && self.issuer.matches('^http://(localhost|127\\\\.[0-9.]+|\\\\[::1\\\\])(:[0-9]+)?(/.*)?$'))",fieldPath=".issuer",message="must be https; insecureAllowHTTP: true admits http, and jwksAllowPrivateIP: true admits it on loopback"
// +kubebuilder:validation:XValidation:rule="!has(self.jwksUrl) || self.jwksUrl.startsWith('https://') || (has(self.insecureAllowHTTP) && self.insecureAllowHTTP) || (has(self.jwksAllowPrivateIP) && self.jwksAllowPrivateIP && self.jwksUrl.matches('^http://(localhost|127\\\\.[0-9.]+|\\\\[::1\\\\])(:[0-9]+)?(/.*)?$'))",fieldPath=".jwksUrl",message="must be https; insecureAllowHTTP: true admits http, and jwksAllowPrivateIP: true admits it on loopback"
// +kubebuilder:validation:XValidation:rule="!has(self.introspectionUrl) || self.introspectionUrl.startsWith('https://') || (has(self.insecureAllowHTTP) && self.insecureAllowHTTP) || (has(self.jwksAllowPrivateIP) && self.jwksAllowPrivateIP && self.introspectionUrl.matches('^http://(localhost|127\\\\.[0-9.]+|\\\\[::1\\\\])(:[0-9]+)?(/.*)?$'))",fieldPath=".introspectionUrl",message="must be https; insecureAllowHTTP: true admits http, and jwksAllowPrivateIP: true admits it on loopback"
// +kubebuilder:validation:XValidation:rule="!has(self.clientSecretRef) || has(self.clientId)",fieldPath=".clientId",message="must be set with clientSecretRef"
// +kubebuilder:validation:XValidation:rule="!has(self.introspectionPreset) || self.introspectionPreset != 'github' || has(self.clientId) && has(self.clientSecretRef)",fieldPath=".introspectionPreset",message="github wants clientId and clientSecretRef of the OAuth application whose tokens these are"
type OIDCIssuer struct {
	// Issuer is the issuer's identifier, exactly as its tokens have it in iss.
	Issuer IssuerURL `json:"issuer"`
	// JWKSURL is where the issuer's keys are. Without it they are found by
	// discovery from the issuer.
	// +optional
	JWKSURL IssuerURL `json:"jwksUrl,omitempty"`
	// IntrospectionURL is where opaque tokens are checked (RFC 7662). Without it
	// every token must be a JWT.
	// +optional
	IntrospectionURL IssuerURL `json:"introspectionUrl,omitempty"`
	// IntrospectionPreset checks opaque tokens where an issuer has an endpoint of its
	// own for that: google (its tokeninfo), or github (its API for an application's
	// tokens, which wants clientId and clientSecretRef of that application). All tokens
	// of such an issuer are opaque. IntrospectionURL is then where the endpoint is, if not
	// at the usual place.
	// +kubebuilder:validation:Enum=google;github
	// +optional
	IntrospectionPreset string `json:"introspectionPreset,omitempty"`
	// ClientID is the gateway's client id at the introspection endpoint.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	ClientID string `json:"clientId,omitempty"`
	// ClientSecretRef names the client's secret.
	// +optional
	ClientSecretRef *SecretKeyRef `json:"clientSecretRef,omitempty"`
	// CABundleRef replaces the system's certificates for connections to the issuer.
	// +optional
	CABundleRef *CABundleRef `json:"caBundleRef,omitempty"`
	// JWKSCertFingerprint pins the key set's endpoint: the SHA-256 of the public
	// key of its certificate, or of one that issued it, in hex. Another key fails
	// closed.
	// +kubebuilder:validation:Pattern=`^([Ss][Hh][Aa]256:)?([0-9A-Fa-f]{2}:?){32}$`
	// +kubebuilder:validation:MaxLength=110
	// +optional
	JWKSCertFingerprint string `json:"jwksCertFingerprint,omitempty"`
	// AllowedAlgorithms are the signature algorithms a token may have. Without it
	// all asymmetric ones may.
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:Enum=RS256;RS384;RS512;PS256;PS384;PS512;ES256;ES384;ES512;EdDSA
	// +listType=set
	// +optional
	AllowedAlgorithms []string `json:"allowedAlgorithms,omitempty"`
	// ClaimMappings say where in a token the caller's properties are.
	// +optional
	ClaimMappings *ClaimMappings `json:"claimMappings,omitempty"`
	// ClockSkew is how far the issuer's clock may be ahead of or behind the gateway's.
	// +kubebuilder:default="30s"
	// +optional
	ClockSkew Skew `json:"clockSkew,omitempty"`
	// JWKSAllowPrivateIP admits loopback and private addresses for the issuer's
	// endpoints. Cloud metadata addresses are never admitted.
	// +kubebuilder:default=false
	// +optional
	JWKSAllowPrivateIP bool `json:"jwksAllowPrivateIP,omitempty"`
	// InsecureAllowHTTP admits plain http for the issuer's endpoints: whoever is on
	// the way can then forge tokens.
	// +kubebuilder:default=false
	// +optional
	InsecureAllowHTTP bool `json:"insecureAllowHTTP,omitempty"`

	// Not built. Each of these is refused by name.

	// JWKSAuthTokenPath is a file with a token for the issuer's endpoints.
	// +kubebuilder:validation:XValidation:rule="false",message="jwksAuthTokenPath is not supported: a manifest could have any file of the gateway's sent to any address; for a cluster's own keys use type kubernetesServiceAccount with useClusterAuth, and remove it"
	// +optional
	JWKSAuthTokenPath string `json:"jwksAuthTokenPath,omitempty"`
	// ProtectedResourceAllowPrivateIP admits a resourceUrl on a private address.
	// +kubebuilder:validation:XValidation:rule="false",message="protectedResourceAllowPrivateIP is not supported: nothing is fetched from a resource's own address, so there is nothing to admit; remove it"
	// +optional
	ProtectedResourceAllowPrivateIP *bool `json:"protectedResourceAllowPrivateIP,omitempty"`
}

// IssuerURL is an http or https URL without userinfo, query and fragment.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=2048
// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@\\\\s]+(/[^?#\\\\s]*)?$')",message="must be an http or https URL without user, query and fragment, like https://idp.example.com"
type IssuerURL string

// Skew is a difference between two clocks, of at most five minutes.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule=`self.matches('^([0-9]+(\\.[0-9]+)?(ms|s|m))+$') && duration(self) <= duration('5m')`,message="must be a duration of at most five minutes, like 30s or 0s"
type Skew string

// Duration is its length; 0 for one that validation would have refused.
func (s Skew) Duration() time.Duration { return Period(s).Duration() }

// ClaimMappings are paths: a claim's plain name, or names joined by dots for a
// claim inside an object.
type ClaimMappings struct {
	// Email is the claim with the e-mail address; by default email.
	// +optional
	Email ClaimPath `json:"email,omitempty"`
	// Name is the claim with the name for people; by default name, then
	// preferred_username.
	// +optional
	Name ClaimPath `json:"name,omitempty"`
	// Groups is the claim with the groups; by default groups, then cognito:groups.
	// +optional
	Groups ClaimPath `json:"groups,omitempty"`
	// Roles is the claim with the roles; by default roles, then realm_access.roles.
	// +optional
	Roles ClaimPath `json:"roles,omitempty"`
}

// ClaimPath names a claim.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
type ClaimPath string

// CertificateNames are names of TLS certificates: dns:NAME, uri:URI, email:ADDRESS,
// cn:NAME, or without a kind a DNS name or URI.
//
// +kubebuilder:validation:MaxItems=16
// +kubebuilder:validation:items:MinLength=1
// +kubebuilder:validation:items:MaxLength=1024
// +listType=atomic
type CertificateNames []string

// TrustedProxy says whether an authenticating proxy before the gateway is believed
// about the caller, and how it shows that it is the one. Where clients authenticate to
// the gateway themselves too, a token that is presented decides, and else the proxy's
// word; a request with neither is refused.
//
// +kubebuilder:validation:XValidation:rule="!has(self.assertion) || (has(self.trustProxyAuth) && self.trustProxyAuth)",fieldPath=".assertion",message="is believed only with trustProxyAuth: true; set it, and clientAuthEnabled: false unless clients may show tokens too"
// +kubebuilder:validation:XValidation:rule="!has(self.assertion) || !(has(self.preset) || has(self.proxyUserHeader) || has(self.emailHeader) || has(self.nameHeader) || has(self.groupsHeader))",fieldPath=".assertion",message="says who the caller is, so that no plain header does; remove preset and the names of headers"
// +kubebuilder:validation:XValidation:rule="!has(self.assertion) || !(has(self.sharedSecret) || has(self.certificates))",fieldPath=".assertion",message="is proof by its signature; remove sharedSecret and certificates"
// +kubebuilder:validation:XValidation:rule="!has(self.caBundleRef) || has(self.certificates)",fieldPath=".caBundleRef",message="narrows certificates down, and there are none; set certificates"
type TrustedProxy struct {
	// ClientAuthEnabled keeps the gateway's own authentication of clients on.
	// +kubebuilder:default=true
	// +optional
	ClientAuthEnabled *bool `json:"clientAuthEnabled,omitempty"`
	// TrustProxyAuth believes the proxy's identity header.
	// +kubebuilder:default=false
	// +optional
	TrustProxyAuth bool `json:"trustProxyAuth,omitempty"`
	// ProxyUserHeader is the header that names the caller; by default the preset's,
	// or X-Authenticated-User.
	// +kubebuilder:validation:Pattern=`^[0-9A-Za-z-]+$`
	// +kubebuilder:validation:MaxLength=128
	// +optional
	ProxyUserHeader string `json:"proxyUserHeader,omitempty"`
	// Preset sets the headers that a known proxy uses for user, e-mail, name and
	// groups. What is set here beside it wins.
	// +kubebuilder:validation:Enum=oauth2-proxy;oauth2-proxy-upstream;authelia;traefik-forward-auth;envoy;istio;pomerium
	// +optional
	Preset string `json:"preset,omitempty"`
	// EmailHeader is the header with the caller's e-mail address.
	// +kubebuilder:validation:Pattern=`^[0-9A-Za-z-]+$`
	// +kubebuilder:validation:MaxLength=128
	// +optional
	EmailHeader string `json:"emailHeader,omitempty"`
	// NameHeader is the header with the caller's name for people.
	// +kubebuilder:validation:Pattern=`^[0-9A-Za-z-]+$`
	// +kubebuilder:validation:MaxLength=128
	// +optional
	NameHeader string `json:"nameHeader,omitempty"`
	// GroupsHeader is the header with the caller's groups. Sent twice it is refused, as
	// one of the two could be a client's.
	// +kubebuilder:validation:Pattern=`^[0-9A-Za-z-]+$`
	// +kubebuilder:validation:MaxLength=128
	// +optional
	GroupsHeader string `json:"groupsHeader,omitempty"`
	// GroupsSeparator is what stands between two groups. With none the proxy sends a
	// header for each group, whose name may then have any character in it; such a proxy
	// must remove what clients send under that name.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4
	// +kubebuilder:default=","
	// +optional
	GroupsSeparator string `json:"groupsSeparator,omitempty"`
	// TrustedProxies are the addresses the proxy connects from, as CIDRs. By default
	// loopback; an empty list means nobody.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self) || isIP(self)",message="must be an address or a CIDR, like 10.0.0.0/8"
	// +listType=atomic
	// +optional
	TrustedProxies *[]string `json:"trustedProxies,omitempty"`
	// SharedSecret is a header that the proxy alone can set, for where addresses
	// prove nothing.
	// +optional
	SharedSecret *HeaderFromSecret `json:"sharedSecret,omitempty"`
	// Certificates are the names of the TLS client certificates that the proxy may
	// show: dns:NAME, uri:URI, email:ADDRESS or cn:NAME. Without a kind before it a name
	// is a DNS name or URI among the certificate's alternative names. The listener
	// verifies certificates against --tls-client-ca.
	// +optional
	Certificates CertificateNames `json:"certificates,omitempty"`
	// CABundleRef narrows the authorities of those certificates down to some of those of
	// the listener: the proxy's, where clients have theirs from another.
	// +optional
	CABundleRef *CABundleRef `json:"caBundleRef,omitempty"`
	// Assertion believes the signed header of a known proxy in place of a plain one.
	// +optional
	Assertion *ProxyAssertion `json:"assertion,omitempty"`
	// MissingHeader says what a request without the header is: anonymous, or
	// rejected.
	// +kubebuilder:validation:Enum=anonymous;reject
	// +kubebuilder:default=anonymous
	// +optional
	MissingHeader string `json:"missingHeader,omitempty"`
}
