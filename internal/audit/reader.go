package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Reader reads the lines of a file, also while it is written and rotated.
type Reader struct {
	path   string
	file   *os.File
	offset int64  // in file, of the end of text
	buf    []byte // what text is a part of
	text   []byte // what was read and not yet returned
	inLong bool   // text goes on a line that is too long
	long   int
}

// OpenReader opens a file for reading. Close it.
func OpenReader(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read audit file: %w", err)
	}
	return &Reader{path: path, file: f}, nil
}

// Next returns the next whole line, without its end; it is good until the next call.
// At the end it returns io.EOF. Called again, it goes on with what was written since:
// in the same file, or in the next one when that one was rotated.
func (r *Reader) Next() ([]byte, error) {
	for {
		if line, ok := r.buffered(); ok {
			return line, nil
		}
		n, err := r.fill()
		if err == nil && n == 0 {
			var more bool
			if more, err = r.follow(); err == nil && !more {
				return nil, io.EOF
			}
		}
		if err != nil {
			return nil, fmt.Errorf("read audit file: %w", err)
		}
	}
}

// buffered takes the next whole line out of what was read. Lines that are too long
// to be ours are left out: nobody's file may fill the memory.
func (r *Reader) buffered() ([]byte, bool) {
	for {
		end := bytes.IndexByte(r.text, '\n')
		if end < 0 {
			if len(r.text) > maxLine {
				r.text, r.inLong = nil, true
			}
			return nil, false
		}
		line := r.text[:end]
		r.text = r.text[end+1:]
		if !r.inLong && len(line) <= maxLine {
			return line, true
		}
		r.inLong = false
		r.long++
	}
}

// TooLong is how many lines were left out because they are too long to be ours.
func (r *Reader) TooLong() int { return r.long }

// fill reads on, behind what is left of text.
func (r *Reader) fill() (int, error) {
	if r.buf == nil {
		r.buf = make([]byte, 2*maxLine)
	}
	kept := copy(r.buf, r.text)
	n, err := r.file.ReadAt(r.buf[kept:], r.offset)
	r.text = r.buf[:kept+n]
	r.offset += int64(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// follow looks, at the end, whether there is more to come from elsewhere.
func (r *Reader) follow() (bool, error) {
	here, err := r.file.Stat()
	if err != nil {
		return false, err
	}
	switch {
	case here.Size() > r.offset: // written since
		return true, nil
	case here.Size() < r.offset: // emptied
		r.offset, r.text, r.inLong = 0, nil, false
		return here.Size() > 0, nil
	}
	there, err := os.Stat(r.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && os.SameFile(here, there) {
		return false, nil // about to be rotated, or the same
	}
	if err != nil {
		return false, err
	}
	next, err := os.Open(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// Its last lines may have come between our last look and the rotation; none
	// come after it.
	if now, err := r.file.Stat(); err == nil && now.Size() > r.offset {
		next.Close()
		return true, nil
	}
	r.file.Close()
	r.file, r.offset, r.text, r.inLong = next, 0, nil, false
	return true, nil
}

// Close ends the reading.
func (r *Reader) Close() error { return r.file.Close() }
