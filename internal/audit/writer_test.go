package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/testkit/leaks"
)

func TestMain(m *testing.M) { leaks.Main(m) }

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

func TestFlushesAt64KiB(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out sink
		w := audit.NewWriter(&out, audit.WriterOptions{})
		start := time.Now()
		for range 300 { // some 100 KiB
			w.Record(event("x"))
		}
		synctest.Wait()
		if out.count() == 0 || !time.Now().Equal(start) {
			t.Error("64 KiB waited for the timer")
		}
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

const flood = 20000 // events: some 7 MiB

// What waits for room is refused after some seconds, and what comes then at once; what
// was let in is recorded. When there is room again, all goes on.
//
// FINDING R4, REQ B-22, REQ G-15
func TestBlock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := sink{hold: make(chan struct{}, 1000)}
		var told tally
		var log bytes.Buffer
		var full []bool
		w := audit.NewWriter(&out, audit.WriterOptions{
			Flushed: told.add, Overflow: audit.Block, Log: slog.New(slog.NewTextHandler(&log, nil)),
			Full: func(now bool) { full = append(full, now) },
		})
		w.Record(event("0"))
		time.Sleep(time.Second)
		synctest.Wait() // in its first write
		let := 1
		for ; let < flood; let++ {
			before := time.Now()
			err := w.Reserve(t.Context())
			if errors.Is(err, audit.ErrFull) && time.Since(before) > 3*time.Second && time.Since(before) < 10*time.Second {
				break
			}
			if err != nil || time.Since(before) > 0 {
				t.Fatalf("call %d: %v after %v", let, err, time.Since(before))
			}
			w.Record(event("x"))
		}
		if let < 1000 || let > flood/2 {
			t.Errorf("%d calls let in while nothing could be written", let)
		}
		before := time.Now()
		if err := w.Reserve(t.Context()); !errors.Is(err, audit.ErrFull) || time.Since(before) > 0 {
			t.Errorf("%v after %v, want a refusal at once", err, time.Since(before))
		}
		w.Record(event("under way")) // who was let in before
		close(out.hold)
		synctest.Wait()
		if err := w.Reserve(t.Context()); err != nil {
			t.Errorf("%v, though there is room again", err)
		}
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		told.want(t, let+1, 0)
		if n := strings.Count(out.text(), "\n"); n != let+1 {
			t.Errorf("%d lines, want %d", n, let+1)
		}
		if diff := cmp.Diff([]bool{true, false}, full); diff != "" {
			t.Error(diff)
		}
		wantLog(t, &log, `ERROR msg="audit events cannot be written, and no more find room: calls that are audited are refused until this is mended"`,
			`ERROR msg="there is room for audit events again: calls that are audited are served"`)
	})
}

// Who waits for room leaves with its caller, and with the sink.
func TestReserveEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := sink{hold: make(chan struct{})}
		w := audit.NewWriter(&out, audit.WriterOptions{})
		w.Record(event("x"))
		time.Sleep(time.Second) // its write is under way, and takes nothing of what follows
		for range flood / 2 {
			w.Record(event("x"))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Reserve(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		waited := make(chan error)
		go func() { waited <- w.Reserve(t.Context()) }()
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- w.Close(t.Context()) }()
		if err := <-waited; err != nil {
			t.Error(err)
		}
		close(out.hold)
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

// Events that nobody reserved room for cannot fill the memory.
func TestBlockIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := sink{hold: make(chan struct{})}
		var told tally
		w := audit.NewWriter(&out, audit.WriterOptions{Flushed: told.add})
		e := event("x")
		e.Target = strings.Repeat("\x00", 1000) // 12,000 bytes of JSON
		const n = 3000
		for range n {
			w.Record(e)
		}
		close(out.hold)
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if told.written+told.lost != n || told.lost < n/4 || told.written < n/4 {
			t.Errorf("%d written, %d lost", told.written, told.lost)
		}
	})
}

// REQ B-22
func TestDrop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := sink{hold: make(chan struct{})}
		var told tally
		var log bytes.Buffer
		w := audit.NewWriter(&out, audit.WriterOptions{Flushed: told.add, Overflow: audit.Drop, Log: slog.New(slog.NewTextHandler(&log, nil))})
		for i := range flood { // while nothing can be written: this must not wait
			w.Record(event(fmt.Sprint(i)))
			if i == 0 {
				time.Sleep(time.Second)
				synctest.Wait() // in its first write
			}
		}
		close(out.hold)
		time.Sleep(time.Second)
		w.Record(event("after"))
		time.Sleep(time.Second)
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
		lines := strings.Split(strings.TrimSpace(out.text()), "\n")
		kept := len(lines) - 2 // but for the one after, and the one that says what is missing
		told.want(t, kept+1, flood-kept)
		if kept < 1000 || kept > flood/2 {
			t.Fatalf("%d events kept", kept)
		}
		if !strings.Contains(lines[kept-1], fmt.Sprintf(`"id":"%d"`, kept-1)) {
			t.Errorf("the last event before the gap is %s, want number %d", lines[kept-1], kept-1)
		}
		if want := fmt.Sprintf(`{"schema":"sallyport.audit/v1","time":"2000-01-01T00:00:01.000Z","lost":%d}`, flood-kept); lines[kept] != want {
			t.Errorf("in the gap stands %s, want %s", lines[kept], want)
		}
		if !strings.Contains(lines[kept+1], `"id":"after"`) {
			t.Errorf("after the gap stands %s", lines[kept+1])
		}
		wantLog(t, &log, `ERROR msg="audit events come faster than they can be written and are dropped"`, `ERROR msg="audit events are dropped no more"`)
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

func wantLog(t *testing.T, log *bytes.Buffer, want ...string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(log.String()) {
		_, rest, _ := strings.Cut(line, "level=")
		got = append(got, strings.TrimSpace(rest))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What can be mended is waited for, and nothing is lost or torn.
//
// REQ B-22
func TestFailureThatPasses(t *testing.T) {
	t.Parallel()
	for _, partial := range []int{0, 1, 300, 1000} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			var told tally
			out := sink{fail: func(p []byte) (int, error) { return min(partial, len(p)), syscall.ENOSPC }}
			w := audit.NewWriter(&out, audit.WriterOptions{Flushed: told.add, Log: slog.New(slog.NewTextHandler(&log, nil))})
			for i := range 3 {
				w.Record(event(fmt.Sprint(i)))
				out.mu.Lock()
				if partial > 0 && i > 0 { // some of it goes through, then nothing more
					out.fail = func([]byte) (int, error) { return 0, syscall.ENOSPC }
				}
				out.mu.Unlock()
				time.Sleep(time.Minute)
			}
			out.mu.Lock()
			out.fail = nil
			out.mu.Unlock()
			time.Sleep(15 * time.Second)
			w.Record(event("3"))
			if err := w.Close(t.Context()); err != nil {
				t.Error(err)
			}
			told.want(t, 4, 0)
			lines := strings.Split(strings.TrimSpace(out.text()), "\n")
			if len(lines) != 4 {
				t.Fatalf("%d lines, want 4: %q", len(lines), lines)
			}
			for i, line := range lines {
				if !json.Valid([]byte(line)) || !strings.Contains(line, fmt.Sprintf(`"id":"%d"`, i)) {
					t.Errorf("line %d is %s", i, line)
				}
			}
			wantLog(t, &log, `ERROR msg="audit events cannot be written and wait until this is mended" cause="no space left on device"`,
				`ERROR msg="audit events are written again" lost=0`)
		})
	}
}

// What cannot be mended loses events, and a line says how many.
func TestFailureThatStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var told tally
		out := sink{fail: func([]byte) (int, error) { return 0, &os.PathError{Op: "write", Path: "pipe", Err: syscall.EPIPE} }}
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
		marker, rest, _ := strings.Cut(out.text(), "\n")
		if !strings.HasSuffix(marker, `,"lost":3}`) || !strings.Contains(rest, `"kept"`) || strings.Count(rest, "\n") != 1 {
			t.Errorf("got %s", out.text())
		}
		wantLog(t, &log, `ERROR msg="audit events cannot be written and are lost until this is mended" cause="write pipe: broken pipe"`,
			`ERROR msg="audit events are written again" lost=3`)
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
				return bytes.IndexByte(p, '\n') + 11, syscall.EPIPE // one line, ten bytes of the next
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
		if len(lines) != 5 || !strings.Contains(lines[0], `"whole"`) || lines[1] != `{"schema":` || !strings.Contains(lines[2], `"lost":1`) || !strings.Contains(lines[3], `"next"`) {
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
			for range flood {
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

// A writer that fails and fails is closed when the time is over, and what is lost is said.
func TestCloseGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told tally
		var tries int
		out := sink{fail: func([]byte) (int, error) {
			tries++
			return 0, syscall.ENOSPC
		}}
		w := audit.NewWriter(&out, audit.WriterOptions{Flushed: told.add})
		w.Record(event("1"))
		time.Sleep(time.Minute) // tried again every ten seconds by now
		w.Record(event("2"))
		out.mu.Lock()
		tries = 0
		out.mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		err := w.Close(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 events still unwritten") {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		told.want(t, 0, 2)
		if tries < 10 {
			t.Errorf("%d tries while closing, want one every 100 ms or so", tries)
		}
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

func TestSinks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var one sink
		two := sink{hold: make(chan struct{})}
		sinks := audit.Sinks{audit.NewWriter(&two, audit.WriterOptions{}), audit.NewWriter(&one, audit.WriterOptions{}), audit.Discard{}}
		sinks.Record(event("x"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := sinks.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one of them is stuck; got %v", err)
		}
		if !strings.Contains(one.text(), `"id":"x"`) {
			t.Error("the other one did not write")
		}
		close(two.hold)
		if err := sinks.Close(t.Context()); err != nil || two.text() != one.text() {
			t.Errorf("%v; %q and %q", err, one.text(), two.text())
		}
	})
}

func TestParseOverflow(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]audit.Overflow{"block": audit.Block, "drop": audit.Drop} {
		if got, err := audit.ParseOverflow(in); err != nil || got != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	if _, err := audit.ParseOverflow("lose"); err == nil {
		t.Error("lose is known")
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
