package gateway

import (
	"net/http"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// toolView is what clients see of a backend's tools instead of what it says of
// them: fewer, under other names, described otherwise (REQ B-23). It applies to
// lists and calls alike, and every tool has exactly one name.
type toolView struct {
	only      map[string]bool         // real names of the tools that stay; nil for all
	overrides map[string]toolOverride // by real name
	real      map[string]string       // new name → real name
}

type toolOverride struct {
	name        string // "" keeps the tool's own
	members     []mcp.Field
	annotations []mcp.Field
}

func newToolView(spec *v1alpha1.MCPToolConfigSpec) *toolView {
	v := &toolView{overrides: map[string]toolOverride{}, real: map[string]string{}}
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
			to.members = append(to.members, mcp.Field{Name: "name", Value: mcp.Quote(to.name)})
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

// backendName is the backend's name of the tool that clients know as public. It is
// false for a tool that clients cannot see, under whatever name.
func (v *toolView) backendName(public string) (string, bool) {
	name, renamed := v.real[public]
	if !renamed {
		name = public
		if v.overrides[public].name != "" {
			return "", false // it has another name now
		}
	}
	return name, v.only == nil || v.only[name]
}

// shown reports whether a tool of the backend is in lists: not when it is filtered
// out, nor when its name was given to another tool.
func (v *toolView) shown(name string) bool {
	public := v.overrides[name].name
	if public == "" {
		public = name
	}
	back, ok := v.backendName(public)
	return ok && back == name
}

// edit is what changes in a list's item; nil for nothing.
func (v *toolView) edit(l *mcp.List, it mcp.Item) []mcp.Edit {
	o, ok := v.overrides[it.Name]
	if !ok || len(o.members)+len(o.annotations) == 0 {
		return nil
	}
	members := o.members
	if len(o.annotations) > 0 {
		merged := mcp.Merge(l.Bytes(it.Annotations), o.annotations)
		members = append(members[:len(members):len(members)], mcp.Field{Name: "annotations", Value: merged})
	}
	return []mcp.Edit{{Span: it.Span, New: mcp.Merge(l.Bytes(it.Span), members)}}
}

// rename gives a call the backend's name of its tool. The message is read again
// afterwards: what later steps see is what the backend will read.
func (e *Endpoint) rename(x *Exchange) *mcp.Error {
	name, ok := e.tools.backendName(x.message.Target)
	if !ok {
		x.target = x.message.Target
		return x.unknown("tool")
	}
	if name == x.message.Target {
		return nil
	}
	x.body = mcp.Splice(x.body, mcp.Edit{Span: x.message.TargetSpan, New: mcp.Quote(name)})
	msg, err := mcp.Parse(x.body, e.server.opts.Message)
	if err != nil {
		return err
	}
	x.message, x.renamed = msg, true
	return nil
}

// unknown is the answer to a name that this caller cannot use, whether or not
// there is such a thing: the two must not be told apart (MCP tools, -32602).
func (x *Exchange) unknown(what string) *mcp.Error {
	status := http.StatusOK // an older client takes an error status for a broken session
	if x.revision.Modern() {
		status = http.StatusBadRequest
	}
	return mcp.Errorf(status, mcp.CodeInvalidParams, "unknown %s: %s", what, x.target)
}
