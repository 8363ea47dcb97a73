package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MCPServer is an MCP server that is run for the gateway: a command on the machine
// that the gateway runs on, spoken to over its standard input and output, or in a cluster
// a container.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')`,message="metadata.name must be lower-case letters, digits and hyphens, begin and end with a letter or digit, and have at most 63 characters"
// +kubebuilder:resource:shortName=mcpserver,categories=sallyport
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.status.url`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="External URL",type=string,JSONPath=`.status.externalUrl`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MCPServer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MCPServerSpec `json:"spec"`
	// +optional
	Status MCPServerStatus `json:"status,omitempty"`
}

// SessionLimits bound the sessions that clients have with a program.
type SessionLimits struct {
	// Max is how many are open at a time. The one that is idle for longest makes room
	// for another. By default 64.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	// +optional
	Max int32 `json:"max,omitempty"`
	// PerCaller is how many one caller may have of them. By default half.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=10000
	// +optional
	PerCaller int32 `json:"perCaller,omitempty"`
	// IdleTimeout is how long a session lives in which nothing goes on. By default 30m.
	// +optional
	IdleTimeout Period `json:"idleTimeout,omitempty"`
}

// MCPServerSpec says what to run and how clients reach it.
//
// +kubebuilder:validation:XValidation:rule=`has(self.command) || has(self.image)`,fieldPath=".command",message="is required: the program to run and its arguments, as a list; or image, for a container in a cluster"
// +kubebuilder:validation:XValidation:rule=`self.transport == 'stdio' || has(self.image)`,fieldPath=".transport",messageExpression=`'is %s, which is for a server in a container: set image; or leave it out for a program that speaks on its standard input and output'.format([self.transport])`
// +kubebuilder:validation:XValidation:rule=`self.transport != 'stdio' || !has(self.passthroughHeaders)`,fieldPath=".passthroughHeaders",message="a server spoken to over stdio takes no headers; remove it"
// +kubebuilder:validation:XValidation:rule=`!has(self.env) || !has(self.secrets) || self.secrets.all(s, !self.env.exists(e, e.name == (has(s.targetEnvName) ? s.targetEnvName : s.key)))`,fieldPath=".secrets",messageExpression=`'%s is set by env too; keep one of them'.format([self.secrets.filter(s, self.env.exists(e, e.name == (has(s.targetEnvName) ? s.targetEnvName : s.key))).map(s, has(s.targetEnvName) ? s.targetEnvName : s.key)])`
// +kubebuilder:validation:XValidation:rule=`!has(self.backendReplicas) || self.transport != 'stdio'`,fieldPath=".backendReplicas",message="is for a server spoken to over HTTP; over stdio one pod has a process for each session, as many as sessions.max says: remove it"
type MCPServerSpec struct {
	// Command is the program and its fixed arguments, run without a shell on
	// the machine that the gateway runs on, or in the server's container, in place of what
	// the image begins with.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule=`self[0] != ''`,message="must begin with the program to run"
	// +listType=atomic
	// +optional
	Command []Argument `json:"command,omitempty"`
	// Args are further arguments, after those of command, or of what the image begins with.
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
	// Sessions bounds the sessions of clients. Each has a process of the program.
	// +optional
	Sessions *SessionLimits `json:"sessions,omitempty"`
	// Transport is how the program speaks: stdio; in a container also streamable-http, or
	// sse for the HTTP+SSE transport of revision 2024-11-05.
	// +kubebuilder:validation:Enum=stdio;streamable-http;sse
	// +kubebuilder:default=stdio
	// +optional
	Transport string `json:"transport,omitempty"`

	// ProtocolVersion is the one revision of the protocol that the program is spoken to
	// in. Without it the gateway finds out.
	// +optional
	ProtocolVersion ProtocolVersion `json:"protocolVersion,omitempty"`
	// CallTimeout is how long the program may take to begin an answer. By default it is
	// --call-timeout.
	// +optional
	CallTimeout Period `json:"callTimeout,omitempty"`

	Serving    `json:",inline"`
	Membership `json:",inline"`

	// Image is the container image of the server, for a cluster: without it the server is a
	// command on the gateway's own machine.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[A-Za-z0-9][-A-Za-z0-9._:/@]*$')`,message="must be the name of an image, like ghcr.io/example/server:1.2"
	// +optional
	Image string `json:"image,omitempty"`
	// MCPPort is the port that the server listens on in its container, with another
	// transport than stdio. By default 8080. Its path is /mcp, or /sse with that transport.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	MCPPort int32 `json:"mcpPort,omitempty"`
	// ExternalAuthConfigRef names the MCPExternalAuthConfig that says which credential the
	// server is shown, with another transport than stdio.
	// +optional
	ExternalAuthConfigRef *ObjectRef `json:"externalAuthConfigRef,omitempty"`
	// PermissionProfile limits what the server's pods can connect to.
	// +optional
	PermissionProfile *PermissionProfile `json:"permissionProfile,omitempty"`
	// RestartOnSecretChange restarts the server's pods when a Secret changes that its
	// environment comes from. Without it a condition says that they are to be restarted.
	// +kubebuilder:default=false
	// +optional
	RestartOnSecretChange bool `json:"restartOnSecretChange,omitempty"`
	// BackendReplicas is the number of pods of the server itself, which the gateway reaches
	// by their own addresses: a session stays with the pod that it began at. Unset, there is
	// one pod behind a Service. It is for a server spoken to over HTTP.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	// +optional
	BackendReplicas *int32 `json:"backendReplicas,omitempty"`
	// ProxyMode is the transport that clients of a stdio server use. It changes nothing:
	// every server is served by all transports.
	// +kubebuilder:validation:Enum=sse;streamable-http
	// +optional
	ProxyMode string `json:"proxyMode,omitempty"`

	// Not built yet. Each of these is refused by name.

	// Volumes are folders that the server sees.
	// +kubebuilder:validation:XValidation:rule="false",message="volumes is not supported: it is for folders of a node; use podTemplateSpec"
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	Volumes []Unbuilt `json:"volumes,omitempty"`
	// WebhookConfigRef names the MCPWebhookConfig of the webhooks to call.
	// +kubebuilder:validation:XValidation:rule="false",message="webhookConfigRef is not supported yet; remove it"
	// +optional
	WebhookConfigRef *Unbuilt `json:"webhookConfigRef,omitempty"`
}

// PermissionProfile limits what a server may do.
//
// +kubebuilder:validation:XValidation:rule="self.type != 'builtin' || self.name in ['none', 'network']",fieldPath=".name",message="must be none or network where type is builtin"
// +kubebuilder:validation:XValidation:rule="(self.type == 'configmap') == has(self.key)",fieldPath=".key",message="must be set when type is configmap, and only then"
type PermissionProfile struct {
	// Type is builtin, or configmap for a profile in a ConfigMap.
	// +kubebuilder:validation:Enum=builtin;configmap
	// +kubebuilder:default=builtin
	// +optional
	Type string `json:"type,omitempty"`
	// Name of the profile: none lets the server connect to nobody, network to everybody; or
	// of the ConfigMap.
	Name ObjectName `json:"name"`
	// Key in the ConfigMap's data. What is there is JSON as in ToolHive, of which
	// network.outbound counts: insecure_allow_all, allow_port.
	// +optional
	Key DataKey `json:"key,omitempty"`
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
	// ExternalURL is the endpoint as clients outside the cluster reach it.
	// +optional
	ExternalURL string `json:"externalUrl,omitempty"`
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

// MCPServerList is a list of MCPServer.
//
// +kubebuilder:object:root=true
type MCPServerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MCPServer `json:"items"`
}
