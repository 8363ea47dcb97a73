package manifest

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Changed files take effect within 5 s, loading included. Notifications tell at
// once; where there are none (network file systems, shared folders of virtual
// machines) looking at sizes and times tells in pollEvery.
const (
	settle    = 100 * time.Millisecond // after the last event: an editor writes in several steps
	settleMax = time.Second            // after the first: a folder that is never quiet
	pollEvery = 2 * time.Second
)

// Watch calls changed whenever what [Reader.Load] would read is no longer what
// it was, broken or not. since is the [Set.Digest] of what is in use, so a
// change between loading and watching counts too. Watch returns when ctx ends,
// and leaves nothing running.
func (r *Reader) Watch(ctx context.Context, since string, log *slog.Logger, changed func()) {
	w := watcher{reader: r, log: log, digest: since}
	w.paths = slices.DeleteFunc(slices.Clone(r.Paths), func(p string) bool { return p == Stdin })
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("files are watched by polling", "reason", err)
	} else {
		defer func() { _ = notify.Close() }()
		w.notify, w.events, w.errors = notify, notify.Events, notify.Errors
	}
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	w.run(ctx, poll.C, changed)
}

type watcher struct {
	reader *Reader
	paths  []string // of files
	log    *slog.Logger
	digest string // of the content, when it was last read
	stat   uint64 // of names, sizes and times, when they were last looked at
	notify *fsnotify.Watcher
	events <-chan fsnotify.Event
	errors <-chan error
}

func (w *watcher) run(ctx context.Context, poll <-chan time.Time, changed func()) {
	w.check(changed)
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	var first time.Time // of the events that the timer stands for
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-w.events:
			if !w.concerns(event.Name) {
				continue
			}
			if first.IsZero() {
				first = time.Now()
			}
			timer.Reset(max(0, min(settle, settleMax-time.Since(first))))
		case err := <-w.errors: // as when there were too many events
			w.log.Debug("file notifications were lost", "reason", err)
			timer.Reset(settle)
		case <-timer.C:
			first = time.Time{}
			w.check(changed)
		case <-poll:
			if w.look() != w.stat {
				w.check(changed)
			}
		}
	}
}

// check reads the files and reports if they are not what they were. It follows
// the folders and looks at sizes and times first, so that a change meanwhile is
// noticed by either.
func (w *watcher) check(changed func()) {
	w.follow()
	w.stat = w.look()
	if digest := w.reader.digest(); digest != w.digest {
		w.digest = digest
		changed()
	}
}

// concerns says whether an event may be about a manifest. Watched folders may
// hold much else: a single file is watched through the folder it is in.
func (w *watcher) concerns(name string) bool {
	base := filepath.Base(name)
	return w.reader.Secrets != "" || isManifest(name) || filepath.Ext(base) == "" || strings.HasPrefix(base, "..") || slices.Contains(w.paths, name)
}

// follow watches the folders that there are now. Folders rather than files,
// since an editor puts a new file in the old one's place; and the folder
// around each, since it may itself be replaced.
func (w *watcher) follow() {
	if w.notify == nil {
		return
	}
	want := map[string]bool{}
	for _, path := range w.paths {
		want[filepath.Dir(filepath.Clean(path))] = true
		for _, dir := range folders(path) {
			want[dir] = true
		}
	}
	if dir := w.reader.Secrets; dir != "" {
		want[filepath.Clean(dir)] = true
		files, _ := secretFiles(dir)
		for _, file := range files {
			want[filepath.Dir(file)] = true
		}
	}
	for _, have := range w.notify.WatchList() {
		if !want[have] {
			_ = w.notify.Remove(have)
		}
	}
	for dir := range want {
		// Watching a folder again is no error and finds a new one of the same
		// name. What cannot be watched is polled.
		_ = w.notify.Add(dir)
	}
}

// folders returns the folders whose entries decide what is read at path: those
// that manifests stand in, and those that they link to.
func folders(path string) []string {
	files, _ := list(path, true)
	var dirs []string
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		dirs = append(dirs, filepath.Clean(path))
	}
	for _, file := range files {
		dirs = append(dirs, filepath.Dir(file))
		if real, err := filepath.EvalSymlinks(file); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	return dirs
}

// look sums up what can be seen of the files without reading them.
func (w *watcher) look() uint64 {
	sum := fnv.New64a()
	for _, path := range w.paths {
		files, problems := list(path, w.reader.Each)
		_, _ = fmt.Fprintln(sum, problems.Error())
		lookAt(sum, files)
	}
	if w.reader.Secrets != "" {
		files, err := secretFiles(w.reader.Secrets)
		_, _ = fmt.Fprintln(sum, err)
		lookAt(sum, files)
	}
	return sum.Sum64()
}

func lookAt(sum io.Writer, files []string) {
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			_, _ = fmt.Fprintln(sum, file, err)
			continue
		}
		_, _ = fmt.Fprintln(sum, file, info.Size(), info.ModTime().UnixNano())
	}
}
