// Package lines reads what is said in lines: messages of the stdio transport, on either side of it.
//
// It owns lines, their ends, and that one without an end fills no memory. It does not own what a line says.
package lines

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// Reader reads lines that end in LF or CRLF.
type Reader struct {
	r   *bufio.Reader
	max int // bytes of a line, its end not counted
}

// NewReader reads lines of at most maxLine bytes, their ends not counted.
func NewReader(r io.Reader, maxLine int) *Reader {
	const size = 16 << 10
	return &Reader{r: bufio.NewReaderSize(r, size), max: maxLine}
}

// TooLong is a line beyond the limit. It has been read over; the next one is fine.
type TooLong struct {
	Head, Tail []byte // its beginning and end, a few hundred bytes each
}

func (*TooLong) Error() string { return "read line: it is longer than the limit" }

// keptOfLong is how much of each end of a long line is kept.
const keptOfLong = 512

// Next returns the next line, which is the caller's to keep, or a *TooLong, or the
// error of the reader: io.EOF after the last line, ended or not. It never holds
// more than max bytes and what a read brings.
func (l *Reader) Next() ([]byte, error) {
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		line = append(line, part...)
		if len(trimEnd(line)) > l.max { // of the whole: its end may come in two parts
			return nil, l.skip(line, err)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err == nil, errors.Is(err, io.EOF) && len(line) > 0:
			return trimEnd(line), nil
		default:
			return nil, err
		}
	}
}

func trimEnd(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r"))
}

// skip reads on to the end of a line that is too long already.
func (l *Reader) skip(line []byte, err error) error {
	long := &TooLong{Head: bytes.Clone(line[:min(len(line), keptOfLong)])}
	long.Tail = lastOf(nil, line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = l.r.ReadSlice('\n')
		long.Tail = lastOf(long.Tail, line)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return long
}

// lastOf adds more to the end of tail and keeps the end of that.
func lastOf(tail, more []byte) []byte {
	if len(more) >= keptOfLong {
		return append(tail[:0], more[len(more)-keptOfLong:]...)
	}
	tail = append(tail, more...)
	return tail[:copy(tail, tail[max(0, len(tail)-keptOfLong):])]
}
