package v1alpha1

// RemoteOAuth is the gateway's own account at a remote server, which it gets as an
// OAuth client. Every caller acts with this one account; where each person is to act
// as themselves, an MCPExternalAuthConfig says how.
//
// Where tokens come from is discovered from the remote server; all fields are
// optional.
//
// +kubebuilder:validation:XValidation:rule="self.grant != 'clientCredentials' || has(self.clientId)",fieldPath=".clientId",message="is needed with grant: clientCredentials, which has no registration; register the client at the authorization server and give its id"
// +kubebuilder:validation:XValidation:rule="self.grant != 'clientCredentials' || has(self.clientSecretRef) || has(self.privateKeyRef)",fieldPath=".grant",message="clientCredentials needs clientSecretRef or privateKeyRef"
// +kubebuilder:validation:XValidation:rule="!has(self.clientSecretRef) || !has(self.privateKeyRef)",fieldPath=".privateKeyRef",message="cannot be set beside clientSecretRef; keep one of them"
// +kubebuilder:validation:XValidation:rule="has(self.clientId) || !has(self.clientSecretRef) && !has(self.privateKeyRef)",fieldPath=".clientId",message="is needed with clientSecretRef or privateKeyRef: whose credential are they?"
// +kubebuilder:validation:XValidation:rule="!has(self.clientId) || !has(self.clientIdMetadataUrl)",fieldPath=".clientIdMetadataUrl",message="cannot be set beside clientId; keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.tokenEndpointAuthMethod) || has(self.clientSecretRef)",fieldPath=".tokenEndpointAuthMethod",message="says how clientSecretRef is shown; set that too, or remove this"
type RemoteOAuth struct {
	// Grant is how the gateway gets its tokens: authorizationCode, where a person signs
	// in once with a browser (sallyport login, or the first call in sallyport run), or
	// clientCredentials, for machines.
	// +kubebuilder:validation:Enum=authorizationCode;clientCredentials
	// +kubebuilder:default=authorizationCode
	// +optional
	Grant string `json:"grant,omitempty"`
	// ClientID is the gateway's client id at the authorization server, if it was
	// registered there beforehand. Without it the gateway registers itself.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	ClientID string `json:"clientId,omitempty"`
	// ClientSecretRef is the secret that belongs to clientId.
	// +optional
	ClientSecretRef *SecretKeyRef `json:"clientSecretRef,omitempty"`
	// PrivateKeyRef is a private key in PEM that signs client assertions
	// (private_key_jwt), in place of a secret.
	// +optional
	PrivateKeyRef *SecretKeyRef `json:"privateKeyRef,omitempty"`
	// TokenEndpointAuthMethod is how the secret is shown at the token endpoint, where
	// the authorization server does not say.
	// +kubebuilder:validation:Enum=client_secret_basic;client_secret_post
	// +optional
	TokenEndpointAuthMethod string `json:"tokenEndpointAuthMethod,omitempty"`
	// ClientIDMetadataURL is the address of a client ID metadata document that stands
	// for this gateway. It is the client id where the authorization server reads such
	// documents; elsewhere the gateway registers itself.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches(r'^https://[^\\s/?#@]+/[^\\s#]+$')",message="must be an https URL with a path, like https://gateway.example.com/oauth-client.json"
	// +optional
	ClientIDMetadataURL string `json:"clientIdMetadataUrl,omitempty"`
	// Issuer is the one authorization server whose tokens are used. Without it, the one
	// that the remote server names.
	// +optional
	Issuer IssuerURL `json:"issuer,omitempty"`
	// Scopes are asked for in place of those that the remote server names. More are
	// added when it says that a call needs them.
	// +optional
	Scopes Scopes `json:"scopes,omitempty"`
	// AdditionalAuthorizationParams are further parameters of the authorization
	// request, such as audience, or prompt.
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule=`self.all(name, !(name in ['response_type', 'response_mode', 'client_id', 'redirect_uri', 'scope', 'state', 'code_challenge', 'code_challenge_method', 'request', 'request_uri', 'resource']))`,messageExpression=`'%s is set by the gateway; remove it'.format([self.filter(name, name in ['response_type', 'response_mode', 'client_id', 'redirect_uri', 'scope', 'state', 'code_challenge', 'code_challenge_method', 'request', 'request_uri', 'resource'])[0]])`,message="has a parameter that is set by the gateway; remove it"
	// +optional
	AdditionalAuthorizationParams map[string]UpstreamParam `json:"additionalAuthorizationParams,omitempty"`
	// Resource is what tokens are asked for (RFC 8707), in place of what the remote
	// server says of itself; none names nothing, as Entra ID wants it beside scopes.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self == 'none' || self.matches('^[a-z][a-z0-9+.-]*:[^#\\\\s]+$')",message="must be an absolute URI without a fragment, like https://mcp.example.com, or none"
	// +optional
	Resource string `json:"resource,omitempty"`
}
