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
type MCPServerSpec struct {
	// Command is the program and its fixed arguments, run without a shell on
	// the machine that the gateway runs on.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
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
	// +listType=atomic
	// +optional
	Secrets []SecretEnv `json:"secrets,omitempty"`
	// WorkingDir is the absolute path of the folder the program starts in. By
	// default it is the gateway's own.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	WorkingDir string `json:"workingDir,omitempty"`
	// Transport is how the program speaks: stdio.
	// +kubebuilder:validation:Enum=stdio;streamable-http;sse
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
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	PassthroughHeaders []PassthroughHeader `json:"passthroughHeaders,omitempty"`
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

// Argument is one word of a command line.
//
// +kubebuilder:validation:MaxLength=32768
type Argument string

// EnvName is the name of an environment variable.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
type EnvName string

// EnvVar is an environment variable with a value that is no secret.
type EnvVar struct {
	// Name of the variable.
	Name EnvName `json:"name"`
	// Value of the variable.
	// +kubebuilder:validation:MaxLength=32768
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
