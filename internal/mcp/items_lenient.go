package mcp

import (
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// withoutBad returns a list without those items that cannot be read strictly, how many
// they are, and what is wrong with the first. It is none where the items cannot be told
// from the rest without doubt.
func withoutBad(raw []byte, method string) (rest []byte, leftOut int, why error) {
	f := itemFinder{raw: raw}
	f.itemsKey, _ = listKeys(method)
	p := peekers.Get().(*peeker)
	defer p.done()
	p.reset(raw)
	f.dec = &p.dec
	if !f.find() {
		return nil, 0, nil
	}
	keep := make([]bool, len(f.items))
	for i, s := range f.items {
		err := checkItem(raw[s.Start:s.End], method)
		keep[i] = err == nil
		if err != nil {
			if leftOut++; why == nil {
				why = err
			}
		}
	}
	return Splice(raw, dropped(f.items, keep)...), leftOut, why
}

// itemFinder finds the items of a list in text that is JSON, but no more than that.
type itemFinder struct {
	raw      []byte
	dec      *jsontext.Decoder
	itemsKey string
	items    []Span
	found    int // how many objects or arrays there are that the items could be in
}

// find reports whether there is exactly one place for items.
func (f *itemFinder) find() bool {
	ok := f.member("result", func() bool {
		return f.member(f.itemsKey, f.array)
	})
	if _, err := f.dec.ReadToken(); err != io.EOF {
		return false
	}
	return ok && f.found == 2
}

// member reads an object, and has inside read the value of a key, which no other one
// looks like.
func (f *itemFinder) member(key string, inside func() bool) bool {
	if f.dec.PeekKind() != '{' {
		return false
	}
	_, _ = f.dec.ReadToken() // {
	ok := true
	for f.dec.PeekKind() == '"' {
		v, err := f.dec.ReadValue()
		if err != nil {
			return false
		}
		name, _ := jsontext.AppendUnquote(nil, v) // what is no UTF-8 in it is not the key
		if foldEqual(name, key) {
			f.found++
		}
		switch {
		case string(name) == key:
			ok = inside() && ok
		default:
			_, err = f.dec.ReadValue()
			ok = err == nil && ok
		}
		if !ok {
			return false
		}
	}
	_, err := f.dec.ReadToken() // }
	return err == nil && ok
}

func (f *itemFinder) array() bool {
	if f.dec.PeekKind() != '[' {
		return false
	}
	_, _ = f.dec.ReadToken() // [
	for k := f.dec.PeekKind(); k != ']'; k = f.dec.PeekKind() {
		v, err := f.dec.ReadValue()
		if err != nil {
			return false
		}
		end := int(f.dec.InputOffset())
		f.items = append(f.items, Span{end - len(v), end})
	}
	_, err := f.dec.ReadToken() // ]
	return err == nil
}

// checkItem says what is wrong with one item; nil for nothing.
func checkItem(raw []byte, method string) error {
	if tooMuch, _ := scan(raw, answerLimits()); tooMuch != nil {
		return refusal(tooMuch.Message)
	}
	r := listReaders.Get().(*listReader)
	defer r.done()
	r.reset(raw, method)
	if r.dec.PeekKind() != '{' {
		return refusal("an item of " + r.itemsKey + " is not an object")
	}
	if err := r.item(); err != nil {
		return fmt.Errorf("item: %w", r.cause(err))
	}
	return nil
}
