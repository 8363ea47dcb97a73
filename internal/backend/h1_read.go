package backend

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// h1Reader reads a connection through a buffer that it has only while there is
// something to read.
type h1Reader struct {
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

func (in *h1Reader) buffered() int { return in.w - in.r }

// release gives the buffer back; what is in it is lost.
func (in *h1Reader) release() {
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
func (in *h1Reader) fill() error {
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
func (in *h1Reader) read(p []byte) (int, error) {
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
func (in *h1Reader) lineBuffered() bool {
	return bytes.IndexByte(in.buf[in.r:in.w], '\n') >= 0
}

// head reads up to and including the empty line that ends a head. io.EOF means
// that the connection ended before its first byte.
func (in *h1Reader) head() (string, error) {
	seen := 0 // so much of the buffered bytes holds no end
	for {
		if n := headEnd(in.buf[in.r:in.w], seen); n > 0 {
			text := string(in.buf[in.r : in.r+n])
			in.r += n
			return text, nil
		}
		seen = in.buffered()
		if seen >= maxHead {
			return "", protocolError("the head is larger than 64 KiB")
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
func (in *h1Reader) line(limit int) ([]byte, error) {
	seen := 0
	for {
		b := in.buf[in.r:in.w]
		if k := bytes.IndexByte(b[seen:], '\n'); k >= 0 {
			end := seen + k
			if end == 0 || b[end-1] != '\r' || end > limit {
				return nil, protocolError("a chunk's line is ill-formed")
			}
			in.r += end + 1
			return b[:end-1], nil
		}
		if seen = len(b); seen > limit {
			return nil, protocolError("a chunk's line is too long")
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

// h1Head is a parsed answer head.
type h1Head struct {
	status  int
	header  http.Header // without Content-Length and Transfer-Encoding
	length  int64       // of the body; -1 when unknown
	chunked bool
	old     bool // HTTP/1.0
	keep    bool // the connection may be used again
}

// parseHead reads an answer's head, with its empty line, strictly: what programs
// on the way could read in two ways is refused (RFC 9112 §6.3, §11.2).
func parseHead(text string) (h1Head, error) {
	h := h1Head{length: -1}
	line, rest, err := nextLine(text)
	if err != nil {
		return h, err
	}
	if err := h.statusLine(line); err != nil {
		return h, err
	}
	n := strings.Count(rest, "\n")
	h.header = make(http.Header, n)
	values := make([]string, n) // one allocation for all, as net/textproto does
	for {
		if line, rest, err = nextLine(rest); err != nil {
			return h, err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !validFieldName(name) { // a folded line begins with a blank, which no name does
			return h, protocolError("a header line is ill-formed")
		}
		value = strings.Trim(value, " \t")
		if !validFieldValue(value) {
			return h, protocolError("a header holds a control character")
		}
		name = http.CanonicalHeaderKey(name)
		if used, err := h.frame(name, value); err != nil || used {
			if err != nil {
				return h, err
			}
			continue
		}
		if old, ok := h.header[name]; ok {
			h.header[name] = append(old, value)
			continue
		}
		values[0] = value
		h.header[name], values = values[:1:1], values[1:]
	}
	switch {
	case h.chunked && h.length >= 0:
		return h, protocolError("both Content-Length and Transfer-Encoding")
	case h.chunked && h.old:
		return h, protocolError("Transfer-Encoding in HTTP/1.0")
	}
	h.keep = !h.old && !wantsClose(h.header["Connection"])
	return h, nil
}

// nextLine cuts a line off. Its end may be CR LF or, as RFC 9112 §2.2 allows for
// heads, LF; a CR elsewhere is caught as a control character.
func nextLine(text string) (line, rest string, err error) {
	line, rest, ok := strings.Cut(text, "\n")
	if !ok {
		return "", "", protocolError("the head has no end")
	}
	return strings.TrimSuffix(line, "\r"), rest, nil
}

func (h *h1Head) statusLine(line string) error {
	version, rest, _ := strings.Cut(line, " ")
	code, reason, _ := strings.Cut(rest, " ")
	if version != "HTTP/1.1" && version != "HTTP/1.0" || len(code) != 3 || !validFieldValue(reason) {
		return protocolError("the status line is ill-formed")
	}
	n, err := strconv.ParseUint(code, 10, 16)
	if err != nil || n < 100 || n > 599 {
		return protocolError("the status is none")
	}
	h.status, h.old = int(n), version == "HTTP/1.0"
	return nil
}

// frame takes the headers that say where the body ends and whether the connection
// goes on. used: the header is not for anyone else.
func (h *h1Head) frame(name, value string) (used bool, err error) {
	switch name {
	case "Content-Length":
		if h.length >= 0 {
			return true, protocolError("several Content-Length")
		}
		h.length, err = contentLength(value)
		return true, err
	case "Transfer-Encoding":
		if h.chunked || !strings.EqualFold(value, "chunked") {
			return true, protocolError("a Transfer-Encoding other than chunked")
		}
		h.chunked = true
		return true, nil
	}
	return false, nil
}

func contentLength(s string) (int64, error) {
	if s == "" || len(s) > 18 {
		return 0, protocolError("Content-Length is no length")
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, protocolError("Content-Length is no length")
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, nil
}

// wantsClose reports whether a Connection header holds the token close.
func wantsClose(values []string) bool {
	for _, list := range values {
		for token := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(token), "close") {
				return true
			}
		}
	}
	return false
}
