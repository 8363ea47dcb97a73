package clientconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tailscale/hujson"
)

// parseJSON reads JSON with comments and trailing commas, as editors keep it; nothing at all is an empty object.
func parseJSON(text []byte) (map[string]any, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return map[string]any{}, nil
	}
	tree, err := parseTree(text)
	if err != nil {
		return nil, err
	}
	tree.Standardize()
	var document map[string]any
	if err := json.Unmarshal(tree.Pack(), &document); err != nil || document == nil {
		return nil, errors.New("must hold a JSON object")
	}
	return document, nil
}

func parseTree(text []byte) (hujson.Value, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		text = []byte("{}\n")
	}
	// The tree is made of the text itself, and changed in place.
	tree, err := hujson.Parse(bytes.Clone(bytes.TrimPrefix(text, []byte("\ufeff"))))
	if err != nil {
		err = errors.New(strings.TrimPrefix(err.Error(), "hujson: ")) // with line and column
	}
	return tree, err
}

// setJSON writes an entry into the object at a path, in the style of the file around it.
func setJSON(text []byte, path []string, name string, entry []member) ([]byte, error) {
	tree, err := parseTree(text)
	if err != nil {
		return nil, err
	}
	servers := tree.Value.(*hujson.Object) // parseJSON has seen it
	step, line := indentOf(servers), "\n"
	for _, within := range path {
		held := memberOf(servers, within)
		if held == nil {
			held = put(servers, within, &hujson.Object{}, line+step, line)
		}
		servers, line = held.(*hujson.Object), line+step
	}
	var b strings.Builder
	writeEntry(&b, entry, line+step, step)
	value, err := hujson.Parse([]byte(b.String()))
	if err != nil {
		return nil, err
	}
	put(servers, name, value.Value, line+step, line)
	return tree.Pack(), nil
}

// writeEntry writes an entry over several lines; line is what each begins with.
func writeEntry(b *strings.Builder, entry []member, line, step string) {
	b.WriteByte('{')
	for i, m := range entry {
		value, _ := json.Marshal(m.value) // strings, lists of them and booleans
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "%s%s%q: %s", line, step, m.name, unescaped(value))
	}
	b.WriteString(line + "}")
}

// unescaped writes the & of a URL as people do.
func unescaped(value []byte) string {
	return strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(string(value))
}

// put gives a member of an object its value, behind all others where it is new.
func put(o *hujson.Object, name string, value hujson.ValueTrimmed, before, after string) hujson.ValueTrimmed {
	for i := range o.Members {
		if nameOf(&o.Members[i]) == name {
			o.Members[i].Value.Value = value
			return value
		}
	}
	m := hujson.ObjectMember{
		Name:  hujson.Value{Value: hujson.String(name), BeforeExtra: []byte(before)},
		Value: hujson.Value{Value: value, BeforeExtra: []byte(" ")},
	}
	if n := len(o.Members); n > 0 {
		last := &o.Members[n-1].Value
		if last.AfterExtra != nil {
			m.Value.AfterExtra = []byte{} // the file has a comma behind the last member
		}
		// A comment behind the last member stays behind it: the comma comes before.
		if kept, rest, _ := strings.Cut(string(o.AfterExtra), "\n"); strings.TrimSpace(kept) != "" {
			m.Name.BeforeExtra = []byte(kept + before)
			o.AfterExtra = []byte("\n" + rest)
		}
	}
	if !bytes.Contains(o.AfterExtra, []byte{'\n'}) {
		o.AfterExtra = append(o.AfterExtra, after...)
	}
	o.Members = append(o.Members, m)
	return value
}

func removeJSON(text []byte, path []string, name string) ([]byte, error) {
	tree, err := parseTree(text)
	if err != nil {
		return nil, err
	}
	servers, ok := tree.Value.(*hujson.Object)
	for _, within := range path {
		if ok {
			servers, ok = memberOf(servers, within).(*hujson.Object)
		}
	}
	if ok {
		remove(servers, slices.IndexFunc(servers.Members, func(m hujson.ObjectMember) bool { return nameOf(&m) == name }))
	}
	return tree.Pack(), nil
}

// remove takes a member out with the comments above it. What stands on the line of the one before it stays there.
func remove(o *hujson.Object, i int) {
	m := o.Members[i]
	last := i == len(o.Members)-1
	o.Members = slices.Delete(o.Members, i, i+1)
	next := &o.AfterExtra
	if !last {
		next = &o.Members[i].Name.BeforeExtra
	} else if i > 0 { // whether there is a comma at the end stays
		o.Members[i-1].Value.AfterExtra = m.Value.AfterExtra
	}
	if line, _, more := bytes.Cut(m.Name.BeforeExtra, []byte{'\n'}); more && len(bytes.TrimSpace(line)) > 0 {
		*next = slices.Concat(line, *next)
	}
}

func memberOf(o *hujson.Object, name string) hujson.ValueTrimmed {
	for i := range o.Members {
		if nameOf(&o.Members[i]) == name {
			return o.Members[i].Value.Value
		}
	}
	return nil
}

func nameOf(m *hujson.ObjectMember) string { return m.Name.Value.(hujson.Literal).String() }

// indentOf is what the file begins the lines of its members with.
func indentOf(o *hujson.Object) string {
	for i := range o.Members {
		before := string(o.Members[i].Name.BeforeExtra)
		if at := strings.LastIndexByte(before, '\n'); at >= 0 {
			if indent := before[at+1:]; indent != "" && strings.Trim(indent, " \t") == "" {
				return indent
			}
		}
	}
	return "  "
}

// entries are servers for people, in the order of their names.
func entries(servers map[string]any) []Entry {
	var out []Entry
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		out = append(out, Entry{Name: name, At: describe(servers[name])})
	}
	return out
}

// describe is where a server is: its URL without query and user, or the name of its command. Arguments and headers hold
// secrets.
func describe(server any) string {
	of, ok := server.(map[string]any)
	if !ok {
		return "not an object"
	}
	for _, name := range []string{"url", "httpUrl", "serverUrl"} {
		if at, ok := of[name].(string); ok {
			return withoutSecrets(at)
		}
	}
	switch command := of["command"].(type) {
	case string:
		return "command " + command
	case []any:
		if len(command) > 0 {
			return fmt.Sprint("command ", command[0])
		}
	}
	return "neither a URL nor a command"
}
