package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MCPServer is an MCP server that the gateway runs: a command on the machine
// the gateway runs on, spoken to over its standard input and output.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mcpserver,categories=sallyport
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.status.url`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MCPServer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MCPServerSpec `json:"spec"`
	// +optional
	Status MCPServerStatus `json:"status,omitempty"`
}

// MCPServerSpec says what to run and how clients reach it.
//
// +kubebuilder:validation:XValidation:rule=`has(self.command) || has(self.image)`,fieldPath=".command",message="is required: the program to run and its arguments, as a list"
// +kubebuilder:validation:XValidation:rule=`self.transport != 'stdio' || !has(self.passthroughHeaders)`,fieldPath=".passthroughHeaders",message="a server spoken to over stdio takes no headers; remove it"
// +kubebuilder:validation:XValidation:rule=`!has(self.env) || !has(self.secrets) || self.secrets.all(s, !self.env.exists(e, e.name == (has(s.targetEnvName) ? s.targetEnvName : s.key)))`,fieldPath=".secrets",messageExpression=`'%s is set by env too; keep one of them'.format([self.secrets.filter(s, self.env.exists(e, e.name == (has(s.targetEnvName) ? s.targetEnvName : s.key))).map(s, has(s.targetEnvName) ? s.targetEnvName : s.key)])`
// +kubebuilder:validation:XValidation:rule="!has(self.oidcConfig) || !has(self.oidcConfigRef)",fieldPath=".oidcConfigRef",message="cannot be set beside oidcConfig; keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.authServerRef) || !has(self.oidcConfig) && !has(self.oidcConfigRef)",fieldPath=".authServerRef",message="cannot be set beside oidcConfig or oidcConfigRef: one issuer's tokens open the door; keep one of them"
// +kubebuilder:validation:XValidation:rule="!has(self.authzConfig) || !has(self.authzConfigRef)",fieldPath=".authzConfigRef",message="cannot be set beside authzConfig; keep one of them"
type MCPServerSpec struct {
	// Command is the program and its fixed arguments, run without a shell on
	// the machine that the gateway runs on.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule=`self[0] != ''`,message="must begin with the program to run"
	// +listType=atomic
	// +optional
	Command []Argument `json:"command,omitempty"`
	// Args are further arguments, after those of command.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	Args []Argument `json:"args,omitempty"`
	// Env sets environment variables of the program.
	// +kubebuilder:validation:MaxItems=128
	// +listType=map
	// +listMapKey=name
	// +optional
	Env []EnvVar `json:"env,omitempty"`
	// Secrets sets environment variables of the program from Secrets.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule=`self.all(s, self.exists_one(o, (has(o.targetEnvName) ? o.targetEnvName : o.key) == (has(s.targetEnvName) ? s.targetEnvName : s.key)))`,messageExpression=`'%s is set twice; give each its own targetEnvName'.format([self.filter(s, !self.exists_one(o, (has(o.targetEnvName) ? o.targetEnvName : o.key) == (has(s.targetEnvName) ? s.targetEnvName : s.key))).map(s, has(s.targetEnvName) ? s.targetEnvName : s.key)])`
	// +listType=atomic
	// +optional
	Secrets []SecretEnv `json:"secrets,omitempty"`
	// WorkingDir is the absolute path of the folder the program starts in. By
	// default it is the gateway's own.
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule=`self.startsWith('/')`,message="must be an absolute path, like /srv/mcp"
	// +optional
	WorkingDir string `json:"workingDir,omitempty"`
	// Transport is how the program speaks: stdio.
	// +kubebuilder:validation:Enum=stdio;streamable-http;sse
	// +kubebuilder:validation:XValidation:rule=`!(self in ['streamable-http', 'sse'])`,messageExpression=`'transport %s is not supported yet; leave it out for a program that speaks on its standard input and output'.format([self])`
	// +kubebuilder:default=stdio
	// +optional
	Transport string `json:"transport,omitempty"`
	// ProxyPort is the port of the server's Service in a cluster. A local
	// gateway serves everything on its --listen address.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +kubebuilder:default=8080
	// +optional
	ProxyPort int32 `json:"proxyPort,omitempty"`
	// PassthroughHeaders lists the client's headers that are forwarded
	// unchanged. A server spoken to over stdio takes no headers.
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

	// Image is the container image of the server.
	// +kubebuilder:validation:XValidation:rule="false",message="image is not supported yet; remove it"
	// +optional
	Image string `json:"image,omitempty"`
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
	// ExternalAuthConfigRef names the MCPExternalAuthConfig that says which credential the server is shown.
	// +kubebuilder:validation:XValidation:rule="false",message="externalAuthConfigRef is not supported yet; remove it"
	// +optional
	ExternalAuthConfigRef *Unbuilt `json:"externalAuthConfigRef,omitempty"`
	// MCPPort is the port that the server listens on.
	// +kubebuilder:validation:XValidation:rule="false",message="mcpPort is not supported yet; remove it"
	// +optional
	MCPPort *int32 `json:"mcpPort,omitempty"`
	// ProxyMode is the transport that clients of a stdio server use. They have the choice.
	// +kubebuilder:validation:XValidation:rule="false",message="proxyMode is not supported yet; remove it"
	// +optional
	ProxyMode string `json:"proxyMode,omitempty"`
	// PermissionProfile limits what the server may do.
	// +kubebuilder:validation:XValidation:rule="false",message="permissionProfile is not supported yet; remove it"
	// +optional
	PermissionProfile *Unbuilt `json:"permissionProfile,omitempty"`
	// Volumes are folders that the server sees.
	// +kubebuilder:validation:XValidation:rule="false",message="volumes is not supported yet; remove it"
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	Volumes []Unbuilt `json:"volumes,omitempty"`
	// BackendReplicas is the number of pods of the server itself.
	// +kubebuilder:validation:XValidation:rule="false",message="backendReplicas is not supported yet; remove it"
	// +optional
	BackendReplicas *int32 `json:"backendReplicas,omitempty"`
	// WebhookConfigRef names the MCPWebhookConfig of the webhooks to call.
	// +kubebuilder:validation:XValidation:rule="false",message="webhookConfigRef is not supported yet; remove it"
	// +optional
	WebhookConfigRef *Unbuilt `json:"webhookConfigRef,omitempty"`
}

// Argument is one word of a command line.
//
// +kubebuilder:validation:MaxLength=32768
// +kubebuilder:validation:Pattern=`^[^\x00]*$`
type Argument string

// EnvName is the name of an environment variable.
//
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[A-Za-z_][-A-Za-z0-9_.]*$')`,message="must be the name of an environment variable: letters, digits and underscores, not beginning with a digit"
type EnvName string

// EnvVar is an environment variable with a value that is no secret.
type EnvVar struct {
	// Name of the variable.
	Name EnvName `json:"name"`
	// Value of the variable.
	// +kubebuilder:validation:MaxLength=32768
	// +kubebuilder:validation:Pattern=`^[^\x00]*$`
	// +optional
	Value string `json:"value,omitempty"`
}

// SecretEnv is an environment variable whose value comes from a Secret.
type SecretEnv struct {
	// Name of the Secret.
	Name ObjectName `json:"name"`
	// Key in the Secret's data.
	Key DataKey `json:"key"`
	// TargetEnvName is the variable to set. By default it is named like the key.
	// +optional
	TargetEnvName EnvName `json:"targetEnvName,omitempty"`
}

// MCPServerStatus is what the operator saw.
type MCPServerStatus struct {
	// Phase is the state in one word.
	// +kubebuilder:validation:Enum=Pending;Ready;Failed;Terminating;Stopped
	// +optional
	Phase string `json:"phase,omitempty"`
	// Message explains the phase.
	// +optional
	Message string `json:"message,omitempty"`
	// URL is the endpoint inside the cluster.
	// +optional
	URL string `json:"url,omitempty"`
	// ObservedGeneration is the generation this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions tell in detail what holds and what to do.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// MCPServerList is a list of MCPServer.
//
// +kubebuilder:object:root=true
type MCPServerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MCPServer `json:"items"`
}
