package mcp

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Parse reads one client message, strictly. It refuses, with HTTP status 400:
//
//   - what is no JSON, or JSON that readers differ on: two values, the same key
//     twice, invalid UTF-8, a byte order mark (CodeParse);
//   - what is no single JSON-RPC 2.0 message as MCP defines it: batches, ids of
//     requests that are neither string nor integer, parameters that are no object, a method
//     together with a result (CodeInvalidRequest);
//   - containers too deep, objects with too many members, numbers too long or out of range (CodeInvalidRequest);
//   - keys that some readers take for one of the protocol's, because they differ
//     in upper and lower case only (CodeInvalidRequest);
//   - a value of the wrong type where the gateway reads one (CodeInvalidParams).
//
// What a tool's arguments mean, and keys that it does not know, are not its
// business. With an error the Envelope holds what was read until then: the ID, if
// it could be read, is the one to answer; the rest is for the record only.
func Parse(raw []byte, lim Limits) (Envelope, *Error) {
	p := parsers.Get().(*parser)
	p.reset(raw)
	err := p.parse(lim.withDefaults())
	env := p.env
	p.reset(nil) // the pool holds on to nobody's message
	parsers.Put(p)
	return env, err
}

var parsers = sync.Pool{New: func() any { return new(parser) }}

// parser reads one message in one pass. A message that is JSON is read to its
// end even if it is refused, so that the error can name the id it answers.
type parser struct {
	dec jsontext.Decoder
	buf bytes.Buffer // the decoder reads this type in place
	env Envelope

	refused *Error // the first reason that is not about the JSON text itself
	name    []byte // scratch for keys and strings with escapes

	sawVersion, sawID, sawMethod, sawResult, sawError bool
	nullID, nullResult, nullError                     bool

	targets [3]param // params.name, params.uri, params.taskId
}

// param is a value in params that may turn out to be the target: the method that
// decides can come later in the message.
type param struct {
	key  string
	span Span
}

func (p *parser) reset(raw []byte) {
	p.buf = *bytes.NewBuffer(raw)
	p.dec.Reset(&p.buf)
	p.env = Envelope{Raw: raw}
	p.refused = nil
	p.sawVersion, p.sawID, p.sawMethod, p.sawResult, p.sawError = false, false, false, false, false
	p.nullID, p.nullResult, p.nullError = false, false, false
	p.targets = [3]param{{key: "name"}, {key: "uri"}, {key: "taskId"}}
}

func (p *parser) parse(lim Limits) *Error {
	tooMuch, badNumber := scan(p.env.Raw, lim)
	if tooMuch != nil {
		return tooMuch
	}
	if err := p.message(); err != nil {
		return p.syntaxError(err)
	}
	if p.refused == nil {
		p.refused = badNumber
	}
	p.classify()
	p.target()
	return p.refused
}

// refuse notes why the message is refused; the first reason stays.
func (p *parser) refuse(code int, text string) {
	if p.refused == nil {
		p.refused = &Error{Status: http.StatusBadRequest, Code: code, Message: text}
	}
}

// message reads the top-level value, and that nothing follows it.
func (p *parser) message() error {
	switch p.dec.PeekKind() {
	case '{':
		if err := p.envelope(); err != nil {
			return err
		}
	case '[':
		p.refuse(CodeInvalidRequest, "batches are not accepted; send each message by itself")
		if _, err := p.dec.ReadValue(); err != nil {
			return err
		}
	default:
		p.refuse(CodeInvalidRequest, "message is not a JSON object")
		if _, err := p.dec.ReadValue(); err != nil {
			return err
		}
	}
	switch _, err := p.dec.ReadToken(); err {
	case io.EOF:
		return nil
	case nil:
		return errTrailing
	default:
		return err
	}
}

var errTrailing = errors.New("more than one value")

func (p *parser) envelope() error {
	return p.object(topKeys, func(key string) error {
		switch key {
		case "jsonrpc":
			p.sawVersion = true
			v, err := p.dec.ReadValue()
			if err == nil && (v.Kind() != '"' || string(p.unquote(v)) != "2.0") {
				p.refuse(CodeInvalidRequest, `jsonrpc must be "2.0"`)
			}
			return err
		case "id":
			v, err := p.dec.ReadValue()
			if err == nil {
				p.id(v)
			}
			return err
		case "method":
			p.sawMethod = true
			v, err := p.dec.ReadValue()
			if err != nil {
				return err
			}
			if v.Kind() != '"' || len(v) == len(`""`) {
				p.refuse(CodeInvalidRequest, "method must be a string, and not empty")
				return nil
			}
			p.env.Method = internMethod(p.unquote(v))
			return nil
		case "params":
			return p.params()
		case "result":
			p.sawResult, p.nullResult = true, p.dec.PeekKind() == 'n'
		case "error":
			p.sawError, p.nullError = true, p.dec.PeekKind() == 'n'
		}
		return p.skip()
	})
}

// params reads the parameters. MCP's are objects, always.
func (p *parser) params() (err error) {
	switch p.dec.PeekKind() {
	case '{':
	case 'n': // null says what leaving it out says
		return p.skip()
	default:
		p.refuse(CodeInvalidRequest, "params must be an object")
		return p.skip()
	}
	p.env.Params, err = p.spanned(func() error {
		return p.object(paramKeys, func(key string) error {
			switch key {
			case "name":
				return p.candidate(0)
			case "uri":
				return p.candidate(1)
			case "taskId":
				return p.candidate(2)
			case "_meta":
				return p.meta()
			}
			return p.skip()
		})
	})
	return err
}

func (p *parser) candidate(i int) error {
	v, err := p.dec.ReadValue()
	p.targets[i].span = p.last(v)
	return err
}

func (p *parser) meta() (err error) {
	switch p.dec.PeekKind() {
	case '{':
	case 'n':
		return p.skip()
	default:
		p.refuse(CodeInvalidParams, "params._meta must be an object")
		return p.skip()
	}
	m := &p.env.Meta
	m.Span, err = p.spanned(func() error {
		return p.object(metaKeys, func(key string) error {
			v, err := p.dec.ReadValue()
			if err != nil {
				return err
			}
			switch key {
			case metaProtocolVersion:
				m.HasVersion = true
				if v.Kind() != '"' {
					p.refuse(CodeInvalidParams, "params._meta "+metaProtocolVersion+" must be a string")
					return nil
				}
				m.ProtocolVersion = internRevision(p.unquote(v))
			case metaClientCapabilities:
				m.HasClientCapabilities = v.Kind() == '{'
			case metaProgressToken:
				m.ProgressToken = p.last(v)
			case metaTraceParent:
				m.TraceParent = p.last(v)
			case metaTraceState:
				m.TraceState = p.last(v)
			}
			return nil
		})
	})
	return err
}

// object reads an object, and has each take the value of every key; each is given
// the key if it is one of keys and "" for all others. Keys that only look like one
// of them are refused.
func (p *parser) object(keys keySet, each func(key string) error) error {
	if _, err := p.dec.ReadToken(); err != nil { // {
		return err
	}
	for p.dec.PeekKind() != '}' {
		v, err := p.dec.ReadValue()
		if err != nil {
			return err
		}
		key, variant := keys.match(p.unquote(v))
		if variant {
			p.refuse(CodeInvalidRequest, "a key differs from "+key+" in case or control characters only")
			key = ""
		}
		if err := each(key); err != nil {
			return err
		}
	}
	_, err := p.dec.ReadToken() // }
	return err
}

// spanned runs read, which reads one object, and returns where that is.
func (p *parser) spanned(read func() error) (Span, error) {
	start := int(p.dec.InputOffset())
	start += bytes.IndexByte(p.env.Raw[start:], '{') // over the colon and white space
	err := read()
	return Span{start, int(p.dec.InputOffset())}, err
}

func (p *parser) skip() error {
	_, err := p.dec.ReadValue()
	return err
}

// last is the span of the value just read.
func (p *parser) last(v jsontext.Value) Span {
	end := int(p.dec.InputOffset())
	return Span{end - len(v), end}
}

// unquote returns a string's text. It is good until the next call.
func (p *parser) unquote(v jsontext.Value) []byte {
	if len(v) < 2 || v[0] != '"' {
		return nil // not a string; ReadValue refuses it where a key must be one
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1]
	}
	p.name, _ = jsontext.AppendUnquote(p.name[:0], v) // cannot fail: v has been read as a string
	return p.name
}

const (
	maxIDString = 1 << 10
	maxIDDigits = 20
)

// id accepts what every reader keeps: a string, or an integer, which may be written
// with a fraction of nothing. A null is no id; whether there must be one shows later.
func (p *parser) id(v jsontext.Value) {
	if v.Kind() == 'n' {
		p.nullID = true
		return
	}
	p.sawID = true
	switch v.Kind() {
	case '"':
		if len(v)-len(`""`) > maxIDString {
			p.refuse(CodeInvalidRequest, "id is too long")
			return
		}
	case '0':
		digits, fraction, _ := bytes.Cut(bytes.TrimPrefix(v, []byte("-")), []byte("."))
		if len(digits)+len(fraction) > maxIDDigits {
			p.refuse(CodeInvalidRequest, "id is too long")
			return
		}
		if bytes.ContainsAny(digits, "eE") || len(bytes.Trim(fraction, "0")) > 0 {
			p.refuse(CodeInvalidRequest, "id must be a string or an integer")
			return
		}
	default:
		p.refuse(CodeInvalidRequest, "id must be a string or an integer")
		return
	}
	p.env.ID = v
}

// classify says what the message is, by which keys it has (JSON-RPC 2.0 §4, §5).
func (p *parser) classify() {
	p.sawError = p.sawError && !p.nullError // some programs write both, and one of them is null
	p.sawResult = p.sawResult && (!p.nullResult || !p.sawError)
	switch {
	case p.nullID && p.sawMethod && !strings.HasPrefix(p.env.Method, "notifications/"):
		p.refuse(CodeInvalidRequest, "id must be a string or an integer")
	case !p.sawVersion:
		p.refuse(CodeInvalidRequest, `jsonrpc must be "2.0"`)
	case p.sawMethod && (p.sawResult || p.sawError):
		p.refuse(CodeInvalidRequest, "message has a method and also a result or an error")
	case p.sawResult && p.sawError:
		p.refuse(CodeInvalidRequest, "message has both a result and an error")
	case p.sawResult && !p.sawID:
		p.refuse(CodeInvalidRequest, "response has no id")
	case !p.sawMethod && !p.sawResult && !p.sawError:
		p.refuse(CodeInvalidRequest, "message has no method")
	}
	switch {
	case p.sawMethod && p.sawID:
		p.env.Kind = KindRequest
	case p.sawMethod:
		p.env.Kind = KindNotification
	case p.sawResult || p.sawError:
		p.env.Kind = KindResponse
	}
}

// target picks what the method works on. Where it is missing, the backend's own
// answer to that is better than the gateway's.
func (p *parser) target() {
	key := targetParam(p.env.Method)
	for _, t := range p.targets {
		if t.key != key || !t.span.Present() {
			continue
		}
		v := jsontext.Value(p.env.Bytes(t.span))
		if v.Kind() != '"' {
			p.refuse(CodeInvalidParams, "params."+key+" must be a string")
			return
		}
		p.env.Target, p.env.TargetSpan = string(p.unquote(v)), t.span
	}
}

// syntaxError says what is wrong with the text, and where, without repeating it.
func (p *parser) syntaxError(err error) *Error {
	raw := p.env.Raw
	at := p.dec.InputOffset()
	if se, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at = se.ByteOffset
	}
	text := "message is not valid JSON"
	switch {
	case len(bytes.TrimSpace(raw)) == 0:
		return Errorf(http.StatusBadRequest, CodeParse, "message is empty")
	case bytes.HasPrefix(raw, []byte("\ufeff")):
		text = "message begins with a byte order mark"
	case !utf8.Valid(raw):
		text = "message is not valid UTF-8"
	case halfPair(raw, int(at)):
		text = "message has half of a surrogate pair, which is no character"
	case errors.Is(err, jsontext.ErrDuplicateName):
		text = "message has the same key twice in one object"
		if p.dec.StackDepth() == 1 { // it may be the id
			p.env.ID = nil
		}
	case errors.Is(err, errTrailing):
		text = "message is followed by more"
	}
	return Errorf(http.StatusBadRequest, CodeParse, "%s (byte %d)", text, at)
}

// halfPair reports whether the text at an offset is an escaped half of a character.
func halfPair(raw []byte, at int) bool {
	end := min(len(raw), max(at, 0)+len(`\uD800`))
	text := strings.ToLower(string(raw[max(0, at):end]))
	return strings.HasPrefix(text, `\ud`) && len(text) > 3 && text[3] >= '8'
}
