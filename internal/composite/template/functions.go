package template

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// function is what a template can call.
type function struct {
	usage    string
	min, max int  // arguments; 0 for any number at most
	lenient  bool // an argument that is not there is nil
	run      func(args []any) (any, error)
}

var functions = map[string]function{
	"and":      {usage: "and A B", min: 1},
	"or":       {usage: "or A B", min: 1},
	"not":      {usage: "not A", min: 1, max: 1, lenient: true, run: func(a []any) (any, error) { return !truth(a[0]), nil }},
	"eq":       {usage: "eq A B", min: 2, lenient: true, run: func(a []any) (any, error) { return equal(a), nil }},
	"ne":       {usage: "ne A B", min: 2, max: 2, lenient: true, run: func(a []any) (any, error) { return !equal(a), nil }},
	"lt":       ordered("lt A B", func(c int) bool { return c < 0 }),
	"le":       ordered("le A B", func(c int) bool { return c <= 0 }),
	"gt":       ordered("gt A B", func(c int) bool { return c > 0 }),
	"ge":       ordered("ge A B", func(c int) bool { return c >= 0 }),
	"len":      {usage: "len A", min: 1, max: 1, run: size},
	"index":    {usage: `index LIST 0 or index OBJECT "key"`, min: 2, run: index},
	"json":     {usage: "json A", min: 1, max: 1, lenient: true, run: func(a []any) (any, error) { return encode(a[0]) }},
	"fromJson": {usage: "fromJson TEXT", min: 1, max: 1, run: fromJSON},
	"quote":    {usage: "quote TEXT", min: 1, max: 1, run: quote},
	"default":  {usage: `default "B" A, or A | default "B"`, min: 2, max: 2, lenient: true, run: orDefault},
	"printf":   {usage: `printf "%s" A`, min: 1, run: printf},
}

var names = slices.Sorted(maps.Keys(functions))

// ordered is a function that compares numbers, or texts.
func ordered(usage string, is func(int) bool) function {
	return function{usage: usage, min: 2, max: 2, run: func(a []any) (any, error) {
		if x, ok := a[0].(string); ok {
			if y, ok := a[1].(string); ok {
				return is(strings.Compare(x, y)), nil
			}
		}
		x, ok := a[0].(json.Number)
		y, too := a[1].(json.Number)
		if !ok || !too {
			return nil, errors.New("it compares two numbers, or two texts")
		}
		c, err := compareNumbers(x, y)
		return is(c), err
	}}
}

// compareNumbers compares whole numbers as what they are, and others as floating point.
func compareNumbers(x, y json.Number) (int, error) {
	if i, err := x.Int64(); err == nil {
		if j, err := y.Int64(); err == nil {
			return cmp.Compare(i, j), nil
		}
	}
	f, err := x.Float64()
	g, other := y.Float64()
	return cmp.Compare(f, g), errors.Join(err, other)
}

// equal reports whether the first is any of the others.
func equal(a []any) bool {
	return slices.ContainsFunc(a[1:], func(b any) bool {
		x, ok := a[0].(json.Number)
		y, too := b.(json.Number)
		if ok && too {
			c, err := compareNumbers(x, y)
			return err == nil && c == 0
		}
		return reflect.DeepEqual(a[0], b)
	})
}

func size(a []any) (any, error) {
	var n int
	switch v := a[0].(type) {
	case string:
		n = len(v)
	case []any:
		n = len(v)
	case map[string]any:
		n = len(v)
	default:
		return nil, errors.New("it takes a text, a list or an object")
	}
	return json.Number(strconv.Itoa(n)), nil
}

// index goes down by keys and places in lists.
func index(a []any) (any, error) {
	v := a[0]
	for _, at := range a[1:] {
		switch of := v.(type) {
		case map[string]any:
			key, ok := at.(string)
			if !ok {
				return nil, errors.New("the members of an object are named by texts")
			}
			if v, ok = of[key]; !ok {
				return missing{"the member " + strconv.Quote(key)}, nil
			}
		case []any:
			n, ok := at.(json.Number)
			i, err := n.Int64()
			if !ok || err != nil {
				return nil, errors.New("the elements of a list are named by whole numbers")
			}
			if i < 0 || i >= int64(len(of)) {
				return missing{"the element " + n.String()}, nil
			}
			v = of[i]
		default:
			return nil, errors.New("it takes a list or an object")
		}
	}
	return v, nil
}

// encode is a value as JSON.
func encode(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func fromJSON(a []any) (any, error) {
	text, ok := a[0].(string)
	if !ok {
		return nil, errors.New("it takes a text; what is no text is read already")
	}
	v, err := Decode([]byte(text))
	if err != nil {
		return nil, errors.New("the text is no JSON")
	}
	return v, nil
}

// Decode reads one JSON value as templates take it.
func Decode(raw []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something stands behind the value")
	}
	return v, nil
}

func quote(a []any) (any, error) {
	text, err := textOf(a[0])
	return strconv.Quote(text), err
}

// orDefault is its second argument, or its first where there is nothing, or nothing in
// it.
func orDefault(a []any) (any, error) {
	switch v := a[1].(type) {
	case nil:
		return a[0], nil
	case string:
		if v == "" {
			return a[0], nil
		}
	}
	return a[1], nil
}

var verb = regexp.MustCompile(`%(%|[-+0]?[0-9]{0,3}(\.[0-9]{1,2})?[svdqtfg])`)

// fits reports whether a format has n verbs, and none but those that are known.
func fits(format string, n int) bool {
	for _, found := range verb.FindAllString(format, -1) {
		if found != "%%" {
			n--
		}
	}
	return n == 0 && !strings.Contains(verb.ReplaceAllString(format, ""), "%")
}

// printf writes values into a format that fits has seen.
func printf(a []any) (any, error) {
	format := a[0].(string)
	args := a[1:]
	var failed error
	text := verb.ReplaceAllStringFunc(format, func(one string) string {
		if one == "%%" {
			return "%"
		}
		v := args[0]
		args = args[1:]
		n, _ := v.(json.Number)
		switch one[len(one)-1] {
		case 'd':
			i, err := n.Int64()
			if err != nil {
				failed = errors.New("%d takes a whole number")
			}
			return fmt.Sprintf(one, i)
		case 'f', 'g':
			f, err := n.Float64()
			if err != nil {
				failed = errors.New("%f takes a number")
			}
			return fmt.Sprintf(one, f)
		case 't':
			is, ok := v.(bool)
			if !ok {
				failed = errors.New("%t takes true or false")
			}
			return fmt.Sprintf(one, is)
		}
		said, err := textOf(v)
		if err != nil {
			failed = err
		}
		return fmt.Sprintf(one, said)
	})
	return text, failed
}
