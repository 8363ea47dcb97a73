package v1alpha1

// RemoteURL is the address of a remote MCP server.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=2048
// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#]+')",message="must be a URL that begins with https:// (or http:// with allowPrivateEndpoint: true), like https://mcp.example.com/mcp"
type RemoteURL string

// EndpointPrefix is a path that begins with a slash and does not end with one.
//
// +kubebuilder:validation:MaxLength=1024
type EndpointPrefix string

// HeaderValue is the value of a header that is no secret.
//
// +kubebuilder:validation:MaxLength=4096
type HeaderValue string

// PassthroughHeader is the name of a client's header that is forwarded.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
type PassthroughHeader string

// SetHeader is the name of a header that the gateway sets. It may be
// Authorization.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
type SetHeader string
