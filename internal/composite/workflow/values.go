package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/composite/template"
)

var errNoList = errors.New("the collection is no JSON array; write {{json .steps.ID.output.list}}")

func tooMany(n, limit int) error {
	return fmt.Errorf("the collection has %d elements, and maxIterations allows %d", n, limit)
}

const maxDepth = 64 // of arguments

// compiled is a value of a manifest, with its texts as templates. bad hears of those that
// cannot be read, and found of the others.
func compiled(v any, field string, found func(field string, t *template.Template), bad func(field, what string)) any {
	switch v := v.(type) {
	case string:
		if !strings.Contains(v, "{{") {
			return v
		}
		t, err := template.Parse(v)
		if err != nil {
			bad(field, err.Error())
			return v
		}
		found(field, t)
		return t
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, value := range v {
			object[key] = compiled(value, field+"."+key, found, bad)
		}
		return object
	case []any:
		list := make([]any, len(v))
		for i, value := range v {
			list[i] = compiled(value, fmt.Sprintf("%s[%d]", field, i), found, bad)
		}
		return list
	}
	return v
}

// expand is a compiled value with what its templates say. A member of an object that is
// one expression without a value is left out.
func expand(v any, data map[string]any) (any, error) {
	switch v := v.(type) {
	case *template.Template:
		return v.Value(data)
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, value := range v {
			made, err := expand(value, data)
			t, alone := value.(*template.Template)
			if _, none := errors.AsType[*template.NoValueError](err); none && alone && t.IsValue() {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			object[key] = made
		}
		return object, nil
	case []any:
		list := make([]any, len(v))
		for i, value := range v {
			made, err := expand(value, data)
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			list[i] = made
		}
		return list, nil
	}
	return v, nil
}

// fit makes a value one that a schema wants, as far as its type says so: templates make
// texts, and tools want numbers. What does not fit stays; the tool says why.
func fit(v any, schema map[string]any, depth int) any {
	if schema == nil || depth > maxDepth {
		return v
	}
	if kind, ok := schema["type"].(string); ok {
		if made, err := convert(v, kind); err == nil {
			v = made
		}
	}
	switch v := v.(type) {
	case map[string]any: // it may be that of a result, which others read
		properties, _ := schema["properties"].(map[string]any)
		object := make(map[string]any, len(v))
		for key, value := range v {
			of, _ := properties[key].(map[string]any)
			object[key] = fit(value, of, depth+1)
		}
		return object
	case []any:
		of, _ := schema["items"].(map[string]any)
		list := make([]any, len(v))
		for i := range v {
			list[i] = fit(v[i], of, depth+1)
		}
		return list
	}
	return v
}

// convert makes a value one of a type of JSON Schema.
func convert(v any, kind string) (any, error) {
	text, isText := v.(string)
	if kind == "string" {
		switch v := v.(type) {
		case string:
			return v, nil
		case json.Number:
			return v.String(), nil
		}
		raw, err := json.Marshal(v)
		return string(raw), err
	}
	if isText {
		decoded, err := template.Decode([]byte(strings.TrimSpace(text)))
		if err != nil {
			if is, err := strconv.ParseBool(text); err == nil && kind == "boolean" {
				return is, nil
			}
			return nil, fmt.Errorf("the text is no %s", kind)
		}
		v = decoded
	}
	ok := false
	switch kind {
	case "integer":
		var n json.Number
		if n, ok = v.(json.Number); ok {
			ok = !strings.ContainsAny(n.String(), ".eE")
		}
	case "number":
		_, ok = v.(json.Number)
	case "boolean":
		if n, isNumber := v.(json.Number); isNumber && isText && (n == "0" || n == "1") {
			return n == "1", nil
		}
		_, ok = v.(bool)
	case "object":
		_, ok = v.(map[string]any)
	case "array":
		_, ok = v.([]any)
	case "null":
		ok = v == nil
	}
	if !ok {
		return nil, fmt.Errorf("it is no %s", kind)
	}
	return v, nil
}

// plain is a value with the numbers of Go, which is how the schema library knows them.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		n, _ := v.Float64() // ±Inf beyond its range
		return n
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, value := range v {
			object[key] = plain(value)
		}
		return object
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	}
	return v
}

// Params are the arguments of a call of the tool, with defaults for those that are left
// out. The error says what does not fit the schema.
func (t *Tool) Params(arguments []byte) (map[string]any, error) {
	params := map[string]any{}
	if arguments != nil && string(arguments) != "null" { // as some clients write it where there are none
		v, err := template.Decode(arguments)
		object, ok := v.(map[string]any)
		if err != nil || !ok {
			return nil, errors.New("arguments is no object")
		}
		params = object
	}
	for name, value := range t.defaults {
		if _, given := params[name]; !given {
			params[name] = value
		}
	}
	if err := t.arguments.Validate(plain(params)); err != nil {
		return nil, short(err)
	}
	return params, nil
}

// Answer reads what a person has answered to a step's question.
func (s *Step) Answer(content []byte) (map[string]any, error) {
	if content == nil {
		content = []byte("{}")
	}
	v, err := template.Decode(content)
	object, ok := v.(map[string]any)
	if err != nil || !ok {
		return nil, errors.New("the answer is no object")
	}
	if err := s.answer.Validate(plain(object)); err != nil {
		return nil, fmt.Errorf("the answer does not fit the step's schema: %w", short(err))
	}
	return object, nil
}

// short is an error of validation without the schema that it quotes.
func short(err error) error {
	text := err.Error()
	if at := strings.LastIndex(text, "validating "); at >= 0 { // the innermost one
		text = text[at+len("validating "):]
	}
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return errors.New(text)
}

// property is a member of a result.
type property struct {
	kind     string
	value    *template.Template // nil for an object of properties
	members  map[string]property
	fallback any
	falls    bool // there is a fallback
}

// Result is what the tool returns, of the properties in its output.
func (t *Tool) Result(d *Data) ([]byte, error) {
	values := d.values(nil)
	result, err := object(t.properties, values, "")
	if err != nil {
		return nil, err
	}
	for _, name := range t.required {
		if result[name] == nil {
			return nil, fmt.Errorf("output.properties.%s has no value, and is required", name)
		}
	}
	return json.Marshal(result)
}

func object(properties map[string]property, values map[string]any, in string) (map[string]any, error) {
	made := make(map[string]any, len(properties))
	for name, p := range properties {
		if p.value == nil {
			members, err := object(p.members, values, in+name+".properties.")
			if err != nil {
				return nil, err
			}
			made[name] = members
			continue
		}
		v, err := p.value.Value(values)
		_, none := errors.AsType[*template.NoValueError](err)
		if err == nil {
			v, err = convert(v, p.kind)
		}
		switch {
		case err == nil:
			made[name] = v
		case p.falls:
			made[name] = p.fallback
		case !none:
			return nil, fmt.Errorf("output.properties.%s%s: %w", in, name, err)
		}
	}
	return made, nil
}
