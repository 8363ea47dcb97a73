package process

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"

	"github.com/spf13/pflag"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/otlp"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
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
	f.options.MaxSize, f.overflow = 100<<20, "block"
	sizeVar(fs, &f.options.MaxSize, "audit-max-size", 0, "size at which the audit file is rotated; 0 for no limit")
	DurationVar(fs, &f.options.MaxAge, "audit-max-age", 0, "time before the audit file is rotated; 0 for no limit")
	NumberVar(fs, &f.options.MaxFiles, "audit-max-files", 0, math.MaxInt32, "rotated audit files to keep; 0 for all")
	fs.StringVar(&f.keyFile, "audit-key-file", "", "file of base64 keys of 32 bytes, one a line, for the audit file's chain (the first seals); without it, who can write the file can make the chain anew")
	ChoiceVar(fs, &f.overflow, "audit-overflow", "", "when audit events cannot be written fast enough, or at all: block (audited calls wait some seconds, then are refused before they are forwarded) or drop (events are lost and counted)", "block", "drop")
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
		count := m.AuditSink(kind)
		return audit.WriterOptions{Overflow: overflow, Log: log.With("sink", kind), Flushed: count.Flushed, Full: count.Full}
	}
	if f.file == "" && f.keyFile != "" {
		return nil, UsageError{errors.New("--audit-key-file seals an audit file: say which with --audit-file")}
	}
	var sinks audit.Sinks
	if f.otlp != "" {
		cfg, err := collector(getenv, otlp.Logs)
		if err != nil {
			return nil, UsageError{err}
		}
		cfg.Endpoint = f.otlp
		sink, err := audit.NewOTLP(cfg, to("otlp"))
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
