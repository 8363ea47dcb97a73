package mcp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// List is the answer to one of the list methods, read once. It is never changed:
// several requests may look at one at a time.
//
// Its spans and those of its items count from where the result begins, so that
// they hold for every answer that is the same but for its id (see Lists).
type List struct {
	Raw   []byte // the whole message
	Items []Item
	// CacheScope is the raw value of result.cacheScope: a list that is not the
	// same for everybody is not public (MCP 2026-07-28 caching).
	CacheScope Span

	// LeftOut is how many items are not in Raw, since two readers could read them
	// differently, and Why is what was wrong with the first.
	LeftOut int
	Why     error

	base int  // where the result begins in Raw
	id   Span // of the message, in Raw
}

// Item is one tool, prompt, resource or resource template of a List.
type Item struct {
	Span Span // the whole object
	// Name is what calls name: name, uri or uriTemplate, decoded. NameSpan is its
	// raw JSON string.
	Name        string
	NameSpan    Span
	Description Span // raw value
	Annotations Span // raw value
	Hints       Hints
}

// Hint is what a tool says of itself, if it does.
type Hint uint8

// The values of a Hint.
const (
	HintUnset Hint = iota
	HintFalse
	HintTrue
)

// Hints are the annotations of a tool that say what calling it may do (MCP tools).
// They are the server's word: as good as the server.
type Hints struct{ ReadOnly, Destructive, Idempotent, OpenWorld Hint }

// IsList reports whether the answer to a method is a List.
func IsList(method string) bool {
	key, _ := listKeys(method)
	return key != ""
}

// listKeys are the key of the items in the result, and of the name in an item.
func listKeys(method string) (items, name string) {
	switch method {
	case "tools/list":
		return "tools", "name"
	case "prompts/list":
		return "prompts", "name"
	case "resources/list":
		return "resources", "uri"
	case "resources/templates/list":
		return "resourceTemplates", "uriTemplate"
	}
	return "", ""
}

// ReadList reads a message that came in answer to a list method, strictly: an item
// that two readers could read differently could be shown to who may not see it. It
// returns nil for a message without a result, which has no items to hide: an error,
// or what came on the same stream before the answer. A message for which it returns
// an error must not be passed on. Errors do not repeat the text.
//
// An item that cannot be read strictly is left out, so that it costs nobody the rest
// (REQ G-8): what is passed on is the List's Raw, not raw.
//
// The List keeps raw.
func ReadList(raw []byte, method string) (*List, error) {
	l, err := readList(raw, method)
	if err == nil {
		return l, nil
	}
	rest, leftOut, why := withoutBad(raw, method)
	if leftOut == 0 {
		return nil, err
	}
	if l, err = readList(rest, method); err != nil || l == nil {
		return nil, err
	}
	l.LeftOut, l.Why = leftOut, why
	return l, nil
}

func readList(raw []byte, method string) (*List, error) {
	r := listReaders.Get().(*listReader)
	defer r.done()
	if tooMuch, _ := scan(raw, answerLimits()); tooMuch != nil {
		return nil, errors.New("read list: " + tooMuch.Message)
	}
	r.reset(raw, method)
	if err := r.message(); err != nil {
		return nil, fmt.Errorf("read list: %w", r.cause(err))
	}
	switch {
	case !r.sawResult:
		return nil, nil
	case r.sawMethod || r.sawError:
		return nil, errors.New("read list: message has a result and also a method or an error")
	case !r.list.id.Present():
		return nil, errors.New("read list: answer has no id")
	}
	l := r.list
	names := string(r.names) // one allocation for all of them
	for i := range l.Items {
		end := r.ends[i]
		start := 0
		if i > 0 {
			start = r.ends[i-1]
		}
		l.Items[i].Name = names[start:end]
	}
	return &l, nil
}

var listReaders = sync.Pool{New: func() any { return new(listReader) }}

// listReader reads one message in one pass.
type listReader struct {
	dec  jsontext.Decoder
	buf  bytes.Buffer // the decoder reads this type in place
	list List

	itemsKey, nameKey              string
	sawResult, sawMethod, sawError bool

	key   []byte // scratch for keys with escapes
	names []byte // the names of all items, one after the other
	ends  []int  // where each ends in names
}

func (r *listReader) reset(raw []byte, method string) {
	r.buf = *bytes.NewBuffer(raw)
	r.dec.Reset(&r.buf)
	r.list = List{Raw: raw}
	r.itemsKey, r.nameKey = listKeys(method)
	r.sawResult, r.sawMethod, r.sawError = false, false, false
	r.names, r.ends = r.names[:0], r.ends[:0]
}

func (r *listReader) done() {
	r.reset(nil, "") // the pool holds on to nobody's answer
	const keep = 1 << 16
	if cap(r.names) > keep || cap(r.ends) > keep {
		r.names, r.ends = nil, nil
	}
	listReaders.Put(r)
}

// refusal is a reason that is not about the JSON text itself.
type refusal string

func (r refusal) Error() string { return string(r) }

func (r *listReader) message() error {
	if r.dec.PeekKind() != '{' {
		if _, err := r.dec.ReadValue(); err != nil {
			return err
		}
		return refusal("message is not an object")
	}
	err := r.object(func(key []byte) error {
		name, variant := matchTop(key)
		if variant {
			return refusal("a key differs from " + name + " in upper and lower case only")
		}
		switch name {
		case "result":
			r.sawResult = true
			return r.result()
		case "method":
			r.sawMethod = true
		case "error":
			r.sawError = true
		case "id":
			v, err := r.dec.ReadValue()
			if k := v.Kind(); k == '"' || k == '0' {
				r.list.id = r.last(v)
			}
			return err
		}
		return r.skip()
	})
	if err != nil {
		return err
	}
	if _, err := r.dec.ReadToken(); err != io.EOF {
		return errTrailing
	}
	return nil
}

func (r *listReader) result() error {
	if r.dec.PeekKind() != '{' {
		return refusal("result is not an object")
	}
	at := int(r.dec.InputOffset())
	r.list.base = at + bytes.IndexByte(r.list.Raw[at:], '{') // over the colon and white space
	return r.object(func(key []byte) error {
		switch {
		case string(key) == r.itemsKey:
			return r.items()
		case string(key) == "cacheScope":
			v, err := r.dec.ReadValue()
			r.list.CacheScope = r.inResult(r.last(v))
			return err
		}
		if name, variant := variantOf(key, r.itemsKey, "cacheScope"); variant {
			return refusal("a key differs from " + name + " in upper and lower case only")
		}
		return r.skip()
	})
}

func (r *listReader) items() error {
	if r.dec.PeekKind() != '[' {
		return refusal(r.itemsKey + " is not an array")
	}
	if _, err := r.dec.ReadToken(); err != nil { // [
		return err
	}
	for r.dec.PeekKind() != ']' {
		if r.dec.PeekKind() != '{' {
			if err := r.skip(); err != nil {
				return err
			}
			return refusal("an item of " + r.itemsKey + " is not an object")
		}
		if err := r.item(); err != nil {
			return err
		}
	}
	_, err := r.dec.ReadToken() // ]
	return err
}

func (r *listReader) item() error {
	var it Item
	at := int(r.dec.InputOffset())
	at += bytes.IndexByte(r.list.Raw[at:], '{')
	err := r.object(func(key []byte) error {
		switch string(key) {
		case r.nameKey:
			v, err := r.dec.ReadValue()
			if err != nil {
				return err
			}
			if v.Kind() != '"' {
				return refusal(r.nameKey + " of an item is not a string")
			}
			it.NameSpan = r.inResult(r.last(v))
			r.names, err = jsontext.AppendUnquote(r.names, v)
			return err
		case "annotations":
			v, err := r.dec.ReadValue()
			if err != nil {
				return err
			}
			it.Annotations = r.inResult(r.last(v))
			it.Hints, err = ReadHints(v)
			return err
		case "description":
			v, err := r.dec.ReadValue()
			it.Description = r.inResult(r.last(v))
			return err
		}
		if name, variant := variantOf(key, r.nameKey, "annotations", "description"); variant {
			return refusal("a key of an item differs from " + name + " in upper and lower case only")
		}
		return r.skip()
	})
	if err != nil {
		return err
	}
	if !it.NameSpan.Present() {
		return refusal("an item of " + r.itemsKey + " has no " + r.nameKey)
	}
	it.Span = r.inResult(Span{at, int(r.dec.InputOffset())})
	r.list.Items = append(r.list.Items, it)
	r.ends = append(r.ends, len(r.names))
	return nil
}

// object reads an object, and has each take the value of every key.
func (r *listReader) object(each func(key []byte) error) error {
	if _, err := r.dec.ReadToken(); err != nil { // {
		return err
	}
	for r.dec.PeekKind() != '}' {
		v, err := r.dec.ReadValue()
		if err != nil {
			return err
		}
		key := v[1 : len(v)-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			r.key, _ = jsontext.AppendUnquote(r.key[:0], v) // cannot fail: v has been read as a string
			key = r.key
		}
		if err := each(key); err != nil {
			return err
		}
	}
	_, err := r.dec.ReadToken() // }
	return err
}

func (r *listReader) skip() error {
	_, err := r.dec.ReadValue()
	return err
}

// last is the span of the value just read, in the message.
func (r *listReader) last(v jsontext.Value) Span {
	end := int(r.dec.InputOffset())
	return Span{end - len(v), end}
}

func (r *listReader) inResult(s Span) Span { return Span{s.Start - r.list.base, s.End - r.list.base} }

// cause says what is wrong with the text, and where, without repeating it.
func (r *listReader) cause(err error) error {
	if _, ok := errors.AsType[refusal](err); ok {
		return err
	}
	at := r.dec.InputOffset()
	if se, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at = se.ByteOffset
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Errorf("message has the same key twice in one object (byte %d)", at)
	case errors.Is(err, errTrailing):
		return fmt.Errorf("message is followed by more (byte %d)", at)
	}
	return fmt.Errorf("message is not valid JSON (byte %d)", at)
}

// ReadHints reads the annotations of a tool. What is no object, and hints that are
// neither true nor false, say nothing.
func ReadHints(annotations []byte) (h Hints, err error) {
	err = Members(annotations, func(key, value []byte) bool {
		switch string(key) {
		case "readOnlyHint":
			h.ReadOnly = readHint(value)
		case "destructiveHint":
			h.Destructive = readHint(value)
		case "idempotentHint":
			h.Idempotent = readHint(value)
		case "openWorldHint":
			h.OpenWorld = readHint(value)
		}
		return true
	})
	if errors.Is(err, errNoObject) {
		err = nil
	}
	return h, err
}

func readHint(value []byte) Hint {
	switch string(value) {
	case "true":
		return HintTrue
	case "false":
		return HintFalse
	}
	return HintUnset
}
