package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MCPRemoteProxy is one remote MCP server behind one endpoint of the gateway.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rp;mcprp,categories=sallyport
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Remote URL",type=string,JSONPath=`.spec.remoteUrl`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.status.url`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MCPRemoteProxy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MCPRemoteProxySpec `json:"spec"`
	// +optional
	Status MCPRemoteProxyStatus `json:"status,omitempty"`
}

// MCPRemoteProxySpec says where the remote server is and how the gateway talks to it.
//
type MCPRemoteProxySpec struct {
	// RemoteURL is the address of the remote MCP server.
	RemoteURL RemoteURL `json:"remoteUrl"`
	// Transport is how the remote server speaks: streamable-http, or sse for
	// the HTTP+SSE transport of revision 2024-11-05.
	// +kubebuilder:validation:Enum=streamable-http;sse
	// +kubebuilder:default=streamable-http
	// +optional
	Transport string `json:"transport,omitempty"`
	// ProxyPort is the port of the proxy's Service in a cluster. A local
	// gateway serves everything on its --listen address.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:default=8080
	// +optional
	ProxyPort int32 `json:"proxyPort,omitempty"`
	// AllowPrivateEndpoint admits a remoteUrl on a loopback or private address,
	// and plain http to it. Cloud metadata addresses are never admitted.
	// +kubebuilder:default=false
	// +optional
	AllowPrivateEndpoint bool `json:"allowPrivateEndpoint,omitempty"`
	// CABundleRef replaces the system's certificates for the connection to the
	// remote server.
	// +optional
	CABundleRef *CABundleRef `json:"caBundleRef,omitempty"`
	// ExternalAuthConfigRef names the MCPExternalAuthConfig that says which
	// credential the remote server is shown. Without it, none.
	// +optional
	ExternalAuthConfigRef *ObjectRef `json:"externalAuthConfigRef,omitempty"`
	// HeaderForward sets fixed headers on every request to the remote server.
	// +optional
	HeaderForward *HeaderForward `json:"headerForward,omitempty"`
	// PassthroughHeaders lists the client's headers that are forwarded
	// unchanged. All others are dropped.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	PassthroughHeaders []PassthroughHeader `json:"passthroughHeaders,omitempty"`
	// Redirects opens what is refused when the remote server answers 3xx.
	// +optional
	Redirects *Redirects `json:"redirects,omitempty"`
	// TrustProxyHeaders believes X-Forwarded-Proto, -Host and -Prefix of a
	// trusted proxy before the gateway.
	// +kubebuilder:default=false
	// +optional
	TrustProxyHeaders bool `json:"trustProxyHeaders,omitempty"`
	// EndpointPrefix is prepended to the paths the gateway tells to clients of
	// the HTTP+SSE transport.
	// +optional
	EndpointPrefix EndpointPrefix `json:"endpointPrefix,omitempty"`
	// Audit says whether requests are audited.
	// +optional
	Audit *Audit `json:"audit,omitempty"`
}

// MCPRemoteProxyStatus is what the operator saw.
type MCPRemoteProxyStatus struct {
	// Phase is the state in one word.
	// +kubebuilder:validation:Enum=Pending;Ready;Failed;Terminating
	// +optional
	Phase string `json:"phase,omitempty"`
	// Message explains the phase.
	// +optional
	Message string `json:"message,omitempty"`
	// URL is the endpoint inside the cluster.
	// +optional
	URL string `json:"url,omitempty"`
	// ExternalURL is the endpoint as clients outside the cluster reach it.
	// +optional
	ExternalURL string `json:"externalUrl,omitempty"`
	// ObservedGeneration is the generation this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// LastHealthCheck is when the remote server was last asked.
	// +optional
	LastHealthCheck *metav1.Time `json:"lastHealthCheck,omitempty"`
	// RemoteReachable says whether it answered.
	// +optional
	RemoteReachable *bool `json:"remoteReachable,omitempty"`
	// TokenExchangeReady says whether token exchange can work.
	// +optional
	TokenExchangeReady *bool `json:"tokenExchangeReady,omitempty"`
	// Conditions tell in detail what holds and what to do.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// MCPRemoteProxyList is a list of MCPRemoteProxy.
//
// +kubebuilder:object:root=true
type MCPRemoteProxyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MCPRemoteProxy `json:"items"`
}
