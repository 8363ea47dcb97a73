package ratelimit_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/ratelimit"
)

// A flood is a line at its beginning and then one a second, which says how many it stands for; other kinds are not
// concerned. Nothing is lost at the end.
//
// FINDING R11
func TestLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out writings
		log := ratelimit.NewLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})))
		want := func(lines ...string) {
			t.Helper()
			synctest.Wait()
			if got := strings.TrimSpace(out.take()); got != strings.Join(lines, "\n") {
				t.Errorf("written:\n%s\nwant:\n%s", got, strings.Join(lines, "\n"))
			}
		}
		for i := range 20_000 {
			log.Warn("docs/unreachable", "request failed", "id", i)
		}
		log.Info("docs/policy", "request denied", "id", "x")
		want(`level=WARN msg="request failed" id=0`, `level=INFO msg="request denied" id=x`)
		<-time.After(time.Second)
		want(`level=WARN msg="request failed" id=19999 count=19999`)
		log.Warn("docs/unreachable", "request failed", "id", "a")
		want()
		<-time.After(time.Second)
		want(`level=WARN msg="request failed" id=a count=1`)
		<-time.After(2 * time.Second) // quiet
		log.Warn("docs/unreachable", "request failed", "id", "b")
		log.Warn("docs/unreachable", "request failed", "id", "c")
		log.Flush()
		want(`level=WARN msg="request failed" id=b`, `level=WARN msg="request failed" id=c count=1`)
		<-time.After(time.Minute)
		want()
	})
}

// writings are what was written since they were taken.
type writings struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *writings) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *writings) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.buf.Reset()
	return w.buf.String()
}

// Kinds that strangers make up cannot fill the memory.
func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := ratelimit.NewLog(slog.New(slog.NewTextHandler(&out, nil)))
		for i := range 5000 {
			log.Info(fmt.Sprint(i), "x")
		}
		if n := strings.Count(out.String(), "\n"); n > 1100 {
			t.Errorf("%d lines at once", n)
		}
		log.Flush()
		if !strings.Contains(out.String(), "count=3999") {
			t.Error("lines are lost")
		}
	})
}
