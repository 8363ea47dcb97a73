package store

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/sallyport-dev/sallyport/internal/ownfile"
)

// OpenFile opens or makes the file at path, or sallyport.db in a folder there. It and
// a folder made for it can be read by their owner alone; a file that others can read
// or change is refused, and so is one that is damaged.
func OpenFile(path string) (*File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("open store: %w", err)
	case info.IsDir():
		return OpenFile(filepath.Join(path, "sallyport.db"))
	default:
		if err := ownfile.Check(path, ownfile.Private); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
	f := &File{path: path, stop: make(chan struct{}), some: make(chan struct{}, 1)}
	if err := f.guarded(f.open); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	f.done.Go(f.writes)
	f.done.Go(f.purge)
	return f, nil
}

// open opens the file, and reads all of it once.
func (f *File) open() error {
	db, err := bbolt.Open(f.path, 0o600, &bbolt.Options{
		Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType,
		OpenFile: func(name string, flag int, mode fs.FileMode) (*os.File, error) {
			return os.OpenFile(name, flag|ownfile.NoFollow, mode)
		},
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("another process has %s open; end it, or give this one a file of its own", f.path)
	case isSystem(err):
		return err // it names the file
	case err != nil:
		return &DamagedError{f.path, err}
	}
	f.db = db
	read := crc32.NewIEEE() // so that every byte is looked at: a page that is missing faults
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{valuesBucket, expiresBucket} {
			b, err := tx.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			err = b.ForEach(func(_, v []byte) error {
				_, err := read.Write(v)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		_ = db.Close()
		return fmt.Errorf("%s: %w", f.path, err)
	}
	return nil
}

// isSystem tells errors of the system from those about what is in the file.
func isSystem(err error) bool {
	_, path := errors.AsType[*fs.PathError](err)
	_, call := errors.AsType[*os.SyscallError](err)
	_, number := errors.AsType[syscall.Errno](err)
	return path || call || number
}

// DamagedError means that a file is not as it was written.
type DamagedError struct {
	Path  string
	cause error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the file %s is damaged (%v); put a copy of it in its place, or move it away to begin anew: then people sign in again, and clients register again", e.Path, e.cause)
}

func (e *DamagedError) Unwrap() error { return e.cause }

// guarded runs what reads or writes the file. The library panics where a page is not as
// it should be, and the processor where one is missing: either is an error here.
func (f *File) guarded(run func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &DamagedError{f.path, fmt.Errorf("%v", p)}
		}
	}()
	return run()
}

// view reads.
func (f *File) view(read func(*bbolt.Tx) error) error {
	return f.guarded(func() error { return f.db.View(read) })
}

// write is a change that waits for its transaction.
type write struct {
	change func(*bbolt.Tx) error // it may be called again
	done   chan error
}

// update writes, together with what else is written at the time: they share one sync of
// the disk.
func (f *File) update(change func(*bbolt.Tx) error) error {
	w := write{change, make(chan error, 1)}
	f.mu.Lock()
	switch {
	case f.closed:
		f.mu.Unlock()
		return errClosed
	case f.broken != nil:
		defer f.mu.Unlock()
		return f.broken
	}
	f.waiting = append(f.waiting, w)
	f.mu.Unlock()
	select {
	case f.some <- struct{}{}:
	default:
	}
	return <-w.done
}

var errClosed = errors.New("the store is closed")

// writes makes the transactions, one at a time, until the file is closed and nothing
// waits.
func (f *File) writes() {
	gather := time.NewTimer(0)
	<-gather.C
	for {
		select {
		case <-f.some:
			gather.Reset(writeWindow)
			<-gather.C
		case <-f.stop:
		}
		for f.writeSome() {
			continue
		}
		f.mu.Lock()
		over := f.closed && len(f.waiting) == 0
		f.mu.Unlock()
		if over {
			return
		}
	}
}

// writeSome writes some of what waits; false when there is nothing.
func (f *File) writeSome() bool {
	f.mu.Lock()
	batch := f.waiting[:min(len(f.waiting), writesAtOnce)]
	f.waiting = f.waiting[len(batch):]
	broken := f.broken
	f.mu.Unlock()
	if len(batch) == 0 {
		return false
	}
	err := broken
	if err == nil {
		err = f.commit(batch...)
	}
	for _, w := range batch {
		if err != nil && len(batch) > 1 && f.broken == nil { // one of them cannot be written
			w.done <- f.commit(w)
			continue
		}
		w.done <- err
	}
	return true
}

// commit writes in one transaction. After damage there is none: the library may hold on
// to the last one.
func (f *File) commit(batch ...write) error {
	err := f.guarded(func() error {
		return f.db.Update(func(tx *bbolt.Tx) error {
			for _, w := range batch {
				if err := w.change(tx); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if _, damaged := errors.AsType[*DamagedError](err); damaged {
		f.mu.Lock()
		f.broken = err
		f.mu.Unlock()
	}
	return err
}
