package v1alpha1

// GatewayRoute is how clients outside a cluster reach an endpoint: by a Gateway of the
// Gateway API, at host names of its own. The operator makes an HTTPRoute of it. To the
// gateway itself the host names are its own: requests to them are told addresses there.
type GatewayRoute struct {
	// ParentRefs are the Gateways that the host names lead to.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=8
	// +listType=atomic
	ParentRefs []RouteParent `json:"parentRefs"`
	// Hostnames are the names that clients know. The first one is in status.externalUrl.
	// Several resources may share a name: each has paths of its own. Several MCPGateways may
	// not, but for different path prefixes.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +listType=atomic
	Hostnames []RouteHost `json:"hostnames"`
	// PathPrefix stands before the endpoint's paths there, like /team-a. The Gateway takes
	// it off (the filter URLRewrite, which not every implementation has).
	// +optional
	PathPrefix RoutePrefix `json:"pathPrefix,omitempty"`
	// Scheme is that of the addresses there. By default it is what the Gateway's listener
	// speaks, and https where the operator cannot read the Gateway.
	// +kubebuilder:validation:Enum=https;http
	// +optional
	Scheme string `json:"scheme,omitempty"`

	Overrides `json:",inline"`
}

// RouteParent names a Gateway, or one listener of it.
type RouteParent struct {
	// Name of the Gateway.
	Name ObjectName `json:"name"`
	// Namespace of the Gateway; by default that of the resource. The Gateway says which
	// namespaces it takes routes of.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// SectionName is the name of the Gateway's listener; by default each one that takes
	// the host names.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +optional
	SectionName string `json:"sectionName,omitempty"`
	// Port of the Gateway's listener.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	Port int32 `json:"port,omitempty"`
}

// RouteHost is a host name in lower case, without port.
//
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')`,message="must be a host name in lower case without scheme, port, path or wildcard, like mcp.example.com"
type RouteHost string

// RoutePrefix is the beginning of paths.
//
// +kubebuilder:validation:MaxLength=256
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^(/[-A-Za-z0-9_~]([-A-Za-z0-9._~]*[-A-Za-z0-9_~])?)*$') && !self.matches(r'/servers(/|$)')`,message="must be a path that begins with a slash and does not end with one, like /team-a, and has no part servers, where endpoints begin"
type RoutePrefix string
