package upstream

import (
	"slices"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// ToolView is what clients see of a server's tools instead of what it says of
// them: fewer, under other names, described otherwise (REQ B-23). It applies to
// lists and calls alike, and every tool has exactly one name.
type ToolView struct {
	only      map[string]bool         // real names of the tools that stay; nil for all
	overrides map[string]toolOverride // by real name
	real      map[string]string       // new name → real name
}

type toolOverride struct {
	name        string // "" keeps the tool's own
	members     []mcp.Field
	annotations []mcp.Field
}

// NewToolView makes what a manifest says of them.
func NewToolView(spec *v1alpha1.MCPToolConfigSpec) *ToolView {
	v := &ToolView{overrides: map[string]toolOverride{}, real: map[string]string{}}
	for _, name := range spec.ToolsFilter {
		if v.only == nil {
			v.only = map[string]bool{}
		}
		v.only[string(name)] = true
	}
	for realName, o := range spec.ToolsOverride {
		to := toolOverride{name: string(o.Name), annotations: annotationMembers(o.Annotations)}
		if to.name == realName {
			to.name = ""
		}
		if to.name != "" {
			v.real[to.name] = realName
		}
		if o.Description != "" {
			to.members = append(to.members, mcp.Field{Name: "description", Value: mcp.Quote(o.Description)})
		}
		v.overrides[realName] = to
	}
	return v
}

func annotationMembers(a *v1alpha1.ToolAnnotations) []mcp.Field {
	if a == nil {
		return nil
	}
	var members []mcp.Field
	if a.Title != nil {
		members = append(members, mcp.Field{Name: "title", Value: mcp.Quote(*a.Title)})
	}
	for _, hint := range []struct {
		name  string
		value *bool
	}{
		{"readOnlyHint", a.ReadOnlyHint},
		{"destructiveHint", a.DestructiveHint},
		{"idempotentHint", a.IdempotentHint},
		{"openWorldHint", a.OpenWorldHint},
	} {
		if hint.value == nil {
			continue
		}
		text := "false"
		if *hint.value {
			text = "true"
		}
		members = append(members, mcp.Field{Name: hint.name, Value: []byte(text)})
	}
	return members
}

// OwnName is the server's name of the tool that clients know as public. It is
// false for a tool that clients cannot see, under whatever name.
func (v *ToolView) OwnName(public string) (string, bool) {
	name, renamed := v.real[public]
	if !renamed {
		name = public
		if v.overrides[public].name != "" {
			return "", false // it has another name now
		}
	}
	return name, v.only == nil || v.only[name]
}

// Shown reports whether a tool of the server is in lists: not when it is filtered
// out, nor when its name was given to another tool.
func (v *ToolView) Shown(name string) bool {
	public := v.overrides[name].name
	if public == "" {
		public = name
	}
	back, ok := v.OwnName(public)
	return ok && back == name
}

// Given is the name that clients know a tool of the server by, where that is not its
// own; "" where it is.
func (v *ToolView) Given(name string) string { return v.overrides[name].name }

// Fields are what changes in a tool, its name apart. annotations are its own, raw; nil
// when it has none.
func (v *ToolView) Fields(name string, annotations []byte) []mcp.Field {
	o := v.overrides[name]
	fields := slices.Clone(o.members)
	if len(o.annotations) > 0 {
		fields = append(fields, mcp.Field{Name: "annotations", Value: mcp.Merge(annotations, o.annotations)})
	}
	return fields
}

// edit is what changes in a list's item; nil for nothing.
func (v *ToolView) edit(l *mcp.List, it mcp.Item) []mcp.Edit {
	fields := v.Fields(it.Name, l.Bytes(it.Annotations))
	if name := v.Given(it.Name); name != "" {
		fields = append(fields, mcp.Field{Name: "name", Value: mcp.Quote(name)})
	}
	if fields == nil {
		return nil
	}
	return []mcp.Edit{{Span: it.Span, New: mcp.Merge(l.Bytes(it.Span), fields)}}
}

// Publish makes a list of tools say what clients call them: it unmarks in keep what
// they do not see, and returns what changes in the rest.
func (v *ToolView) Publish(l *mcp.List, keep []bool) (edits []mcp.Edit) {
	for i, it := range l.Items {
		if keep[i] = keep[i] && v.Shown(it.Name); keep[i] {
			edits = append(edits, v.edit(l, it)...)
		}
	}
	return edits
}
