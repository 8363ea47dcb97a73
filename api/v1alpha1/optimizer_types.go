package v1alpha1

// Optimizer is a search for tools in place of all tools. Tools are found by their
// words, and where an embedding service is named by their meaning too.
//
// +kubebuilder:validation:XValidation:rule="!has(self.embeddingProvider) || self.embeddingProvider != 'tei'",fieldPath=".embeddingProvider",message="tei is not supported; set openai, and /v1 at the end of embeddingService: text-embeddings-inference speaks that too"
// +kubebuilder:validation:XValidation:rule="!has(self.embeddingService) || has(self.embeddingProvider)",fieldPath=".embeddingProvider",message="must be set with embeddingService: openai, and /v1 at the end of embeddingService for text-embeddings-inference, which speaks that too"
// +kubebuilder:validation:XValidation:rule="(has(self.embeddingProvider) && self.embeddingProvider == 'openai') == has(self.embeddingService)",fieldPath=".embeddingService",message="must be set when embeddingProvider is openai, and only then"
// +kubebuilder:validation:XValidation:rule="has(self.embeddingService) == has(self.embeddingModel)",fieldPath=".embeddingModel",message="must be set with embeddingService, and only then"
// +kubebuilder:validation:XValidation:rule="has(self.embeddingService) || !has(self.embeddingKeyRef) && !has(self.embeddingHeaders)",fieldPath=".embeddingService",message="must be set with embeddingKeyRef or embeddingHeaders, which are for it"
// +kubebuilder:validation:XValidation:rule="!has(self.embeddingService) || self.embeddingService.startsWith('https://') || (has(self.allowPrivateIPs) && self.allowPrivateIPs)",fieldPath=".embeddingService",message="must be https; allowPrivateIPs: true admits http on loopback and private addresses"
type Optimizer struct {
	// MaxToolsToReturn is how many tools a search finds at most.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=50
	// +kubebuilder:default=8
	// +optional
	MaxToolsToReturn int32 `json:"maxToolsToReturn,omitempty"`
	// EmbeddingProvider is what the embedding service speaks: openai, for an endpoint
	// like that of OpenAI. ToolHive's tei is refused.
	// +kubebuilder:validation:Enum=openai;tei
	// +optional
	EmbeddingProvider string `json:"embeddingProvider,omitempty"`
	// EmbeddingService is the base URL of the embedding service; /embeddings is added.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule=`self.matches('^https?://[^/?#@\\s]+(/[^?#\\s]*)?$')`,message="must be an http or https URL without user, query and fragment, like https://api.openai.com/v1"
	// +optional
	EmbeddingService string `json:"embeddingService,omitempty"`
	// EmbeddingModel is the model that makes the vectors.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	EmbeddingModel string `json:"embeddingModel,omitempty"`
	// EmbeddingKeyRef names the key that the service is shown as a bearer token. Without
	// it, that of the environment variable OPENAI_API_KEY, if there is one.
	// +optional
	EmbeddingKeyRef *SecretKeyRef `json:"embeddingKeyRef,omitempty"`
	// EmbeddingHeaders are sent to the service besides.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule=`self.all(h, h.matches(r'^[!#$%&\x27*+.^_\x60|~0-9A-Za-z-]+$') && !(h.lowerAscii() in ['authorization', 'content-type', 'content-length', 'host']))`,message="must be names of headers, and none that the gateway sets itself; a key belongs into embeddingKeyRef"
	// +optional
	EmbeddingHeaders map[string]EmbeddingHeader `json:"embeddingHeaders,omitempty"`
	// EmbeddingServiceTimeout is how long the service may take to answer. Tools are found
	// by their words alone where it takes longer.
	// +kubebuilder:default="30s"
	// +optional
	EmbeddingServiceTimeout Period `json:"embeddingServiceTimeout,omitempty"`
	// AllowPrivateIPs admits loopback and private addresses for the service.
	// +kubebuilder:default=false
	// +optional
	AllowPrivateIPs bool `json:"allowPrivateIPs,omitempty"`
	// HybridSearchSemanticRatio is the share of meaning in the ranking, beside words: 0
	// for words alone, 1 for meaning alone.
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule=`self.matches('^([0-9]*[.])?[0-9]+$') && double(self.startsWith('.') ? '0' + self : self) <= 1.0`,message="must be a number from 0 to 1"
	// +kubebuilder:default="0.5"
	// +optional
	HybridSearchSemanticRatio string `json:"hybridSearchSemanticRatio,omitempty"`
	// SemanticDistanceThreshold is how far in meaning a tool may be that is found: 0 is
	// the same, 1 has nothing in common, 2 is the opposite.
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule=`self.matches('^([0-9]*[.])?[0-9]+$') && double(self.startsWith('.') ? '0' + self : self) <= 2.0`,message="must be a number from 0 to 2"
	// +kubebuilder:default="1.0"
	// +optional
	SemanticDistanceThreshold string `json:"semanticDistanceThreshold,omitempty"`
}

// EmbeddingHeader is the value of a header.
//
// +kubebuilder:validation:MaxLength=1024
// +kubebuilder:validation:XValidation:rule=`self.matches('^[ -~]*$')`,message="must be printable ASCII"
type EmbeddingHeader string
