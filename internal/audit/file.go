package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// FileOptions are how a File is kept. The zero value never rotates and has no key.
type FileOptions struct {
	MaxSize  int64         // bytes; the file is rotated before it grows larger; 0 for no limit
	MaxAge   time.Duration // the file is rotated at the first event after this; 0 for no limit
	MaxFiles int           // rotated files that are kept; 0 for all
	// Keys make the chain one that only who has them can make: the first seals new
	// lines, the others are those of older files. At least 32 bytes each.
	Keys [][]byte
}

// NewFile starts a Writer of a file whose lines form a chain, and which is rotated:
// see the package comment. It goes on with the file at path, or makes it, readable by
// its owner alone. A torn last line, as a crash leaves it, is cut off.
//
// The log hears of every file that is begun or ended, with the head of its chain: an
// anchor that whoever changes the file would have to change, too.
//
// It fails with [ErrNotOurs] or [ErrInUse], or when the file cannot be opened.
func NewFile(path string, opts FileOptions, wopts WriterOptions) (*Writer, error) {
	if wopts.Log == nil {
		wopts.Log = slog.New(slog.DiscardHandler)
	}
	f, err := openChained(path, opts, wopts.Log)
	if err != nil {
		return nil, err
	}
	form := lines()
	form.end = f.close
	return newWriter(f, wopts, form), nil
}

// chainedFile is the file that a Writer writes to. It may be moved or cut by others
// (logrotate): the next write notices. It is for one goroutine.
type chainedFile struct {
	path  string
	opts  FileOptions
	log   *slog.Logger
	keys  keyring
	chain *chain // the one that seals: keys' first

	current  current
	head     Link
	note     *headNote // of head, beside the file
	line     []byte    // what is written next, sealed
	patience time.Time // no rotation before this: the last one failed
	retiring sync.WaitGroup
}

// current is the file that is being written.
type current struct {
	file   *os.File
	name   string // where it is, as far as we know
	info   fs.FileInfo
	header header
	start  int64 // size of the header
	size   int64
	torn   bool // what stands behind size is to be cut off
}

// Write seals and writes whole lines. What it reports as written is whole lines,
// too: whatever else of them reached the file is cut off again.
func (f *chainedFile) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if err := f.ready(); err != nil {
			return done, err
		}
		part := f.fitting(p[done:])
		if len(part) == 0 {
			f.rotate()
			continue
		}
		if err := f.append(part); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}

func (f *chainedFile) append(lines []byte) error {
	head := f.head
	f.line = f.line[:0]
	for rest := lines; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if end < 1 {
			return errors.New("write audit file: a line without its text or its end")
		}
		f.line = f.chain.appendSealed(f.line, &head, rest[:end])
		rest = rest[end+1:]
	}
	err := f.current.put(f.line)
	if err == nil {
		f.head = head
		f.note.keep(f.current.header.Number, head)
	}
	if cap(f.line) > 1<<18 { // a burst; not kept
		f.line = nil
	}
	return err
}

// put writes all of b, or nothing.
func (c *current) put(b []byte) error {
	if _, err := c.file.Write(b); err != nil {
		c.torn = true
		_ = c.cut() // else before the next write
		return fmt.Errorf("write audit file: %w", err)
	}
	c.size += int64(len(b))
	return nil
}

func (c *current) cut() error {
	if !c.torn {
		return nil
	}
	info, err := c.file.Stat()
	if err == nil && info.Size() > c.size {
		err = c.file.Truncate(c.size)
	}
	if err != nil {
		return fmt.Errorf("cut off a torn line: %w", err)
	}
	c.torn = false
	return nil
}

// fitting is as much of the lines as the file may still take; none when it is to be
// rotated first.
func (f *chainedFile) fitting(lines []byte) []byte {
	c := &f.current
	if f.opts.MaxSize <= 0 || time.Now().Before(f.patience) {
		return lines
	}
	room, end := f.opts.MaxSize-c.size, 0
	for end < len(lines) {
		n := bytes.IndexByte(lines[end:], '\n') + 1
		room -= int64(n + chainSize - len("}"))
		if n == 0 || room < 0 {
			break
		}
		end += n
	}
	if end == 0 && c.size == c.start { // a file holds one event at least
		end = bytes.IndexByte(lines, '\n') + 1
	}
	return lines[:end]
}

// ready sees to it that the file at path is ours, whole, and young enough.
func (f *chainedFile) ready() error {
	c := &f.current
	if err := c.cut(); err != nil {
		return err
	}
	info, err := os.Stat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !os.SameFile(info, c.info):
		c.name = f.path + " (moved or removed)"
		return f.renew()
	case err != nil:
		return fmt.Errorf("look for the audit file: %w", err)
	case info.Size() == 0: // copied and emptied, as logrotate's copytruncate does
		c.size = 0
		return f.begin(c)
	case info.Size() < c.size:
		f.log.Error("somebody cut the audit file; it is put aside as it is and the next one begins", "file", f.path, "was", c.size, "is", info.Size())
		return f.next()
	}
	c.size = info.Size()
	if f.opts.MaxAge > 0 && c.size > c.start && time.Since(c.header.Time) >= f.opts.MaxAge {
		f.rotate()
	}
	return nil
}

// rotate puts the current file aside and begins the next. When that fails the
// current one goes on: a file that is too large is better than events that wait.
func (f *chainedFile) rotate() {
	if time.Now().Before(f.patience) {
		return
	}
	if err := f.next(); err != nil {
		const later = time.Minute
		f.patience = time.Now().Add(later)
		f.log.Error("the audit file is not rotated and goes on", "file", f.path, "cause", err)
	}
}

// next puts the current file aside and begins the next one, or does nothing.
func (f *chainedFile) next() error {
	name, err := f.setAside()
	if err != nil {
		return err
	}
	old := f.current.name
	f.current.name = name
	if err := f.renew(); err != nil {
		f.current.name = old
		return errors.Join(err, os.Rename(name, f.path))
	}
	return nil
}

// setAside renames what is at path to the first free number.
func (f *chainedFile) setAside() (string, error) {
	for n := max(f.current.header.Number, 1); ; n++ {
		name := numbered(f.path, n)
		if _, err := os.Lstat(name); err == nil {
			continue // never over a file that somebody may still want
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("rotate audit file: %w", err)
		}
		if err := os.Rename(f.path, name); err != nil {
			return "", fmt.Errorf("rotate audit file: %w", err)
		}
		return name, nil
	}
}

// renew begins the next file at path, and ends the one before.
func (f *chainedFile) renew() error {
	old := f.current
	next, err := openFile(f.path)
	if err != nil {
		return err
	}
	if next.size > 0 { // of somebody else's making: two chains in one file would break both
		next.file.Close()
		name, err := f.setAside()
		if err != nil {
			return err
		}
		f.log.Warn("a file stood where the audit file belongs, and is put aside", "file", name)
		if next, err = openFile(f.path); err != nil {
			return err
		}
	}
	head := f.head
	if err := f.begin(&next); err != nil {
		next.file.Close()
		return err
	}
	f.retire(old, head)
	return nil
}

// begin writes the header of the chain's next file into an empty file, which is the
// current one from then on.
func (f *chainedFile) begin(next *current) error {
	h := header{
		Time: time.Now(), Number: f.current.header.Number + 1, Prev: f.head,
		Algorithm: f.chain.algorithm, KeyID: f.chain.keyID,
	}
	head := f.head
	if err := next.put(f.chain.appendSealed(nil, &head, h.appendLine(nil))); err != nil {
		return err
	}
	next.header, next.start = h, next.size
	f.current, f.head = *next, head
	f.note.keep(h.Number, head)
	return nil
}

// retire ends a file that is written no more, without holding up the next one.
func (f *chainedFile) retire(old current, head Link) {
	f.retiring.Go(func() {
		if err := errors.Join(old.file.Sync(), old.file.Close()); err != nil {
			f.log.Error("a rotated audit file may not be on the disk", "file", old.name, "cause", err)
		}
		syncFolder(f.path)
		f.log.Info("audit file ended", "file", old.name, "number", old.header.Number, "head", head)
		f.prune()
	})
}

// prune removes rotated files beyond those to keep.
func (f *chainedFile) prune() {
	if f.opts.MaxFiles <= 0 {
		return
	}
	all := rotated(f.path)
	for len(all) > f.opts.MaxFiles {
		name := numbered(f.path, all[0])
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.log.Error("an old audit file is not removed", "file", name, "cause", err)
		} else {
			f.log.Info("old audit file removed", "file", name)
		}
		all = all[1:]
	}
}

// close sees to it that everything is on the disk.
func (f *chainedFile) close() error {
	f.retiring.Wait()
	f.note.close()
	c := &f.current
	err := errors.Join(c.cut(), c.file.Sync(), c.file.Close())
	f.log.Info("audit file closed", "file", f.path, "number", c.header.Number, "head", f.head)
	if err != nil {
		return fmt.Errorf("close audit file: %w", err)
	}
	return nil
}

// syncFolder makes new names last. Not every file system can; then nothing is to be done.
func syncFolder(path string) {
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		_ = dir.Sync()
		dir.Close()
	}
}
