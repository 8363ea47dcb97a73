package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// semantic are the metrics that OpenTelemetry's conventions for MCP define. They
// are kept for collectors alone, beside those at /metrics, since they have other
// buckets, and a type of error instead of a status.
type semantic struct {
	registry       *prometheus.Registry
	server, client *prometheus.HistogramVec
}

// naming says what metrics and labels are called at a collector. The zero naming
// leaves them their names.
type naming struct {
	metrics, labels map[string]string
	unit            string
}

func (n naming) metric(name string) string { return orSame(n.metrics, name) }
func (n naming) label(name string) string  { return orSame(n.labels, name) }

func orSame(names map[string]string, name string) string {
	if other, ok := names[name]; ok {
		return other
	}
	return name
}

func semanticNaming() naming {
	return naming{
		metrics: map[string]string{
			"mcp_server_operation_duration": "mcp.server.operation.duration",
			"mcp_client_operation_duration": "mcp.client.operation.duration",
		},
		labels: map[string]string{"server": "sallyport.server", "method": "mcp.method.name", "error_type": "error.type"},
		unit:   "s",
	}
}

func newSemantic() *semantic {
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help,
			Buckets: []float64{.01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 120, 300},
		}, []string{"server", "method", "error_type"})
	}
	s := &semantic{
		registry: prometheus.NewRegistry(),
		server:   histogram("mcp_server_operation_duration", "Time from a client's request or notification to the end of the answer."),
		client:   histogram("mcp_client_operation_duration", "Time from sending a request or notification to a backend to the end of its answer."),
	}
	s.registry.MustRegister(s.server, s.client)
	return s
}

func (s *semantic) forget(labels prometheus.Labels) {
	if s != nil {
		s.server.DeletePartialMatch(labels)
		s.client.DeletePartialMatch(labels)
	}
}

// Operation counts an MCP request or notification of a client, for collectors. The
// type of error is one of few words, "" for success.
func (s *Server) Operation(method, errorType string, d time.Duration) {
	if s != nil && s.m.semantic != nil {
		s.operation(s.m.semantic.server, method, errorType, d)
	}
}

// BackendOperation counts what Operation does, as sent to a backend.
func (s *Server) BackendOperation(method, errorType string, d time.Duration) {
	if s != nil && s.m.semantic != nil {
		s.operation(s.m.semantic.client, method, errorType, d)
	}
}

func (s *Server) operation(vec *prometheus.HistogramVec, method, errorType string, d time.Duration) {
	if _, known := s.m.methods[method]; !known {
		method = otherMethod
	}
	s.m.mu.Lock() // a late request must not bring a forgotten series back
	defer s.m.mu.Unlock()
	if !s.gone {
		vec.WithLabelValues(s.name, method, errorType).Observe(d.Seconds())
	}
}
