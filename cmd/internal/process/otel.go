package process

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/otlp"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/trace"
	"github.com/sallyport-dev/sallyport/internal/version"
)

// environment looks a variable up. One that is empty counts as not set
// (OpenTelemetry's environment variable specification).
type environment func(string) (string, bool)

// get is the value of the first variable that is set, and its name.
func (e environment) get(names ...string) (value, name string) {
	for _, name := range names {
		if v, _ := e(name); strings.TrimSpace(v) != "" {
			return strings.TrimSpace(v), name
		}
	}
	return "", ""
}

// startTelemetry starts what OpenTelemetry's variables ask for: traces and metrics
// go to a collector if one is named.
func startTelemetry(opts *gateway.Options, env environment) (stop func(ctx context.Context) error, err error) {
	stop = func(context.Context) error { return nil }
	if off, _ := env.get("OTEL_SDK_DISABLED"); strings.EqualFold(off, "true") {
		return stop, nil
	}
	traces, err := exporter(env, otlp.Traces, opts.Log)
	if err != nil {
		return nil, err
	}
	if traces != nil {
		if opts.Tracer, err = startTraces(*traces, opts.Log, opts.Metrics, env); err != nil {
			return nil, err
		}
	}
	metrics, err := exporter(env, otlp.Metrics, opts.Log)
	if err != nil {
		return nil, err
	}
	push := func(context.Context) error { return nil }
	if metrics != nil {
		if push, err = startPush(*metrics, opts.Log, opts.Metrics, env); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) error {
		return errors.Join(opts.Tracer.Close(ctx), push(ctx)) // the second counts what became of the first
	}, nil
}

func startTraces(cfg otlp.Config, log *slog.Logger, m *telemetry.Metrics, env environment) (*trace.Tracer, error) {
	name, _ := env.get("OTEL_TRACES_SAMPLER")
	arg, _ := env.get("OTEL_TRACES_SAMPLER_ARG")
	sampler, err := trace.ParseSampler(name, arg)
	if err != nil {
		return nil, UsageError{fmt.Errorf("environment variables OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG: %w", err)}
	}
	t, err := trace.New(cfg, trace.Options{Sampler: sampler, Sent: m.SpansSent, Log: log})
	if err != nil {
		return nil, UsageError{fmt.Errorf("environment variable OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: %w", err)}
	}
	return t, nil
}

func startPush(cfg otlp.Config, log *slog.Logger, m *telemetry.Metrics, env environment) (func(context.Context) error, error) {
	every := time.Minute
	if text, name := env.get("OTEL_METRIC_EXPORT_INTERVAL"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms <= 0 {
			return nil, UsageError{fmt.Errorf("environment variable %s: %q is no number of milliseconds", name, text)}
		}
		every = time.Duration(ms) * time.Millisecond
	}
	push, err := m.Push(cfg, every, log)
	if err != nil {
		return nil, UsageError{fmt.Errorf("environment variable OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: %w", err)}
	}
	return push.Close, nil
}

// exporter is where the variables say that a signal goes; nil when it goes nowhere.
func exporter(env environment, signal otlp.Signal, log *slog.Logger) (*otlp.Config, error) {
	upper := strings.ToUpper(string(signal))
	own := "OTEL_EXPORTER_OTLP_" + upper + "_ENDPOINT"
	endpoint, _ := env.get(own)
	if endpoint == "" {
		if base, _ := env.get("OTEL_EXPORTER_OTLP_ENDPOINT"); base != "" {
			endpoint = otlp.Under(base, signal)
		}
	}
	switch kind, name := env.get("OTEL_" + upper + "_EXPORTER"); kind {
	case "none":
		return nil, nil
	case "", "otlp":
	default:
		log.Warn("nothing is exported, since the exporter is not known; use otlp or none", "variable", name, "signal", signal)
		return nil, nil
	}
	if endpoint == "" {
		return nil, nil
	}
	if protocol, name := protocolOf(env, signal); !slices.Contains(protocols, protocol) {
		log.Warn("nothing is exported, since the protocol is not spoken; use http/protobuf or http/json, and the collector's port for OTLP/HTTP, which is 4318 as a rule",
			"variable", name, "protocol", protocol, "signal", signal)
		return nil, nil
	}
	cfg, err := collector(env, signal)
	if err != nil {
		return nil, UsageError{err}
	}
	cfg.Endpoint = endpoint
	return &cfg, nil
}

const (
	protocolProtobuf = "http/protobuf"
	protocolJSON     = "http/json"
)

var protocols = []string{protocolProtobuf, protocolJSON}

// protocolOf is how a signal is to be sent.
func protocolOf(env environment, signal otlp.Signal) (protocol, name string) {
	protocol, name = env.get(ofSignal(signal, "PROTOCOL")...)
	return cmp.Or(protocol, protocolProtobuf), name
}

// ofSignal names the variables of an exporter's setting, of which the signal's own wins.
func ofSignal(signal otlp.Signal, setting string) []string {
	const exporter = "OTEL_EXPORTER_OTLP_"
	return []string{exporter + strings.ToUpper(string(signal)) + "_" + setting, exporter + setting}
}

// collector is what OpenTelemetry's own variables say of a signal besides its
// address, as every SDK reads them. Headers stay out of errors: they may hold
// credentials.
func collector(env environment, signal otlp.Signal) (otlp.Config, error) {
	cfg := otlp.Config{
		Header:   http.Header{"User-Agent": {"sallyport/" + version.Version()}},
		Resource: map[string]string{"service.name": "sallyport", "service.version": version.Version()},
	}
	if name, err := os.Hostname(); err == nil {
		cfg.Resource["host.name"] = name
	}
	text, name := env.get("OTEL_RESOURCE_ATTRIBUTES")
	resource, ok := pairs(text)
	if !ok {
		return cfg, fmt.Errorf("environment variable %s: write it as key=value,key=value, percent-encoded", name)
	}
	for _, p := range resource {
		cfg.Resource[p[0]] = p[1]
	}
	if name, _ := env.get("OTEL_SERVICE_NAME"); name != "" {
		cfg.Resource["service.name"] = name
	}
	// The signal's own headers win.
	text, name = env.get(ofSignal(signal, "HEADERS")...)
	headers, ok := pairs(text)
	for _, p := range headers {
		ok = ok && headerName.MatchString(p[0]) && !strings.ContainsAny(p[1], "\r\n\x00")
		cfg.Header.Set(p[0], p[1])
	}
	if !ok {
		return cfg, fmt.Errorf("environment variable %s: write it as name=value,name=value, percent-encoded", name)
	}
	return cfg, transport(env, signal, &cfg)
}

// transport is how requests are encoded and sent.
func transport(env environment, signal otlp.Signal, cfg *otlp.Config) error {
	proxies, err := netguard.ReadProxies(env)
	if err != nil {
		return err
	}
	cfg.Proxy = proxies.For
	protocol, _ := protocolOf(env, signal)
	cfg.Protobuf = protocol != protocolJSON
	switch text, name := env.get(ofSignal(signal, "COMPRESSION")...); text {
	case "gzip":
		cfg.Gzip = true
	case "", "none":
	default:
		return fmt.Errorf("environment variable %s: %q is not supported; use gzip or none", name, text)
	}
	if text, name := env.get(ofSignal(signal, "TIMEOUT")...); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms <= 0 {
			return fmt.Errorf("environment variable %s: %q is no number of milliseconds", name, text)
		}
		cfg.Timeout = time.Duration(ms) * time.Millisecond
	}
	cfg.TLS, err = certificates(env, signal)
	return err
}

// certificates are those that a collector is known by, and that the gateway shows it.
func certificates(env environment, signal otlp.Signal) (*tls.Config, error) {
	authority, authorityName := env.get(ofSignal(signal, "CERTIFICATE")...)
	cert, certName := env.get(ofSignal(signal, "CLIENT_CERTIFICATE")...)
	key, keyName := env.get(ofSignal(signal, "CLIENT_KEY")...)
	if authority == "" && cert == "" && key == "" {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if authority != "" {
		text, err := os.ReadFile(authority)
		if err != nil {
			return nil, fmt.Errorf("environment variable %s: %w", authorityName, err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("environment variable %s: %s holds no certificate in PEM", authorityName, authority)
		}
	}
	switch {
	case cert == "" && key == "":
		return cfg, nil
	case cert == "" || key == "":
		return nil, fmt.Errorf("environment variable %s needs the other one of certificate and key", cmp.Or(certName, keyName))
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("environment variables %s and %s: %w", certName, keyName, err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg, nil
}

// pairs reads key=value,key=value, percent-encoded as in W3C Baggage.
func pairs(text string) (all [][2]string, ok bool) {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); !ok || key == "" || err != nil {
			return nil, false
		}
		all = append(all, [2]string{key, value})
	}
	return all, true
}

// closeOutputs sends and writes what is left, side by side: audit events within what
// is left of the drain time, and for three seconds at least; the rest for no more than
// these. Audit events that are lost are an error of the process; spans and data
// points are not.
func closeOutputs(opts *gateway.Options, telemetry func(context.Context) error, drained time.Time) error {
	const least = 3 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), max(time.Until(drained), least))
	defer cancel()
	var closing sync.WaitGroup
	closing.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, least)
		defer cancel()
		if err := telemetry(ctx); err != nil {
			opts.Log.Warn("telemetry is lost", "cause", err)
		}
	})
	err := opts.Audit.Close(ctx)
	closing.Wait()
	if err != nil {
		return fmt.Errorf("write audit events: %w", err)
	}
	return nil
}
