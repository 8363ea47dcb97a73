package v1alpha1

// ProxyAssertion is a signed statement about the caller that a known proxy puts
// into a header of its own. Its signature proves the proxy, whatever address the
// request comes from.
//
// +kubebuilder:validation:XValidation:rule="(self.preset == 'cloudflare-access') == has(self.team)",fieldPath=".team",message="must be set with preset cloudflare-access, and with no other: the name before .cloudflareaccess.com"
// +kubebuilder:validation:XValidation:rule="(self.preset in ['cloudflare-access', 'google-iap']) == has(self.audience)",fieldPath=".audience",message="must be set with presets cloudflare-access and google-iap, and with no other: without it, assertions for the proxy's other applications and customers would do"
// +kubebuilder:validation:XValidation:rule="(self.preset == 'aws-alb') == has(self.region)",fieldPath=".region",message="must be set with preset aws-alb, and with no other: the load balancer's region"
// +kubebuilder:validation:XValidation:rule="(self.preset == 'aws-alb') == has(self.signer)",fieldPath=".signer",message="must be set with preset aws-alb, and with no other: the load balancer's ARN; without it, anybody's load balancer in the region would do"
// +kubebuilder:validation:XValidation:rule="self.preset == 'aws-alb' || !has(self.clientId)",fieldPath=".clientId",message="is for preset aws-alb; remove it"
// +kubebuilder:validation:XValidation:rule="(self.preset == 'pomerium') == has(self.domain)",fieldPath=".domain",message="must be set with preset pomerium, and with no other: the host name of the route that leads here"
// +kubebuilder:validation:XValidation:rule="!has(self.keysUrl) || self.keysUrl.startsWith('https://') || (has(self.allowPrivateIPs) && self.allowPrivateIPs && self.keysUrl.matches('^http://(localhost|127\\\\.[0-9.]+|\\\\[::1\\\\])(:[0-9]+)?(/.*)?$'))",fieldPath=".keysUrl",message="must be https; allowPrivateIPs: true admits http on loopback"
type ProxyAssertion struct {
	// Preset is the proxy: it sets the header, the issuer, where the keys are, and
	// the signature's algorithm.
	// +kubebuilder:validation:Enum=cloudflare-access;aws-alb;google-iap;pomerium
	Preset string `json:"preset"`
	// Team is the Cloudflare Access team: the name before .cloudflareaccess.com.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	// +optional
	Team string `json:"team,omitempty"`
	// Audience is the application: Cloudflare's AUD tag, or Google's
	// /projects/NUMBER/global/backendServices/ID.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Audience string `json:"audience,omitempty"`
	// Region is the AWS region of the load balancer.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]+(-[a-z0-9]+)+$`
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Region string `json:"region,omitempty"`
	// Signer is the ARN of the AWS load balancer.
	// +kubebuilder:validation:Pattern=`^arn:aws[-a-z]*:elasticloadbalancing:[-a-z0-9]+:[0-9]{12}:loadbalancer/app/[!-~]+$`
	// +kubebuilder:validation:MaxLength=512
	// +optional
	Signer string `json:"signer,omitempty"`
	// ClientID is the AWS load balancer's client id at the identity provider. Without
	// it any will do that this load balancer uses.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	ClientID string `json:"clientId,omitempty"`
	// Domain is the host name of the Pomerium route that leads here. It is the
	// assertion's audience.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?$`
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Domain string `json:"domain,omitempty"`
	// Issuer is the assertion's issuer, where it is not the preset's: the identity
	// provider of an AWS load balancer, or https://DOMAIN/ where Pomerium's
	// jwt_issuer_format is uri.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Issuer string `json:"issuer,omitempty"`
	// KeysURL is where the proxy's keys are, where they are not where the preset has
	// them, as in some sovereign clouds. Of an AWS load balancer it is the address
	// without the key's id.
	// +optional
	KeysURL IssuerURL `json:"keysUrl,omitempty"`
	// AllowPrivateIPs admits loopback and private addresses for the proxy's keys.
	// Cloud metadata addresses are never admitted.
	// +kubebuilder:default=false
	// +optional
	AllowPrivateIPs bool `json:"allowPrivateIPs,omitempty"`
	// ClaimMappings say where in an assertion the caller's properties are.
	// +optional
	ClaimMappings *ClaimMappings `json:"claimMappings,omitempty"`
}

// ClientCertificate takes callers from the TLS certificates they show. The
// listener verifies those against the authorities of --tls-client-ca.
type ClientCertificate struct {
	// CABundleRef narrows the authorities down to some of those: without it, whoever
	// has a certificate of any of them is a caller here.
	// +optional
	CABundleRef *CABundleRef `json:"caBundleRef,omitempty"`
	// Names are those that a certificate must be issued to, one of them: dns:NAME,
	// uri:URI, email:ADDRESS or cn:NAME; without a kind a DNS name or URI. Without it
	// whoever has one is a caller here.
	// +optional
	Names CertificateNames `json:"names,omitempty"`
}
