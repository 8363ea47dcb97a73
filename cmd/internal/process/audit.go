package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/version"
)

// auditFlags say where audit events go.
type auditFlags struct {
	file     string
	options  audit.FileOptions
	keyFile  string
	overflow string
	otlp     string
}

func (f *auditFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.file, "audit-file", "", "file that audit events are added to, instead of stdout; its lines form a chain that shows tampering")
	fs.Int64Var(&f.options.MaxSize, "audit-max-size", 100<<20, "bytes before the audit file is rotated; 0 for no limit")
	fs.DurationVar(&f.options.MaxAge, "audit-max-age", 0, "time before the audit file is rotated; 0 for no limit")
	fs.IntVar(&f.options.MaxFiles, "audit-max-files", 0, "rotated audit files to keep; 0 for all")
	fs.StringVar(&f.keyFile, "audit-key-file", "", "file of base64 keys of 32 bytes, one a line, for the audit file's chain (the first seals); without it, who can write the file can make the chain anew")
	fs.StringVar(&f.overflow, "audit-overflow", "block", "when audit events cannot be written fast enough, or at all: block (requests wait) or drop (events are lost and counted)")
	fs.StringVar(&f.otlp, "audit-otlp-endpoint", "", "URL of an OpenTelemetry collector (OTLP/HTTP) that audit events are sent to, instead of stdout; with --audit-file, to both")
}

// Audited reports whether the flags ask for audit events in a place of their own.
func (f *Flags) Audited() bool { return f.audit.file != "" || f.audit.otlp != "" }

// open starts the sinks that the flags ask for.
func (f *auditFlags) open(stdout io.Writer, log *slog.Logger, m *telemetry.Metrics, getenv func(string) (string, bool)) (audit.Sink, error) {
	overflow, err := audit.ParseOverflow(f.overflow)
	if err != nil {
		return nil, UsageError{fmt.Errorf("--audit-overflow: %w", err)}
	}
	to := func(kind string) audit.WriterOptions {
		return audit.WriterOptions{Overflow: overflow, Log: log.With("sink", kind), Flushed: m.AuditSink(kind).Flushed}
	}
	if f.file == "" && f.keyFile != "" {
		return nil, UsageError{errors.New("--audit-key-file seals an audit file: say which with --audit-file")}
	}
	var sinks audit.Sinks
	if f.otlp != "" {
		opts, err := otlpOptions(getenv)
		if err != nil {
			return nil, UsageError{err}
		}
		sink, err := audit.NewOTLP(f.otlp, opts, to("otlp"))
		if err != nil {
			return nil, UsageError{fmt.Errorf("--audit-otlp-endpoint: %w", err)}
		}
		sinks = append(sinks, sink)
	}
	if f.file != "" {
		sink, err := f.openFile(to("file"))
		if err != nil {
			return nil, err
		}
		sinks = append(sinks, sink)
	}
	switch len(sinks) {
	case 0:
		return audit.NewWriter(stdout, to("stdout")), nil
	case 1:
		return sinks[0], nil
	}
	return sinks, nil
}

func (f *auditFlags) openFile(opts audit.WriterOptions) (audit.Sink, error) {
	o := f.options
	if o.MaxSize < 0 || o.MaxAge < 0 || o.MaxFiles < 0 {
		return nil, UsageError{errors.New("--audit-max-size, --audit-max-age and --audit-max-files are not negative")}
	}
	var err error
	if o.Keys, err = ReadKeys("--audit-key-file", f.keyFile); err != nil {
		return nil, UsageError{err}
	}
	sink, err := audit.NewFile(f.file, o, opts)
	if err != nil {
		err = fmt.Errorf("--audit-file: %w", err)
		if errors.Is(err, audit.ErrNotOurs) {
			err = UsageError{err}
		}
		return nil, err
	}
	return sink, nil
}

// otlpOptions are what OpenTelemetry's own variables say, as every SDK reads them.
// Headers stay out of errors: they may hold credentials.
func otlpOptions(getenv func(string) (string, bool)) (audit.OTLPOptions, error) {
	opts := audit.OTLPOptions{
		Header:   http.Header{"User-Agent": {"sallyport/" + version.Version()}},
		Resource: map[string]string{"service.name": "sallyport", "service.version": version.Version()},
	}
	if name, err := os.Hostname(); err == nil {
		opts.Resource["host.name"] = name
	}
	const attributes = "OTEL_RESOURCE_ATTRIBUTES"
	text, _ := getenv(attributes)
	resource, ok := pairs(text)
	if !ok {
		return opts, fmt.Errorf("environment variable %s: write it as key=value,key=value, percent-encoded", attributes)
	}
	for _, p := range resource {
		opts.Resource[p[0]] = p[1]
	}
	if name, _ := getenv("OTEL_SERVICE_NAME"); name != "" {
		opts.Resource["service.name"] = name
	}
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_LOGS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"} {
		text, _ := getenv(variable)
		if text == "" {
			continue
		}
		headers, ok := pairs(text)
		for _, p := range headers {
			ok = ok && headerName.MatchString(p[0]) && !strings.ContainsAny(p[1], "\r\n\x00")
			opts.Header.Set(p[0], p[1])
		}
		if !ok {
			return opts, fmt.Errorf("environment variable %s: write it as name=value,name=value, percent-encoded", variable)
		}
		break // the one for logs wins
	}
	return opts, nil
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

// closeAudit writes what is left, within what is left of the drain time, and for
// five seconds at least.
func closeAudit(sink audit.Sink, drained time.Time) error {
	ctx, cancel := context.WithTimeout(context.Background(), max(time.Until(drained), 5*time.Second))
	defer cancel()
	if err := sink.Close(ctx); err != nil {
		return fmt.Errorf("write audit events: %w", err)
	}
	return nil
}
