package v1alpha1

// DelegateClients are services that may exchange tokens (RFC 8693).
//
// +kubebuilder:validation:MaxItems=10
// +listType=map
// +listMapKey=clientId
type DelegateClients []DelegateClient

// DelegateClient is a service with a secret. It exchanges a person's token for one
// that says in act that the service acts for the person.
type DelegateClient struct {
	// ClientID is what the service calls itself at the token endpoint.
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[\x21-\x7E]+$`
	ClientID string `json:"clientId"`
	// ClientSecretRef names the service's secret.
	ClientSecretRef SecretKeyRef `json:"clientSecretRef"`
	// Audiences are the resources that it may ask for, as the resource parameter has
	// them: addresses of endpoints of this gateway.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	// +listType=set
	Audiences []ResourceURL `json:"audiences"`
	// Scopes are those that it may ask for.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:Pattern=`^[\x21\x23-\x5B\x5D-\x7E]+$`
	// +listType=set
	Scopes []string `json:"scopes"`
}

// ResourceURL is a resource indicator (RFC 8707).
//
// +kubebuilder:validation:MaxLength=2048
// +kubebuilder:validation:Pattern=`^https?://[^\s#]+$`
type ResourceURL string

// TrustedIssuers are other issuers whose tokens are taken at the token endpoint.
//
// +kubebuilder:validation:MaxItems=20
// +listType=map
// +listMapKey=issuerUrl
type TrustedIssuers []TrustedIssuer

// TrustedIssuer is another issuer, and what its tokens are good for: to be exchanged
// by delegateClients (expectedAudience, allowedDelegateClients), as assertions of
// workloads (jwtBearerGrant), or as identity assertions about people
// (identityAssertionGrant).
//
// +kubebuilder:validation:XValidation:rule=`has(self.expectedAudience) || has(self.identityAssertionGrant) || has(self.jwtBearerGrant) && !has(self.actorClaim) && !has(self.actorMatcher) && !has(self.allowedActors) && !(has(self.allowMayAct) && self.allowMayAct)`,fieldPath=".expectedAudience",message="is required: without it a token made for anybody could be exchanged; only with jwtBearerGrant or identityAssertionGrant, and without actor settings, it may be left out"
// +kubebuilder:validation:XValidation:rule=`has(self.allowedDelegateClients) || !has(self.expectedAudience) && !has(self.actorClaim) && !has(self.actorMatcher) && !(has(self.allowMayAct) && self.allowMayAct)`,fieldPath=".allowedDelegateClients",message="is required with expectedAudience, actorClaim, actorMatcher and allowMayAct: name the clients that may exchange, or \"*\" for all of delegateClients"
// +kubebuilder:validation:XValidation:rule=`!has(self.allowedActors) || has(self.actorClaim)`,fieldPath=".allowedActors",message="belongs to actorClaim, which is missing; add it or remove this"
// +kubebuilder:validation:XValidation:rule=`!has(self.actorClaim) || has(self.allowedActors)`,fieldPath=".actorClaim",message="belongs to allowedActors, which is missing; add it or remove this"
// +kubebuilder:validation:XValidation:rule=`!(has(self.allowMayAct) && self.allowMayAct) || !has(self.allowedDelegateClients) || !self.allowedDelegateClients.exists(c, c == '*')`,fieldPath=".allowMayAct",message="must not be set with the wildcard \"*\" in allowedDelegateClients; name the clients"
// +kubebuilder:validation:XValidation:rule=`!(has(self.allowPrivateIPs) && self.allowPrivateIPs) || has(self.jwksUrl)`,fieldPath=".allowPrivateIPs",message="needs jwksUrl: discovery could lead to any address inside"
// +kubebuilder:validation:XValidation:rule=`self.issuerUrl.startsWith('https://') || has(self.insecureAllowHTTP) && self.insecureAllowHTTP || has(self.jwksUrl) && self.jwksUrl.startsWith('https://') || has(self.allowPrivateIPs) && self.allowPrivateIPs && has(self.jwksUrl)`,fieldPath=".issuerUrl",message="must be https, or jwksUrl set; insecureAllowHTTP: true admits keys by plain http"
// +kubebuilder:validation:XValidation:rule=`!has(self.jwksUrl) || self.jwksUrl.startsWith('https://') || has(self.insecureAllowHTTP) && self.insecureAllowHTTP || has(self.allowPrivateIPs) && self.allowPrivateIPs && self.jwksUrl.matches('^http://(localhost|127\\.[0-9.]+|\\[::1\\])(:[0-9]+)?(/.*)?$')`,fieldPath=".jwksUrl",message="must be https; allowPrivateIPs: true admits http on loopback, and insecureAllowHTTP: true everywhere"
type TrustedIssuer struct {
	// IssuerURL is what iss says, exactly.
	IssuerURL IssuerURL `json:"issuerUrl"`
	// JWKSURL is where the issuer's keys are. Without it discovery finds them.
	// +optional
	JWKSURL EndpointURL `json:"jwksUrl,omitempty"`
	// SameSubjects says that sub means the same people here as at the primary upstream
	// provider. Without it sub becomes ISSUER#SUB, so that nobody who can choose a name
	// there is somebody here; an issuer that is the primary provider needs it not.
	// +kubebuilder:default=false
	// +optional
	SameSubjects bool `json:"sameSubjects,omitempty"`

	// ExpectedAudience is what aud of a token must have to be exchanged.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	ExpectedAudience string `json:"expectedAudience,omitempty"`
	// AllowedDelegateClients may exchange the issuer's tokens: ids of delegateClients, or
	// "*" alone for all of them.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:XValidation:rule=`self.size() == 1 || !self.exists(c, c == '*')`,message="must not have the wildcard \"*\" beside ids; keep one of them"
	// +listType=set
	// +optional
	AllowedDelegateClients []string `json:"allowedDelegateClients,omitempty"`
	// ActorClaim is the claim that names the client which got the token from the issuer,
	// like azp, appid or cid.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`!(self in ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'act', 'may_act', 'scope', 'scp'])`,message="must name a claim that says which client asked: client_id, or one like azp, appid or cid"
	// +optional
	ActorClaim string `json:"actorClaim,omitempty"`
	// AllowedActors are the values that it may have, for tokens without may_act.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +listType=set
	// +optional
	AllowedActors []string `json:"allowedActors,omitempty"`
	// AllowMayAct lets the issuer say in may_act which client may exchange a token.
	// +kubebuilder:default=false
	// +optional
	AllowMayAct bool `json:"allowMayAct,omitempty"`
	// ActorMatcher decides in CEL who may exchange a token.
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="false",message="actorMatcher is not supported; use actorClaim with allowedActors, or allowMayAct"
	// +optional
	ActorMatcher string `json:"actorMatcher,omitempty"`

	// JWTBearerGrant takes assertions about workloads (RFC 7523).
	// +optional
	JWTBearerGrant *JWTBearerGrant `json:"jwtBearerGrant,omitempty"`
	// IdentityAssertionGrant takes identity assertions about people (ID-JAG), as
	// enterprise-managed authorization of MCP has them.
	// +optional
	IdentityAssertionGrant *IdentityAssertionGrant `json:"identityAssertionGrant,omitempty"`

	// AllowPrivateIPs admits loopback and private addresses for the issuer's keys. Cloud
	// metadata addresses are never admitted.
	// +kubebuilder:default=false
	// +optional
	AllowPrivateIPs bool `json:"allowPrivateIPs,omitempty"`
	// InsecureAllowHTTP admits plain http for discovery and keys: whoever is on the way
	// can then make tokens.
	// +kubebuilder:default=false
	// +optional
	InsecureAllowHTTP bool `json:"insecureAllowHTTP,omitempty"`
}

// JWTBearerGrant says which assertions are taken, and for what.
type JWTBearerGrant struct {
	// AcceptedAudiences are what aud may say. By default the authorization server's
	// issuer and its token endpoint.
	// +kubebuilder:validation:MaxItems=50
	// +listType=set
	// +optional
	AcceptedAudiences []ResourceURL `json:"acceptedAudiences,omitempty"`
	// MaxAssertionAge is how far exp may be from iat.
	MaxAssertionAge Period `json:"maxAssertionAge"`
	// SubjectBindings say which resources each subject may ask for.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +listType=map
	// +listMapKey=subject
	SubjectBindings []SubjectBinding `json:"subjectBindings"`
}

// SubjectBinding is one workload.
type SubjectBinding struct {
	// Subject is what sub says, exactly.
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^[^*]+$`
	Subject string `json:"subject"`
	// AllowedResources are the resources that it may ask for.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=50
	// +listType=set
	AllowedResources []ResourceURL `json:"allowedResources"`
}

// IdentityAssertionGrant says which identity assertions are taken. An assertion
// names the client and the resource that it is for.
type IdentityAssertionGrant struct {
	// MaxAssertionAge is how far exp may be from iat.
	// +kubebuilder:default="10m"
	// +optional
	MaxAssertionAge Period `json:"maxAssertionAge,omitempty"`
}
