package audit

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/sallyport-dev/sallyport/internal/otlp"
)

// OTLP is a Sink that sends events to an OpenTelemetry collector as log records, by
// OTLP/HTTP in JSON. Batches go out every second, one at a time, and again as long
// as the receiver says that it may help; events that it refuses are lost and counted.
type OTLP struct {
	*Writer
	cancel context.CancelFunc
}

// NewOTLP starts an OTLP.
func NewOTLP(cfg otlp.Config, wopts WriterOptions) (*OTLP, error) {
	sender, err := otlp.NewSender(cfg, otlp.Logs)
	if err != nil {
		return nil, err
	}
	if wopts.Log == nil {
		wopts.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &exporter{ctx: ctx, sender: sender, open: otlpOpen(cfg.Resource)}
	return &OTLP{cancel: cancel, Writer: newWriter(e, wopts, form{
		event: appendRecord, lost: appendLostRecord, after: time.Second, size: 256 << 10, most: 512 << 10, limit: 4 << 20,
		end: func() error {
			cancel()
			sender.Close()
			return nil
		},
	})}, nil
}

// Close implements Sink. When ctx ends, so does the request under way.
func (o *OTLP) Close(ctx context.Context) error {
	defer context.AfterFunc(ctx, o.cancel)()
	return o.Writer.Close(ctx)
}

// otlpOpen is the beginning of every request, up to the records.
func otlpOpen(resource map[string]string) []byte {
	b := otlp.AppendResource([]byte(`{"resourceLogs":[{"resource":`), resource)
	return append(b, `,"scopeLogs":[{"scope":{"name":"sallyport.audit"},"logRecords":[`...)
}

const otlpClose = `]}]}]}`

// exporter is what a Writer of records writes to.
type exporter struct {
	ctx    context.Context // io.Writer has none, and requests have to end with Close
	sender *otlp.Sender
	open   []byte
	body   []byte
}

// Write sends records, one a line, as one request.
func (e *exporter) Write(p []byte) (int, error) {
	e.body = append(e.body[:0], e.open...)
	for line := range bytes.Lines(p) {
		e.body = append(append(e.body, bytes.TrimSuffix(line, []byte{'\n'})...), ',')
	}
	e.body = append(bytes.TrimSuffix(e.body, []byte{','}), otlpClose...)
	err := e.sender.Send(e.ctx, e.body)
	if cap(e.body) > 1<<20 {
		e.body = nil // a burst; not kept
	}
	if err == nil {
		return len(p), nil
	}
	if refusedOf(err) > 0 {
		return len(p), fmt.Errorf("send audit events: %w", err)
	}
	return 0, fmt.Errorf("send audit events: %w", err)
}
