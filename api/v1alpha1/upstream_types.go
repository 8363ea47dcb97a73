package v1alpha1

// UpstreamProviders are the identity providers that one authorization server sends
// people to, in this order.
//
// +kubebuilder:validation:MinItems=1
// +kubebuilder:validation:MaxItems=16
// +kubebuilder:validation:XValidation:rule=`self.size() == 1 || self.all(p, has(p.name) && p.name.size() > 0)`,message="each of several providers needs a name; add name to the one without"
// +kubebuilder:validation:XValidation:rule=`self.size() == 1 || self.all(p, !has(p.name) || p.name != 'default')`,message="the name default is reserved for a provider that stands alone and has no name; choose another"
// +kubebuilder:validation:XValidation:rule=`self.all(p, !has(p.name) || p.name.size() == 0 || self.exists_one(q, has(q.name) && q.name == p.name))`,messageExpression=`'duplicate name %s; each provider needs its own'.format([self.filter(p, has(p.name) && p.name.size() > 0 && !self.exists_one(q, has(q.name) && q.name == p.name))[0].name])`,message="duplicate name; each provider needs its own"
// +listType=atomic
type UpstreamProviders []UpstreamProvider

// The types of upstream providers.
const (
	UpstreamOIDCType   = "oidc"
	UpstreamOAuth2Type = "oauth2"
)

// UpstreamProvider is one identity provider, and the client that the gateway is of
// it.
//
// +kubebuilder:validation:XValidation:rule=`has(self.oidcConfig) == (self.type == 'oidc')`,fieldPath=".oidcConfig",messageExpression=`has(self.oidcConfig) ? 'belongs to type oidc, and the type is %s; change one of them'.format([self.type]) : 'is required with type oidc'`
// +kubebuilder:validation:XValidation:rule=`has(self.oauth2Config) == (self.type == 'oauth2')`,fieldPath=".oauth2Config",messageExpression=`has(self.oauth2Config) ? 'belongs to type oauth2, and the type is %s; change one of them'.format([self.type]) : 'is required with type oauth2'`
// +kubebuilder:validation:XValidation:rule=`!has(self.preset) || (self.preset == 'github') == (self.type == 'oauth2')`,fieldPath=".preset",messageExpression=`'%s is of type %s, and the type is %s; change one of them'.format([self.preset, self.preset == 'github' ? 'oauth2' : 'oidc', self.type])`
// +kubebuilder:validation:XValidation:rule=`!has(self.oidcConfig) || has(self.oidcConfig.issuerUrl) || has(self.preset) && self.preset == 'google'`,fieldPath=".oidcConfig.issuerUrl",message="is required; only the preset google knows it"
// +kubebuilder:validation:XValidation:rule=`!has(self.oauth2Config) || has(self.oauth2Config.authorizationEndpoint) || has(self.preset) && self.preset == 'github'`,fieldPath=".oauth2Config.authorizationEndpoint",message="is required; only the preset github knows it"
// +kubebuilder:validation:XValidation:rule=`!has(self.oauth2Config) || has(self.oauth2Config.tokenEndpoint) || has(self.preset) && self.preset == 'github'`,fieldPath=".oauth2Config.tokenEndpoint",message="is required; only the preset github knows it"
type UpstreamProvider struct {
	// Name is what other settings, the client secret's environment variable, log
	// lines and stored tokens call the provider. One that stands alone may go
	// without, and is called default.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$')`,message="must be a DNS label: lower-case letters, digits and hyphens, like okta-staff"
	// +optional
	Name string `json:"name,omitempty"`
	// DisplayName is what people read of the provider; by default its name.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	DisplayName string `json:"displayName,omitempty"`
	// Type is oidc for OpenID Connect, oauth2 for plain OAuth 2.0.
	// +kubebuilder:validation:Enum=oidc;oauth2
	Type string `json:"type"`
	// Preset fills in what is known about a provider, and what it does in its own
	// way. What is set beside it wins.
	// +kubebuilder:validation:Enum=okta;auth0;keycloak;entra;google;github
	// +optional
	Preset string `json:"preset,omitempty"`
	// Login says when people are sent to the provider: required, at each sign-in, or
	// onDemand, when a call first needs its token.
	// +kubebuilder:validation:Enum=required;onDemand
	// +kubebuilder:default=required
	// +optional
	Login string `json:"login,omitempty"`
	// OIDCConfig is an OpenID provider.
	// +optional
	OIDCConfig *UpstreamOIDC `json:"oidcConfig,omitempty"`
	// OAuth2Config is a provider that issues no ID tokens.
	// +optional
	OAuth2Config *UpstreamOAuth2 `json:"oauth2Config,omitempty"`
}

// UpstreamOIDC is an OpenID provider. Its endpoints and keys are discovered from its
// issuer.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.issuerUrl) || self.issuerUrl.startsWith('https://') || has(self.insecureAllowHTTP) && self.insecureAllowHTTP || has(self.allowPrivateIPs) && self.allowPrivateIPs && self.issuerUrl.matches('^http://(localhost|127\\.[0-9.]+|\\[::1\\])(:[0-9]+)?(/.*)?$')`,fieldPath=".issuerUrl",message="must be https; allowPrivateIPs: true admits http on loopback, and insecureAllowHTTP: true everywhere"
type UpstreamOIDC struct {
	// IssuerURL is the issuer's identifier, exactly as its ID tokens have it in iss.
	// +optional
	IssuerURL IssuerURL `json:"issuerUrl,omitempty"`
	// ClientID is the gateway's client id at the provider.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	ClientID string `json:"clientId"`
	// UserInfoOverride asks another endpoint about the person than the one that
	// discovery names, or asks it in another way.
	// +optional
	UserInfoOverride *UpstreamUserInfo `json:"userInfoOverride,omitempty"`
	// SubjectClaim is the claim that names the person; by default sub, with the preset
	// entra oid.
	// +kubebuilder:validation:Pattern=`^([a-zA-Z_][a-zA-Z0-9_]*)?$`
	// +kubebuilder:validation:MaxLength=128
	// +optional
	SubjectClaim string `json:"subjectClaim,omitempty"`

	UpstreamClient `json:",inline"`
}

// UpstreamOAuth2 is a provider of plain OAuth 2.0. Who signed in is what userInfo
// or identityFromToken says; without both the person gets a subject made of the
// access token, which is another one at each sign-in.
//
// +kubebuilder:validation:XValidation:rule=`has(self.clientId) != has(self.dcrConfig)`,fieldPath=".clientId",message="exactly one of clientId and dcrConfig must be set"
// +kubebuilder:validation:XValidation:rule=`!has(self.dcrConfig) || !has(self.clientSecretRef)`,fieldPath=".clientSecretRef",message="must not be set with dcrConfig: registration gives the secret"
// +kubebuilder:validation:XValidation:rule=`!has(self.authorizationEndpoint) || self.authorizationEndpoint.startsWith('https://') || has(self.insecureAllowHTTP) && self.insecureAllowHTTP || has(self.allowPrivateIPs) && self.allowPrivateIPs && self.authorizationEndpoint.matches('^http://(localhost|127\\.[0-9.]+|\\[::1\\])(:[0-9]+)?(/.*)?$')`,fieldPath=".authorizationEndpoint",message="must be https; allowPrivateIPs: true admits http on loopback, and insecureAllowHTTP: true everywhere"
// +kubebuilder:validation:XValidation:rule=`!has(self.tokenEndpoint) || self.tokenEndpoint.startsWith('https://') || has(self.insecureAllowHTTP) && self.insecureAllowHTTP || has(self.allowPrivateIPs) && self.allowPrivateIPs && self.tokenEndpoint.matches('^http://(localhost|127\\.[0-9.]+|\\[::1\\])(:[0-9]+)?(/.*)?$')`,fieldPath=".tokenEndpoint",message="must be https; allowPrivateIPs: true admits http on loopback, and insecureAllowHTTP: true everywhere"
// +kubebuilder:validation:XValidation:rule=`!has(self.revocationEndpoint) || self.revocationEndpoint.startsWith('https://') || has(self.insecureAllowHTTP) && self.insecureAllowHTTP || has(self.allowPrivateIPs) && self.allowPrivateIPs && self.revocationEndpoint.matches('^http://(localhost|127\\.[0-9.]+|\\[::1\\])(:[0-9]+)?(/.*)?$')`,fieldPath=".revocationEndpoint",message="must be https; allowPrivateIPs: true admits http on loopback, and insecureAllowHTTP: true everywhere"
type UpstreamOAuth2 struct {
	// AuthorizationEndpoint is where browsers are sent.
	// +optional
	AuthorizationEndpoint EndpointURL `json:"authorizationEndpoint,omitempty"`
	// TokenEndpoint is where codes become tokens.
	// +optional
	TokenEndpoint EndpointURL `json:"tokenEndpoint,omitempty"`
	// RevocationEndpoint is where grants end (RFC 7009). Without it a person who
	// disconnects is forgotten here alone.
	// +optional
	RevocationEndpoint EndpointURL `json:"revocationEndpoint,omitempty"`
	// Issuer is the provider's identifier in the parameter iss of its answers (RFC
	// 9207). Without it an answer with one must be of the authorization endpoint's
	// origin.
	// +optional
	Issuer IssuerURL `json:"issuer,omitempty"`
	// ClientID is the gateway's client id at the provider.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	ClientID string `json:"clientId,omitempty"`
	// DCRConfig registers the gateway at the provider (RFC 7591), in place of a client
	// id.
	// +optional
	DCRConfig *UpstreamRegistration `json:"dcrConfig,omitempty"`
	// UserInfo is the endpoint that says who an access token belongs to.
	// +optional
	UserInfo *UpstreamUserInfo `json:"userInfo,omitempty"`
	// IdentityFromToken says where the token endpoint's answer names the person.
	// +optional
	IdentityFromToken *UpstreamTokenIdentity `json:"identityFromToken,omitempty"`
	// TokenResponseMapping says where the token endpoint's answer has the tokens, for
	// one that is not as RFC 6749 has it.
	// +optional
	TokenResponseMapping *UpstreamTokenResponse `json:"tokenResponseMapping,omitempty"`

	UpstreamClient `json:",inline"`
}

// UpstreamClient is what the gateway is, as a client of either type of provider, and
// how it gets there.
type UpstreamClient struct {
	// ClientSecretRef names the client's secret. Without it the environment variable
	// SALLYPORT_UPSTREAM_CLIENT_SECRET_NAME has it, in which NAME is the provider's
	// name in upper case with underscores for hyphens; without both the gateway is a
	// public client.
	// +optional
	ClientSecretRef *SecretKeyRef `json:"clientSecretRef,omitempty"`
	// TokenEndpointAuthMethod is how the secret is sent. By default as the provider's
	// discovery asks, else client_secret_basic.
	// +kubebuilder:validation:Enum=client_secret_basic;client_secret_post
	// +optional
	TokenEndpointAuthMethod string `json:"tokenEndpointAuthMethod,omitempty"`
	// RedirectURI is where the provider sends browsers back, if another address than
	// the issuer's with /oauth/callback leads there.
	// +optional
	RedirectURI EndpointURL `json:"redirectUri,omitempty"`
	// Scopes are asked for. By default openid and offline_access at an OpenID
	// provider, with a preset what the provider knows, else none.
	// +optional
	Scopes Scopes `json:"scopes,omitempty"`
	// AdditionalAuthorizationParams are further parameters of the authorization
	// request.
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule=`self.all(name, !(name in ['response_type', 'response_mode', 'client_id', 'redirect_uri', 'scope', 'state', 'nonce', 'code_challenge', 'code_challenge_method', 'request', 'request_uri']))`,messageExpression=`'%s is set by the gateway; remove it'.format([self.filter(name, name in ['response_type', 'response_mode', 'client_id', 'redirect_uri', 'scope', 'state', 'nonce', 'code_challenge', 'code_challenge_method', 'request', 'request_uri'])[0]])`,message="has a parameter that is set by the gateway; remove it"
	// +optional
	AdditionalAuthorizationParams map[string]UpstreamParam `json:"additionalAuthorizationParams,omitempty"`
	// ClaimMappings say where the person's properties are in the ID token and in what
	// the userinfo endpoint answers.
	// +optional
	ClaimMappings *ClaimMappings `json:"claimMappings,omitempty"`
	// CABundleRef replaces the system's certificates for connections to the provider.
	// +optional
	CABundleRef *CABundleRef `json:"caBundleRef,omitempty"`
	// AllowPrivateIPs admits loopback and private addresses for the provider's
	// endpoints. Cloud metadata addresses are never admitted.
	// +kubebuilder:default=false
	// +optional
	AllowPrivateIPs bool `json:"allowPrivateIPs,omitempty"`
	// InsecureAllowHTTP admits plain http for the provider's endpoints: whoever is on
	// the way can then sign in as anybody.
	// +kubebuilder:default=false
	// +optional
	InsecureAllowHTTP bool `json:"insecureAllowHTTP,omitempty"`
}

// UpstreamParam is the value of a parameter.
//
// +kubebuilder:validation:MaxLength=1024
type UpstreamParam string

// EndpointURL is an http or https URL without userinfo and fragment.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=2048
// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@\\\\s]+(/[^?#\\\\s]*)?([?][^#\\\\s]*)?$')",message="must be an http or https URL without user and fragment, like https://idp.example.com/token"
type EndpointURL string

// UpstreamUserInfo is an endpoint that says who an access token belongs to.
type UpstreamUserInfo struct {
	// EndpointURL is its address.
	EndpointURL EndpointURL `json:"endpointUrl"`
	// HTTPMethod is GET or POST.
	// +kubebuilder:validation:Enum=GET;POST
	// +kubebuilder:default=GET
	// +optional
	HTTPMethod string `json:"httpMethod,omitempty"`
	// AdditionalHeaders are sent along.
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule=`self.all(name, name.matches('^[0-9A-Za-z-]+$') && !(name.lowerAscii() in ['authorization', 'host', 'cookie', 'connection', 'content-length', 'transfer-encoding']))`,message="must be names of headers other than Authorization, Host, Cookie and those of the connection"
	// +optional
	AdditionalHeaders map[string]UpstreamHeader `json:"additionalHeaders,omitempty"`
	// FieldMapping says which fields of the answer name the person.
	// +optional
	FieldMapping *UpstreamFields `json:"fieldMapping,omitempty"`
}

// UpstreamHeader is a header's value.
//
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:Pattern=`^[\x21-\x7E]([\t\x20-\x7E]*[\x21-\x7E])?$`
type UpstreamHeader string

// UpstreamFields are names of fields, each tried in turn. A field is text or a whole
// number; names joined by dots lead into objects.
type UpstreamFields struct {
	// SubjectFields name the person for programs, once and for all; by default sub,
	// then id.
	// +optional
	SubjectFields UpstreamFieldNames `json:"subjectFields,omitempty"`
	// NameFields name the person for people; by default name, preferred_username,
	// then login.
	// +optional
	NameFields UpstreamFieldNames `json:"nameFields,omitempty"`
	// EmailFields have the e-mail address; by default email.
	// +optional
	EmailFields UpstreamFieldNames `json:"emailFields,omitempty"`
}

// UpstreamFieldNames are fields to try in this order.
//
// +kubebuilder:validation:MaxItems=8
// +listType=atomic
type UpstreamFieldNames []ClaimPath

// UpstreamTokenIdentity are paths into the token endpoint's answer: names joined by
// dots, an index for a list. The step @upstreamjwt reads the claims of a token, as in
// access_token.@upstreamjwt.sub.
type UpstreamTokenIdentity struct {
	// SubjectPath leads to what names the person for programs.
	SubjectPath AnswerPath `json:"subjectPath"`
	// NamePath leads to the name for people.
	// +optional
	NamePath AnswerPath `json:"namePath,omitempty"`
	// EmailPath leads to the e-mail address.
	// +optional
	EmailPath AnswerPath `json:"emailPath,omitempty"`
}

// UpstreamTokenResponse are paths into the token endpoint's answer, as in
// authed_user.access_token.
type UpstreamTokenResponse struct {
	// AccessTokenPath leads to the access token.
	AccessTokenPath AnswerPath `json:"accessTokenPath"`
	// RefreshTokenPath leads to the refresh token.
	// +optional
	RefreshTokenPath AnswerPath `json:"refreshTokenPath,omitempty"`
	// ExpiresInPath leads to the seconds until the access token expires.
	// +optional
	ExpiresInPath AnswerPath `json:"expiresInPath,omitempty"`
	// ScopePath leads to the granted scopes.
	// +optional
	ScopePath AnswerPath `json:"scopePath,omitempty"`
}

// AnswerPath is a path into a JSON answer.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=256
type AnswerPath string

// UpstreamRegistration registers the gateway as a client of a provider when the
// first person is sent there.
//
// +kubebuilder:validation:XValidation:rule=`has(self.discoveryUrl) != has(self.registrationEndpoint)`,fieldPath=".registrationEndpoint",message="exactly one of discoveryUrl and registrationEndpoint must be set"
type UpstreamRegistration struct {
	// DiscoveryURL is the provider's metadata document (RFC 8414, OpenID Connect
	// Discovery), which names the registration endpoint.
	// +optional
	DiscoveryURL EndpointURL `json:"discoveryUrl,omitempty"`
	// RegistrationEndpoint is where clients register.
	// +optional
	RegistrationEndpoint EndpointURL `json:"registrationEndpoint,omitempty"`
	// InitialAccessTokenRef names the token that registration asks for.
	// +optional
	InitialAccessTokenRef *SecretKeyRef `json:"initialAccessTokenRef,omitempty"`
	// SoftwareID names this software to the provider.
	// +kubebuilder:validation:MaxLength=255
	// +optional
	SoftwareID string `json:"softwareId,omitempty"`
	// SoftwareStatement is a signed statement about this software.
	// +kubebuilder:validation:MaxLength=16384
	// +optional
	SoftwareStatement string `json:"softwareStatement,omitempty"`
}
