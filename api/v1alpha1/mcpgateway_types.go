package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MCPGateway is one gateway, in one Deployment of a cluster, for all resources of its
// namespace that name it in gatewayRef. A gateway that runs elsewhere takes no notice of
// it: it serves every resource itself, as its own flags say.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')`,message="metadata.name must be lower-case letters, digits and hyphens, begin and end with a letter or digit, and have at most 63 characters"
// +kubebuilder:resource:shortName=mcpgw,categories=sallyport
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.status.url`
// +kubebuilder:printcolumn:name="Servers",type=integer,JSONPath=`.status.serverCount`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="External URL",type=string,JSONPath=`.status.externalUrl`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MCPGateway struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec MCPGatewaySpec `json:"spec,omitempty"`
	// +optional
	Status MCPGatewayStatus `json:"status,omitempty"`
}

// MCPGatewaySpec says what the pods are like that serve the resources.
type MCPGatewaySpec struct {
	// ProxyPort is the port of the Service.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:default=8080
	// +optional
	ProxyPort int32 `json:"proxyPort,omitempty"`
	// TLS has the pods serve clients over TLS.
	// +optional
	TLS *GatewayTLS `json:"tls,omitempty"`
	// Store is where sign-ins, registered clients and linked accounts are kept that all
	// pods know. Without it each pod has its own, and they end with it.
	// +optional
	Store *GatewayStore `json:"store,omitempty"`
	// AllowedOrigins are web origins, besides the gateway's own, that may send requests.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	AllowedOrigins []WebOrigin `json:"allowedOrigins,omitempty"`
	// Gateway is how clients outside the cluster reach all that is served, each at its own
	// path: one route leads to all. Beside tls the Gateway has to speak TLS to the pods, by
	// a BackendTLSPolicy of yours.
	// +optional
	Gateway *GatewayRoute `json:"gateway,omitempty"`

	Cluster `json:",inline"`
}

// GatewayTLS is the certificate that the pods serve clients with.
type GatewayTLS struct {
	// SecretName names the Secret with the certificate in tls.crt and its key in tls.key,
	// as cert-manager makes them. A renewed one takes effect without a restart.
	SecretName ObjectName `json:"secretName"`
	// ClientCABundleRef names the authorities that certificates of clients are verified
	// against. Without it clients are asked for none.
	// +optional
	ClientCABundleRef *CABundleRef `json:"clientCABundleRef,omitempty"`
}

// GatewayStore is a Redis that all pods share. What is kept there is encrypted, with a key
// that the operator makes.
type GatewayStore struct {
	// URL of the server: redis://HOST:PORT/DB, or rediss:// for TLS.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^[^/?#]*//[^/?#@]*:[^/?#@]*@')`,message="must not hold a password; put it into a Secret and name that in passwordSecretRef"
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^rediss?://([^\s/?#]*@)?([^\s/?#@:\[\]]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}(/[0-9]{1,3})?$')`,message="must be like redis://redis.example.com:6379/0, or rediss:// for TLS"
	URL string `json:"url"`
	// PasswordSecretRef names the password.
	// +optional
	PasswordSecretRef *SecretKeyRef `json:"passwordSecretRef,omitempty"`
}

// WebOrigin is the origin of web pages.
//
// +kubebuilder:validation:MaxLength=270
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^https?://[^\s/?#@,]+$')`,message="must be an origin, like https://app.example.com"
type WebOrigin string

// MCPGatewayStatus is what the operator saw.
type MCPGatewayStatus struct {
	// Phase is the state in one word.
	// +kubebuilder:validation:Enum=Pending;Ready;Failed
	// +optional
	Phase string `json:"phase,omitempty"`
	// Message explains the phase.
	// +optional
	Message string `json:"message,omitempty"`
	// URL is the gateway inside the cluster; behind it stand /servers/NAME/mcp.
	// +optional
	URL string `json:"url,omitempty"`
	// ExternalURL is the gateway as clients outside the cluster reach it; behind it stand
	// /servers/NAME/mcp.
	// +optional
	ExternalURL string `json:"externalUrl,omitempty"`
	// ServerCount is how many resources name the gateway.
	// +optional
	ServerCount int32 `json:"serverCount,omitempty"`
	// ServingCount is how many of them it serves as they are.
	// +optional
	ServingCount int32 `json:"servingCount,omitempty"`
	// Serving are the first of those.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Serving []WorkloadRef `json:"serving,omitempty"`
	// FailingCount is how many it does not serve, or only as they were before.
	// +optional
	FailingCount int32 `json:"failingCount,omitempty"`
	// Failing are the first of those. Why, they say themselves.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Failing []WorkloadRef `json:"failing,omitempty"`
	// ObservedGeneration is the generation this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions tell in detail what holds and what to do.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// MCPGatewayList is a list of MCPGateway.
//
// +kubebuilder:object:root=true
type MCPGatewayList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MCPGateway `json:"items"`
}
