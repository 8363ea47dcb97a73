package mcp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// PeekResponse reports whether a message is a JSON-RPC response, as far as its
// first bytes show it: the first of the keys method, result and error decides.
func PeekResponse(prefix []byte) bool {
	batch := bytes.HasPrefix(bytes.TrimLeft(prefix, " \t\r\n"), []byte("["))
	if !batch && !bytes.Contains(prefix, []byte(`"result"`)) && !bytes.Contains(prefix, []byte(`"error"`)) {
		return false // most events of a stream: not worth reading
	}
	p := peekers.Get().(*peeker)
	defer p.done()
	p.reset(prefix)
	switch p.dec.PeekKind() {
	case '{':
		is, _ := p.response()
		return is
	case '[': // a batch of 2025-03-26: one response in it is enough
		_, _ = p.dec.ReadToken()
		for p.dec.PeekKind() == '{' {
			if is, whole := p.response(); is || !whole {
				return true // what is beyond the prefix may be one
			}
		}
	}
	return false
}

// response reads an object, and reports whether it is a response and whether it was
// read to its end.
func (p *peeker) response() (is, whole bool) {
	_, _ = p.dec.ReadToken() // {
	method := false
	for p.dec.PeekKind() == '"' {
		key, err := p.dec.ReadValue()
		if err != nil {
			return false, false
		}
		switch string(key) {
		case `"result"`, `"error"`:
			if !method {
				return true, false
			}
		case `"method"`:
			method = true
		}
		if _, err := p.dec.ReadValue(); err != nil {
			return false, false
		}
	}
	_, err := p.dec.ReadToken() // }
	return false, err == nil
}

var (
	errAnswerEmpty = errors.New("read answer: it is empty")
	errAnswerBare  = errors.New("read answer: it is JSON, but neither an object nor an array")
)

// CheckAnswer reports what is wrong with body as the JSON text of an answer: it
// has to be one object, or an array, the batch of 2025-03-26. When body is not
// complete it is its beginning that has to be right. The check is a lenient one,
// of syntax alone: what a backend says is passed on as it is (REQ F-4). Errors do
// not repeat the text.
func CheckAnswer(body []byte, complete bool) error {
	p := peekers.Get().(*peeker)
	defer p.done()
	p.reset(body)
	switch p.dec.PeekKind() {
	case '{', '[':
	case jsontext.KindInvalid:
		if len(bytes.TrimSpace(body)) == 0 {
			if complete {
				return errAnswerEmpty
			}
			return nil
		}
		return p.notJSON(nil)
	default:
		return errAnswerBare
	}
	if _, err := p.dec.ReadValue(); err != nil {
		if !complete && errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		return p.notJSON(err)
	}
	if _, err := p.dec.ReadToken(); err != io.EOF {
		return p.notJSON(err)
	}
	return nil
}

var peekers = sync.Pool{New: func() any { return new(peeker) }}

type peeker struct {
	dec jsontext.Decoder
	buf bytes.Buffer // the decoder reads this type in place
}

func (p *peeker) reset(b []byte) {
	p.buf = *bytes.NewBuffer(b)
	p.dec.Reset(&p.buf, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

func (p *peeker) done() {
	p.reset(nil) // the pool holds on to nobody's answer
	peekers.Put(p)
}

func (p *peeker) notJSON(err error) error {
	at := p.dec.InputOffset()
	if se, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at = se.ByteOffset
	}
	return fmt.Errorf("read answer: it is not JSON (byte %d)", at)
}
