package v1alpha1

// Unbuilt is the type of an object field that the schema knows and nothing
// reads yet. Such a field takes anything and is refused by the marker that
// stands on the field itself:
//
//	// +kubebuilder:validation:XValidation:rule="false",message="NAME is not supported yet; remove it"
//
// Scalars and lists that are not built yet have their real Go type and the
// same marker. To build a field, replace its type and delete the line.
//
// +kubebuilder:pruning:PreserveUnknownFields
type Unbuilt struct{}

// ObjectName is the name of another object in the same namespace.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
type ObjectName string

// DataKey is a key in the data of a Secret or ConfigMap.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
type DataKey string

// ObjectRef names an object of a fixed kind in the same namespace.
type ObjectRef struct {
	// Name of the object.
	Name ObjectName `json:"name"`
}

// SecretKeyRef names one value of a Secret in the same namespace.
type SecretKeyRef struct {
	// Name of the Secret.
	Name ObjectName `json:"name"`
	// Key in the Secret's data.
	Key DataKey `json:"key"`
}

// ConfigMapKeyRef names one value of a ConfigMap in the same namespace.
type ConfigMapKeyRef struct {
	// Name of the ConfigMap.
	Name ObjectName `json:"name"`
	// Key in the ConfigMap's data.
	// +kubebuilder:default="ca.crt"
	// +optional
	Key DataKey `json:"key,omitempty"`
	// Optional would let the ConfigMap be absent.
	// +kubebuilder:validation:XValidation:rule="false",message="optional is not supported yet; remove it"
	// +optional
	Optional *bool `json:"optional,omitempty"`
}

// CABundleRef points at the certificates that a backend's TLS certificate is
// checked against, in place of the system's.
type CABundleRef struct {
	// ConfigMapRef names the ConfigMap and key that hold the PEM certificates.
	ConfigMapRef ConfigMapKeyRef `json:"configMapRef"`
}

// Audit says whether the requests of this server are audited.
type Audit struct {
	// Enabled writes one event per MCP request.
	// +kubebuilder:default=false
	// +optional
	Enabled bool `json:"enabled,omitempty"`
}

// Redirects opens what the gateway refuses when a backend answers 3xx: by
// default it follows to the same host name only, and never from https to http.
type Redirects struct {
	// AllowedHosts are further host names, without port, that a redirect may
	// lead to. No credential goes there.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	AllowedHosts []RedirectHost `json:"allowedHosts,omitempty"`
	// AllowDowngrade lets a redirect lead from https to http. The message then
	// travels unencrypted; no credential does.
	// +kubebuilder:default=false
	// +optional
	AllowDowngrade bool `json:"allowDowngrade,omitempty"`
}

// RedirectHost is a host name as it stands in a URL, without port.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?$')",message="must be a host name without scheme, port, path or wildcard, like api.example.com"
type RedirectHost string

// HeaderForward sets fixed headers on every request to the backend.
//
// +kubebuilder:validation:XValidation:rule="!has(self.addPlaintextHeaders) || !has(self.addHeadersFromSecret) || self.addHeadersFromSecret.all(s, !self.addPlaintextHeaders.exists(p, p.lowerAscii() == s.headerName.lowerAscii()))",fieldPath=".addHeadersFromSecret",messageExpression="'header ' + self.addHeadersFromSecret.filter(s, self.addPlaintextHeaders.exists(p, p.lowerAscii() == s.headerName.lowerAscii()))[0].headerName + ' is set by addPlaintextHeaders too; keep one of them'"
type HeaderForward struct {
	// AddPlaintextHeaders maps header names to values that are no secret.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) <= 128 && k.matches('^[!#$%&*+.^_|~0-9A-Za-z\\x27\\x60-]+$'))",messageExpression="'no header can have the name \"' + self.filter(k, size(k) > 128 || !k.matches('^[!#$%&*+.^_|~0-9A-Za-z\\x27\\x60-]+$'))[0] + '\": use letters, digits and hyphens, at most 128'"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.matches('(?i)^(host|forwarded|via|x-real-ip|x-forwarded-.*|cookie|set-cookie|connection|keep-alive|te|trailer|transfer-encoding|upgrade|http2-settings|expect|proxy-.*|content-length|content-type|content-encoding|accept|accept-encoding|mcp-.*|last-event-id|x-authenticated-user|x-auth-request-.*|remote-.*|x-amzn-oidc-.*|cf-access-.*|x-goog-iap-jwt-assertion|x-goog-authenticated-user-.*|x-pomerium-.*|x-envoy-.*)$'))",messageExpression="'header \"' + self.filter(k, k.matches('(?i)^(host|forwarded|via|x-real-ip|x-forwarded-.*|cookie|set-cookie|connection|keep-alive|te|trailer|transfer-encoding|upgrade|http2-settings|expect|proxy-.*|content-length|content-type|content-encoding|accept|accept-encoding|mcp-.*|last-event-id|x-authenticated-user|x-auth-request-.*|remote-.*|x-amzn-oidc-.*|cf-access-.*|x-goog-iap-jwt-assertion|x-goog-authenticated-user-.*|x-pomerium-.*|x-envoy-.*)$'))[0] + '\" is restricted and cannot be set; remove it'"
	// +optional
	AddPlaintextHeaders map[string]HeaderValue `json:"addPlaintextHeaders,omitempty"`
	// AddHeadersFromSecret lists headers whose values come from Secrets.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	AddHeadersFromSecret []HeaderFromSecret `json:"addHeadersFromSecret,omitempty"`
}

// HeaderFromSecret is one header whose value comes from a Secret.
type HeaderFromSecret struct {
	// HeaderName is the header to set.
	HeaderName SetHeader `json:"headerName"`
	// ValueSecretRef names the Secret and key that hold the value.
	ValueSecretRef SecretKeyRef `json:"valueSecretRef"`
}
