package backend

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
)

// lineReader reads lines that end in LF or CRLF.
type lineReader struct {
	r   *bufio.Reader
	max int // bytes of a line, its end not counted
}

func newLineReader(r io.Reader, maxLine int) *lineReader {
	const size = 16 << 10
	return &lineReader{r: bufio.NewReaderSize(r, size), max: maxLine}
}

// longLine is a line beyond the limit. It has been read over; the next one is fine.
type longLine struct {
	head, tail []byte // its beginning and end, a few hundred bytes each
}

func (*longLine) Error() string { return "read line: it is longer than the limit" }

// keptOfLong is how much of each end of a long line is kept.
const keptOfLong = 512

// next returns the next line, which is the caller's to keep, or a *longLine, or the
// error of the reader: io.EOF after the last line, ended or not. It never holds
// more than max bytes and what a read brings.
func (l *lineReader) next() ([]byte, error) {
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
func (l *lineReader) skip(line []byte, err error) error {
	long := &longLine{head: bytes.Clone(line[:min(len(line), keptOfLong)])}
	long.tail = lastOf(nil, line)
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = l.r.ReadSlice('\n')
		long.tail = lastOf(long.tail, line)
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

// answers is the idKey of the request that a long line is the answer to, as far as
// its ends tell. Most servers write the id first or last; whatever lies between is
// only skipped if the line is JSON, and if it is not, it is nobody's answer.
func (long *longLine) answers() string {
	for _, at := range []struct {
		re *regexp.Regexp
		in []byte
	}{
		{regexp.MustCompile(`^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(-?\d+|"[^"\\]*")\s*,\s*"(?:jsonrpc|result|error)"`), long.head},
		{regexp.MustCompile(`[,{]\s*"id"\s*:\s*(-?\d+|"[^"\\]*")\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$`), long.tail},
	} {
		if found := at.re.FindSubmatch(at.in); found != nil {
			return idKey(found[1])
		}
	}
	return ""
}
