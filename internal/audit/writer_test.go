package audit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sallyport-dev/sallyport/internal/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink is an io.Writer whose writes can be watched, held up and made to fail.
type sink struct {
	mu     sync.Mutex
	writes []string
	hold   chan struct{}                   // when set, each write takes one
	fail   func(p []byte) (n int, _ error) // when set, decides
}

func (s *sink) Write(p []byte) (int, error) {
	if s.hold != nil {
		<-s.hold
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := len(p), error(nil)
	if s.fail != nil {
		n, err = s.fail(p)
	}
	if n > 0 {
		s.writes = append(s.writes, string(p[:n]))
	}
	return n, err
}

func (s *sink) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.writes, "")
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.writes)
}

// tally adds up what a Writer reports.
type tally struct {
	mu            sync.Mutex
	written, lost int
}

func (t *tally) add(written, lost int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.written += written
	t.lost += lost
}

func (t *tally) want(tb testing.TB, written, lost int) {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.written != written || t.lost != lost {
		tb.Errorf("written %d, lost %d; want %d and %d", t.written, t.lost, written, lost)
	}
}

func event(id string) *audit.Event {
	return &audit.Event{
		Time: time.Date(2026, 9, 1, 10, 0, 0, 0, time.UTC), ID: id, Server: "docs", HTTPMethod: "POST", Method: "tools/call",
		Target: "search", Subject: "alice", Source: "token", Revision: "2026-07-28", Outcome: audit.Success, Status: 200,
		Duration: 12 * time.Millisecond, Client: "127.0.0.1",
	}
}

func TestFlushesWithin50ms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out sink
		w := audit.NewWriter(&out, audit.WriterOptions{})
		for round := 1; round <= 3; round++ {
			w.Record(event("first"))
			time.Sleep(20 * time.Millisecond)
			w.Record(event("second"))
			time.Sleep(29 * time.Millisecond)
			synctest.Wait()
			if n := out.count(); n != round-1 {
				t.Errorf("round %d: %d writes before 50 ms", round, n)
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if n := out.count(); n != round {
				t.Errorf("round %d: %d writes after 50 ms, want one for both events", round, n)
			}
			time.Sleep(time.Second) // idle in between
		}
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := strings.Count(out.text(), "\n"); n != 6 {
			t.Errorf("%d lines, want 6", n)
		}
	})
}

func TestFlushesAt64KiBAndBlocksBeyond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := sink{hold: make(chan struct{}, 100)}
		var told tally
		w := audit.NewWriter(&out, audit.WriterOptions{Flushed: told.add})
		const events = 2000 // some 500 KiB
		recorded := make(chan int, events)
		start := time.Now()
		go func() {
			for i := range events {
				w.Record(event(fmt.Sprint(i)))
				recorded <- i
			}
			close(recorded)
		}()
		synctest.Wait() // the writer is held up in its first write: the caller must be blocked
		if n := len(recorded); n == events || n < 100 {
			t.Errorf("%d of %d events taken while nothing could be written", n, events)
		}
		if !time.Now().Equal(start) {
			t.Error("a full buffer waited for the timer")
		}
		close(out.hold)
		for range recorded { // drained until closed
		}
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for _, s := range out.writes {
			if len(s) > 64<<10+1024 {
				t.Errorf("a write of %d bytes", len(s))
			}
		}
		told.want(t, events, 0)
		if n := strings.Count(out.text(), "\n"); n != events {
			t.Errorf("%d lines, want %d", n, events)
		}
	})
}

func TestManyCallersLoseNothingAndKeepLinesWhole(t *testing.T) {
	t.Parallel()
	var out sink
	w := audit.NewWriter(&out, audit.WriterOptions{})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				w.Record(event(fmt.Sprintf("%d-%d", g, i)))
			}
		})
	}
	wg.Wait()
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for line := range strings.Lines(out.text()) {
		_, rest, ok := strings.Cut(line, `"id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		if !ok || seen[id] || !strings.HasSuffix(line, "}\n") {
			t.Fatalf("torn or repeated line %q", line)
		}
		seen[id] = true
	}
	if len(seen) != 4000 {
		t.Errorf("%d events, want 4000", len(seen))
	}
}

func TestWriteErrorIsCountedAndLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var told tally
		full := errors.New("no space left on device")
		out := sink{fail: func([]byte) (int, error) { return 0, full }}
		w := audit.NewWriter(&out, audit.WriterOptions{Flushed: told.add, Log: slog.New(slog.NewTextHandler(&log, nil))})
		for range 3 {
			w.Record(event("lost"))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		told.want(t, 0, 3)
		out.mu.Lock()
		out.fail = nil
		out.mu.Unlock()
		w.Record(event("kept"))
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		told.want(t, 1, 3)
		var got []string
		for line := range strings.Lines(log.String()) {
			_, rest, _ := strings.Cut(line, "level=")
			got = append(got, strings.TrimSpace(rest))
		}
		want := []string{
			`ERROR msg="audit events cannot be written and are lost until this is mended" cause="no space left on device"`,
			`ERROR msg="audit events are written again" lost=3`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTornLineDoesNotSwallowTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told tally
		var out sink
		torn := 0
		out.fail = func(p []byte) (int, error) {
			if torn++; torn == 1 {
				return bytes.IndexByte(p, '\n') + 11, nil // one line, ten bytes of the next; a short write without an error
			}
			return len(p), nil
		}
		w := audit.NewWriter(&out, audit.WriterOptions{Flushed: told.add})
		w.Record(event("whole"))
		w.Record(event("torn"))
		time.Sleep(time.Second)
		w.Record(event("next"))
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		told.want(t, 2, 1)
		lines := strings.Split(out.text(), "\n")
		if len(lines) != 4 || !strings.Contains(lines[0], `"whole"`) || lines[1] != `{"schema":` || !strings.Contains(lines[2], `"next"`) {
			t.Errorf("got lines %q", lines)
		}
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told tally
		out := sink{hold: make(chan struct{})}
		w := audit.NewWriter(&out, audit.WriterOptions{Flushed: told.add})
		w.Record(event("early"))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("closing a stuck writer gave %v", err)
		}
		w.Record(event("late"))
		close(out.hold)
		for range 2 { // again and again is fine
			if err := w.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
		told.want(t, 1, 1)
		if s := out.text(); !strings.Contains(s, `"early"`) || strings.Contains(s, `"late"`) {
			t.Errorf("got %s", s)
		}
	})
}

func TestCloseFreesBlockedCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := sink{hold: make(chan struct{})}
		w := audit.NewWriter(&out, audit.WriterOptions{})
		go func() {
			for range 2000 {
				w.Record(event("x"))
			}
		}()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		close(out.hold) // the bubble fails if the goroutine above stays blocked
	})
}

func TestRecordAllocatesNothing(t *testing.T) {
	w := audit.NewWriter(io.Discard, audit.WriterOptions{})
	e := event("0123456789abcdef")
	for range 1000 { // both buffers reach their size
		w.Record(e)
	}
	if n := testing.AllocsPerRun(1000, func() { w.Record(e) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	var s audit.Sink = audit.Discard{}
	s.Record(event("x"))
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func BenchmarkRecord(b *testing.B) {
	w := audit.NewWriter(io.Discard, audit.WriterOptions{})
	e := event("0123456789abcdef")
	b.ReportAllocs()
	for b.Loop() {
		w.Record(e)
	}
	if err := w.Close(b.Context()); err != nil {
		b.Error(err)
	}
}
