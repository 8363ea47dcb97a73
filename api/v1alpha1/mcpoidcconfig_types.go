package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MCPOIDCConfig is an issuer of tokens that several endpoints accept.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')`,message="metadata.name must be lower-case letters, digits and hyphens, begin and end with a letter or digit, and have at most 63 characters"
// +kubebuilder:resource:shortName=mcpoidc,categories=sallyport
// +kubebuilder:printcolumn:name="Issuer",type=string,JSONPath=`.spec.inline.issuer`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MCPOIDCConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MCPOIDCConfigSpec `json:"spec"`
	// +optional
	Status MCPOIDCConfigStatus `json:"status,omitempty"`
}

// MCPOIDCConfigSpec says who the issuer is.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'inline') == has(self.inline)",fieldPath=".inline",message="must be set when type is inline, and only then"
// +kubebuilder:validation:XValidation:rule="(self.type == 'kubernetesServiceAccount') == has(self.kubernetesServiceAccount)",fieldPath=".kubernetesServiceAccount",message="must be set when type is kubernetesServiceAccount, and only then"
type MCPOIDCConfigSpec struct {
	// Type says what kind of issuer this is: inline, or the cluster for tokens of its
	// service accounts.
	// +kubebuilder:validation:Enum=inline;kubernetesServiceAccount
	Type string `json:"type"`
	// Inline describes the issuer.
	// +optional
	Inline *OIDCIssuer `json:"inline,omitempty"`
	// KubernetesServiceAccount describes the cluster as the issuer of its service
	// accounts' tokens.
	// +optional
	KubernetesServiceAccount *ServiceAccountIssuer `json:"kubernetesServiceAccount,omitempty"`
}

// MCPOIDCConfigStatus is what the operator saw.
type MCPOIDCConfigStatus struct {
	ConfigStatus `json:",inline"`
}

// MCPOIDCConfigList is a list of MCPOIDCConfig.
//
// +kubebuilder:object:root=true
type MCPOIDCConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MCPOIDCConfig `json:"items"`
}
