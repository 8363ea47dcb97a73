package manifest_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/testkit/leaks"
)

// Nothing is left running after ctx has ended.
func TestMain(m *testing.M) { leaks.Main(m) }

// patience is far more than the 5 s that a change may take to be noticed, so
// that a busy machine fails no test.
const patience = 3 * time.Minute

// watch watches a path and returns a function that waits for the next change,
// and one that stops the watch and returns how many more there were.
func watch(t *testing.T, path string) (next func(what string), stop func() int) {
	t.Helper()
	set, err := manifest.Load([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	changes := make(chan struct{}, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&manifest.Reader{Paths: []string{path}}).Watch(ctx, set.Digest(), slog.New(slog.DiscardHandler), func() { changes <- struct{}{} })
	}()
	stop = func() int {
		cancel()
		<-done
		return len(changes)
	}
	t.Cleanup(func() { stop() })
	return func(what string) {
		t.Helper()
		select {
		case <-changes:
		case <-time.After(patience):
			t.Fatalf("%s was not noticed within %v", what, patience)
		}
	}, stop
}

// One change after the other, each noticed, and none that is none.
func TestWatchFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "manifests")
	writeIn(t, dir, "a.yaml", tool("a"))
	next, stop := watch(t, dir)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	f, err := os.OpenFile(filepath.Join(dir, "a.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	must(err)
	_, err = f.WriteString("---\n" + tool("b"))
	must(err)
	must(f.Close())
	next("a file written in place")

	put(t, dir, "a.yaml", tool("c"))
	next("a file put in the place of another")

	put(t, dir, "sub/b.yaml", tool("d"))
	next("a file in a new folder")
	put(t, dir, "sub/b.yaml", "broken: [")
	next("a file that is broken")
	must(os.Remove(filepath.Join(dir, "sub/b.yaml")))
	next("a file that was removed")

	must(os.RemoveAll(filepath.Join(dir, "sub")))
	must(os.Remove(filepath.Join(dir, "a.yaml")))
	next("the last file removed")
	must(os.Remove(dir))
	next("the folder removed")
	put(t, dir, "a.yaml", tool("e"))
	next("the folder made again")
	put(t, dir, "a.yaml", tool("f"))
	next("a change in the folder made again")

	must(os.Rename(dir, dir+".old"))
	next("the folder moved away")
	must(os.Rename(dir+".old", dir))
	next("the folder moved back")

	put(t, dir, "README.md", "not a manifest")
	put(t, dir, "a.yaml", tool("f")) // the same text
	put(t, dir, "a.yaml", tool("g"))
	next("the last change")
	if n := stop(); n > 0 {
		t.Errorf("%d changes were reported that were none", n)
	}
}

// put writes a file as an editor does: beside its place first, then there at once.
func put(t *testing.T, dir, name, text string) {
	t.Helper()
	next := writeIn(t, dir, filepath.Join(filepath.Dir(name), ".next"), text)
	if err := os.Rename(next, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func TestWatchFile(t *testing.T) {
	t.Parallel()
	file := write(t, "a.yaml", tool("a"))
	next, stop := watch(t, file)
	put(t, filepath.Dir(file), "b.yaml", tool("b")) // another file beside it
	put(t, filepath.Dir(file), "a.yaml", tool("c"))
	next("a change")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	next("the file removed")
	put(t, filepath.Dir(file), "a.yaml", tool("a"))
	next("the file made again")
	if n := stop(); n > 0 {
		t.Errorf("%d changes were reported that were none", n)
	}
}

// A kubelet swaps the content of a mounted ConfigMap by one rename of ..data.
func TestWatchMountedConfigMap(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"folder": ".", "file": "a.yaml"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			mount(t, dir, "1", tool("one"))
			next, _ := watch(t, filepath.Join(dir, path))
			mount(t, dir, "2", tool("two"))
			next("the first swap")
			mount(t, dir, "3", tool("three"))
			next("the second swap")
		})
	}
}

// A folder that is a link, as tools that check out a repository make it.
func TestWatchLinkedFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "1/a.yaml", tool("one"))
	put(t, dir, "2/a.yaml", tool("two"))
	link := filepath.Join(dir, "current")
	if err := os.Symlink("1", link); err != nil {
		t.Fatal(err)
	}
	next, _ := watch(t, link)
	if err := os.Symlink("2", link+".next"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".next", link); err != nil {
		t.Fatal(err)
	}
	next("the link changed")
	put(t, dir, "2/a.yaml", tool("three"))
	next("a change behind the new link")
}

// What changed between loading and watching is noticed.
func TestWatchSince(t *testing.T) {
	t.Parallel()
	file := write(t, "a.yaml", tool("a"))
	set, err := manifest.Load([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Dir(file), "a.yaml", tool("b"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes := 0
	(&manifest.Reader{Paths: []string{file}}).Watch(ctx, set.Digest(), slog.New(slog.DiscardHandler), func() {
		changes++
		cancel()
	})
	if changes != 1 {
		t.Errorf("got %d changes, want 1", changes)
	}
}
