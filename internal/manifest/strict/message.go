package strict

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

var (
	wrongType = regexp.MustCompile(`must be of type (\w+): "(\w+)"`)
	named     = regexp.MustCompile(`"([^"]+)"`)
	bracketed = regexp.MustCompile(`\[([^\]]*[^\]0-9][^\]]*)\]`)
)

// problem words an error of the engine for a person. It shows no value of the
// manifest, which may be a secret in the wrong place, but what a rule of ours
// names and the choice out of a fixed list.
func problem(o *manifest.Object, e *field.Error) manifest.Problem {
	path := bracketed.ReplaceAllString(e.Field, ".$1")
	message := e.Detail
	switch e.Type {
	case field.ErrorTypeRequired:
		message = "is required; add it"
	case field.ErrorTypeNotSupported:
		message = unsupported(e)
	case field.ErrorTypeDuplicate:
		message = "is there twice; keep one"
	case field.ErrorTypeTypeInvalid:
		if m := wrongType.FindStringSubmatch(e.Detail); m != nil {
			message = fmt.Sprintf("must be %s, and is %s", typeName(m[1]), typeName(m[2]))
		}
	default:
		if _, after, ok := strings.Cut(message, " in body "); ok {
			message = after
		}
	}
	return o.Problem(narrow(o, path, message), "%s", message)
}

func unsupported(e *field.Error) string {
	value := fmt.Sprint(e.BadValue)
	var known []string
	for _, m := range named.FindAllStringSubmatch(e.Detail, -1) {
		known = append(known, m[1])
	}
	return fmt.Sprintf("%q is not one of %s%s", value, strings.Join(known, ", "), manifest.DidYouMean(value, known))
}

// typeName names a type of JSON schema.
func typeName(t string) string {
	switch t {
	case "string":
		return "text"
	case "integer":
		return "a whole number"
	case "number":
		return "a number"
	case "boolean":
		return "true or false"
	case "array":
		return "a list"
	case "object":
		return "a mapping"
	default:
		return t
	}
}

// narrow leads from a list or mapping to the item that a message names, since
// rules can only point at the whole: the line to change is the item's.
func narrow(o *manifest.Object, path, message string) string {
	m := named.FindStringSubmatch(message)
	if m == nil {
		return path
	}
	switch value := lookup(o.Raw, path).(type) {
	case map[string]any:
		if _, ok := value[m[1]]; ok {
			return path + "." + m[1]
		}
	case []any:
		for i, item := range value {
			fields, _ := item.(map[string]any)
			if item == any(m[1]) || slices.Contains(slices.Collect(maps.Values(fields)), any(m[1])) {
				return fmt.Sprintf("%s[%d]", path, i)
			}
		}
	}
	return path
}

// lookup returns what stands at a path of plain names.
func lookup(value any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		fields, _ := value.(map[string]any)
		value = fields[name]
	}
	return value
}

// suggest names the field that was probably meant by an unknown one.
func (k *kindSchema) suggest(path string) string {
	around, name := "", path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		around, name = path[:i], path[i+1:]
	}
	s := k.structural
	for step := range strings.FieldsFuncSeq(around, func(r rune) bool { return r == '.' || r == '[' }) {
		property, ok := s.Properties[step]
		switch {
		case ok:
			s = &property
		case s.Items != nil && strings.HasSuffix(step, "]"):
			s = s.Items
		case s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil:
			s = s.AdditionalProperties.Structural
		default:
			return ""
		}
	}
	return manifest.DidYouMean(name, slices.Sorted(maps.Keys(s.Properties)))
}
