package h1

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
)

// bodyReader is the body of an answer. One goroutine reads it; Close may come from
// another one and wakes the reader.
type bodyReader struct {
	c       *conn
	ctx     context.Context // of the exchange, whose end closes the connection
	stop    func() bool
	framing framing
	left    int64 // of the body, or of the chunk at hand

	at       chunkState // when left is 0
	trailers int

	mu      sync.Mutex
	reading bool  // a Read is under way; it has the connection's reader
	err     error // what every further Read says
	ended   bool  // the connection was given back or closed
}

type framing uint8

const (
	framedByLength framing = iota
	framedByChunks
	framedByClose
)

// chunkState is which line of chunked framing comes next.
type chunkState uint8

const (
	atSize     chunkState = iota // a chunk's size
	atChunkEnd                   // the empty line behind a chunk
	atTrailer                    // a trailer, or the empty line that ends the body
)

func (b *bodyReader) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.err != nil || len(p) == 0 {
		defer b.mu.Unlock()
		return 0, b.err
	}
	b.reading = true
	b.mu.Unlock()

	n, err := b.read(p)
	err = b.explain(err)

	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	if b.err == nil { // else closed meanwhile
		b.err = err
	}
	if b.err != nil {
		b.end()
		if n > 0 && b.err != io.EOF {
			return n, nil // the error comes with the next Read
		}
	}
	return n, b.err
}

// Close ends the exchange. Unless the body was read to its end, the connection is
// closed with it: that is how HTTP/1.1 cancels.
func (b *bodyReader) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = errBodyClosed
	}
	if b.reading {
		b.c.close() // the reader wakes, and ends the rest
		return nil
	}
	b.end()
	return nil
}

// end gives the connection back after a clean end, and closes it otherwise. mu is
// held and nobody reads.
func (b *bodyReader) end() {
	if b.ended {
		return
	}
	b.ended = true
	if b.err != io.EOF {
		b.c.keep = false
	}
	b.c.done(b.stop)
}

// explain says why a read failed, in place of what the closed socket says.
func (b *bodyReader) explain(err error) error {
	switch {
	case err == nil || err == io.EOF:
		return err
	case b.ctx.Err() != nil:
		return context.Cause(b.ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrTimeout
	}
	return err
}

func (b *bodyReader) read(p []byte) (int, error) {
	switch b.framing {
	case framedByLength:
		n, err := b.some(p)
		if err != nil {
			return n, unexpected(err)
		}
		if b.left == 0 {
			err = io.EOF
		}
		return n, err
	case framedByClose:
		b.left = int64(len(p)) + 1 // never reached
		return b.some(p)
	}
	return b.chunks(p)
}

// some reads up to left bytes: those in the buffer, or what one read brings. It
// reads past the buffer where p is large enough.
func (b *bodyReader) some(p []byte) (int, error) {
	in := &b.c.in
	p = p[:min(int64(len(p)), b.left)]
	if in.buffered() == 0 {
		if len(p) >= smallBuffer {
			n, err := in.read(p)
			b.left -= int64(n)
			return n, err
		}
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.buf[in.r:in.w])
	in.r += n
	b.left -= int64(n)
	return n, nil
}

// chunks reads what is there of chunked data, and does not wait for more once it
// has something.
func (b *bodyReader) chunks(p []byte) (int, error) {
	in := &b.c.in
	n := 0
	for {
		for b.left == 0 {
			if n > 0 && !in.lineBuffered() {
				return n, nil
			}
			if err := b.frameLine(); err != nil {
				return n, err
			}
		}
		if n == len(p) || n > 0 && in.buffered() == 0 {
			return n, nil
		}
		k, err := b.some(p[n:])
		n += k
		if err != nil {
			return n, unexpected(err)
		}
		if b.left == 0 {
			b.at = atChunkEnd
		}
	}
}

const (
	maxChunkLine = 1 << 10
	maxTrailers  = 64
)

// frameLine reads one line of the framing; io.EOF says that it was the last one.
func (b *bodyReader) frameLine() error {
	line, err := b.c.in.line(maxChunkLine)
	if err != nil {
		return err
	}
	switch b.at {
	case atChunkEnd:
		if len(line) > 0 {
			return ProtocolError("a chunk is longer than its size")
		}
		b.at = atSize
	case atSize:
		if b.left, err = chunkSize(line); err == nil && b.left == 0 {
			b.at = atTrailer
		}
		return err
	case atTrailer:
		if len(line) == 0 {
			return io.EOF
		}
		if b.trailers++; b.trailers > maxTrailers {
			return ProtocolError("too many trailers")
		}
	}
	return nil
}

// chunkSize reads a chunk's size; extensions are ignored (RFC 9112 §7.1.1).
func chunkSize(line []byte) (int64, error) {
	var n int64
	i := 0
	for ; i < len(line); i++ {
		c := line[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			c = 0xff
		}
		if c == 0xff {
			break
		}
		if i >= 15 {
			return 0, ProtocolError("a chunk's size is too large")
		}
		n = n<<4 | int64(c)
	}
	if i == 0 || i < len(line) && line[i] != ';' && line[i] != ' ' && line[i] != '\t' {
		return 0, ProtocolError("a chunk's size is none")
	}
	return n, nil
}
