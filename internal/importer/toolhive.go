package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// toolHive edits ToolHive's manifests into ours: the group, names that fields had in older versions, and nothing else.
// Fields that are refused here by name are taken out, and noted with the reason that check would give.
func (in *input) toolHive(text []byte) (*Result, error) {
	result := &Result{Format: "manifests of ToolHive"}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	ours := false
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
		}
		if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
			continue
		}
		d := &document{root: doc.Content[0]}
		ours = ours || d.isToolHives()
		result.Entries = append(result.Entries, d.entry())
	}
	if !ours {
		return nil, errors.New("is neither a file of MCP servers (mcp.json and its relatives), nor a manifest of ToolHive, nor an export of ContextForge")
	}
	return result, nil
}

// document is one YAML document on its way.
type document struct {
	root  *yaml.Node
	notes []string
	more  string // further documents
}

func (d *document) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

func (d *document) text(path ...string) string {
	if n := get(d.root, path...); n != nil && n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return ""
}

func (d *document) isToolHives() bool {
	return strings.HasPrefix(d.text("apiVersion"), "toolhive.stacklok.dev/")
}

func (d *document) entry() Entry {
	kind, name := d.text("kind"), d.text("metadata", "name")
	e := Entry{Name: kind + "/" + name}
	switch {
	case d.isToolHives():
	case d.text("apiVersion") == "v1" && kind == "Secret":
		return d.secret(e, name)
	case d.text("apiVersion") == "v1" && kind == "ConfigMap":
		e.As = e.Name
		e.Manifests = d.render()
		return e
	default:
		e.LeftOut = "is no resource of ToolHive"
		return e
	}
	d.rename(kind)
	set(d.root, scalar(v1alpha1.APIVersion), "apiVersion")
	remove(d.root, "status")
	if why := d.takeOut(); why != "" {
		e.LeftOut = why
		return e
	}
	e.As, e.Notes, e.Manifests = e.Name, d.notes, d.render()+d.more
	return e
}

// secret takes a Secret's values out of what is shown.
func (d *document) secret(e Entry, name string) Entry {
	e.As = e.Name
	for _, field := range []string{"stringData", "data"} {
		values := get(d.root, field)
		for i := 0; values != nil && i+1 < len(values.Content); i += 2 {
			value := values.Content[i+1].Value
			if field == "data" {
				plain, err := decodeBase64(value)
				if err != nil {
					e.LeftOut = fmt.Sprintf("data.%s is no base64", values.Content[i].Value)
					return e
				}
				value = plain
			}
			e.Secrets = append(e.Secrets, Secret{Name: name, Key: values.Content[i].Value, Value: secret.New(value)})
		}
	}
	return e
}

// renames are names that fields of spec had before v1beta1.
var renames = []struct{ old, now string }{
	{"port", "proxyPort"},
	{"targetPort", "mcpPort"},
	{"remoteURL", "remoteUrl"},
}

// rename gives fields the names and shapes that they have since v1beta1.
func (d *document) rename(kind string) {
	spec := get(d.root, "spec")
	if spec == nil {
		return
	}
	for _, r := range renames {
		if value := get(spec, r.old); value != nil {
			if get(spec, r.now) == nil {
				set(spec, value, r.now)
				d.note("spec.%s is called %s now", r.old, r.now)
			}
			remove(spec, r.old)
		}
	}
	for _, old := range [][]string{{"config", "groupRef"}, {"config", "group"}} {
		if value := get(spec, old...); value != nil && kind == "VirtualMCPServer" {
			if get(spec, "groupRef") == nil {
				set(spec, value, "groupRef")
				d.note("spec.%s is spec.groupRef now", strings.Join(old, "."))
			}
			remove(get(spec, old[:1]...), old[1])
		}
	}
	if ref := get(spec, "groupRef"); ref != nil && ref.Kind == yaml.ScalarNode {
		*ref = yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar("name"), scalar(ref.Value)}}
		d.note("spec.groupRef is an object with a name now")
	}
	if tools := get(spec, "tools"); tools != nil && tools.Kind == yaml.SequenceNode && kind == "MCPServer" {
		name := d.text("metadata", "name") + "-tools"
		config := mapping("apiVersion", scalar(v1alpha1.APIVersion), "kind", scalar("MCPToolConfig"),
			"metadata", mapping("name", scalar(name)), "spec", mapping("toolsFilter", tools))
		d.more = "---\n" + (&document{root: config}).render()
		remove(spec, "tools")
		set(spec, mapping("name", scalar(name)), "toolConfigRef")
		d.note("spec.tools is in the MCPToolConfig %s now", name)
	}
}

// takeOut removes what is refused by name, with the reason in a note, until nothing is: what was around a field may be
// refused as well. What else is wrong is for check to say, with line and column.
func (d *document) takeOut() (leftOut string) {
	for range 100 {
		r := manifest.Reader{Paths: []string{manifest.Stdin}, Stdin: strings.NewReader(d.render())}
		set, err := r.Load()
		problems, _ := errors.AsType[manifest.Problems](err)
		problems = append(problems, strict.Validate(set)...)
		removed := false
		for _, p := range problems {
			switch {
			case p.Field == "kind" || strings.Contains(p.Message, "is not supported") && p.Field == "":
				return p.Message
			case strings.Contains(p.Message, "is not supported"), strings.Contains(p.Message, "unknown field"):
				if removePath(d.root, p.Field) {
					d.note("%s is left out: %s", p.Field, p.Message)
					removed = true
				}
			}
		}
		if !removed {
			return ""
		}
	}
	return ""
}

func (d *document) render() string {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(d.root), enc.Close()); err != nil {
		return ""
	}
	return b.String()
}

// removePath removes what stands at a path such as spec.steps[0].tool; an entry of a list as well.
func removePath(root *yaml.Node, path string) bool {
	steps := strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
	at := root
	for i, step := range steps {
		last := i == len(steps)-1
		switch at.Kind {
		case yaml.MappingNode:
			if last {
				return remove(at, step)
			}
			if at = get(at, step); at == nil {
				return false
			}
		case yaml.SequenceNode:
			n, err := strconv.Atoi(step)
			if err != nil || n >= len(at.Content) {
				return false
			}
			if last {
				at.Content = slices.Delete(at.Content, n, n+1)
				return true
			}
			at = at.Content[n]
		default:
			return false
		}
	}
	return false
}

// get finds what stands at a path of mappings, or nil.
func get(n *yaml.Node, path ...string) *yaml.Node {
	for _, name := range path {
		i := index(n, name)
		if i < 0 {
			return nil
		}
		n = n.Content[i+1]
	}
	return n
}

// set puts a value into a mapping, in place of the one that is there.
func set(n, value *yaml.Node, name string) {
	if i := index(n, name); i >= 0 {
		n.Content[i+1] = value
		return
	}
	n.Content = append(n.Content, scalar(name), value)
}

func remove(n *yaml.Node, name string) bool {
	i := index(n, name)
	if i >= 0 {
		n.Content = slices.Delete(n.Content, i, i+2)
	}
	return i >= 0
}

func index(n *yaml.Node, name string) int {
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return i
		}
	}
	return -1
}

func scalar(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }

// mapping is made of names and nodes by turns.
func mapping(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i+1 < len(pairs); i += 2 {
		n.Content = append(n.Content, scalar(pairs[i].(string)), pairs[i+1].(*yaml.Node))
	}
	return n
}
