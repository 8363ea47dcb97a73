package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// VirtualMCPServer serves the members of a group as one MCP server: their tools,
// resources and prompts at one endpoint, each call going to the member that has it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')`,message="metadata.name must be lower-case letters, digits and hyphens, begin and end with a letter or digit, and have at most 63 characters"
// +kubebuilder:resource:shortName=vmcp;virtualmcp,categories=sallyport
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.status.url`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Backends",type=integer,JSONPath=`.status.backendCount`
// +kubebuilder:printcolumn:name="External URL",type=string,JSONPath=`.status.externalUrl`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type VirtualMCPServer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec VirtualMCPServerSpec `json:"spec"`
	// +optional
	Status VirtualMCPServerStatus `json:"status,omitempty"`
}

// VirtualMCPServerSpec says whose tools are served, to whom, and under which names.
//
// +kubebuilder:validation:XValidation:rule="!has(self.incomingAuth) || !has(self.incomingAuth.oidcConfigRef) || !has(self.oidcConfigRef) && !has(self.oidcConfig) && !has(self.oidcConfigRefs)",fieldPath=".incomingAuth.oidcConfigRef",message="cannot be set beside oidcConfig, oidcConfigRef or oidcConfigRefs; keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.incomingAuth) || !has(self.incomingAuth.authzConfig) && !has(self.incomingAuth.authzConfigRef) || !has(self.authzConfig) && !has(self.authzConfigRef)",fieldPath=".incomingAuth",message="has policies, and so has spec itself (authzConfig or authzConfigRef); keep them at one place"
// +kubebuilder:validation:XValidation:rule="!has(self.incomingAuth) || self.incomingAuth.type != 'anonymous' || !has(self.oidcConfig) && !has(self.oidcConfigRef) && !has(self.authServerRef) && !has(self.authServerConfig)",fieldPath=".incomingAuth.type",message="is anonymous, and oidcConfig, oidcConfigRef, authServerRef or authServerConfig asks clients for a token; keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.authServerConfig) || !has(self.authServerRef) && !has(self.oidcConfig) && !has(self.oidcConfigRefs)",fieldPath=".authServerConfig",message="cannot be set beside authServerRef, oidcConfig or oidcConfigRefs; keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.config) || !has(self.config.rateLimiting) || !has(self.rateLimiting)",fieldPath=".config.rateLimiting",message="cannot be set beside rateLimiting; keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.config) || !has(self.config.audit) || !has(self.audit)",fieldPath=".config.audit",message="cannot be set beside audit; keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.config) || !has(self.config.groupRef) || self.config.groupRef == self.groupRef.name",fieldPath=".config.groupRef",message="names another group than groupRef; keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.toolConfigRef)",fieldPath=".toolConfigRef",message="belongs to one server; name it per member in config.aggregation.tools[].toolConfigRef"
type VirtualMCPServerSpec struct {
	// GroupRef names the MCPGroup whose members are served.
	GroupRef ObjectRef `json:"groupRef"`

	Serving `json:",inline"`

	// IncomingAuth says how clients prove who they are, and what they may do, in the
	// words of ToolHive. The fields beside it do the same for every kind.
	// +optional
	IncomingAuth *VirtualIncomingAuth `json:"incomingAuth,omitempty"`
	// OutgoingAuth says which credential each member is shown. Without it, the one that
	// the member's own resource says.
	// +optional
	OutgoingAuth *VirtualOutgoingAuth `json:"outgoingAuth,omitempty"`
	// AuthServerConfig is the embedded authorization server that clients sign in with, in
	// place and for this server alone. A member is shown the token of one of its providers
	// only where it names that (upstreamInject). An oidcConfigRef beside it must be of the
	// same issuer.
	// +optional
	AuthServerConfig *EmbeddedAuthServer `json:"authServerConfig,omitempty"`
	// Config says how the members are made one.
	// +optional
	Config *VirtualConfig `json:"config,omitempty"`

	// ImagePullSecrets name the Secrets that the pods' images are pulled with.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	ImagePullSecrets []ObjectRef `json:"imagePullSecrets,omitempty"`

	// Not built yet. Each of these is refused by name.

	// EmbeddingServerRef names a server that makes embeddings.
	// +kubebuilder:validation:XValidation:rule="false",message="embeddingServerRef is not supported: the gateway runs no embedding server; set config.optimizer, and its embeddingService for one that runs already"
	// +optional
	EmbeddingServerRef *Unbuilt `json:"embeddingServerRef,omitempty"`
}

// VirtualIncomingAuth is the outer door of a virtual server.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'oidc') == has(self.oidcConfigRef)",fieldPath=".oidcConfigRef",message="must be set when type is oidc, and only then"
// +kubebuilder:validation:XValidation:rule="!has(self.authzConfig) || !has(self.authzConfigRef)",fieldPath=".authzConfigRef",message="cannot be set beside authzConfig; keep one of them"
type VirtualIncomingAuth struct {
	// Type is how clients prove who they are: anonymous, or oidc for tokens.
	// +kubebuilder:validation:Enum=anonymous;oidc
	Type string `json:"type"`
	// OIDCConfigRef names the MCPOIDCConfig that checks the tokens that clients show.
	// +optional
	OIDCConfigRef *OIDCConfigRef `json:"oidcConfigRef,omitempty"`
	// AuthzConfig says in place what callers may do.
	// +optional
	AuthzConfig *AuthzConfig `json:"authzConfig,omitempty"`
	// AuthzConfigRef names the MCPAuthzConfig that says what callers may do.
	// +optional
	AuthzConfigRef *ObjectRef `json:"authzConfigRef,omitempty"`
}

// VirtualOutgoingAuth is the inner door to each member of a virtual server.
type VirtualOutgoingAuth struct {
	// Source says where credentials are named: discovered takes what a member's own
	// resource says unless backends says otherwise; inline takes only what stands here.
	// +kubebuilder:validation:Enum=discovered;inline
	// +kubebuilder:default=discovered
	// +optional
	Source string `json:"source,omitempty"`
	// Default is for members that backends does not name.
	// +optional
	Default *BackendAuth `json:"default,omitempty"`
	// Backends are single members, by name.
	// +kubebuilder:validation:MaxProperties=256
	// +optional
	Backends map[string]BackendAuth `json:"backends,omitempty"`
}

// BackendAuth is the credential that a member is shown.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'externalAuthConfigRef') == has(self.externalAuthConfigRef)",fieldPath=".externalAuthConfigRef",message="must be set when type is externalAuthConfigRef, and only then"
type BackendAuth struct {
	// Type is discovered for what the member's own resource says, or
	// externalAuthConfigRef for another.
	// +kubebuilder:validation:Enum=discovered;externalAuthConfigRef
	Type string `json:"type"`
	// ExternalAuthConfigRef names the MCPExternalAuthConfig to use.
	// +optional
	ExternalAuthConfigRef *ObjectRef `json:"externalAuthConfigRef,omitempty"`
}

// VirtualConfig says how the members of a virtual server are made one.
type VirtualConfig struct {
	// Name is what the server calls itself to clients; by default the resource's name.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`
	// GroupRef repeats the name of the group.
	// +optional
	GroupRef ObjectName `json:"groupRef,omitempty"`
	// Metadata is for whoever reads the manifest.
	// +kubebuilder:validation:MaxProperties=64
	// +optional
	Metadata map[string]MetadataText `json:"metadata,omitempty"`
	// Aggregation says which tools are served, and under which names.
	// +optional
	Aggregation *Aggregation `json:"aggregation,omitempty"`
	// Operational says what happens when members are slow or away.
	// +optional
	Operational *Operational `json:"operational,omitempty"`
	// PassthroughHeaders lists the client's headers that are forwarded unchanged to
	// every member. The list beside config wins.
	// +optional
	PassthroughHeaders PassthroughHeaders `json:"passthroughHeaders,omitempty"`
	// RateLimiting limits how often tools are called.
	// +optional
	RateLimiting *RateLimiting `json:"rateLimiting,omitempty"`
	// Optimizer shows clients a search for tools, find_tool and call_tool, in place of
	// all tools.
	// +optional
	Optimizer *Optimizer `json:"optimizer,omitempty"`
	// Audit says whether requests are audited.
	// +optional
	Audit *Audit `json:"audit,omitempty"`

	// CompositeTools are tools made of steps that call others.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	CompositeTools []CompositeTool `json:"compositeTools,omitempty"`
	// CompositeToolRefs name VirtualMCPCompositeToolDefinition resources.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	CompositeToolRefs []CompositeToolRef `json:"compositeToolRefs,omitempty"`

	// Not built yet. Each of these is refused by name.

	// CodeMode runs scripts that call tools.
	// +kubebuilder:validation:XValidation:rule="false",message="codeMode is not supported; remove it, and make composite tools for what its scripts did"
	// +optional
	CodeMode *Unbuilt `json:"codeMode,omitempty"`
	// Backends are members in place.
	// +kubebuilder:validation:XValidation:rule="false",message="backends is not supported; make an MCPServerEntry of each, with the group in its groupRef"
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	Backends []Unbuilt `json:"backends,omitempty"`
	// IncomingAuth is the outer door once more.
	// +kubebuilder:validation:XValidation:rule="false",message="incomingAuth is not supported here; set spec.incomingAuth"
	// +optional
	IncomingAuth *Unbuilt `json:"incomingAuth,omitempty"`
	// OutgoingAuth is the inner door once more.
	// +kubebuilder:validation:XValidation:rule="false",message="outgoingAuth is not supported here; set spec.outgoingAuth"
	// +optional
	OutgoingAuth *Unbuilt `json:"outgoingAuth,omitempty"`
	// SessionStorage says where sessions are kept.
	// +kubebuilder:validation:XValidation:rule="false",message="sessionStorage is not supported: sessions are sealed into their ids; remove it"
	// +optional
	SessionStorage *Unbuilt `json:"sessionStorage,omitempty"`
	// Telemetry says where traces and metrics go.
	// +kubebuilder:validation:XValidation:rule="false",message="telemetry is not supported here; set spec.telemetry"
	// +optional
	Telemetry *Unbuilt `json:"telemetry,omitempty"`
}

// MetadataText is what a manifest says to its readers.
//
// +kubebuilder:validation:MaxLength=4096
type MetadataText string

// Aggregation says which tools of the members are served, and under which names.
type Aggregation struct {
	// ConflictResolution says what becomes of a name that several members have: prefix
	// puts the member's name before every tool and prompt; priority gives the name to
	// the first member in an order; manual leaves out what overrides do not tell apart.
	// +kubebuilder:validation:Enum=prefix;priority;manual
	// +kubebuilder:default=prefix
	// +optional
	ConflictResolution string `json:"conflictResolution,omitempty"`
	// ConflictResolutionConfig are the settings of that.
	// +optional
	ConflictResolutionConfig *ConflictResolutionConfig `json:"conflictResolutionConfig,omitempty"`
	// ExcludeAllTools hides the tools of all members from clients.
	// +kubebuilder:default=false
	// +optional
	ExcludeAllTools bool `json:"excludeAllTools,omitempty"`
	// DefaultToolVisibility says whether the tools of members that tools does not name
	// are shown: allow or deny.
	// +kubebuilder:validation:Enum=allow;deny
	// +kubebuilder:default=allow
	// +optional
	DefaultToolVisibility string `json:"defaultToolVisibility,omitempty"`
	// Tools chooses and renames the tools of single members.
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule=`self.all(t, self.exists_one(o, o.workload == t.workload))`,messageExpression=`'duplicate workload %s; put everything about it into one entry'.format([self.filter(t, !self.exists_one(o, o.workload == t.workload)).map(t, t.workload)])`
	// +listType=atomic
	// +optional
	Tools []WorkloadTools `json:"tools,omitempty"`
}

// ConflictResolutionConfig are the settings of a way to resolve conflicts of names.
type ConflictResolutionConfig struct {
	// PrefixFormat is what stands before a name; {workload} is the member's name.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule=`self.contains('{workload}')`,message="must contain {workload}, which stands for the name of the member; otherwise all members have one prefix"
	// +kubebuilder:default="{workload}_"
	// +optional
	PrefixFormat string `json:"prefixFormat,omitempty"`
	// PriorityOrder are members by name, the first one first. Others come after them,
	// in the order of their names.
	// +kubebuilder:validation:MaxItems=256
	// +listType=set
	// +optional
	PriorityOrder []ObjectName `json:"priorityOrder,omitempty"`
}

// WorkloadTools chooses and renames the tools of one member.
//
// +kubebuilder:validation:XValidation:rule="!has(self.toolConfigRef) || !has(self.filter) && !has(self.overrides)",fieldPath=".toolConfigRef",message="cannot be set beside filter or overrides; keep one of them"
type WorkloadTools struct {
	// Workload is the name of the member.
	Workload ObjectName `json:"workload"`
	// Filter lists the tools that clients see, by the member's own names. Empty means
	// all.
	// +kubebuilder:validation:MaxItems=1024
	// +listType=set
	// +optional
	Filter []ToolName `json:"filter,omitempty"`
	// ExcludeAll hides all tools of the member.
	// +kubebuilder:default=false
	// +optional
	ExcludeAll bool `json:"excludeAll,omitempty"`
	// Overrides maps the member's name of a tool to what clients see.
	// +kubebuilder:validation:MaxProperties=128
	// +kubebuilder:validation:XValidation:rule=`self.all(t, size(t) >= 1 && size(t) <= 128)`,message="the name of a tool has 1 to 128 characters"
	// +optional
	Overrides map[string]ToolOverride `json:"overrides,omitempty"`
	// ToolConfigRef names the MCPToolConfig that says the same.
	// +optional
	ToolConfigRef *ObjectRef `json:"toolConfigRef,omitempty"`
}

// Operational says what happens when members are slow or away.
type Operational struct {
	// Timeouts say how long a member may take to answer.
	// +optional
	Timeouts *WorkloadTimeouts `json:"timeouts,omitempty"`
	// FailureHandling says what becomes of lists and calls when members fail.
	// +optional
	FailureHandling *FailureHandling `json:"failureHandling,omitempty"`
	// LogLevel debug logs more of this server, whatever --log-level says.
	// +kubebuilder:validation:Enum=debug
	// +optional
	LogLevel string `json:"logLevel,omitempty"`
}

// WorkloadTimeouts say how long members may take to answer.
type WorkloadTimeouts struct {
	// Default is for every member.
	// +kubebuilder:default="30s"
	// +optional
	Default Period `json:"default,omitempty"`
	// PerWorkload is for single members, by name.
	// +kubebuilder:validation:MaxProperties=256
	// +optional
	PerWorkload map[string]Period `json:"perWorkload,omitempty"`
}

// FailureHandling says what becomes of lists and calls when members fail.
type FailureHandling struct {
	// PartialFailureMode says what a list is when a member cannot be asked and nothing
	// is known of it from before: best_effort leaves the member out; fail refuses the
	// list.
	// +kubebuilder:validation:Enum=best_effort;fail
	// +kubebuilder:default=best_effort
	// +optional
	PartialFailureMode string `json:"partialFailureMode,omitempty"`
	// HealthCheckInterval is the time between two checks of a member.
	// +kubebuilder:default="30s"
	// +optional
	HealthCheckInterval Period `json:"healthCheckInterval,omitempty"`
	// HealthCheckTimeout is how long one check may take.
	// +kubebuilder:default="10s"
	// +optional
	HealthCheckTimeout Period `json:"healthCheckTimeout,omitempty"`
	// UnhealthyThreshold is how many checks in a row fail before a member counts as
	// unavailable.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:default=3
	// +optional
	UnhealthyThreshold int32 `json:"unhealthyThreshold,omitempty"`
	// StatusReportingInterval is the time between two reports to the cluster.
	// +optional
	StatusReportingInterval Period `json:"statusReportingInterval,omitempty"`
	// CircuitBreaker stops calls to a member that fails again and again.
	// +optional
	CircuitBreaker *CircuitBreaker `json:"circuitBreaker,omitempty"`
}

// CircuitBreaker stops calls to a member that fails again and again.
type CircuitBreaker struct {
	// Enabled switches it on.
	// +kubebuilder:default=false
	// +optional
	Enabled bool `json:"enabled,omitempty"`
	// FailureThreshold is how many failures in a row stop the calls.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	// +kubebuilder:default=5
	// +optional
	FailureThreshold int32 `json:"failureThreshold,omitempty"`
	// Timeout is how long calls are stopped before one is let through to try.
	// +kubebuilder:default="60s"
	// +optional
	Timeout Period `json:"timeout,omitempty"`
}

// VirtualMCPServerStatus is what the operator saw.
type VirtualMCPServerStatus struct {
	// Phase is the state in one word.
	// +kubebuilder:validation:Enum=Pending;Ready;Degraded;Failed
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
	// BackendCount is how many members can be called.
	// +optional
	BackendCount int32 `json:"backendCount,omitempty"`
	// DiscoveredBackends are the members as they are.
	// +kubebuilder:validation:MaxItems=256
	// +listType=map
	// +listMapKey=name
	// +optional
	DiscoveredBackends []DiscoveredBackend `json:"discoveredBackends,omitempty"`
	// Gateway is the MCPGateway that serves it now; empty where it has pods of its own.
	// +optional
	Gateway string `json:"gateway,omitempty"`
	// ObservedGeneration is the generation this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions tell in detail what holds and what to do.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// DiscoveredBackend is a member of a virtual server as it is.
type DiscoveredBackend struct {
	// Name of the member.
	Name string `json:"name"`
	// URL of the member; empty for a command.
	// +optional
	URL string `json:"url,omitempty"`
	// Status is ready, degraded, unavailable, unauthenticated or unknown.
	// +kubebuilder:validation:Enum=ready;degraded;unavailable;unauthenticated;unknown
	// +optional
	Status string `json:"status,omitempty"`
	// MCPRevision is the protocol revision that it speaks.
	// +optional
	MCPRevision string `json:"mcpRevision,omitempty"`
	// AuthConfigRef names the MCPExternalAuthConfig of its credential.
	// +optional
	AuthConfigRef string `json:"authConfigRef,omitempty"`
	// LastHealthCheck is when it was last asked.
	// +optional
	LastHealthCheck *metav1.Time `json:"lastHealthCheck,omitempty"`
	// ConsecutiveFailures is how many checks in a row have failed.
	// +optional
	ConsecutiveFailures int32 `json:"consecutiveFailures,omitempty"`
	// Message explains the status.
	// +optional
	Message string `json:"message,omitempty"`
}

// VirtualMCPServerList is a list of VirtualMCPServer.
//
// +kubebuilder:object:root=true
type VirtualMCPServerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VirtualMCPServer `json:"items"`
}
