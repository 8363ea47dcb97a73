package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The types of MCPExternalAuthConfig that work.
const (
	AuthUnauthenticated = "unauthenticated"
	AuthHeaderInjection = "headerInjection"
	AuthBearerToken     = "bearerToken"
	AuthTokenExchange   = "tokenExchange"

	AuthForwardClientToken = "forwardClientToken"
	AuthIdentityAssertion  = "identityAssertion"
	AuthOBO                = "obo"
	AuthXAA                = "xaa"
	AuthAWSSTS             = "awsSts"

	AuthEmbeddedAuthServer = "embeddedAuthServer"
	AuthUpstreamInject     = "upstreamInject"
)

// MCPExternalAuthConfig says which credential a backend is shown.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')`,message="metadata.name must be lower-case letters, digits and hyphens, begin and end with a letter or digit, and have at most 63 characters"
// +kubebuilder:resource:shortName=extauth;mcpextauth,categories=sallyport
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Valid",type=string,JSONPath=`.status.conditions[?(@.type=="Valid")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MCPExternalAuthConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MCPExternalAuthConfigSpec `json:"spec"`
	// +optional
	Status MCPExternalAuthConfigStatus `json:"status,omitempty"`
}

// MCPExternalAuthConfigSpec is one kind of credential: the type, and the block
// that bears its name.
//
// +kubebuilder:validation:XValidation:rule=`has(self.headerInjection) == (self.type == 'headerInjection')`,fieldPath=".headerInjection",messageExpression=`has(self.headerInjection) ? 'belongs to type headerInjection, and the type is %s; change one of them'.format([self.type]) : 'is required with type headerInjection'`
// +kubebuilder:validation:XValidation:rule=`has(self.bearerToken) == (self.type == 'bearerToken')`,fieldPath=".bearerToken",messageExpression=`has(self.bearerToken) ? 'belongs to type bearerToken, and the type is %s; change one of them'.format([self.type]) : 'is required with type bearerToken'`
// +kubebuilder:validation:XValidation:rule=`has(self.tokenExchange) == (self.type == 'tokenExchange')`,fieldPath=".tokenExchange",messageExpression=`has(self.tokenExchange) ? 'belongs to type tokenExchange, and the type is %s; change one of them'.format([self.type]) : 'is required with type tokenExchange'`
// +kubebuilder:validation:XValidation:rule=`has(self.forwardClientToken) == (self.type == 'forwardClientToken')`,fieldPath=".forwardClientToken",messageExpression=`has(self.forwardClientToken) ? 'belongs to type forwardClientToken, and the type is %s; change one of them'.format([self.type]) : 'is required with type forwardClientToken'`
// +kubebuilder:validation:XValidation:rule=`has(self.identityAssertion) == (self.type == 'identityAssertion')`,fieldPath=".identityAssertion",messageExpression=`has(self.identityAssertion) ? 'belongs to type identityAssertion, and the type is %s; change one of them'.format([self.type]) : 'is required with type identityAssertion'`
// +kubebuilder:validation:XValidation:rule=`has(self.obo) == (self.type == 'obo')`,fieldPath=".obo",messageExpression=`has(self.obo) ? 'belongs to type obo, and the type is %s; change one of them'.format([self.type]) : 'is required with type obo'`
// +kubebuilder:validation:XValidation:rule=`has(self.xaa) == (self.type == 'xaa')`,fieldPath=".xaa",messageExpression=`has(self.xaa) ? 'belongs to type xaa, and the type is %s; change one of them'.format([self.type]) : 'is required with type xaa'`
// +kubebuilder:validation:XValidation:rule=`has(self.awsSts) == (self.type == 'awsSts')`,fieldPath=".awsSts",messageExpression=`has(self.awsSts) ? 'belongs to type awsSts, and the type is %s; change one of them'.format([self.type]) : 'is required with type awsSts'`
// +kubebuilder:validation:XValidation:rule=`has(self.embeddedAuthServer) == (self.type == 'embeddedAuthServer')`,fieldPath=".embeddedAuthServer",messageExpression=`has(self.embeddedAuthServer) ? 'belongs to type embeddedAuthServer, and the type is %s; change one of them'.format([self.type]) : 'is required with type embeddedAuthServer'`
// +kubebuilder:validation:XValidation:rule=`has(self.upstreamInject) == (self.type == 'upstreamInject')`,fieldPath=".upstreamInject",messageExpression=`has(self.upstreamInject) ? 'belongs to type upstreamInject, and the type is %s; change one of them'.format([self.type]) : 'is required with type upstreamInject'`
type MCPExternalAuthConfigSpec struct {
	// Type is the kind of credential.
	// +kubebuilder:validation:Enum=unauthenticated;headerInjection;bearerToken;tokenExchange;forwardClientToken;identityAssertion;embeddedAuthServer;awsSts;upstreamInject;obo;xaa
	Type string `json:"type"`
	// HeaderInjection is the header to show, with type headerInjection.
	// +optional
	HeaderInjection *HeaderInjection `json:"headerInjection,omitempty"`
	// BearerToken is the token to show, with type bearerToken.
	// +optional
	BearerToken *BearerToken `json:"bearerToken,omitempty"`
	// TokenExchange exchanges the caller's token for one of the backend (RFC 8693),
	// with type tokenExchange. The caller's token itself never reaches the backend.
	// +optional
	TokenExchange *TokenExchange `json:"tokenExchange,omitempty"`

	// ForwardClientToken shows the caller's own token, with type forwardClientToken.
	// +optional
	ForwardClientToken *ForwardClientToken `json:"forwardClientToken,omitempty"`
	// IdentityAssertion shows a JWT of the gateway about the caller, with type
	// identityAssertion.
	// +optional
	IdentityAssertion *IdentityAssertion `json:"identityAssertion,omitempty"`
	// OBO exchanges the caller's token by Entra's on-behalf-of flow, with type obo.
	// +optional
	OBO *OBO `json:"obo,omitempty"`
	// XAA exchanges the caller's token for an assertion, and that for a token of the
	// backend's own authorization server, with type xaa.
	// +optional
	XAA *XAA `json:"xaa,omitempty"`
	// EmbeddedAuthServer is an authorization server within the gateway, with type
	// embeddedAuthServer. It is no credential: endpoints name it in authServerRef.
	// +optional
	EmbeddedAuthServer *EmbeddedAuthServer `json:"embeddedAuthServer,omitempty"`
	// UpstreamInject shows the token that an upstream provider gave for the person who
	// calls, with type upstreamInject. The endpoint needs authServerRef.
	// +optional
	UpstreamInject *UpstreamInject `json:"upstreamInject,omitempty"`

	// AWSSTS signs requests with keys of an AWS role, with type awsSts.
	// +optional
	AWSSTS *AWSSTS `json:"awsSts,omitempty"`
}

// UpstreamInject chooses an upstream provider's token.
type UpstreamInject struct {
	// ProviderName is the name of one of the upstreamProviders of the authorization
	// server that the endpoint's authServerRef names; default for one that has no name.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	ProviderName string `json:"providerName"`
}

// HeaderInjection is one header with a value from a Secret.
type HeaderInjection struct {
	// HeaderName is the header to set.
	HeaderName SetHeader `json:"headerName"`
	// ValueSecretRef names the Secret and key that hold the value.
	ValueSecretRef SecretKeyRef `json:"valueSecretRef"`
}

// BearerToken is a token from a Secret, shown as Authorization: Bearer.
type BearerToken struct {
	// TokenSecretRef names the Secret and key that hold the token.
	TokenSecretRef SecretKeyRef `json:"tokenSecretRef"`
}

// TokenExchange exchanges the caller's own token, which the endpoint's incoming
// authentication has verified, for one that the backend accepts.
//
// +kubebuilder:validation:XValidation:rule=`!self.tokenUrl.startsWith('http:') || self.allowPrivateIPs`,fieldPath=".tokenUrl",message="must begin with https://; for plain http to a loopback or private address set allowPrivateIPs: true"
// +kubebuilder:validation:XValidation:rule=`!has(self.clientSecretRef) || (has(self.clientId) && size(self.clientId) > 0)`,fieldPath=".clientId",message="is required beside clientSecretRef: a secret authenticates a client"
type TokenExchange struct {
	// TokenURL is the token endpoint that exchanges.
	TokenURL EndpointURL `json:"tokenUrl"`
	// ClientID is the gateway's client id there. Some endpoints need none.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	ClientID string `json:"clientId,omitempty"`
	// ClientSecretRef names the client's secret. It is sent by HTTP Basic.
	// +optional
	ClientSecretRef *SecretKeyRef `json:"clientSecretRef,omitempty"`
	// Audience is who the new token shall be for: the backend, by the name that the
	// endpoint knows it by.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Audience string `json:"audience,omitempty"`
	// Scopes are those the new token shall have.
	// +optional
	Scopes Scopes `json:"scopes,omitempty"`
	// SubjectTokenType says what the caller's token is to the endpoint: access_token,
	// id_token, jwt, or one of these as a URN.
	// +kubebuilder:validation:Enum=access_token;id_token;jwt;"urn:ietf:params:oauth:token-type:access_token";"urn:ietf:params:oauth:token-type:id_token";"urn:ietf:params:oauth:token-type:jwt"
	// +kubebuilder:default=access_token
	// +optional
	SubjectTokenType string `json:"subjectTokenType,omitempty"`
	// ExternalTokenHeaderName is the header that carries the new token, as a bearer
	// token, in place of Authorization.
	// +optional
	ExternalTokenHeaderName SetHeader `json:"externalTokenHeaderName,omitempty"`
	// AllowPrivateIPs admits a loopback or private address for the token endpoint,
	// and plain http to it. Cloud metadata addresses are never admitted.
	// +kubebuilder:default=false
	// +optional
	AllowPrivateIPs bool `json:"allowPrivateIPs,omitempty"`
	// SubjectProviderName takes the token of an upstream provider in place of the
	// caller's own: its ID token with subjectTokenType id_token. With authServerRef it
	// is the first provider's by default.
	// +optional
	SubjectProviderName ProviderName `json:"subjectProviderName,omitempty"`
}

// MCPExternalAuthConfigStatus is what the operator saw.
type MCPExternalAuthConfigStatus struct {
	ConfigStatus `json:",inline"`

	// LastExchange is when a token was last asked for with it.
	// +optional
	LastExchange *metav1.Time `json:"lastExchange,omitempty"`
	// LastExchangeError is why that gave none.
	// +optional
	LastExchangeError string `json:"lastExchangeError,omitempty"`
}

// MCPExternalAuthConfigList is a list of MCPExternalAuthConfig.
//
// +kubebuilder:object:root=true
type MCPExternalAuthConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MCPExternalAuthConfig `json:"items"`
}
