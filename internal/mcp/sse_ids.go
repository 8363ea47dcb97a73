package mcp

import (
	"bytes"
	"io"
	"strings"
)

// ChangeIDs returns an event stream with the ids of its events changed, and all the rest
// byte for byte as it comes. An empty id, which takes back the one before, and one that
// readers ignore stay as they are. Reading fails with ErrEventTooLarge where an id is
// longer than any that a header could bring back.
func ChangeIDs(stream io.Reader, change func(id string) string) io.Reader {
	return &idChanger{r: stream, change: change, atLine: true}
}

// maxEventID is the length of the longest id.
const maxEventID = 4 << 10

type idChanger struct {
	r      io.Reader
	change func(string) string
	in     []byte // what is looked at closer

	atLine bool   // a line begins here; held is its beginning while it may be an id
	afterR bool   // the line before ended in CR, to which an LF belongs
	begun  bool   // the first line is over, before which there may be a byte order mark
	held   []byte // of a line that may be an id, or is
	out    []byte // to be read; done of it was
	done   int
	err    error // behind out
}

func (c *idChanger) Read(p []byte) (int, error) {
	for c.done == len(c.out) {
		if c.err != nil {
			return 0, c.err
		}
		n, err := c.r.Read(p)
		if c.plain(p[:n]) {
			c.err = err
			return n, err
		}
		c.in = append(c.in[:0], p[:n]...)
		c.out, c.done, c.err = c.out[:0], 0, err
		if !c.take(c.in) {
			c.err = ErrEventTooLarge
		}
		if c.err != nil {
			c.out = append(c.out, c.held...) // half a line; no event comes of it
			c.held = nil
		}
		if n == 0 && err == nil {
			return 0, nil
		}
	}
	n := copy(p, c.out[c.done:])
	if c.done += n; c.done == len(c.out) {
		return n, c.err // the end comes with the last bytes, which then need no flush of their own
	}
	return n, nil
}

// plain passes what holds no id, as most of a stream does, without a closer look.
func (c *idChanger) plain(p []byte) bool {
	if len(p) == 0 || len(c.held) > 0 || bytes.IndexByte(p, '\r') >= 0 {
		return false
	}
	atLine, begun := c.atLine, c.begun
	for len(p) > 0 {
		// What begins a line may be an id, or a byte order mark before one.
		if atLine && (len(p) < len("id:") || !begun && p[0] == BOM[0] || string(p[:len("id:")]) == "id:") && p[0] != '\n' {
			return false
		}
		end := bytes.IndexByte(p, '\n')
		if atLine = end >= 0; !atLine {
			break
		}
		p, begun = p[end+1:], true
	}
	c.atLine, c.afterR, c.begun = atLine, false, begun
	return true
}

// take moves a piece of the stream into out, or holds it back; false when an id is too
// long for that.
func (c *idChanger) take(p []byte) bool {
	for len(p) > 0 {
		if c.atLine && c.afterR && p[0] == '\n' && len(c.held) == 0 {
			c.out, p, c.afterR = append(c.out, '\n'), p[1:], false
			continue
		}
		end := lineEnd(p)
		line, ended := p, end >= 0
		if ended {
			line = p[:end]
		}
		if c.atLine {
			c.hold(line, ended)
		} else {
			c.out = append(c.out, line...)
		}
		if p = p[len(line):]; ended {
			c.out = append(c.out, p[0])
			c.atLine, c.afterR, c.begun = true, p[0] == '\r', true
			p = p[1:]
		}
		if len(c.held) > maxEventID {
			return false
		}
	}
	return true
}

// hold adds to a line that may be an id, and lets go of it when it is none or is
// complete.
func (c *idChanger) hold(line []byte, ended bool) {
	c.held = append(c.held, line...)
	text := c.held
	if !c.begun {
		text = bytes.TrimPrefix(text, []byte(BOM))
	}
	const name = "id:"
	switch {
	case !ended && len(text) < len(name) && (strings.HasPrefix(name, string(text)) || !c.begun && strings.HasPrefix(BOM, string(text))):
		return // not known yet
	case !bytes.HasPrefix(text, []byte(name)):
		c.out = append(c.out, c.held...)
		c.atLine = ended
	case !ended:
		return
	default:
		id := string(bytes.TrimPrefix(text[len(name):], []byte(" ")))
		if id == "" || strings.ContainsRune(id, 0) {
			c.out = append(c.out, c.held...)
			break
		}
		c.out = append(append(append(c.out, c.held[:len(c.held)-len(text)]...), "id: "...), c.change(id)...)
	}
	c.held = c.held[:0]
}
