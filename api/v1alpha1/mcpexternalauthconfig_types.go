package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// The types of MCPExternalAuthConfig that work.
const (
	AuthUnauthenticated = "unauthenticated"
	AuthHeaderInjection = "headerInjection"
	AuthBearerToken     = "bearerToken"
)

// MCPExternalAuthConfig says which credential a backend is shown.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=extauth;mcpextauth,categories=sallyport
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Valid",type=string,JSONPath=`.status.conditions[?(@.type=="Valid")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MCPExternalAuthConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MCPExternalAuthConfigSpec `json:"spec"`
	// +optional
	Status MCPExternalAuthConfigStatus `json:"status,omitempty"`
}

// MCPExternalAuthConfigSpec is one kind of credential: the type, and the block
// that bears its name.
type MCPExternalAuthConfigSpec struct {
	// Type is the kind of credential.
	// +kubebuilder:validation:Enum=unauthenticated;headerInjection;bearerToken;tokenExchange;embeddedAuthServer;awsSts;upstreamInject;obo;xaa
	Type string `json:"type"`
	// HeaderInjection is the header to show, with type headerInjection.
	// +optional
	HeaderInjection *HeaderInjection `json:"headerInjection,omitempty"`
	// BearerToken is the token to show, with type bearerToken.
	// +optional
	BearerToken *BearerToken `json:"bearerToken,omitempty"`
}

// HeaderInjection is one header with a value from a Secret.
type HeaderInjection struct {
	// HeaderName is the header to set.
	HeaderName SetHeader `json:"headerName"`
	// ValueSecretRef names the Secret and key that hold the value.
	ValueSecretRef SecretKeyRef `json:"valueSecretRef"`
}

// BearerToken is a token from a Secret, shown as Authorization: Bearer.
type BearerToken struct {
	// TokenSecretRef names the Secret and key that hold the token.
	TokenSecretRef SecretKeyRef `json:"tokenSecretRef"`
}

// MCPExternalAuthConfigStatus is what the operator saw.
type MCPExternalAuthConfigStatus struct {
	// ObservedGeneration is the generation this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions tell in detail what holds and what to do.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// MCPExternalAuthConfigList is a list of MCPExternalAuthConfig.
//
// +kubebuilder:object:root=true
type MCPExternalAuthConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MCPExternalAuthConfig `json:"items"`
}
