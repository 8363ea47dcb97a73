package manifest

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// maxData is how much a cluster lets one Secret or ConfigMap hold, in bytes.
const maxData = 1 << 20

// Secret is a v1/Secret.
type Secret struct {
	*Object
	Type string // such as Opaque; has no effect
	// Data are the values of data, decoded, and stringData, which wins.
	Data map[string]secret.Value
}

// ConfigMap is a v1/ConfigMap.
type ConfigMap struct {
	*Object
	Data       map[string]string
	BinaryData map[string][]byte
}

// readData reads a Secret or ConfigMap out of Raw, and leaves nothing of what
// it holds there: Raw ends up in comparisons and messages.
func (o *Object) readData() Problems {
	r := dataReader{object: o, raw: o.Raw}
	o.Raw = map[string]any{"apiVersion": o.Raw["apiVersion"], "kind": o.Raw["kind"], "metadata": o.Raw["metadata"]}
	if o.Kind == "Secret" {
		r.known("data", "stringData", "type", "immutable")
		s := &Secret{Object: o, Data: map[string]secret.Value{}}
		s.Type, _ = r.raw["type"].(string)
		r.each("data", r.base64, func(key, value string) { s.Data[key] = secret.New(value) })
		r.each("stringData", nil, func(key, value string) { s.Data[key] = secret.New(value) })
		if t, ok := r.raw["type"]; ok && s.Type == "" {
			r.problem("type", "must be text, and is %s", typeName(t))
		}
		o.typed = s
	} else {
		r.known("data", "binaryData", "immutable")
		c := &ConfigMap{Object: o, Data: map[string]string{}, BinaryData: map[string][]byte{}}
		r.each("data", nil, func(key, value string) { c.Data[key] = value })
		r.each("binaryData", r.base64, func(key, value string) { c.BinaryData[key] = []byte(value) })
		o.typed = c
	}
	if _, isBool := r.raw["immutable"].(bool); r.raw["immutable"] != nil && !isBool {
		r.problem("immutable", "must be true or false, and is %s", typeName(r.raw["immutable"]))
	}
	if r.size > maxData {
		r.problem("data", "holds more than %d MiB, which is what a cluster takes; split it", maxData>>20)
	}
	return r.problems
}

// dataReader reads the maps of a Secret or ConfigMap. No message of it shows a value.
type dataReader struct {
	object   *Object
	raw      map[string]any
	size     int
	problems Problems
}

func (r *dataReader) problem(field, format string, args ...any) {
	r.problems = append(r.problems, r.object.Problem(field, format, args...))
}

// known refuses all fields but those named and the envelope.
func (r *dataReader) known(names ...string) {
	for _, name := range slices.Sorted(maps.Keys(r.raw)) {
		switch {
		case name == "apiVersion" || name == "kind" || name == "metadata" || slices.Contains(names, name):
		default:
			r.problem(name, "unknown field%s", cmp.Or(DidYouMean(name, names), "; remove it"))
		}
	}
}

// each hands the values of one map to take, decoded.
func (r *dataReader) each(field string, decode func(string) (string, error), take func(key, value string)) {
	if r.raw[field] == nil {
		return
	}
	values, ok := r.raw[field].(map[string]any)
	if !ok {
		r.problem(field, "must map keys to text, and is %s", typeName(r.raw[field]))
		return
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		at := field + "." + key
		if len(validation.IsConfigMapKey(key)) > 0 {
			r.problem(at, "a key is made of letters, digits, hyphens, underscores and dots, at most 253")
		}
		value, ok := values[key].(string)
		if !ok {
			r.problem(at, "must be text, and is %s; put it in quotes", typeName(values[key]))
			continue
		}
		if decode != nil {
			var err error
			if value, err = decode(value); err != nil {
				r.problem(at, "%v", err)
				continue
			}
		}
		r.size += len(value)
		take(key, value)
	}
}

func (r *dataReader) base64(value string) (string, error) {
	decoded, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		if r.object.Kind == "Secret" {
			return "", fmt.Errorf("is not base64; encode it, or put it under stringData as it is")
		}
		return "", fmt.Errorf("is not base64; encode it, or put it under data as it is")
	}
	return string(decoded), nil
}

// typeName names the type of a JSON value for a person.
func typeName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case int64, float64:
		return "a number"
	case string:
		return "text"
	case []any:
		return "a list"
	default:
		return "a mapping"
	}
}
