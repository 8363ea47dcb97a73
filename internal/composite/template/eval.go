package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// MaxText is the longest text that a template makes, in bytes, and the longest value
// within it.
const MaxText = 10 << 20

// NoValueError is a field that is not there, or null, where a value is needed.
type NoValueError struct{ Path string }

func (e *NoValueError) Error() string {
	return e.Path + ` has no value; a {{... | default "..."}} would give it one`
}

var errTooLarge = fmt.Errorf("the text gets longer than %d MiB", MaxText>>20)

// missing is the value of a field that is not there.
type missing struct{ path string }

// Text is the template with the values of data in the places of its expressions. Data is
// JSON as encoding/json reads it, with numbers as json.Number.
func (t *Template) Text(data map[string]any) (string, error) {
	var b strings.Builder
	err := write(&b, t.nodes, data)
	return b.String(), err
}

// Value is the value of a template that is one expression and nothing else; of others,
// the text.
func (t *Template) Value(data map[string]any) (any, error) {
	if !t.IsValue() {
		return t.Text(data)
	}
	v, err := eval(t.nodes[0].value, data)
	if err != nil {
		return nil, err
	}
	return v, needed(v)
}

// True reports whether the template says true: a text "true", or one expression whose
// value is.
func (t *Template) True(data map[string]any) (bool, error) {
	v, err := t.Value(data)
	if _, none := errors.AsType[*NoValueError](err); none {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if text, ok := v.(string); ok {
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "true":
			return true, nil
		case "false", "":
			return false, nil
		}
	}
	if is, ok := v.(bool); ok {
		return is, nil
	}
	return false, errors.New("it says neither true nor false; compare, as in {{eq .params.kind \"a\"}}")
}

func write(b *strings.Builder, nodes []node, data map[string]any) error {
	for _, n := range nodes {
		switch {
		case n.cond != nil:
			v, err := eval(n.cond, data)
			if err != nil {
				return err
			}
			branch := n.other
			if truth(v) {
				branch = n.then
			}
			if err := write(b, branch, data); err != nil {
				return err
			}
		case n.value != nil:
			v, err := eval(n.value, data)
			if err == nil {
				err = needed(v)
			}
			if err != nil {
				return err
			}
			text, err := textOf(v)
			if err != nil {
				return err
			}
			if b.Len()+len(text) > MaxText {
				return errTooLarge
			}
			b.WriteString(text)
		default:
			b.WriteString(n.text)
		}
	}
	return nil
}

// needed refuses what has no value.
func needed(v any) error {
	switch v := v.(type) {
	case missing:
		return &NoValueError{v.path}
	case nil:
		return &NoValueError{"what is null"}
	}
	return nil
}

func eval(e expr, data map[string]any) (any, error) {
	switch e := e.(type) {
	case constant:
		return e.value, nil
	case field:
		var v any = data
		if e.of != nil {
			var err error
			if v, err = eval(e.of, data); err != nil {
				return nil, err
			}
		}
		return get(v, e.path), nil
	case call:
		return e.run(data)
	}
	return nil, errors.New("there is no such expression")
}

// get goes down a path. Where there is nothing, the value is missing.
func get(v any, path []string) any {
	for i, name := range path {
		object, ok := v.(map[string]any)
		if !ok {
			return missing{"." + strings.Join(path, ".")}
		}
		if v, ok = object[name]; !ok {
			return missing{"." + strings.Join(path[:i+1], ".")}
		}
	}
	return v
}

// run calls a function. and and or stop where their result is known.
func (c call) run(data map[string]any) (any, error) {
	if c.name == "and" || c.name == "or" {
		var v any
		for _, arg := range c.args {
			var err error
			if v, err = eval(arg, data); err != nil {
				return nil, err
			}
			if truth(v) == (c.name == "or") {
				break
			}
		}
		if _, none := v.(missing); none {
			return false, nil
		}
		return v, nil
	}
	f := functions[c.name]
	args := make([]any, len(c.args))
	for i, arg := range c.args {
		v, err := eval(arg, data)
		if err != nil {
			return nil, err
		}
		if m, none := v.(missing); none {
			if !f.lenient {
				return nil, &NoValueError{m.path}
			}
			v = nil
		}
		args[i] = v
	}
	v, err := f.run(args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	if text, ok := v.(string); ok && len(text) > MaxText {
		return nil, errTooLarge
	}
	return v, nil
}

// textOf is how a value stands in a text.
func textOf(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return fmt.Sprint(v), nil
	}
	return encode(v)
}

// truth is false for nothing, zero, and what is empty.
func truth(v any) bool {
	switch v := v.(type) {
	case nil, missing:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case json.Number:
		n, err := v.Float64()
		return err != nil || n != 0
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

// IsValue reports whether the template is one expression and nothing else.
func (t *Template) IsValue() bool { return len(t.nodes) == 1 && t.nodes[0].value != nil }
