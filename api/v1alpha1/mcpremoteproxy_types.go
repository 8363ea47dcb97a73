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
// +kubebuilder:validation:XValidation:rule=`!self.remoteUrl.startsWith('http:') || self.allowPrivateEndpoint`,fieldPath=".remoteUrl",message="must begin with https://; for plain http to a loopback or private address set allowPrivateEndpoint: true"
// +kubebuilder:validation:XValidation:rule=`!has(self.passthroughHeaders) || !has(self.headerForward) || !has(self.headerForward.addPlaintextHeaders) || self.passthroughHeaders.all(p, !self.headerForward.addPlaintextHeaders.exists(h, h.lowerAscii() == p.lowerAscii()))`,fieldPath=".passthroughHeaders",messageExpression=`'header %s is set by headerForward.addPlaintextHeaders too; keep one of them'.format([self.passthroughHeaders.filter(p, self.headerForward.addPlaintextHeaders.exists(h, h.lowerAscii() == p.lowerAscii()))])`
// +kubebuilder:validation:XValidation:rule=`!has(self.passthroughHeaders) || !has(self.headerForward) || !has(self.headerForward.addHeadersFromSecret) || self.passthroughHeaders.all(p, !self.headerForward.addHeadersFromSecret.exists(h, h.headerName.lowerAscii() == p.lowerAscii()))`,fieldPath=".passthroughHeaders",messageExpression=`'header %s is set by headerForward.addHeadersFromSecret too; keep one of them'.format([self.passthroughHeaders.filter(p, self.headerForward.addHeadersFromSecret.exists(h, h.headerName.lowerAscii() == p.lowerAscii()))])`
// +kubebuilder:validation:XValidation:rule="!has(self.oidcConfig) || !has(self.oidcConfigRef)",fieldPath=".oidcConfigRef",message="cannot be set beside oidcConfig; keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.authServerRef) || !has(self.oidcConfig) && !has(self.oidcConfigRef)",fieldPath=".authServerRef",message="cannot be set beside oidcConfig or oidcConfigRef: one issuer's tokens open the door; keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.authzConfig) || !has(self.authzConfigRef)",fieldPath=".authzConfigRef",message="cannot be set beside authzConfig; keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.oauth) || !has(self.externalAuthConfigRef)",fieldPath=".oauth",message="cannot be set beside externalAuthConfigRef; keep one of them"
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
	// OAuth gets the gateway an account of its own at the remote server.
	// +optional
	OAuth *RemoteOAuth `json:"oauth,omitempty"`
	// HeaderForward sets fixed headers on every request to the remote server.
	// +optional
	HeaderForward *HeaderForward `json:"headerForward,omitempty"`
	// PassthroughHeaders lists the client's headers that are forwarded
	// unchanged. All others are dropped.
	// +optional
	PassthroughHeaders PassthroughHeaders `json:"passthroughHeaders,omitempty"`
	// PassthroughAuthorization forwards the client's Authorization header too. It is
	// for servers that clients authenticate to themselves, and only where the
	// gateway neither reads that header nor sets it.
	// +kubebuilder:default=false
	// +optional
	PassthroughAuthorization bool `json:"passthroughAuthorization,omitempty"`
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

	Incoming `json:",inline"`

	// AuthzConfig says in place what callers may do.
	// +optional
	AuthzConfig *AuthzConfig `json:"authzConfig,omitempty"`
	// AuthzConfigRef names the MCPAuthzConfig that says what callers may do.
	// +optional
	AuthzConfigRef *ObjectRef `json:"authzConfigRef,omitempty"`
	// RateLimiting limits how often tools are called.
	// +optional
	RateLimiting *RateLimiting `json:"rateLimiting,omitempty"`
	// Telemetry says which requests are traced. Without it the process's own
	// sampler decides.
	// +optional
	Telemetry *Telemetry `json:"telemetry,omitempty"`
	// ToolConfigRef names the MCPToolConfig that chooses and renames the tools that
	// clients see.
	// +optional
	ToolConfigRef *ObjectRef `json:"toolConfigRef,omitempty"`

	// Not built yet. Each of these is refused by name.

	// TelemetryConfigRef names the MCPTelemetryConfig that says where traces and metrics go.
	// +kubebuilder:validation:XValidation:rule="false",message="telemetryConfigRef is not supported yet; say in telemetry what is traced, and in OTEL_EXPORTER_OTLP_ENDPOINT where it goes"
	// +optional
	TelemetryConfigRef *Unbuilt `json:"telemetryConfigRef,omitempty"`
	// NetworkPolicy limits what the pods can connect to.
	// +kubebuilder:validation:XValidation:rule="false",message="networkPolicy is not supported yet; remove it"
	// +optional
	NetworkPolicy *Unbuilt `json:"networkPolicy,omitempty"`
	// Resources are the requests and limits of the pods.
	// +kubebuilder:validation:XValidation:rule="false",message="resources is not supported yet; remove it"
	// +optional
	Resources *Unbuilt `json:"resources,omitempty"`
	// ServiceAccount names the ServiceAccount of the pods.
	// +kubebuilder:validation:XValidation:rule="false",message="serviceAccount is not supported yet; remove it"
	// +optional
	ServiceAccount string `json:"serviceAccount,omitempty"`
	// PodTemplateSpec is merged into the template of the pods.
	// +kubebuilder:validation:XValidation:rule="false",message="podTemplateSpec is not supported yet; remove it"
	// +optional
	PodTemplateSpec *Unbuilt `json:"podTemplateSpec,omitempty"`
	// ResourceOverrides changes labels and annotations of the objects that are made.
	// +kubebuilder:validation:XValidation:rule="false",message="resourceOverrides is not supported yet; remove it"
	// +optional
	ResourceOverrides *Unbuilt `json:"resourceOverrides,omitempty"`
	// GroupRef names the MCPGroup that this is a member of.
	// +kubebuilder:validation:XValidation:rule="false",message="groupRef is not supported yet; remove it"
	// +optional
	GroupRef *Unbuilt `json:"groupRef,omitempty"`
	// SessionAffinity says whether a Service keeps a client with one pod.
	// +kubebuilder:validation:XValidation:rule="false",message="sessionAffinity is not supported yet; remove it"
	// +optional
	SessionAffinity string `json:"sessionAffinity,omitempty"`
	// SessionStorage says where sessions are kept.
	// +kubebuilder:validation:XValidation:rule="false",message="sessionStorage is not supported yet; remove it"
	// +optional
	SessionStorage *Unbuilt `json:"sessionStorage,omitempty"`
	// Replicas is the number of pods. Unset, it is left to an autoscaler.
	// +kubebuilder:validation:XValidation:rule="false",message="replicas is not supported yet; remove it"
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
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
