package v1alpha1

// AuthzConfig says what callers may do, by Cedar policies. Where there are policies,
// what none of them permits is denied.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'inline') == has(self.inline)",fieldPath=".inline",message="must be set when type is inline, and only then"
// +kubebuilder:validation:XValidation:rule="(self.type == 'configMap') == has(self.configMap)",fieldPath=".configMap",message="must be set when type is configMap, and only then"
type AuthzConfig struct {
	AuthzSettings `json:",inline"`

	// Type says where the policies are: inline, or in a ConfigMap.
	// +kubebuilder:validation:Enum=inline;configMap
	// +kubebuilder:default=configMap
	// +optional
	Type string `json:"type,omitempty"`
	// Inline are policies in place.
	// +optional
	Inline *AuthzInline `json:"inline,omitempty"`
	// ConfigMap names a ConfigMap whose key holds policies as ToolHive's authz.json
	// has them: {"version": "1.0", "type": "cedarv1", "cedar": {"policies": […], "entities_json": "[]"}}.
	// +optional
	ConfigMap *AuthzConfigMap `json:"configMap,omitempty"`
}

// AuthzSettings say how policies are applied and where groups come from.
type AuthzSettings struct {
	// Mode says whether policies are enforced, or only watched: in shadow mode
	// everything passes, and log, audit and metrics tell what would not have.
	// +kubebuilder:validation:Enum=enforce;shadow
	// +kubebuilder:default=enforce
	// +optional
	Mode string `json:"mode,omitempty"`
	// GroupClaimName is the claim with the caller's groups, in place of what
	// claimMappings say.
	// +optional
	GroupClaimName ClaimPath `json:"groupClaimName,omitempty"`
	// RoleClaimName is a claim with roles, besides what claimMappings say.
	// +optional
	RoleClaimName ClaimPath `json:"roleClaimName,omitempty"`
	// GroupEntityType is the Cedar type of groups and roles; by default THVGroup.
	// +kubebuilder:validation:Pattern=`^[A-Za-z_][A-Za-z0-9_]*$`
	// +kubebuilder:validation:MaxLength=63
	// +optional
	GroupEntityType string `json:"groupEntityType,omitempty"`
}

// AuthzInline are Cedar policies and entities.
type AuthzInline struct {
	// Policies are Cedar policies, one or more in each text.
	Policies PolicyTexts `json:"policies"`
	// EntitiesJSON are further Cedar entities, in Cedar's JSON format.
	// +kubebuilder:validation:MaxLength=262144
	// +optional
	EntitiesJSON string `json:"entitiesJson,omitempty"`
	// PrimaryUpstreamProvider says whose claims are read.
	// +kubebuilder:validation:XValidation:rule="false",message="primaryUpstreamProvider is not supported here; the authorization server says who people are, for all its endpoints: set embeddedAuthServer.primaryUpstreamProvider, and remove it"
	// +optional
	PrimaryUpstreamProvider string `json:"primaryUpstreamProvider,omitempty"`
}

// PolicyTexts are Cedar policies.
//
// +kubebuilder:validation:MinItems=1
// +kubebuilder:validation:MaxItems=1024
// +kubebuilder:validation:items:MinLength=1
// +kubebuilder:validation:items:MaxLength=65536
// +listType=atomic
type PolicyTexts []string

// AuthzConfigMap names policies in a ConfigMap.
type AuthzConfigMap struct {
	// Name of the ConfigMap.
	Name ObjectName `json:"name"`
	// Key in the ConfigMap's data.
	// +kubebuilder:default=authz.json
	// +optional
	Key DataKey `json:"key,omitempty"`
}
