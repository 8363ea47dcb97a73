package tools

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Tool is one that a server has listed, as far as somebody who tries it wants to know.
type Tool struct {
	Name, About string
	Reads       bool // it says that it changes nothing
	Schema      []byte
}

// How much is kept of what a server lists.
const (
	maxTools  = 500
	maxListed = 256 << 10 // bytes
	maxFields = 40        // of the form of one tool
)

// Of reads what a server lists. What is odd is left out: it can be typed.
func Of(items [][]byte) (all []Tool) {
	size := 0
	for _, raw := range items {
		var it struct {
			Name, Title, Description string
			Annotations              json.RawMessage
			InputSchema              json.RawMessage
		}
		if size += len(raw); json.Unmarshal(raw, &it) != nil || it.Name == "" || size > maxListed || len(all) == maxTools {
			continue
		}
		hints, err := mcp.ReadHints(it.Annotations)
		about := it.Description
		if it.Title != "" && it.Title != it.Name {
			about = strings.TrimSpace(it.Title + ". " + about)
		}
		all = append(all, Tool{Name: it.Name, About: about, Reads: err == nil && hints.ReadOnly == mcp.HintTrue, Schema: it.InputSchema})
	}
	slices.SortFunc(all, func(a, b Tool) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Field is one of a form's: an argument of a tool.
type Field struct {
	Name, About string
	Kind        Kind
	Choices     []string // of text, where there are no others
	Required    bool
}

// Kind is the letter that says how what is typed becomes JSON.
type Kind string

// The kinds.
const (
	Text  Kind = "s"
	Int   Kind = "i"
	Num   Kind = "n"
	Bool  Kind = "b"
	Other Kind = "j" // JSON as it is
)

// Fields are those of a tool's arguments, in the order of its schema.
func (t *Tool) Fields() (all []Field) {
	required, _ := mcp.Texts(mcp.Path(t.Schema, "required"))
	_ = mcp.Members(mcp.Path(t.Schema, "properties"), func(key, value []byte) bool { // without any there are none
		var p struct {
			Type        any
			Title       string
			Description string
			Enum        []string
		}
		f := Field{Name: string(key), Kind: Other, Required: slices.Contains(required, string(key))}
		if err := json.Unmarshal(value, &p); err == nil || errors.As(err, new(*json.UnmarshalTypeError)) { // an enum of something else than text
			f.About = p.Description
			if f.About == "" {
				f.About = p.Title
			}
			switch {
			case p.Type == "string" && err == nil:
				f.Kind, f.Choices = Text, p.Enum
			case p.Type == "string":
				f.Kind = Text
			case p.Type == "integer":
				f.Kind = Int
			case p.Type == "number":
				f.Kind = Num
			case p.Type == "boolean":
				f.Kind = Bool
			}
		}
		all = append(all, f)
		return len(all) < maxFields
	})
	return all
}

// Prefix begins the names of a form's fields that are arguments: it is followed by their
// kind, a point and their own name.
const Prefix = "arg."

// errArgument says which argument is not what it has to be.
type errArgument struct{ name, want string }

func (e *errArgument) Error() string { return "The argument “" + e.name + "” is " + e.want + "." }

// Arguments makes the arguments of a form, JSON as text: what stands there as JSON, or what
// the fields have, without those that are empty.
func Arguments(form url.Values) (string, error) {
	if whole := strings.TrimSpace(form.Get("arguments")); whole != "" {
		return whole, nil
	}
	var members []mcp.Field
	for _, key := range slices.Sorted(func(yield func(string) bool) {
		for key := range form {
			if !yield(key) {
				return
			}
		}
	}) {
		rest, ok := strings.CutPrefix(key, Prefix)
		kind, name, cut := strings.Cut(rest, ".")
		typed := form.Get(key)
		if !ok || !cut || typed == "" {
			continue
		}
		value, err := valueOf(Kind(kind), name, typed)
		if err != nil {
			return "", err
		}
		members = append(members, mcp.Field{Name: name, Value: value})
	}
	if members == nil {
		return "", nil
	}
	return string(mcp.Merge(nil, members)), nil
}

func valueOf(kind Kind, name, typed string) ([]byte, error) {
	raw := []byte(strings.TrimSpace(typed))
	number := json.Valid(raw) && len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
	switch kind {
	case Text:
		return mcp.Quote(typed), nil
	case Int:
		if !number || strings.ContainsAny(string(raw), ".eE") {
			return nil, &errArgument{name, "a whole number"}
		}
	case Num:
		if !number {
			return nil, &errArgument{name, "a number"}
		}
	case Bool:
		if typed != "true" && typed != "false" {
			return nil, &errArgument{name, "true or false"}
		}
	default:
		if !json.Valid(raw) {
			return nil, &errArgument{name, "JSON, like [1, 2] or {\"a\": 1}"}
		}
	}
	return raw, nil
}
