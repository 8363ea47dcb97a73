package oauth

// ServerMetadata describes an authorization server (RFC 8414 §2, OpenID Discovery
// §3), as far as clients and the embedded server have a use for it.
type ServerMetadata struct {
	Issuer                   string `json:"issuer"`
	AuthorizationEndpoint    string `json:"authorization_endpoint,omitempty"`
	TokenEndpoint            string `json:"token_endpoint,omitempty"`
	RegistrationEndpoint     string `json:"registration_endpoint,omitempty"`
	RevocationEndpoint       string `json:"revocation_endpoint,omitempty"`
	IntrospectionEndpoint    string `json:"introspection_endpoint,omitempty"`
	UserinfoEndpoint         string `json:"userinfo_endpoint,omitempty"`
	EndSessionEndpoint       string `json:"end_session_endpoint,omitempty"`
	JWKSURI                  string `json:"jwks_uri,omitempty"`
	ScopesSupported          Words  `json:"scopes_supported,omitempty"`
	ResponseTypes            Words  `json:"response_types_supported,omitempty"`
	ResponseModes            Words  `json:"response_modes_supported,omitempty"`
	GrantTypes               Words  `json:"grant_types_supported,omitempty"`
	TokenAuthMethods         Words  `json:"token_endpoint_auth_methods_supported,omitempty"`
	TokenAuthAlgorithms      Words  `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	RevocationAuthMethods    Words  `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	IntrospectionAuthMethods Words  `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	CodeChallengeMethods     Words  `json:"code_challenge_methods_supported,omitempty"`
	SubjectTypes             Words  `json:"subject_types_supported,omitempty"`
	IDTokenAlgorithms        Words  `json:"id_token_signing_alg_values_supported,omitempty"`
	IssParameterSupported    bool   `json:"authorization_response_iss_parameter_supported,omitempty"` // RFC 9207
	ClientMetadataDocuments  bool   `json:"client_id_metadata_document_supported,omitempty"`
	GrantProfiles            Words  `json:"authorization_grant_profiles_supported,omitempty"`
}

// ResourceMetadata describes a protected resource (RFC 9728 §2).
type ResourceMetadata struct {
	Resource             string `json:"resource"`
	AuthorizationServers Words  `json:"authorization_servers,omitempty"`
	BearerMethods        Words  `json:"bearer_methods_supported,omitempty"`
	Scopes               Words  `json:"scopes_supported,omitempty"`
	Name                 string `json:"resource_name,omitempty"`
}
