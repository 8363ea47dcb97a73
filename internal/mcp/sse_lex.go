package mcp

import "bytes"

// lexer divides an event stream into fields (WHATWG HTML §9.2.6). It is handed the
// stream in pieces of any size, keeps nothing of them, and says where events
// begin and end. The zero lexer is at the beginning of a stream.
type lexer struct {
	p      []byte // the piece in hand
	pos    int    // how much of it is done
	lf, cr int    // the next '\n' and '\r' in p from pos on, when ≥ pos; found once each

	phase   phase
	afterCR bool // a '\n' now belongs to the line end that '\r' was
	cur     field
	name    [6]byte // the field name so far; longer ones are of no interest
	nameLen int
	open    bool // the event in progress has a field
	size    int  // of the event in progress: its fields, not comments between them
}

type phase uint8

const (
	atStart phase = iota // a byte order mark may come; nameLen counts its bytes
	atLine
	inName
	afterColon
	inValue
)

type field uint8

const (
	fieldNone field = iota // a comment, or a field that means nothing
	fieldData
	fieldEvent
	fieldID
	fieldRetry
)

// token is what lexer.next came upon.
type token uint8

const (
	tokenMore  token = iota // nothing more in this piece
	tokenField              // a field of kind lexer.cur begins
	tokenValue              // a part of its value
	tokenEnd                // it is complete
	tokenBlank              // a blank line: the event is complete
)

// BOM is a byte order mark, which some programs write before text in UTF-8.
const BOM = "\ufeff"

// feed gives the lexer the next piece.
func (l *lexer) feed(p []byte) {
	l.p, l.pos, l.lf, l.cr = p, 0, -1, -1
}

// boundary reports whether the stream is between two events.
func (l *lexer) boundary() bool {
	return !l.open && (l.phase == atLine || l.phase == atStart && l.nameLen == 0)
}

// next goes on to the next token.
func (l *lexer) next() (token, []byte) {
	for l.pos < len(l.p) {
		tok, value := tokenMore, []byte(nil)
		switch l.phase {
		case atStart:
			l.start()
		case atLine:
			tok = l.line()
		case inName:
			tok = l.fieldName()
		case afterColon:
			if l.p[l.pos] == ' ' {
				l.pos++
			}
			l.phase = inValue
		case inValue:
			tok, value = l.value()
		}
		if tok != tokenMore {
			return tok, value
		}
	}
	return tokenMore, nil
}

// start skips a byte order mark. What only began like one is a field name.
func (l *lexer) start() {
	c := l.p[l.pos]
	switch {
	case c != BOM[l.nameLen] && l.nameLen == 0:
		l.phase = atLine
	case c != BOM[l.nameLen]:
		l.phase = inName
	default:
		l.name[l.nameLen] = c
		l.nameLen++
		l.pos++
		if l.nameLen == len(BOM) {
			l.phase = atLine
		}
	}
}

// line looks at the first byte of a line.
func (l *lexer) line() token {
	c := l.p[l.pos]
	if c == '\n' && l.afterCR {
		l.afterCR = false
		l.pos++
		return tokenMore
	}
	l.afterCR = false
	switch c {
	case '\n', '\r':
		l.endLine()
		l.open, l.size = false, 0
		return tokenBlank
	case ':':
		l.pos++
		l.cur, l.phase = fieldNone, inValue
	default:
		l.nameLen, l.phase = 0, inName
	}
	return tokenMore
}

// fieldName reads up to the colon or the end of the line.
func (l *lexer) fieldName() token {
	rest := l.p[l.pos:l.eol()]
	colon := bytes.IndexByte(rest, ':')
	if colon >= 0 {
		rest = rest[:colon]
	}
	l.nameLen += copy(l.name[min(l.nameLen, len(l.name)):], rest)
	l.pos += len(rest)
	if l.pos == len(l.p) {
		return tokenMore
	}
	l.cur = l.classify()
	l.phase = inValue // where the end of the line is dealt with
	if colon >= 0 {
		l.pos++
		l.phase = afterColon
	}
	if l.cur == fieldNone {
		return tokenMore
	}
	l.open = true
	l.size += l.nameLen + len(":")
	return tokenField
}

func (l *lexer) classify() field {
	switch string(l.name[:l.nameLen]) {
	case "data":
		return fieldData
	case "event":
		return fieldEvent
	case "id":
		return fieldID
	case "retry":
		return fieldRetry
	}
	return fieldNone
}

func (l *lexer) value() (token, []byte) {
	end := l.eol()
	piece := l.p[l.pos:end]
	l.pos = end
	if len(piece) > 0 {
		if l.cur == fieldNone {
			return tokenMore, nil
		}
		l.size += len(piece)
		return tokenValue, piece
	}
	l.endLine()
	if l.cur == fieldNone {
		return tokenMore, nil
	}
	l.size++
	return tokenEnd, nil
}

// endLine consumes the line end at pos. A '\r' ends the line at once: waiting for
// a '\n' would hold an event back until the next one comes.
func (l *lexer) endLine() {
	l.afterCR = l.p[l.pos] == '\r'
	l.pos++
	l.phase = atLine
}

// eol is where the current line ends in the piece, or the piece's own end.
func (l *lexer) eol() int {
	l.lf = l.find('\n', l.lf)
	l.cr = l.find('\r', l.cr)
	return min(l.lf, l.cr)
}

func (l *lexer) find(c byte, known int) int {
	if known >= l.pos {
		return known
	}
	if i := bytes.IndexByte(l.p[l.pos:], c); i >= 0 {
		return l.pos + i
	}
	return len(l.p)
}
