package telemetry

import (
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is the process's set of metrics, in a registry of its own.
// It is safe for use by many goroutines.
type Metrics struct {
	registry *prometheus.Registry
	methods  map[string]int // known method → its place in Server.methods; never changes

	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	redirects *prometheus.CounterVec
	failures  *prometheus.CounterVec
	dropped   *prometheus.CounterVec
	streams   *prometheus.GaugeVec
	sessions  *prometheus.CounterVec
	up        *prometheus.GaugeVec
	seen      *prometheus.GaugeVec
	tokens    *prometheus.CounterVec
	decisions *prometheus.CounterVec
	exchanges *prometheus.CounterVec

	refreshes   *prometheus.CounterVec
	signIns     *prometheus.CounterVec
	keySets     *prometheus.CounterVec
	reloads     *prometheus.CounterVec
	lastSuccess prometheus.Gauge
	audited     *prometheus.CounterVec
	unaudited   *prometheus.CounterVec
	auditFull   *prometheus.GaugeVec
	stores      prometheus.Counter
	spans       prometheus.Counter
	lostSpans   prometheus.Counter

	started  time.Time
	semantic *semantic // nil unless metrics are sent to a collector; set before the first request

	mu      sync.Mutex
	servers map[string]*Server
}

// durationBuckets are the ends of the buckets of durations, in seconds.
var durationBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

// NewMetrics makes the metrics of a process that runs the given version.
func NewMetrics(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		methods:  make(map[string]int),
		servers:  make(map[string]*Server),

		requests: counter("requests_total",
			"MCP requests answered, by MCP method (the HTTP method for GET and DELETE) and HTTP status.",
			"server", "method", "status"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "sallyport_request_duration_seconds",
			Help:    "Time from a request's arrival to the end of its answer; of a stream, to its end.",
			Buckets: durationBuckets,
		}, []string{"server", "method"}),
		redirects: counter("redirects_followed_total", "Redirects of backends that were followed.", "server", "status"),
		failures: counter("backend_failures_total",
			"Exchanges with a backend that brought no answer a client may see.", "server", "reason"),
		dropped: counter("backend_messages_dropped_total",
			"Messages of backends that reached nobody.", "server", "reason"),
		streams:  gauge("streams", "Event streams and WebSockets open to clients.", "server"),
		sessions: counter("sessions_opened_total", "Sessions opened with clients.", "server"),
		up:       gauge("backend_up", "1 when the backend last answered, 0 when it did not; missing until it was asked.", "server"),
		seen:     gauge("backend_seen_timestamp_seconds", "When the backend last answered, or failed to.", "server"),

		tokens:    counter("token_validations_total", "Tokens of clients that were checked, by what came of it.", "server", "result"),
		decisions: counter("policy_decisions_total", "Decisions of policies: allow, deny, or would_deny in shadow mode.", "server", "decision"),
		exchanges: counter("token_exchanges_total",
			"Exchanges of a caller's token for one of the backend's (RFC 8693): success, refused or failed; a cached token is none.", "server", "result"),
		refreshes: counter("upstream_refreshes_total",
			"Refreshes of tokens of upstream providers: success, revoked (the person has to sign in again) or failed.", "provider", "result"),
		signIns: counter("auth_server_events_total",
			"What happened at embedded authorization servers: the events of the audit, also where nothing is audited.", "server", "event", "outcome"),
		keySets: counter("jwks_events_total", "What happened to issuers' key sets: refreshed, changed, failed, or hit without a fetch.", "event"),

		reloads: counter("config_reloads_total", "Attempts to load a changed configuration.", "result"),
		lastSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "sallyport_config_last_success_timestamp_seconds",
			Help: "When the configuration that is being served was loaded.",
		}),
		audited:   counter("audit_events_total", "Audit events written.", "sink"),
		unaudited: counter("audit_events_lost_total", "Audit events that could not be written.", "sink"),
		auditFull: gauge("audit_full", "1 while calls that are audited are refused, because audit events cannot be written.", "sink"),
		stores: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sallyport_store_failures_total", Help: "Operations that the store could not be asked for.",
		}),
		spans: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sallyport_trace_spans_total", Help: "Spans sent to a collector.",
		}),
		lostSpans: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "sallyport_trace_spans_lost_total", Help: "Spans that were dropped or could not be sent.",
		}),

		started: time.Now(),
	}
	for i, name := range methodNames() {
		m.methods[name] = i
	}
	m.register(version)
	return m
}

func (m *Metrics) register(version string) {
	build := gauge("build_info", "Always 1; the labels tell what is running.", "version", "goversion")
	build.WithLabelValues(version, runtime.Version()).Set(1)
	m.registry.MustRegister(
		m.requests, m.durations, m.redirects, m.failures, m.dropped, m.streams, m.sessions, m.up, m.seen, m.tokens, m.decisions, m.exchanges,
		m.refreshes, m.signIns, m.keySets,
		m.reloads, m.lastSuccess, m.audited, m.unaudited, m.auditFull, m.stores, m.spans, m.lostSpans, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	// Both results exist from the start, so that an alert on a failure can be written.
	m.reloads.WithLabelValues("success")
	m.reloads.WithLabelValues("failure")
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sallyport_" + name, Help: help}, labels)
}

func gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "sallyport_" + name, Help: help}, labels)
}

// Handler serves the metrics in the Prometheus and OpenMetrics text formats.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Reloaded counts an attempt to load the configuration. The first load at start
// counts too.
func (m *Metrics) Reloaded(ok bool) {
	if !ok {
		m.reloads.WithLabelValues("failure").Inc()
		return
	}
	m.reloads.WithLabelValues("success").Inc()
	m.lastSuccess.SetToCurrentTime()
}

// KeySet counts what happened to an issuer's key set.
func (m *Metrics) KeySet(event string) { m.keySets.WithLabelValues(event).Inc() }

// UpstreamRefreshed counts a refresh of a token of an upstream provider: success,
// revoked when the provider will not renew the grant, failed for every other end.
// The provider is a configured name. A nil *Metrics counts nothing.
func (m *Metrics) UpstreamRefreshed(provider, result string) {
	if m != nil {
		m.refreshes.WithLabelValues(provider, result).Inc()
	}
}

// AuthServerEvent counts what happened at an authorization server. The server is a
// configured name, the others are words of the program. A nil *Metrics counts nothing.
func (m *Metrics) AuthServerEvent(server, event, outcome string) {
	if m != nil {
		m.signIns.WithLabelValues(server, event, outcome).Inc()
	}
}

// StoreFailed counts an operation that the store could not be asked for.
func (m *Metrics) StoreFailed() { m.stores.Inc() }

// SpansSent counts spans that were sent and those that were lost.
func (m *Metrics) SpansSent(sent, lost int) {
	m.spans.Add(float64(sent))
	m.lostSpans.Add(float64(lost))
}

// AuditSink counts the events of one audit sink, named by its kind (stdout, file).
type AuditSink struct {
	written, lost prometheus.Counter
	full          prometheus.Gauge
}

// AuditSink returns the counts of the sink of that kind.
func (m *Metrics) AuditSink(kind string) *AuditSink {
	return &AuditSink{written: m.audited.WithLabelValues(kind), lost: m.unaudited.WithLabelValues(kind), full: m.auditFull.WithLabelValues(kind)}
}

// Full says whether the sink has no room for more events.
func (a *AuditSink) Full(full bool) {
	a.full.Set(0)
	if full {
		a.full.Set(1)
	}
}

// Flushed counts a batch: how many events were written and how many lost.
func (a *AuditSink) Flushed(written, lost int) {
	a.written.Add(float64(written))
	a.lost.Add(float64(lost))
}
