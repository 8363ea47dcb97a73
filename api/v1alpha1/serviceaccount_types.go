package v1alpha1

// ServiceAccountIssuer is a Kubernetes cluster as the issuer of its service
// accounts' tokens.
//
// +kubebuilder:validation:XValidation:rule="(!has(self.issuer) || self.issuer.startsWith('https://')) && (!has(self.jwksUrl) || self.jwksUrl.startsWith('https://')) && (!has(self.introspectionUrl) || self.introspectionUrl.startsWith('https://'))",message="issuer, jwksUrl and introspectionUrl must be https"
type ServiceAccountIssuer struct {
	// ServiceAccount is the name of the only service account whose tokens are good
	// here. Without it those of all accounts are that Namespace admits.
	// +optional
	ServiceAccount ObjectName `json:"serviceAccount,omitempty"`
	// Namespace is where the service account must be. Without it any will do, but
	// with ServiceAccount it is this object's.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// Issuer is the cluster's issuer, exactly as its tokens have it in iss.
	// +kubebuilder:default="https://kubernetes.default.svc"
	// +optional
	Issuer IssuerURL `json:"issuer,omitempty"`
	// JWKSURL is where the cluster's keys are. Without it they are asked of the
	// API server with useClusterAuth, else found by discovery from the issuer.
	// +optional
	JWKSURL IssuerURL `json:"jwksUrl,omitempty"`
	// IntrospectionURL is where opaque tokens are checked (RFC 7662). Tokens of
	// service accounts are JWTs.
	// +optional
	IntrospectionURL IssuerURL `json:"introspectionUrl,omitempty"`
	// UseClusterAuth asks the API server with the authority and the token of the pod
	// that the gateway runs in. They go to the API server and nowhere else, whatever
	// the URLs here are. Outside a cluster switch it off.
	// +kubebuilder:default=true
	// +optional
	UseClusterAuth *bool `json:"useClusterAuth,omitempty"`
	// CABundleRef replaces the system's certificates for connections elsewhere than
	// to the API server.
	// +optional
	CABundleRef *CABundleRef `json:"caBundleRef,omitempty"`
	// JWKSAllowPrivateIP admits loopback and private addresses elsewhere than at the
	// API server. Cloud metadata addresses are never admitted.
	// +kubebuilder:default=false
	// +optional
	JWKSAllowPrivateIP bool `json:"jwksAllowPrivateIP,omitempty"`
	// ClaimMappings say where in a token the caller's properties are. Without them the
	// groups are those that the API server gives a service account:
	// system:serviceaccounts and system:serviceaccounts:NAMESPACE.
	// +optional
	ClaimMappings *ClaimMappings `json:"claimMappings,omitempty"`
}

// OIDCKubernetes is a cluster together with what its tokens must say here.
type OIDCKubernetes struct {
	ServiceAccountIssuer `json:",inline"`
	// Audience that a token must have: the endpoint's URL, as the pod asks for it in
	// its projected token. The API server's own audience would do for every token of
	// every pod, and those are not to be sent around.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Audience string `json:"audience"`
}
