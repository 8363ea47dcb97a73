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
	if !bytes.Contains(prefix, []byte(`"result"`)) && !bytes.Contains(prefix, []byte(`"error"`)) {
		return false // most events of a stream: not worth reading
	}
	p := peekers.Get().(*peeker)
	defer p.done()
	p.reset(prefix)
	if p.dec.PeekKind() != '{' {
		return false
	}
	_, _ = p.dec.ReadToken() // {
	for {
		key, err := p.dec.ReadValue()
		if err != nil {
			return false // also for the closing brace
		}
		switch string(key) {
		case `"result"`, `"error"`:
			return true
		case `"method"`:
			return false
		}
		if _, err := p.dec.ReadValue(); err != nil {
			return false
		}
	}
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
