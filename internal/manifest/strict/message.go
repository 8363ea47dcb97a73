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
	quoted    = regexp.MustCompile(`"([^"]*)"`)
	list      = regexp.MustCompile(`\[("[^"]*"(, )?)+\]`) // as CEL writes a list of names
	bracketed = regexp.MustCompile(`\[([^\]]*[^\]0-9][^\]]*)\]`)
)

// word puts an error of the engine into words for a person. It shows no value
// of the manifest, which may be a secret in the wrong place, but what a rule of
// ours names and the choice out of a fixed list.
//
// Rules can only point at a whole list or mapping. What they name in it becomes
// a problem each, at its own line.
func word(o *manifest.Object, e *field.Error) manifest.Problems {
	path := bracketed.ReplaceAllString(e.Field, ".$1")
	message := describe(e)
	names := list.FindString(message)
	if names == "" {
		names = quoted.FindString(message)
	}
	var problems manifest.Problems
	taken := map[string]int{}
	for _, name := range quoted.FindAllStringSubmatch(names, -1) {
		at := path
		if places := within(o.Raw, path, name[1]); len(places) > 0 {
			at = places[min(taken[name[1]], len(places)-1)]
		}
		taken[name[1]]++
		problems = append(problems, o.Problem(at, "%s", strings.Replace(message, names, name[0], 1)))
	}
	if len(problems) == 0 {
		problems = append(problems, o.Problem(path, "%s", message))
	}
	return problems
}

func describe(e *field.Error) string {
	switch e.Type {
	case field.ErrorTypeRequired:
		return "is required; add it"
	case field.ErrorTypeNotSupported:
		return unsupported(e)
	case field.ErrorTypeDuplicate:
		return "duplicate; keep one"
	case field.ErrorTypeTypeInvalid:
		if m := wrongType.FindStringSubmatch(e.Detail); m != nil {
			return fmt.Sprintf("must be %s, and is %s%s", typeName(m[1]), typeName(m[2]), remedy(m[1], m[2]))
		}
	}
	_, message, ok := strings.Cut(e.Detail, " in body ")
	if !ok {
		return e.Detail
	}
	if better, ok := plainer[message]; ok {
		return better
	}
	return message
}

// plainer are plainer words for some of what the engine says.
var plainer = map[string]string{
	"should be at least 1 chars long":                              "must not be empty",
	"should have at least 1 items":                                 "must not be empty",
	"should have at least 1 properties":                            "must not be empty",
	`should match '^[^\x00]*$'`:                                    "must not hold the character NUL",
	`should match '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'`: "must be the value of a label: letters, digits, hyphens, underscores and dots, beginning and ending with a letter or digit",
}

// remedy says what to do about a value of the wrong type, where that is clear.
func remedy(want, got string) string {
	switch {
	case want == "string" && (got == "integer" || got == "number" || got == "boolean"):
		return "; put it in quotes"
	case (want == "integer" || want == "boolean") && got == "string":
		return "; take away the quotes"
	default:
		return ""
	}
}

func unsupported(e *field.Error) string {
	value := fmt.Sprint(e.BadValue)
	var known []string
	for _, m := range quoted.FindAllStringSubmatch(e.Detail, -1) {
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

// within returns the paths of what bears a name in the list or mapping at path:
// a key, an item, or an item that has the name in one of its fields.
func within(raw map[string]any, path, name string) []string {
	var paths []string
	switch value := lookup(raw, path).(type) {
	case map[string]any:
		if _, ok := value[name]; ok && name != "" {
			paths = append(paths, path+"."+name)
		}
	case []any:
		for i, item := range value {
			fields, _ := item.(map[string]any)
			if item == any(name) || slices.Contains(slices.Collect(maps.Values(fields)), any(name)) {
				paths = append(paths, fmt.Sprintf("%s[%d]", path, i))
			}
		}
	}
	return paths
}

// lookup returns what stands at a path of plain names.
func lookup(value any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		fields, _ := value.(map[string]any)
		value = fields[name]
	}
	return value
}

// suggest says what to do about an unknown field.
func (k *kindSchema) suggest(path string) string {
	around, name := "", path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		around, name = path[:i], path[i+1:]
	}
	known := k.fields(around)
	if hint := manifest.DidYouMean(name, known); hint != "" {
		return hint
	}
	switch {
	case name == "namespace" && slices.Contains(known, "name"):
		return "; a reference stays within its namespace, remove it"
	// The next two are in ToolHive's documentation, and in no schema.
	case name == "maxRetries" && slices.Contains(known, "retryCount"):
		return "; it is retryCount, beside action: retry"
	case name == "failureMode" && slices.Contains(known, "steps"):
		return "; remove it, and set onError.action: continue at steps after which the others go on"
	}
	return "; remove it"
}

// fields returns the names that the schema knows at a path.
func (k *kindSchema) fields(path string) []string {
	s := k.structural
	for step := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '.' || r == '[' }) {
		if s = below(s, step); s == nil {
			return nil
		}
	}
	return slices.Sorted(maps.Keys(s.Properties))
}
