//go:build unix

package backend

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
type heardEnd chan *Failure

func (heardEnd) received([]byte) bool { return true }
func (heardEnd) skipped(int, string)  {}
func (h heardEnd) ended(why *Failure) { h <- why }

// sleeper starts a command that reads nothing, not even the end of its stdin.
func sleeper(t *testing.T, patience time.Duration) (*process, heardEnd) {
	t.Helper()
	c := &command{hide: hider(nil), cfg: StdioConfig{
		Name: "local", Command: []string{"sleep", "1000"}, AnswerTimeout: patience, MaxMessageBytes: 1 << 20, Log: slog.New(slog.DiscardHandler),
	}}
	h := make(heardEnd, 1)
	p, err := c.startProcess(h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p, h
}

// more than a pipe holds
func large() outbound { return outbound{body: bytes.Repeat([]byte(" "), 1<<20)} }

// A command that does not read for longer than anybody waits is ended, so that its
// session can go on with another.
func TestProcessThatDoesNotRead(t *testing.T) {
	t.Parallel()
	p, h := sleeper(t, 50*time.Millisecond)
	if err := p.send(t.Context(), large()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("send: %v", err)
	}
	if why := <-h; why.Reason != ReasonCrashed || !strings.Contains(why.Public.Message, "does not read its input") {
		t.Errorf("ended: %v", why)
	}
	if err := p.send(t.Context(), outbound{}); !errors.Is(err, errUnsent) {
		t.Errorf("send after the end: %v", err)
	}
}

// Nobody waits for it longer than they want to.
func TestProcessSendGivesUp(t *testing.T) {
	t.Parallel()
	p, _ := sleeper(t, time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := p.send(ctx, large()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("send of what is half written: %v", err)
	}
	if err := p.send(ctx, outbound{body: []byte("{}")}); !errors.Is(err, errUnsent) {
		t.Errorf("send behind it: %v", err)
	}
}
