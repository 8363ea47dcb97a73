package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/ownfile"
)

// ErrNotOurs is of a file that is there but was not begun by NewFile: nothing is ever
// added to it.
var ErrNotOurs = errors.New("it is no audit file; move it away, or name another")

// ErrInUse is of a file that another process writes.
var ErrInUse = errors.New("another process writes it")

func openChained(path string, opts FileOptions, log *slog.Logger) (*chainedFile, error) {
	keys, err := newKeyring(opts.Keys)
	if err != nil {
		return nil, err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // else the link would be rotated, not the file
	}
	if info, err := os.Stat(path); err == nil {
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("open audit file %s: it is no regular file", path)
		}
		if err := ownfile.Check(path, ownfile.Unchanged); err != nil {
			return nil, fmt.Errorf("open audit file: %w", err)
		}
	}
	c, err := openFile(path)
	if err != nil {
		return nil, err
	}
	f := &chainedFile{path: path, opts: opts, log: log, keys: keys, chain: keys[0]}
	f.note = openHeadNote(path, log)
	if err := f.resume(c); err != nil {
		f.retiring.Wait()
		f.note.close()
		f.current.file.Close()
		return nil, fmt.Errorf("open audit file %s: %w", path, err)
	}
	syncFolder(path)
	log.Info("audit file opened", "file", path, "number", f.current.header.Number, "head", f.head)
	return f, nil
}

// openFile opens or makes the file at path, for us alone.
func openFile(path string) (current, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND|ownfile.NoFollow, 0o600)
	if err != nil {
		return current{}, fmt.Errorf("open audit file: %w", err)
	}
	info, err := file.Stat()
	if err == nil {
		var ok bool
		if ok, err = ownfile.TryLock(file); err == nil && !ok {
			err = ErrInUse
		}
	}
	if err != nil {
		file.Close()
		return current{}, fmt.Errorf("open audit file %s: %w", path, err)
	}
	return current{file: file, name: path, info: info, size: info.Size()}, nil
}

// resume goes on where the file c ends.
func (f *chainedFile) resume(c current) error {
	f.current = c
	e, err := readEnding(c.file, c.size, f.keys)
	if err != nil {
		return err
	}
	if e.torn > 0 {
		f.log.Warn("the last line of the audit file was torn, as by a crash, and is cut off", "file", f.path, "bytes", e.torn)
		f.current.size, f.current.torn = c.size-e.torn, true
		if err := f.current.cut(); err != nil {
			return err
		}
	}
	if e.header == nil { // empty
		f.current.header.Number, f.head = f.predecessor()
		return f.begin(&f.current)
	}
	f.current.header, f.current.start, f.head = *e.header, e.start, e.head
	switch {
	case !e.sound:
		f.log.Error("the last line of the audit file does not follow from the one before; a new chain begins in the next file", "file", f.path)
		f.head = Link{}
	case f.keys.chain(e.header) == f.chain:
		return nil
	default:
		f.log.Info("the audit file has another key; the next one begins", "file", f.path)
	}
	return f.next()
}

// predecessor is the number and the last link of the file before: of the newest rotated
// one, or of one that somebody has moved away since.
func (f *chainedFile) predecessor() (int, Link) {
	moved, head, noted := f.note.last()
	all := rotated(f.path)
	if len(all) == 0 || noted && moved > all[len(all)-1] {
		return moved, head
	}
	newest := all[len(all)-1]
	name := numbered(f.path, newest)
	e, err := readEndingOf(name, f.keys)
	if err != nil || e.header == nil || !e.sound {
		f.log.Error("the newest rotated audit file cannot be gone on from; a new chain begins", "file", name, "cause", err)
		return newest, Link{}
	}
	return max(newest, e.header.Number), e.head
}

// ending is what there is to know about a file to go on with it.
type ending struct {
	header *header // nil when the file is empty, but for what is torn
	start  int64   // size of the header
	head   Link
	sound  bool  // the last line follows from the one before, as far as the keys tell
	torn   int64 // bytes behind the last whole line
}

func readEndingOf(name string, keys keyring) (ending, error) {
	file, err := os.Open(name)
	if err != nil {
		return ending{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return ending{}, err
	}
	return readEnding(file, info.Size(), keys)
}

// readEnding looks at the first line and the last two. All others are for Verify:
// reading them would take long at start.
func readEnding(r io.ReaderAt, size int64, keys keyring) (e ending, err error) {
	const longestHeader = 4 << 10
	first, err := readAt(r, 0, min(size, longestHeader))
	if err != nil {
		return e, err
	}
	end := bytes.IndexByte(first, '\n')
	if end < 0 {
		if !tornHeader(first) || !zeros(io.NewSectionReader(r, int64(len(first)), size)) {
			return e, ErrNotOurs
		}
		e.torn = size
		return e, nil
	}
	h, err := parseHeader(first[:end])
	if err != nil {
		return e, ErrNotOurs
	}
	e.header, e.start = h, int64(end)+1
	before, last, torn, err := lastLines(r, size)
	if err != nil {
		return e, err
	}
	e.torn = torn
	prev, ok := h.Prev, true
	if before != nil {
		_, prev, ok = splitSealed(before)
	}
	content, link, whole := splitSealed(last)
	e.head, e.sound = link, ok && whole
	if c := keys.chain(h); c != nil && e.sound {
		c.next(&prev, content)
		e.sound = prev == link
	}
	return e, nil
}

// tornHeader tells whether text may be what a crash left of a header: the beginning
// of one, and the zeros of a file that grew before its text arrived.
func tornHeader(text []byte) bool {
	text = bytes.TrimRight(text, "\x00")
	return bytes.HasPrefix(text, begins) || bytes.HasPrefix(begins, text)
}

// zeros tells whether there is nothing else in r.
func zeros(r io.Reader) bool {
	in := bufio.NewReader(r)
	for {
		switch b, err := in.ReadByte(); {
		case err == io.EOF:
			return true
		case err != nil || b != 0:
			return false
		}
	}
}

// lastLines finds the last two whole lines, without their ends, and how many bytes
// stand behind them. before is nil when there is but one.
func lastLines(r io.ReaderAt, size int64) (before, last []byte, torn int64, err error) {
	const longest = 64 << 20 // what may have to be searched: zeros, after a loss of power
	for window := int64(64 << 10); ; window *= 4 {
		window = min(window, size)
		text, err := readAt(r, size-window, window)
		if err != nil {
			return nil, nil, 0, err
		}
		whole := text[:bytes.LastIndexByte(text, '\n')+1]
		torn := int64(len(text) - len(whole))
		lines := bytes.Split(bytes.TrimSuffix(whole, []byte{'\n'}), []byte{'\n'})
		switch n := len(lines); {
		case len(whole) > 0 && window == size && n == 1:
			return nil, lines[0], torn, nil
		case n >= 3, len(whole) > 0 && window == size:
			return lines[n-2], lines[n-1], torn, nil
		case window == size || window >= longest:
			return nil, nil, 0, errors.New("its last lines cannot be found")
		}
	}
}

func readAt(r io.ReaderAt, offset, n int64) ([]byte, error) {
	b := make([]byte, n)
	if _, err := r.ReadAt(b, offset); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

// numbered is the name of the rotated file of that number.
func numbered(path string, number int) string { return fmt.Sprintf("%s.%06d", path, number) }

// rotated are the numbers of the files that were rotated, oldest first.
func rotated(path string) []int {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	var all []int
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		if n, err := strconv.Atoi(digits); ok && err == nil && e.Name() == filepath.Base(numbered(path, n)) && e.Type().IsRegular() {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all
}
