package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MCPRemoteProxy is one remote MCP server behind one endpoint of the gateway.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')`,message="metadata.name must be lower-case letters, digits and hyphens, begin and end with a letter or digit, and have at most 63 characters"
// +kubebuilder:resource:shortName=rp;mcprp,categories=sallyport
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Remote URL",type=string,JSONPath=`.spec.remoteUrl`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.status.url`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="External URL",type=string,JSONPath=`.status.externalUrl`,priority=1
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
// +kubebuilder:validation:XValidation:rule=`!has(self.passthroughHeaders) || !has(self.headerForward) || !has(self.headerForward.addPlaintextHeaders) || self.passthroughHeaders.all(p, !self.headerForward.addPlaintextHeaders.exists(h, h.lowerAscii() == p.lowerAscii()))`,fieldPath=".passthroughHeaders",messageExpression=`'header %s is set by headerForward.addPlaintextHeaders too; keep one of them'.format([self.passthroughHeaders.filter(p, self.headerForward.addPlaintextHeaders.exists(h, h.lowerAscii() == p.lowerAscii()))])`
// +kubebuilder:validation:XValidation:rule=`!has(self.passthroughHeaders) || !has(self.headerForward) || !has(self.headerForward.addHeadersFromSecret) || self.passthroughHeaders.all(p, !self.headerForward.addHeadersFromSecret.exists(h, h.headerName.lowerAscii() == p.lowerAscii()))`,fieldPath=".passthroughHeaders",messageExpression=`'header %s is set by headerForward.addHeadersFromSecret too; keep one of them'.format([self.passthroughHeaders.filter(p, self.headerForward.addHeadersFromSecret.exists(h, h.headerName.lowerAscii() == p.lowerAscii()))])`
type MCPRemoteProxySpec struct {
	Remote `json:",inline"`

	// Transport is how the remote server speaks: streamable-http, or sse for
	// the HTTP+SSE transport of revision 2024-11-05.
	// +kubebuilder:validation:Enum=streamable-http;sse
	// +kubebuilder:default=streamable-http
	// +optional
	Transport string `json:"transport,omitempty"`
	// PassthroughAuthorization forwards the client's Authorization header too. It is
	// for servers that clients authenticate to themselves, and only where the
	// gateway neither reads that header nor sets it.
	// +kubebuilder:default=false
	// +optional
	PassthroughAuthorization bool `json:"passthroughAuthorization,omitempty"`

	Serving    `json:",inline"`
	Membership `json:",inline"`
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
	// Gateway is the MCPGateway that serves it now; empty where it has pods of its own.
	// +optional
	Gateway string `json:"gateway,omitempty"`
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
