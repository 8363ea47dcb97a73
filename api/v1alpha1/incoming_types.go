package v1alpha1

// Incoming is the outer door: how a client of an endpoint proves who it is.
// Every serving kind has it.
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
	// ClientCertificate lets callers in who show a TLS client certificate. Where
	// tokens are checked too, either is enough.
	// +optional
	ClientCertificate *ClientCertificate `json:"clientCertificate,omitempty"`
	// AuthServerRef names the embedded authorization server that clients sign in with.
	// Tokens that it made for this endpoint are taken, and no others.
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
// +kubebuilder:validation:XValidation:rule="has(self.audience) || has(self.audiences)",fieldPath=".audience",message="must be set: without an audience a token for any other service would do; use the endpoint's URL"
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
	// Scopes that a token must have, all of them.
	// +optional
	Scopes Scopes `json:"scopes,omitempty"`
}

// Scopes are OAuth scopes (RFC 6749 section 3.3).
//
// +kubebuilder:validation:MaxItems=32
// +kubebuilder:validation:items:MaxLength=256
// +kubebuilder:validation:items:Pattern=`^[\x21\x23-\x5B\x5D-\x7E]+$`
// +listType=atomic
type Scopes []string

// OIDCConfigRef names a shared issuer and says what its tokens must say here.
type OIDCConfigRef struct {
	// Name of the MCPOIDCConfig.
	Name ObjectName `json:"name"`
	// Audience that a token must have: the endpoint's URL, or what the issuer puts
	// into aud for it. Endpoints should not share one, or a token for one of them
	// is good for all.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Audience string `json:"audience"`
	// Scopes that a token must have, all of them.
	// +optional
	Scopes Scopes `json:"scopes,omitempty"`
}

// OIDCIssuer is who signs, or vouches for, the tokens that clients show.
//
// +kubebuilder:validation:XValidation:rule="self.issuer.startsWith('https://') || (has(self.insecureAllowHTTP) && self.insecureAllowHTTP) || (has(self.jwksAllowPrivateIP) && self.jwksAllowPrivateIP && self.issuer.matches('^http://(localhost|127\\\\.[0-9.]+|\\\\[::1\\\\])(:[0-9]+)?(/.*)?$'))",fieldPath=".issuer",message="must be https; insecureAllowHTTP: true admits http, and jwksAllowPrivateIP: true admits it on loopback"
// +kubebuilder:validation:XValidation:rule="!has(self.jwksUrl) || self.jwksUrl.startsWith('https://') || (has(self.insecureAllowHTTP) && self.insecureAllowHTTP) || (has(self.jwksAllowPrivateIP) && self.jwksAllowPrivateIP && self.jwksUrl.matches('^http://(localhost|127\\\\.[0-9.]+|\\\\[::1\\\\])(:[0-9]+)?(/.*)?$'))",fieldPath=".jwksUrl",message="must be https; insecureAllowHTTP: true admits http, and jwksAllowPrivateIP: true admits it on loopback"
// +kubebuilder:validation:XValidation:rule="!has(self.introspectionUrl) || self.introspectionUrl.startsWith('https://') || (has(self.insecureAllowHTTP) && self.insecureAllowHTTP) || (has(self.jwksAllowPrivateIP) && self.jwksAllowPrivateIP && self.introspectionUrl.matches('^http://(localhost|127\\\\.[0-9.]+|\\\\[::1\\\\])(:[0-9]+)?(/.*)?$'))",fieldPath=".introspectionUrl",message="must be https; insecureAllowHTTP: true admits http, and jwksAllowPrivateIP: true admits it on loopback"
// +kubebuilder:validation:XValidation:rule="!has(self.clientSecretRef) || has(self.clientId)",fieldPath=".clientId",message="must be set with clientSecretRef"
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
}

// IssuerURL is an http or https URL without userinfo, query and fragment.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=2048
// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@\\\\s]+(/[^?#\\\\s]*)?$')",message="must be an http or https URL without user, query and fragment, like https://idp.example.com"
type IssuerURL string

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

// TrustedProxy says whether an authenticating proxy before the gateway is believed
// about the caller, and how it shows that it is the one. It is believed only where
// clients do not authenticate to the gateway themselves.
//
// +kubebuilder:validation:XValidation:rule="!has(self.assertion) || (has(self.clientAuthEnabled) && !self.clientAuthEnabled && has(self.trustProxyAuth) && self.trustProxyAuth)",fieldPath=".assertion",message="is believed only with clientAuthEnabled: false and trustProxyAuth: true; set both"
// +kubebuilder:validation:XValidation:rule="!has(self.assertion) || !(has(self.preset) || has(self.proxyUserHeader) || has(self.emailHeader) || has(self.nameHeader) || has(self.groupsHeader))",fieldPath=".assertion",message="says who the caller is, so that no plain header does; remove preset and the names of headers"
// +kubebuilder:validation:XValidation:rule="!has(self.assertion) || !(has(self.sharedSecret) || has(self.certificates))",fieldPath=".assertion",message="is proof by its signature; remove sharedSecret and certificates"
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
	// GroupsHeader is the header with the caller's groups, joined by commas.
	// +kubebuilder:validation:Pattern=`^[0-9A-Za-z-]+$`
	// +kubebuilder:validation:MaxLength=128
	// +optional
	GroupsHeader string `json:"groupsHeader,omitempty"`
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
	// show: the first URI in one, else e-mail address, DNS name or common name. The
	// listener verifies certificates against --tls-client-ca.
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	// +listType=atomic
	// +optional
	Certificates []string `json:"certificates,omitempty"`
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
