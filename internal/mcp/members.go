package mcp

import (
	"bytes"
	"errors"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

var errNoObject = errors.New("read members: value is not an object")

// Members calls each with every member of a JSON object, the key decoded and the
// value raw, until each returns false. The key is good during the call only; the
// value points into object. The same key twice is an error.
func Members(object []byte, each func(key, value []byte) bool) error {
	m := memberReaders.Get().(*memberReader)
	defer m.done()
	m.reset(object)
	if m.dec.PeekKind() != '{' {
		return errNoObject
	}
	if _, err := m.dec.ReadToken(); err != nil { // {
		return m.syntax()
	}
	for m.dec.PeekKind() != '}' {
		v, err := m.dec.ReadValue()
		if err != nil {
			return m.syntax()
		}
		key := v[1 : len(v)-1]
		if bytes.IndexByte(key, '\\') >= 0 {
			m.key, _ = jsontext.AppendUnquote(m.key[:0], v) // cannot fail: v has been read as a string
			key = m.key
		}
		if v, err = m.dec.ReadValue(); err != nil {
			return m.syntax()
		}
		end := int(m.dec.InputOffset())
		if !each(key, object[end-len(v):end:end]) {
			return nil
		}
	}
	return nil
}

// Member returns the raw value of one member of a JSON object, nil if it has none.
// A key that differs from the one asked for in upper and lower case only is an
// error: some readers would take it for that one.
func Member(object []byte, key string) (value []byte, err error) {
	variant := false
	err = Members(object, func(k, v []byte) bool {
		if string(k) == key {
			value = v
		} else if foldEqual(k, key) {
			variant = true
		}
		return true
	})
	if err == nil && variant {
		err = errors.New("read members: a key differs from " + key + " in upper and lower case only")
	}
	if err != nil {
		return nil, err
	}
	return value, nil
}

// HasObject reports whether there is an object at the end of a path of objects.
func HasObject(object []byte, path ...string) bool {
	for _, key := range path {
		var err error
		if object, err = Member(object, key); err != nil || object == nil {
			return false
		}
	}
	return len(object) > 0 && object[0] == '{'
}

// Text decodes a raw JSON string. ok is false for any other value.
func Text(value []byte) (text string, ok bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	b, err := jsontext.AppendUnquote(nil, value)
	return string(b), err == nil
}

// Texts decodes a raw JSON array of strings. ok is false for anything else.
func Texts(value []byte) (all []string, ok bool) {
	m := memberReaders.Get().(*memberReader)
	defer m.done()
	m.reset(value)
	if m.dec.PeekKind() != '[' {
		return nil, false
	}
	_, _ = m.dec.ReadToken() // [
	for m.dec.PeekKind() == '"' {
		v, err := m.dec.ReadValue()
		if err != nil {
			return nil, false
		}
		text, _ := Text(v)
		all = append(all, text)
	}
	_, err := m.dec.ReadToken() // ]
	return all, err == nil && m.dec.StackDepth() == 0
}

var memberReaders = sync.Pool{New: func() any { return new(memberReader) }}

type memberReader struct {
	dec jsontext.Decoder
	buf bytes.Buffer // the decoder reads this type in place
	key []byte       // scratch for keys with escapes
}

func (m *memberReader) reset(b []byte) {
	m.buf = *bytes.NewBuffer(b)
	m.dec.Reset(&m.buf)
}

func (m *memberReader) done() {
	m.reset(nil) // the pool holds on to nobody's message
	memberReaders.Put(m)
}

func (m *memberReader) syntax() error { return errors.New("read members: value is not valid JSON") }

// Elements calls each with every element of a JSON array, raw, until each returns
// false. What is no array is an error.
func Elements(array []byte, each func(value []byte) bool) error {
	m := memberReaders.Get().(*memberReader)
	defer m.done()
	m.reset(array)
	if m.dec.PeekKind() != '[' {
		return errNoArray
	}
	_, _ = m.dec.ReadToken() // [
	for m.dec.PeekKind() != ']' {
		v, err := m.dec.ReadValue()
		if err != nil {
			return m.syntax()
		}
		end := int(m.dec.InputOffset())
		if !each(array[end-len(v) : end : end]) {
			return nil
		}
	}
	return nil
}

var errNoArray = errors.New("read elements: value is not an array")

// Path is the raw value at the end of a path of keys, nil when there is none.
func Path(object []byte, keys ...string) []byte {
	for _, key := range keys {
		value, err := Member(object, key)
		if err != nil || value == nil {
			return nil
		}
		object = value
	}
	return object
}

// PathText is the string at the end of a path of keys, "" when there is none.
func PathText(object []byte, keys ...string) string {
	s, _ := Text(Path(object, keys...))
	return s
}

// Without is an object without the members that drop names. What is no object, and an
// object that has none of them, stays as it is.
func Without(object []byte, drop func(key string) bool) []byte {
	out := []byte{'{'}
	dropped := false
	err := Members(object, func(key, value []byte) bool {
		if drop(string(key)) {
			dropped = true
			return true
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(AppendQuote(out, string(key)), ':'), value...)
		return true
	})
	if err != nil || !dropped {
		return object
	}
	return append(out, '}')
}
