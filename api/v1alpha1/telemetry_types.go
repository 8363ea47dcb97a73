package v1alpha1

// Telemetry says how the requests of one resource are traced. Where traces and
// metrics go is a setting of the process, in OpenTelemetry's own environment
// variables; so is the listener that metrics are scraped from.
type Telemetry struct {
	// OpenTelemetry says which requests are traced.
	// +optional
	OpenTelemetry *OpenTelemetry `json:"openTelemetry,omitempty"`
	// Prometheus says that metrics can be scraped, as those of all resources can.
	// +kubebuilder:validation:XValidation:rule="self.enabled",fieldPath=".enabled",message="must be true: metrics of all resources are at /metrics of --admin-listen; remove prometheus, or start the gateway without that address"
	// +optional
	Prometheus *Prometheus `json:"prometheus,omitempty"`
}

// Prometheus says whether metrics can be scraped.
type Prometheus struct {
	// Enabled is always true: who scrapes the gateway sees all of it.
	// +kubebuilder:default=false
	// +optional
	Enabled bool `json:"enabled,omitempty"`
}

// TelemetryConfigRef names settings that resources share.
type TelemetryConfigRef struct {
	// Name of the MCPTelemetryConfig.
	Name ObjectName `json:"name"`
	// ServiceName says who sends.
	// +kubebuilder:validation:XValidation:rule="false",message="serviceName is not supported yet for one resource; set OTEL_SERVICE_NAME for the gateway, whose spans name the resource in mcp.server.name; remove it"
	// +optional
	ServiceName string `json:"serviceName,omitempty"`
}

// OpenTelemetry says which requests of a resource are traced, if the process sends
// traces anywhere.
type OpenTelemetry struct {
	// Enabled traces requests, as tracing says.
	// +kubebuilder:default=false
	// +optional
	Enabled bool `json:"enabled,omitempty"`
	// Tracing says how many requests are traced.
	// +optional
	Tracing *Tracing `json:"tracing,omitempty"`

	// Settings of the process. Each of these is refused by name.

	// Endpoint is where traces and metrics go.
	// +kubebuilder:validation:XValidation:rule="false",message="endpoint is not supported yet for one resource; set OTEL_EXPORTER_OTLP_ENDPOINT for the gateway, and remove it"
	// +optional
	Endpoint string `json:"endpoint,omitempty"`
	// Insecure sends by http.
	// +kubebuilder:validation:XValidation:rule="false",message="insecure is not supported yet for one resource; write http:// in OTEL_EXPORTER_OTLP_ENDPOINT, and remove it"
	// +optional
	Insecure *bool `json:"insecure,omitempty"`
	// Headers go with what is sent.
	// +kubebuilder:validation:XValidation:rule="false",message="headers is not supported yet for one resource; set OTEL_EXPORTER_OTLP_HEADERS for the gateway, and remove it"
	// +optional
	Headers *Unbuilt `json:"headers,omitempty"`
	// SensitiveHeaders go with what is sent, from Secrets.
	// +kubebuilder:validation:XValidation:rule="false",message="sensitiveHeaders is not supported yet for one resource; set OTEL_EXPORTER_OTLP_HEADERS for the gateway, and remove it"
	// +optional
	SensitiveHeaders *Unbuilt `json:"sensitiveHeaders,omitempty"`
	// ResourceAttributes say who sends.
	// +kubebuilder:validation:XValidation:rule="false",message="resourceAttributes is not supported yet for one resource; set OTEL_RESOURCE_ATTRIBUTES for the gateway, and remove it"
	// +optional
	ResourceAttributes *Unbuilt `json:"resourceAttributes,omitempty"`
	// Metrics says whether metrics are sent.
	// +kubebuilder:validation:XValidation:rule="false",message="metrics is not supported yet for one resource; OTEL_METRICS_EXPORTER says it for the gateway; remove it"
	// +optional
	Metrics *Unbuilt `json:"metrics,omitempty"`
	// CABundleRef names the certificates that the collector is checked against.
	// +kubebuilder:validation:XValidation:rule="false",message="caBundleRef is not supported yet for one resource; set SSL_CERT_FILE for the gateway, and remove it"
	// +optional
	CABundleRef *Unbuilt `json:"caBundleRef,omitempty"`
	// UseLegacyAttributes adds names from before OpenTelemetry's conventions for MCP.
	// +kubebuilder:validation:XValidation:rule="false",message="useLegacyAttributes is not supported yet; spans have the names of OpenTelemetry's conventions for MCP alone; remove it"
	// +optional
	UseLegacyAttributes *bool `json:"useLegacyAttributes,omitempty"`
}

// Tracing says how many requests are traced.
type Tracing struct {
	// Enabled traces requests.
	// +kubebuilder:default=false
	// +optional
	Enabled bool `json:"enabled,omitempty"`
	// SamplingRate is the share of traces that begin at the gateway and are kept, from
	// 0 to 1. What a client has decided about its own trace stands.
	// +kubebuilder:validation:Pattern=`^(0(\.[0-9]+)?|1(\.0+)?)$`
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:default="0.05"
	// +optional
	SamplingRate string `json:"samplingRate,omitempty"`
}
