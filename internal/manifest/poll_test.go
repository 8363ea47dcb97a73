package manifest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Without notifications, as on a network file system, a look at the files' sizes
// and times finds what changed; looking alone reads nothing and reports nothing.
func TestPoll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "a.yaml")
	write := func(text string, at time.Time) {
		t.Helper()
		next := filepath.Join(dir, ".next") // so that each change is one
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(next, at, at); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, file); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	write("a: 1\n", start)
	r := &Reader{Paths: []string{dir}}
	w := watcher{reader: r, paths: r.Paths, digest: r.digest()}
	ctx, cancel := context.WithCancel(t.Context())
	poll, changes, done := make(chan time.Time), make(chan struct{}, 10), make(chan struct{})
	go func() {
		defer close(done)
		w.run(ctx, poll, func() { changes <- struct{}{} })
	}()
	look := func() int {
		poll <- time.Time{} // taken when the one before was dealt with
		poll <- time.Time{}
		n := len(changes)
		for range n {
			<-changes
		}
		return n
	}
	for _, step := range []struct {
		what string
		do   func()
		want int
	}{
		{"nothing", func() {}, 0},
		{"another size", func() { write("a: 11\n", start) }, 1},
		{"another time", func() { write("a: 22\n", start.Add(time.Second)) }, 1},
		{"another time alone", func() { write("a: 22\n", start.Add(2*time.Second)) }, 0},
		{"removed", func() { _ = os.Remove(file) }, 1},
		{"nothing again", func() {}, 0},
		{"there again", func() { write("a: 22\n", start) }, 1},
	} {
		step.do()
		if got := look(); got != step.want {
			t.Errorf("%s: %d changes, want %d", step.what, got, step.want)
		}
	}
	cancel()
	<-done
}
