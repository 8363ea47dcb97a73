package v1alpha1

// ClientDocuments says whether a client of the authorization server may be the
// address of a document about it (OAuth Client ID Metadata Document), and which
// documents are fetched.
type ClientDocuments struct {
	// Enabled admits such clients.
	// +kubebuilder:default=false
	Enabled bool `json:"enabled"`
	// AllowPrivateIPs admits documents and keys on loopback and private addresses, and
	// by plain http on loopback. Cloud metadata addresses are never asked.
	// +kubebuilder:default=false
	// +optional
	AllowPrivateIPs bool `json:"allowPrivateIPs,omitempty"`
	// AllowedDomains are the hosts that may publish clients: a name for itself,
	// *.example.com for all names below example.com. By default every host may.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +listType=set
	// +optional
	AllowedDomains []ClientDomain `json:"allowedDomains,omitempty"`
	// CacheFallbackTTL is how long a document is kept that does not say. One that says
	// (Cache-Control, Expires) is kept as long as it says, between a minute and a day.
	// +kubebuilder:default="5m"
	// +optional
	CacheFallbackTTL Period `json:"cacheFallbackTtl,omitempty"`
	// CacheMaxSize is how many documents are kept.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	// +kubebuilder:default=256
	// +optional
	CacheMaxSize int32 `json:"cacheMaxSize,omitempty"`
}

// ClientDomain is a host name, or *. and a host name.
//
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:Pattern=`^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
type ClientDomain string
