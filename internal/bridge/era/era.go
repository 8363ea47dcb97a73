package era

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Memory is what is known of a server. It may speak revisions of both eras: those with
// sessions, here legacy, and those without, here modern.
type Memory struct {
	fixed bool
	known atomic.Uint32 // bits

	asking    chan struct{} // holds one while the server is asked
	confirmed time.Time     // when it was asked last and said what was known; whoever asks may touch it
}

// What can be known.
const (
	ModernKnown uint32 = 1 << iota
	ModernYes
	LegacyKnown
	LegacyYes
)

// between is how long what is known is not doubted again after a doubt without ground.
// Modern servers refuse calls, such as of tools that they do not have, in words by which
// others refuse to speak with modern clients: each such call must not become two.
const between = time.Minute

// New has it be what the manifest says, for good. Where that says nothing, nothing is known.
func New(speaks mcp.Revision) *Memory {
	m := &Memory{fixed: speaks != "", asking: make(chan struct{}, 1)}
	switch {
	case speaks == "":
	case speaks.Modern():
		m.known.Store(ModernKnown | ModernYes | LegacyKnown)
	default:
		m.known.Store(ModernKnown | LegacyKnown | LegacyYes)
	}
	return m
}

// Fixed reports whether what is known cannot change.
func (m *Memory) Fixed() bool { return m.fixed }

// Modern reports whether the server speaks a revision without sessions.
func (m *Memory) Modern() (speaks, known bool) {
	k := m.known.Load()
	return k&ModernYes != 0, k&ModernKnown != 0
}

// Legacy reports whether the server speaks a revision with sessions.
func (m *Memory) Legacy() (speaks, known bool) {
	k := m.known.Load()
	return k&LegacyYes != 0, k&LegacyKnown != 0
}

// Doubt is for whoever was refused as if the server were not what it was believed to be,
// modern or not. It says which it is, and asks the server where there is need: of many that
// doubt at the same time one asks, and for a while nobody after it was asked in vain.
func (m *Memory) Doubt(ctx context.Context, believed bool, ask func() (modern bool, err error)) (modern bool, err error) {
	select {
	case m.asking <- struct{}{}:
		defer func() { <-m.asking }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	was, known := m.Modern()
	if m.fixed || known && (was != believed || time.Since(m.confirmed) < between) {
		return was, nil
	}
	modern, err = ask()
	switch {
	case err != nil:
		return false, err
	case known && modern == was:
		m.confirmed = time.Now()
	case modern:
		m.Found(ModernKnown | ModernYes)
	default: // which revision it speaks is known when a session has been opened
		m.Store(ModernKnown | LegacyKnown | LegacyYes)
	}
	return modern, nil
}

// Found adds to what is known.
func (m *Memory) Found(bits uint32) {
	if !m.fixed {
		m.known.Or(bits)
	}
}

// Store replaces what is known.
func (m *Memory) Store(bits uint32) {
	if !m.fixed {
		m.known.Store(bits)
	}
}
