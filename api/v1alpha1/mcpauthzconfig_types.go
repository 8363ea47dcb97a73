package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MCPAuthzConfig are policies that several endpoints share.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')`,message="metadata.name must be lower-case letters, digits and hyphens, begin and end with a letter or digit, and have at most 63 characters"
// +kubebuilder:resource:shortName=authzcfg,categories=sallyport
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MCPAuthzConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MCPAuthzConfigSpec `json:"spec"`
	// +optional
	Status MCPAuthzConfigStatus `json:"status,omitempty"`
}

// MCPAuthzConfigSpec are the policies.
type MCPAuthzConfigSpec struct {
	// Type is the kind of authorizer: cedarv1.
	// +kubebuilder:validation:Enum=cedarv1;httpv1
	// +kubebuilder:validation:XValidation:rule="self != 'httpv1'",message="httpv1 is not supported: nobody outside is asked for each call; write the policies in Cedar, with type cedarv1"
	Type string `json:"type"`
	// Mode says whether policies are enforced, or only watched: in shadow mode
	// everything passes, and log, audit and metrics tell what would not have.
	// +kubebuilder:validation:Enum=enforce;shadow
	// +kubebuilder:default=enforce
	// +optional
	Mode string `json:"mode,omitempty"`
	// Config are the policies, and where groups come from.
	Config CedarConfig `json:"config"`
}

// CedarConfig is the configuration of the authorizer cedarv1, under ToolHive's names.
type CedarConfig struct {
	// Policies are Cedar policies, one or more in each text.
	Policies PolicyTexts `json:"policies"`
	// EntitiesJSON are further Cedar entities, in Cedar's JSON format.
	// +kubebuilder:validation:MaxLength=262144
	// +optional
	EntitiesJSON string `json:"entities_json,omitempty"`
	// GroupClaimName is the claim with the caller's groups.
	// +optional
	GroupClaimName ClaimPath `json:"group_claim_name,omitempty"`
	// RoleClaimName is a claim with roles.
	// +optional
	RoleClaimName ClaimPath `json:"role_claim_name,omitempty"`
	// GroupEntityType is the Cedar type of groups and roles; by default THVGroup.
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*$`
	// +kubebuilder:validation:MaxLength=63
	// +optional
	GroupEntityType string `json:"group_entity_type,omitempty"`
	// PrimaryUpstreamProvider says whose claims are read.
	// +kubebuilder:validation:XValidation:rule="false",message="primary_upstream_provider is not supported here; the authorization server says who people are, for all its endpoints: set embeddedAuthServer.primaryUpstreamProvider, and remove it"
	// +optional
	PrimaryUpstreamProvider string `json:"primary_upstream_provider,omitempty"`
}

// MCPAuthzConfigStatus is what the operator saw.
type MCPAuthzConfigStatus struct {
	ConfigStatus `json:",inline"`
}

// MCPAuthzConfigList is a list of MCPAuthzConfig.
//
// +kubebuilder:object:root=true
type MCPAuthzConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MCPAuthzConfig `json:"items"`
}
