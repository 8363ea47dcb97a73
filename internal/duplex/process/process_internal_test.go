//go:build unix

package process

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

// heardEnd is a receiver that waits for the end.
type heardEnd chan End

func (heardEnd) Line([]byte) bool    { return true }
func (heardEnd) Long([]byte, []byte) {}
func (h heardEnd) Ended(how End)     { h <- how }

// sleeper starts a command that reads nothing, not even the end of its stdin.
func sleeper(t *testing.T, patience time.Duration) (*Process, heardEnd) {
	t.Helper()
	c := &Command{Args: []string{"sleep", "1000"}, Patience: patience, MaxLine: 1 << 20, Log: slog.New(slog.DiscardHandler)}
	h := make(heardEnd, 1)
	p, err := c.Start(h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, h
}

// more than a pipe holds
func large() []byte { return bytes.Repeat([]byte(" "), 1<<20) }

// A command that does not read for longer than anybody waits is ended, so that its
// session can go on with another.
func TestProcessThatDoesNotRead(t *testing.T) {
	t.Parallel()
	p, h := sleeper(t, 50*time.Millisecond)
	if err := p.Send(t.Context(), large()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("send: %v", err)
	}
	if how := <-h; !strings.Contains(how.State, "does not read its input") {
		t.Errorf("ended: %v", how)
	}
	if err := p.Send(t.Context(), nil); !errors.Is(err, ErrUnsent) {
		t.Errorf("send after the end: %v", err)
	}
}

// begunReading is a receiver that waits for the first line.
type begunReading chan struct{}

func (c begunReading) Line([]byte) bool  { c <- struct{}{}; return true }
func (begunReading) Long([]byte, []byte) {}
func (begunReading) Ended(End)           {}

// Nobody waits for it longer than they want to.
func TestProcessSendGivesUp(t *testing.T) {
	t.Parallel()
	c := &Command{
		Args: []string{"sh", "-c", "head -c 1 >/dev/null; echo begun; exec sleep 1000"}, Patience: time.Hour,
		MaxLine: 1 << 20, Log: slog.New(slog.DiscardHandler),
	}
	begun := make(begunReading, 1)
	p, err := c.Start(begun)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if err := p.Send(ctx, large()); !errors.Is(err, context.Canceled) {
		t.Errorf("send of what is half written: %v", err)
	}
	if err := p.Send(ctx, []byte("{}")); !errors.Is(err, ErrUnsent) {
		t.Errorf("send behind it: %v", err)
	}
}
