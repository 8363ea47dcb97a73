package operator

import (
	"context"
	"log/slog"
)

// ending leaves out of a log what controller-runtime says at a normal end as if it were an
// error: when it gives back its lease, it has "lost" it.
type ending struct {
	slog.Handler
	ended context.Context // when it has, that is what was asked for
}

// Handle implements slog.Handler.
func (h ending) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "error received after stop sequence was engaged" && h.ended.Err() != nil {
		lost := false
		r.Attrs(func(a slog.Attr) bool {
			lost = lost || a.Value.String() == "leader election lost"
			return !lost
		})
		if lost {
			return nil
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h ending) WithAttrs(attrs []slog.Attr) slog.Handler {
	return ending{h.Handler.WithAttrs(attrs), h.ended}
}

// WithGroup implements slog.Handler.
func (h ending) WithGroup(name string) slog.Handler {
	return ending{h.Handler.WithGroup(name), h.ended}
}
