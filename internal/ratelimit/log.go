package ratelimit

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// logEvery is how often a line of one kind is written.
	logEvery = time.Second
	// maxKinds bounds the kinds that are told apart at a time.
	maxKinds = 1000
)

// Log writes lines that may come in floods: the first of a kind at once; those that
// follow within a second become one line, the last of them, whose count says how many it
// stands for. It is safe for use by many goroutines.
type Log struct {
	to *slog.Logger

	mu    sync.Mutex
	kinds map[string]*kind
}

// kind is what is known of lines of one kind while they come.
type kind struct {
	more  int // lines that were not written
	level slog.Level
	text  string
	args  []any
	timer *time.Timer
}

// NewLog makes a Log that writes to another.
func NewLog(to *slog.Logger) *Log { return &Log{to: to, kinds: map[string]*kind{}} }

// Info writes a line, or counts it. What the kind is, is for the caller to say: which
// server, which reason, whose.
func (l *Log) Info(kind, text string, args ...any) { l.Write(slog.LevelInfo, kind, text, args...) }

// Warn is Info at another level.
func (l *Log) Warn(kind, text string, args ...any) { l.Write(slog.LevelWarn, kind, text, args...) }

// Error is Info at another level.
func (l *Log) Error(kind, text string, args ...any) { l.Write(slog.LevelError, kind, text, args...) }

// Write writes a line of any level, or counts it.
func (l *Log) Write(level slog.Level, name, text string, args ...any) {
	if !l.to.Enabled(context.Background(), level) {
		return
	}
	if l.first(level, name, text, args) {
		l.to.Log(context.Background(), level, text, args...)
	}
}

// first counts a line, and tells whether it is the first of its kind.
func (l *Log) first(level slog.Level, name, text string, args []any) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[name]
	if k == nil && len(l.kinds) >= maxKinds {
		name = "" // too many to be told apart
		k = l.kinds[name]
	}
	if k != nil {
		k.more++
		k.level, k.text, k.args = level, text, args
		return false
	}
	k = &kind{}
	k.timer = time.AfterFunc(logEvery, func() { l.over(name) })
	l.kinds[name] = k
	return true
}

// over writes what was counted in a second. A kind of which there was nothing is
// forgotten.
func (l *Log) over(name string) {
	l.mu.Lock()
	k := l.kinds[name]
	if k == nil {
		l.mu.Unlock()
		return
	}
	line := *k
	if k.more == 0 {
		delete(l.kinds, name)
	} else {
		k.more, k.args = 0, nil
		k.timer.Reset(logEvery)
	}
	l.mu.Unlock()
	line.write(l.to)
}

// write writes the line that stands for several.
func (k *kind) write(to *slog.Logger) {
	if k.more == 0 {
		return
	}
	args := append(append([]any{}, k.args...), "count", k.more)
	to.Log(context.Background(), k.level, k.text, args...)
}

// Flush writes what was counted and is not yet written.
func (l *Log) Flush() {
	l.mu.Lock()
	kinds := l.kinds
	l.kinds = map[string]*kind{}
	l.mu.Unlock()
	for _, k := range kinds {
		k.timer.Stop()
		k.write(l.to)
	}
}
