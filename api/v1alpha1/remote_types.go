package v1alpha1

// Remote is where a remote server is, and what it is shown. Every kind has it that
// stands for a server by its address.
//
// +kubebuilder:validation:XValidation:rule=`!self.remoteUrl.startsWith('http:') || self.allowPrivateEndpoint`,fieldPath=".remoteUrl",message="must begin with https://; for plain http to a loopback or private address set allowPrivateEndpoint: true"
// +kubebuilder:validation:XValidation:rule="!has(self.oauth) || !has(self.externalAuthConfigRef)",fieldPath=".oauth",message="cannot be set beside externalAuthConfigRef; keep one of them"
// +kubebuilder:validation:XValidation:rule=`!has(self.sessionsPerAddress) || !self.sessionsPerAddress || self.remoteUrl.startsWith('http:')`,fieldPath=".sessionsPerAddress",message="is for a remoteUrl that begins with http://: certificates are for names, not for the addresses behind them"
type Remote struct {
	// RemoteURL is the address of the remote MCP server.
	RemoteURL RemoteURL `json:"remoteUrl"`
	// AllowPrivateEndpoint admits a remoteUrl on a loopback or private address,
	// and plain http to it. Cloud metadata addresses are never admitted.
	// +kubebuilder:default=false
	// +optional
	AllowPrivateEndpoint bool `json:"allowPrivateEndpoint,omitempty"`
	// SessionsPerAddress says that each address of the URL's host is a server of its own,
	// with sessions that the others do not know, like the pods behind a headless Service. A
	// session stays with the address that it began at, and ends with it.
	// +kubebuilder:default=false
	// +optional
	SessionsPerAddress bool `json:"sessionsPerAddress,omitempty"`
	// CABundleRef replaces the system's certificates for the connection to the
	// remote server.
	// +optional
	CABundleRef *CABundleRef `json:"caBundleRef,omitempty"`
	// ProxyURL is the HTTP proxy for connections to the remote server, and to the
	// authorization server of oauth, in place of HTTPS_PROXY and HTTP_PROXY; direct for
	// none. A proxy that wants a password is set by those variables.
	// +optional
	ProxyURL ProxyURL `json:"proxyUrl,omitempty"`
	// ExternalAuthConfigRef names the MCPExternalAuthConfig that says which
	// credential the remote server is shown. Without it, none.
	// +optional
	ExternalAuthConfigRef *ObjectRef `json:"externalAuthConfigRef,omitempty"`
	// OAuth gets the gateway an account of its own at the remote server.
	// +optional
	OAuth *RemoteOAuth `json:"oauth,omitempty"`
	// HeaderForward sets fixed headers on every request to the remote server.
	// +optional
	HeaderForward *HeaderForward `json:"headerForward,omitempty"`
	// ProtocolVersion is the one revision of the protocol that the remote server is
	// spoken to in. Without it the gateway finds out.
	// +optional
	ProtocolVersion ProtocolVersion `json:"protocolVersion,omitempty"`
	// CallTimeout is how long the remote server may take to begin an answer. By default
	// it is --call-timeout.
	// +optional
	CallTimeout Period `json:"callTimeout,omitempty"`
	// Redirects opens what is refused when the remote server answers 3xx.
	// +optional
	Redirects *Redirects `json:"redirects,omitempty"`
}

// ProxyURL is the address of an HTTP proxy, or direct.
//
// +kubebuilder:validation:MaxLength=512
// +kubebuilder:validation:XValidation:rule="self == 'direct' || self.matches('^https?://[^/?#@\\\\s]+/?$')",message="must be the address of a proxy, like http://proxy.example.com:3128, or direct"
type ProxyURL string
