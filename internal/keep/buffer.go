package keep

import (
	"bytes"
	"io"
	"sync"
)

// buffers hold what is large and short-lived, such as a list on its way: as new
// memory each time, clearing and collecting it cost as much as the work.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const largestKept = 1 << 20 // bytes; what needs more is rare

// Borrow returns an empty buffer, which had better be returned.
func Borrow() *bytes.Buffer { return buffers.Get().(*bytes.Buffer) }

// Return takes a buffer back. Nothing may point into it any more.
func Return(b *bytes.Buffer) {
	if b.Cap() <= largestKept {
		b.Reset()
		buffers.Put(b)
	}
}

// Lend makes a body of what is in a borrowed buffer, and returns the buffer when the
// body has been read to its end. If it is not, the buffer is the collector's.
func Lend(b *bytes.Buffer) io.ReadCloser { return &lent{b} }

type lent struct{ text *bytes.Buffer } // nil once it was read

func (l *lent) Read(p []byte) (int, error) {
	if l.text == nil {
		return 0, io.EOF
	}
	n, err := l.text.Read(p)
	if err == io.EOF {
		Return(l.text)
		l.text = nil
	}
	return n, err
}

// WriteTo implements [io.WriterTo]: all at once.
func (l *lent) WriteTo(w io.Writer) (int64, error) {
	if l.text == nil {
		return 0, nil
	}
	n, err := l.text.WriteTo(w)
	Return(l.text)
	l.text = nil
	return n, err
}

func (l *lent) Close() error { return nil }
