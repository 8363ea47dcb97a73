package v1alpha1

// In the rules below, HEADER_NAME and RESTRICTED_HEADERS stand for the patterns
// of headers.go; hack/crds puts them in.

// PassthroughHeader is the name of a client's header that is forwarded.
//
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:XValidation:rule=`self.matches(HEADER_NAME)`,message="must be the name of a header: letters, digits and hyphens"
// +kubebuilder:validation:XValidation:rule=`!self.matches(RESTRICTED_HEADERS)`,messageExpression=`'header "%s" is restricted and cannot be passed through; remove it'.format([self])`
// +kubebuilder:validation:XValidation:rule=`self.lowerAscii() != 'authorization'`,message="header \"Authorization\" is the client's credential for the gateway and cannot be passed through; remove it, and give the backend one of its own with externalAuthConfigRef"
type PassthroughHeader string

// SetHeader is the name of a header that the gateway sets. It may be
// Authorization.
//
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:XValidation:rule=`self.matches(HEADER_NAME)`,message="must be the name of a header: letters, digits and hyphens"
// +kubebuilder:validation:XValidation:rule=`!self.matches(RESTRICTED_HEADERS)`,messageExpression=`'header "%s" is restricted and cannot be set; remove it'.format([self])`
type SetHeader string

// HeaderValue is the value of a header that is no secret.
//
// +kubebuilder:validation:MaxLength=4096
// +kubebuilder:validation:XValidation:rule=`!self.matches(r'[\x00-\x08\x0a-\x1f\x7f]')`,message="must be one line without control characters"
type HeaderValue string

// PassthroughHeaders lists the client's headers that are forwarded unchanged.
//
// +kubebuilder:validation:MaxItems=32
// +kubebuilder:validation:XValidation:rule=`self.all(h, self.exists_one(o, o.lowerAscii() == h.lowerAscii()))`,messageExpression=`'header %s is listed twice; keep one'.format([self.filter(h, !self.exists_one(o, o.lowerAscii() == h.lowerAscii()))])`
// +listType=atomic
type PassthroughHeaders []PassthroughHeader

// HeaderForward sets fixed headers on every request to the backend.
//
// +kubebuilder:validation:XValidation:rule=`!has(self.addPlaintextHeaders) || !has(self.addHeadersFromSecret) || self.addHeadersFromSecret.all(s, !self.addPlaintextHeaders.exists(p, p.lowerAscii() == s.headerName.lowerAscii()))`,fieldPath=".addHeadersFromSecret",messageExpression=`'header %s is set by addPlaintextHeaders too; keep one of them'.format([self.addHeadersFromSecret.filter(s, self.addPlaintextHeaders.exists(p, p.lowerAscii() == s.headerName.lowerAscii())).map(h, h.headerName)])`
type HeaderForward struct {
	// AddPlaintextHeaders maps header names to values that are no secret.
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule=`self.all(h, size(h) <= 128 && h.matches(HEADER_NAME))`,messageExpression=`'%s is not the name of a header: letters, digits and hyphens, at most 128'.format([self.filter(h, size(h) > 128 || !h.matches(HEADER_NAME))])`
	// +kubebuilder:validation:XValidation:rule=`self.all(h, !h.matches(RESTRICTED_HEADERS))`,messageExpression=`'header %s is restricted and cannot be set; remove it'.format([self.filter(h, h.matches(RESTRICTED_HEADERS))])`
	// +kubebuilder:validation:XValidation:rule=`self.all(h, self.exists_one(o, o.lowerAscii() == h.lowerAscii()))`,messageExpression=`'header %s is listed twice; keep one'.format([self.filter(h, !self.exists_one(o, o.lowerAscii() == h.lowerAscii()))])`
	// +optional
	AddPlaintextHeaders map[string]HeaderValue `json:"addPlaintextHeaders,omitempty"`
	// AddHeadersFromSecret lists headers whose values come from Secrets.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule=`self.all(h, self.exists_one(o, o.headerName.lowerAscii() == h.headerName.lowerAscii()))`,messageExpression=`'header %s is listed twice; keep one'.format([self.filter(h, !self.exists_one(o, o.headerName.lowerAscii() == h.headerName.lowerAscii())).map(h, h.headerName)])`
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
