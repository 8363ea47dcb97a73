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
//
// +kubebuilder:validation:XValidation:rule=`has(self.headerInjection) == (self.type == 'headerInjection')`,fieldPath=".headerInjection",messageExpression=`has(self.headerInjection) ? 'belongs to type headerInjection, and the type is %s; change one of them'.format([self.type]) : 'is required with type headerInjection'`
// +kubebuilder:validation:XValidation:rule=`has(self.bearerToken) == (self.type == 'bearerToken')`,fieldPath=".bearerToken",messageExpression=`has(self.bearerToken) ? 'belongs to type bearerToken, and the type is %s; change one of them'.format([self.type]) : 'is required with type bearerToken'`
type MCPExternalAuthConfigSpec struct {
	// Type is the kind of credential.
	// +kubebuilder:validation:XValidation:rule=`!(self in ['tokenExchange', 'embeddedAuthServer', 'awsSts', 'upstreamInject', 'obo', 'xaa'])`,messageExpression=`'type %s is not supported yet; use unauthenticated, headerInjection or bearerToken'.format([self])`
	// +kubebuilder:validation:Enum=unauthenticated;headerInjection;bearerToken;tokenExchange;embeddedAuthServer;awsSts;upstreamInject;obo;xaa
	Type string `json:"type"`
	// HeaderInjection is the header to show, with type headerInjection.
	// +optional
	HeaderInjection *HeaderInjection `json:"headerInjection,omitempty"`
	// BearerToken is the token to show, with type bearerToken.
	// +optional
	BearerToken *BearerToken `json:"bearerToken,omitempty"`

	// Not built yet. Each of these is refused by name.

	// TokenExchange exchanges the client's token for one of the backend (RFC 8693).
	// +kubebuilder:validation:XValidation:rule="false",message="tokenExchange is not supported yet; remove it"
	// +optional
	TokenExchange *Unbuilt `json:"tokenExchange,omitempty"`
	// EmbeddedAuthServer is an authorization server within the gateway.
	// +kubebuilder:validation:XValidation:rule="false",message="embeddedAuthServer is not supported yet; remove it"
	// +optional
	EmbeddedAuthServer *Unbuilt `json:"embeddedAuthServer,omitempty"`
	// AWSSTS signs requests with credentials of an AWS role.
	// +kubebuilder:validation:XValidation:rule="false",message="awsSts is not supported yet; remove it"
	// +optional
	AWSSTS *Unbuilt `json:"awsSts,omitempty"`
	// UpstreamInject shows the token that an upstream provider gave for the person.
	// +kubebuilder:validation:XValidation:rule="false",message="upstreamInject is not supported yet; remove it"
	// +optional
	UpstreamInject *Unbuilt `json:"upstreamInject,omitempty"`
	// OBO exchanges the client's token by Entra's on-behalf-of flow.
	// +kubebuilder:validation:XValidation:rule="false",message="obo is not supported yet; remove it"
	// +optional
	OBO *Unbuilt `json:"obo,omitempty"`
	// XAA exchanges an identity assertion for a token of the backend's own authorization server.
	// +kubebuilder:validation:XValidation:rule="false",message="xaa is not supported yet; remove it"
	// +optional
	XAA *Unbuilt `json:"xaa,omitempty"`
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
