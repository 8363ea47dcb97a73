package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Resources tells of each resource that an operator keeps whether it is ready. It keeps
// nothing itself, so that what is gone has no series left.
type Resources struct {
	list func(tell func(kind, namespace, name string, ready bool))
	desc *prometheus.Desc
}

var _ prometheus.Collector = (*Resources)(nil)

// NewResources makes a collector for a registry of somebody else's; list is called each
// time that metrics are asked for.
func NewResources(list func(tell func(kind, namespace, name string, ready bool))) *Resources {
	return &Resources{list, prometheus.NewDesc(
		"sallyport_operator_resource_ready", "1 when a resource is ready, or valid where nothing of it runs; 0 when it is not.",
		[]string{"kind", "namespace", "name"}, nil,
	)}
}

// Describe implements prometheus.Collector.
func (r *Resources) Describe(to chan<- *prometheus.Desc) { to <- r.desc }

// Collect implements prometheus.Collector.
func (r *Resources) Collect(to chan<- prometheus.Metric) {
	r.list(func(kind, namespace, name string, ready bool) {
		value := 0.0
		if ready {
			value = 1
		}
		to <- prometheus.MustNewConstMetric(r.desc, prometheus.GaugeValue, value, kind, namespace, name)
	})
}
