package v1alpha1

// ForwardClientToken shows the backend the caller's own token. It must have been
// made for the backend too: its audience must name it.
type ForwardClientToken struct {
	// Audience is what the token's aud must hold for the token to be forwarded: the
	// backend's name.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	Audience string `json:"audience"`
}

// IdentityAssertion tells the backend who the caller is, in a short-lived JWT that
// the gateway signs. The backend checks it with the keys that are published at
// /.well-known/sallyport/NAME/jwks.json, where NAME is that of this object.
type IdentityAssertion struct {
	// Issuer is what iss says. By default it is --public-url.
	// +optional
	Issuer IssuerURL `json:"issuer,omitempty"`
	// Audience is what aud says. By default it is the backend's remoteUrl, without a query.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Audience string `json:"audience,omitempty"`
	// SigningKeySecretRefs name private keys in PEM: RSA, P-256, P-384, P-521 or
	// Ed25519. The first one signs, all are published.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +listType=atomic
	SigningKeySecretRefs []SecretKeyRef `json:"signingKeySecretRefs"`
	// HeaderName is the header that carries the assertion: Authorization as a bearer
	// token, every other one as it is.
	// +kubebuilder:default=Authorization
	// +optional
	HeaderName SetHeader `json:"headerName,omitempty"`
	// Claims are what the assertion says of the caller besides sub and client_id.
	// +kubebuilder:validation:MaxItems=5
	// +kubebuilder:validation:items:Enum=email;name;groups;roles;scopes
	// +kubebuilder:default={groups,roles}
	// +listType=set
	// +optional
	Claims []string `json:"claims,omitempty"`
	// Lifetime is how long an assertion is good, in seconds.
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=300
	// +kubebuilder:default=60
	// +optional
	Lifetime int32 `json:"lifetime,omitempty"`
}

// OBO exchanges the caller's token by Entra's on-behalf-of flow.
//
// +kubebuilder:validation:XValidation:rule=`has(self.audience) || has(self.scopes)`,fieldPath=".audience",message="is required, or else scopes: a token for nothing is not given"
// +kubebuilder:validation:XValidation:rule=`!has(self.authority) || !self.authority.startsWith('http:') || self.allowPrivateIPs`,fieldPath=".authority",message="must begin with https://; for plain http to a loopback or private address set allowPrivateIPs: true"
type OBO struct {
	// TenantID is the Entra tenant: its id, or one of its domains.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z]{2,})$`
	TenantID string `json:"tenantId"`
	// ClientID is the gateway's application id, which is also what callers' tokens
	// must be for.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	ClientID string `json:"clientId"`
	// ClientSecretRef names the application's secret.
	ClientSecretRef SecretKeyRef `json:"clientSecretRef"`
	// Audience is the backend's application id URI. Without scopes, all that were
	// consented to for it are asked for (its .default).
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Audience string `json:"audience,omitempty"`
	// Scopes are those the new token shall have, each with the backend's application
	// id URI before it.
	// +optional
	Scopes Scopes `json:"scopes,omitempty"`
	// Authority is the login host, for national clouds; by default
	// https://login.microsoftonline.com.
	// +optional
	Authority IssuerURL `json:"authority,omitempty"`
	// CacheSkew is how long before its end a token is given up, beyond the usual.
	// +optional
	CacheSkew Period `json:"cacheSkew,omitempty"`
	// AllowPrivateIPs admits a loopback or private address for the authority, and
	// plain http to it. Cloud metadata addresses are never admitted.
	// +kubebuilder:default=false
	// +optional
	AllowPrivateIPs bool `json:"allowPrivateIPs,omitempty"`
	// SubjectTokenProviderName takes the token of an upstream provider in place of the
	// caller's own. With authServerRef it is the first provider's by default.
	// +optional
	SubjectTokenProviderName ProviderName `json:"subjectTokenProviderName,omitempty"`
}

// XAA is enterprise-managed authorization: the identity provider makes an assertion
// (ID-JAG) about the person for the backend's own authorization server, which makes
// an access token of it.
//
// +kubebuilder:validation:XValidation:rule=`!self.idpTokenUrl.startsWith('http:') || self.allowPrivateIPs`,fieldPath=".idpTokenUrl",message="must begin with https://; for plain http to a loopback or private address set allowPrivateIPs: true"
// +kubebuilder:validation:XValidation:rule=`!has(self.targetTokenUrl) || !self.targetTokenUrl.startsWith('http:') || self.allowPrivateIPs || self.insecureTargetTokenUrl`,fieldPath=".targetTokenUrl",message="must begin with https://; for plain http to a loopback or private address set allowPrivateIPs: true"
// +kubebuilder:validation:XValidation:rule=`has(self.targetTokenUrl) || !self.targetAudience.startsWith('http:') || self.allowPrivateIPs`,fieldPath=".targetAudience",message="must begin with https:// where targetTokenUrl is looked up there; for plain http to a loopback or private address set allowPrivateIPs: true"
type XAA struct {
	// IDPTokenURL is the identity provider's token endpoint.
	IDPTokenURL EndpointURL `json:"idpTokenUrl"`
	// IDPClientID is the gateway's client id there.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	IDPClientID string `json:"idpClientId,omitempty"`
	// IDPClientSecretRef names that client's secret.
	// +optional
	IDPClientSecretRef *SecretKeyRef `json:"idpClientSecretRef,omitempty"`
	// TargetAudience is the issuer of the backend's authorization server.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	TargetAudience string `json:"targetAudience"`
	// TargetTokenURL is that server's token endpoint. By default it is looked up in the
	// metadata of targetAudience (RFC 8414).
	// +optional
	TargetTokenURL EndpointURL `json:"targetTokenUrl,omitempty"`
	// TargetClientID is the gateway's client id there.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	TargetClientID string `json:"targetClientId,omitempty"`
	// TargetClientSecretRef names that client's secret.
	// +optional
	TargetClientSecretRef *SecretKeyRef `json:"targetClientSecretRef,omitempty"`
	// TargetResource is the backend, as its authorization server knows it (RFC 8707). By
	// default it is the backend's remoteUrl, without a query.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	TargetResource string `json:"targetResource,omitempty"`
	// Scopes are those the new token shall have.
	// +optional
	Scopes Scopes `json:"scopes,omitempty"`
	// SubjectTokenType says what the caller's token is to the identity provider.
	// +kubebuilder:validation:Enum="urn:ietf:params:oauth:token-type:id_token";"urn:ietf:params:oauth:token-type:access_token";"urn:ietf:params:oauth:token-type:jwt"
	// +kubebuilder:default="urn:ietf:params:oauth:token-type:id_token"
	// +optional
	SubjectTokenType string `json:"subjectTokenType,omitempty"`
	// InsecureTargetTokenURL admits plain http for targetTokenUrl: whoever is on the
	// way can take the tokens.
	// +kubebuilder:default=false
	// +optional
	InsecureTargetTokenURL bool `json:"insecureTargetTokenUrl,omitempty"`
	// AllowPrivateIPs admits loopback and private addresses for both token endpoints,
	// and plain http to them. Cloud metadata addresses are never admitted.
	// +kubebuilder:default=false
	// +optional
	AllowPrivateIPs bool `json:"allowPrivateIPs,omitempty"`
	// SubjectProviderName takes the ID token of an upstream provider in place of the
	// caller's own token. With authServerRef it is the first provider's by default.
	// +optional
	SubjectProviderName ProviderName `json:"subjectProviderName,omitempty"`
}

// AWSSTS signs requests to the backend (SigV4) with keys of an AWS role, which the
// caller's token is good for (AssumeRoleWithWebIdentity).
//
// +kubebuilder:validation:XValidation:rule=`has(self.fallbackRoleArn) || (has(self.roleMappings) && size(self.roleMappings) > 0)`,fieldPath=".fallbackRoleArn",message="is required, or else roleMappings: without a role nobody gets in"
// +kubebuilder:validation:XValidation:rule=`!has(self.stsEndpoint) || !self.stsEndpoint.startsWith('http:') || self.allowPrivateIPs`,fieldPath=".stsEndpoint",message="must begin with https://; for plain http to a loopback or private address set allowPrivateIPs: true"
type AWSSTS struct {
	// Region is that of the backend, and of the token service.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[a-z]{2}(-[a-z]+)+-\d+$`
	Region string `json:"region"`
	// Service is the backend's name in signatures.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[a-z0-9-]+$`
	// +kubebuilder:default=aws-mcp
	// +optional
	Service string `json:"service,omitempty"`
	// FallbackRoleARN is the role of callers that no mapping matches. Without it they
	// get none.
	// +optional
	FallbackRoleARN RoleARN `json:"fallbackRoleArn,omitempty"`
	// RoleClaim is the claim that roleMappings look at.
	// +kubebuilder:default=groups
	// +optional
	RoleClaim ClaimPath `json:"roleClaim,omitempty"`
	// RoleMappings give callers with a value of the claim a role. The first one that
	// matches counts, by priority and then as they are listed.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	RoleMappings []AWSRoleMapping `json:"roleMappings,omitempty"`
	// SessionDuration is how long keys are good, in seconds.
	// +kubebuilder:validation:Minimum=900
	// +kubebuilder:validation:Maximum=43200
	// +kubebuilder:default=3600
	// +optional
	SessionDuration int32 `json:"sessionDuration,omitempty"`
	// SessionNameClaim is the claim that names the caller in AWS's logs.
	// +kubebuilder:default=sub
	// +optional
	SessionNameClaim ClaimPath `json:"sessionNameClaim,omitempty"`
	// STSEndpoint is the token service, if not that of the region: a VPC endpoint.
	// +optional
	STSEndpoint EndpointURL `json:"stsEndpoint,omitempty"`
	// AllowPrivateIPs admits a loopback or private address for stsEndpoint, and plain
	// http to it. Cloud metadata addresses are never admitted.
	// +kubebuilder:default=false
	// +optional
	AllowPrivateIPs bool `json:"allowPrivateIPs,omitempty"`
	// SubjectProviderName takes the access token of an upstream provider in place of the
	// caller's own. With authServerRef it is the first provider's by default.
	// +optional
	SubjectProviderName ProviderName `json:"subjectProviderName,omitempty"`
}

// AWSRoleMapping gives callers with a value of the claim a role.
//
// +kubebuilder:validation:XValidation:rule=`has(self.claim) || has(self.matcher)`,fieldPath=".claim",message="is required: the value that the claim must have"
type AWSRoleMapping struct {
	// Claim is the value that the claim must have.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Claim string `json:"claim,omitempty"`
	// RoleARN is the role.
	RoleARN RoleARN `json:"roleArn"`
	// Priority orders mappings: lower ones come first, those without one last.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Priority *int32 `json:"priority,omitempty"`

	// Not built yet. It is refused by name.

	// Matcher is an expression over the claims.
	// +kubebuilder:validation:XValidation:rule="false",message="matcher is not supported yet; use claim"
	// +optional
	Matcher string `json:"matcher,omitempty"`
}

// RoleARN names an IAM role.
//
// +kubebuilder:validation:MaxLength=2048
// +kubebuilder:validation:Pattern=`^arn:(aws|aws-cn|aws-us-gov):iam::\d{12}:role/[\w+=,.@\-_/]+$`
type RoleARN string

// ProviderName is the name of one of the upstreamProviders of the authorization
// server that the endpoint's authServerRef names; default for one that has no name.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=63
type ProviderName string
