package h1

import (
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

// maxHead bounds the head of an answer, in bytes.
const maxHead = 64 << 10

// reader reads a connection through a buffer that it has only while there is
// something to read.
type reader struct {
	conn  net.Conn
	buf   []byte // buf[r:w] is read and not used yet
	r, w  int
	lent  *[]byte // the pool's handle of buf; nil when buf is the reader's own
	small bool    // take small buffers: the connection carries a stream
	got   bool    // anything came since the request was sent

	patience time.Duration // for each read; 0 leaves the deadline as it is
}

const (
	bigBuffer   = 4 << 10
	smallBuffer = 1 << 10 // for streams, of which many are open and silent
)

var (
	bigBuffers   = sync.Pool{New: func() any { b := make([]byte, bigBuffer); return &b }}
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, smallBuffer); return &b }}
)

func (in *reader) buffered() int { return in.w - in.r }

// release gives the buffer back; what is in it is lost.
func (in *reader) release() {
	if in.lent != nil {
		if len(*in.lent) == smallBuffer {
			smallBuffers.Put(in.lent)
		} else {
			bigBuffers.Put(in.lent)
		}
	}
	in.buf, in.lent, in.r, in.w = nil, nil, 0, 0
}

// fill reads once, into the free part of the buffer.
func (in *reader) fill() error {
	if in.r == in.w {
		in.r, in.w = 0, 0
		if in.small && len(in.buf) != smallBuffer {
			in.release()
		}
	}
	switch {
	case in.buf == nil && in.small:
		in.lent = smallBuffers.Get().(*[]byte)
		in.buf = *in.lent
	case in.buf == nil:
		in.lent = bigBuffers.Get().(*[]byte)
		in.buf = *in.lent
	case in.w == len(in.buf) && in.r > 0:
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	case in.w == len(in.buf):
		bigger := make([]byte, 2*len(in.buf))
		w := copy(bigger, in.buf[in.r:in.w])
		in.release()
		in.buf, in.w = bigger, w
	}
	n, err := in.read(in.buf[in.w:])
	in.w += n
	return err
}

// read reads once, past the buffer. It brings at least one byte or an error.
func (in *reader) read(p []byte) (int, error) {
	if in.patience > 0 {
		if err := in.conn.SetReadDeadline(time.Now().Add(in.patience)); err != nil {
			return 0, err
		}
	}
	n, err := in.conn.Read(p)
	switch {
	case n > 0:
		in.got = true
		return n, nil // an error comes again with the next read
	case err == nil:
		err = io.ErrNoProgress
	}
	return 0, err
}

// lineBuffered reports whether line would not have to wait.
func (in *reader) lineBuffered() bool {
	return bytes.IndexByte(in.buf[in.r:in.w], '\n') >= 0
}

// head reads up to and including the empty line that ends a head. io.EOF means
// that the connection ended before its first byte.
func (in *reader) head() (string, error) {
	seen := 0 // so much of the buffered bytes holds no end
	for {
		if n := headEnd(in.buf[in.r:in.w], seen); n > 0 {
			text := string(in.buf[in.r : in.r+n])
			in.r += n
			return text, nil
		}
		seen = in.buffered()
		if seen >= maxHead {
			return "", ProtocolError("the head is larger than 64 KiB")
		}
		if err := in.fill(); err != nil {
			if err == io.EOF && seen > 0 {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
	}
}

// headEnd returns the length of the head that b begins with, or 0 if its end is
// not there yet. The first seen bytes were searched before.
func headEnd(b []byte, seen int) int {
	i := max(0, seen-2) // the end may have begun in them
	for {
		k := bytes.IndexByte(b[i:], '\n')
		if k < 0 {
			return 0
		}
		i += k + 1
		if i < len(b) && b[i] == '\n' {
			return i + 1
		}
		if i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n' {
			return i + 2
		}
	}
}

// line reads one line of chunked framing, which ends in CR LF; a bare LF is read
// differently by different programs (CVE-2025-22871). The line is good until the
// next read.
func (in *reader) line(limit int) ([]byte, error) {
	seen := 0
	for {
		b := in.buf[in.r:in.w]
		if k := bytes.IndexByte(b[seen:], '\n'); k >= 0 {
			end := seen + k
			if end == 0 || b[end-1] != '\r' || end > limit {
				return nil, ProtocolError("a chunk's line is ill-formed")
			}
			in.r += end + 1
			return b[:end-1], nil
		}
		if seen = len(b); seen > limit {
			return nil, ProtocolError("a chunk's line is too long")
		}
		if err := in.fill(); err != nil {
			return nil, unexpected(err)
		}
	}
}

// unexpected is for ends of the connection inside something.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
