package trace

import (
	"context"
	"log/slog"
	"time"

	"github.com/sallyport-dev/sallyport/internal/otlp"
)

// Tracer begins the spans of requests. It is safe for use by many goroutines.
type Tracer struct {
	sampler Sampler
	queue   *otlp.Queue
}

// Options are about what a Tracer tells the process.
type Options struct {
	Sampler Sampler
	// Sent is told how many spans were sent and how many lost.
	Sent func(sent, lost int)
	Log  *slog.Logger
}

// New starts a Tracer whose spans go to a collector. Close ends it.
func New(cfg otlp.Config, opts Options) (*Tracer, error) {
	sender, err := otlp.NewSender(cfg, otlp.Traces)
	if err != nil {
		return nil, err
	}
	if opts.Sent == nil {
		opts.Sent = func(int, int) {}
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	resource := otlp.AppendResource([]byte(`{"resourceSpans":[{"resource":`), cfg.Resource)
	return &Tracer{sampler: opts.Sampler, queue: otlp.NewQueue(sender, otlp.QueueOptions{
		Open:  string(resource) + `,"scopeSpans":[{"scope":{"name":"sallyport"},"spans":[`,
		Close: `]}]}]}`,
		Every: 5 * time.Second, What: "spans", Sent: opts.Sent, Log: opts.Log,
	})}, nil
}

// With is a Tracer that samples otherwise and sends to the same place.
func (t *Tracer) With(s Sampler) *Tracer {
	if t == nil {
		return nil
	}
	return &Tracer{sampler: s, queue: t.queue}
}

// Start begins the first span of a request in this process, below parent if that
// is valid. It is nil when the request is not traced.
func (t *Tracer) Start(parent Context, name string, start time.Time) *Span {
	if t == nil {
		return nil
	}
	ctx := parent
	if !parent.Valid() {
		ctx = Context{Trace: newTrace()}
	}
	if !t.sampler.samples(parent, ctx.Trace) {
		return nil
	}
	ctx.Span, ctx.Sampled = newSpan(), true
	return &Span{tracer: t, ctx: ctx, parent: parent.Span, kind: Server, name: name, start: start, attributes: make([]byte, 0, usualAttributes)}
}

// Close sends what waits, or gives up when ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.queue.Close(ctx)
}
