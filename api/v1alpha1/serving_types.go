package v1alpha1

// Serving is what every kind has that is served at an endpoint of its own.
//
// +kubebuilder:validation:XValidation:rule="!has(self.authzConfig) || !has(self.authzConfigRef)",fieldPath=".authzConfigRef",message="cannot be set beside authzConfig; keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.telemetry) || !has(self.telemetryConfigRef)",fieldPath=".telemetryConfigRef",message="cannot be set beside telemetry; keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.gateway) || !has(self.gatewayRef)",fieldPath=".gateway",message="cannot be set beside gatewayRef: the MCPGateway has the field too, and its route leads to all that it serves; set it there"
// +kubebuilder:validation:XValidation:rule="!has(self.gateway) || !has(self.endpointPrefix)",fieldPath=".endpointPrefix",message="cannot be set beside gateway, which has pathPrefix; keep that"
type Serving struct {
	// Title is what people read where they allow an application to use the server; by
	// default its name.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Title string `json:"title,omitempty"`
	// Description says in a sentence what the server is for.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Description string `json:"description,omitempty"`

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
	// MaxConcurrent limits how many calls are under way at a time.
	// +optional
	MaxConcurrent *Concurrency `json:"maxConcurrent,omitempty"`
	// Telemetry says which requests are traced. Without it the process's own
	// sampler decides.
	// +optional
	Telemetry *Telemetry `json:"telemetry,omitempty"`
	// TelemetryConfigRef names the MCPTelemetryConfig that says which requests are traced.
	// +optional
	TelemetryConfigRef *TelemetryConfigRef `json:"telemetryConfigRef,omitempty"`
	// ToolConfigRef names the MCPToolConfig that chooses and renames the tools that
	// clients see.
	// +optional
	ToolConfigRef *ObjectRef `json:"toolConfigRef,omitempty"`

	// ToolLock holds the tools to what they were when somebody locked them: of a virtual
	// server, those of all its members.
	// +optional
	ToolLock *ToolLock `json:"toolLock,omitempty"`

	// PassthroughHeaders lists the client's headers that are forwarded
	// unchanged. All others are dropped. A server spoken to over stdio takes no
	// headers.
	// +optional
	PassthroughHeaders PassthroughHeaders `json:"passthroughHeaders,omitempty"`
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
	// ProxyPort is the port of the Service in a cluster: by default 8080, and 4483 of a
	// VirtualMCPServer. A local gateway serves everything on its --listen address.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	ProxyPort int32 `json:"proxyPort,omitempty"`

	// GatewayRef names the MCPGateway whose pods serve this in a cluster, beside others.
	// Without it there is a Deployment for this alone. What says how pods are, such as
	// replicas, is then said there, and has no effect here.
	// +optional
	GatewayRef *ObjectRef `json:"gatewayRef,omitempty"`

	Cluster `json:",inline"`

	// Gateway is how clients outside the cluster reach the endpoint.
	// +optional
	Gateway *GatewayRoute `json:"gateway,omitempty"`

	// Not built yet. Refused by name.

	// SessionStorage says where sessions are kept.
	// +kubebuilder:validation:XValidation:rule="false",message="sessionStorage is not supported yet; remove it"
	// +optional
	SessionStorage *Unbuilt `json:"sessionStorage,omitempty"`
}

// Membership is what every kind has that can be a member of a group.
type Membership struct {
	// GroupRef names the MCPGroup that this is a member of. A VirtualMCPServer serves the
	// members of a group as one.
	// +optional
	GroupRef *ObjectRef `json:"groupRef,omitempty"`
}
