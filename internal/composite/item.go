package composite

import (
	"context"

	"github.com/sallyport-dev/sallyport/internal/composite/workflow"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// Items are the composite tools as they stand in lists, without their annotations.
func Items(tools []*workflow.Tool) (raw []byte) {
	for _, tool := range tools {
		raw = append(raw, item(tool)...)
	}
	return raw
}

func item(tool *workflow.Tool) []byte {
	fields := []mcp.Field{
		{Name: "name", Value: mcp.Quote(tool.Name)}, {Name: "description", Value: mcp.Quote(tool.Description)}, {Name: "inputSchema", Value: tool.Parameters},
	}
	if title := tool.Annotations.Title; title != nil {
		fields = append(fields, mcp.Field{Name: "title", Value: mcp.Quote(*title)})
	}
	if tool.OutputSchema != nil {
		fields = append(fields, mcp.Field{Name: "outputSchema", Value: tool.OutputSchema})
	}
	return mcp.Merge(nil, fields)
}

// item is a composite tool as the caller of c sees it in the list.
func (t *Target) item(ctx context.Context, c *upstream.Call, tool *workflow.Tool) []byte {
	h := t.hints(ctx, c, tool)
	var fields []mcp.Field
	for _, one := range []struct {
		name  string
		value mcp.Hint
	}{{"readOnlyHint", h.ReadOnly}, {"destructiveHint", h.Destructive}, {"idempotentHint", h.Idempotent}, {"openWorldHint", h.OpenWorld}} {
		if one.value != mcp.HintUnset {
			fields = append(fields, mcp.Field{Name: one.name, Value: []byte(map[mcp.Hint]string{mcp.HintTrue: "true", mcp.HintFalse: "false"}[one.value])})
		}
	}
	if title := tool.Annotations.Title; title != nil {
		fields = append(fields, mcp.Field{Name: "title", Value: mcp.Quote(*title)})
	}
	if fields == nil {
		return item(tool)
	}
	return mcp.Merge(item(tool), []mcp.Field{{Name: "annotations", Value: mcp.Merge(nil, fields)}})
}

// hints are the annotations of a composite tool: no safer than the tools in its steps,
// whatever the manifest says. A tool that is not known may do anything.
func (t *Target) hints(ctx context.Context, c *upstream.Call, tool *workflow.Tool) mcp.Hints {
	said := tool.Annotations
	h := mcp.Hints{ReadOnly: hint(said.ReadOnlyHint), Destructive: hint(said.DestructiveHint), Idempotent: hint(said.IdempotentHint), OpenWorld: hint(said.OpenWorldHint)}
	calls, readOnly, destructive, openWorld := false, true, false, false
	for _, s := range tool.Steps {
		if s.Kind == workflow.Ask {
			continue
		}
		calls = true
		found, ok := t.Find(ctx, c, s.Call.Tool)
		if !ok {
			t.warn("a step of a composite tool names a tool that no member has now", tool, "step", s.ID, "calls", s.Call.Tool)
		}
		readOnly = readOnly && found.Hints.ReadOnly == mcp.HintTrue
		if found.Hints.ReadOnly != mcp.HintTrue { // what changes nothing destroys nothing
			destructive = destructive || found.Hints.Destructive != mcp.HintFalse
		}
		openWorld = openWorld || found.Hints.OpenWorld != mcp.HintFalse
	}
	if !calls {
		return h
	}
	if h.ReadOnly == mcp.HintTrue && !readOnly || h.Destructive == mcp.HintFalse && destructive || h.OpenWorld == mcp.HintFalse && openWorld {
		t.warn("annotations of a composite tool make it look safer than the tools in its steps, and do not count; remove them, or say more of those tools", tool)
	}
	h.ReadOnly = truth(readOnly && h.ReadOnly != mcp.HintFalse)
	h.Destructive = truth(destructive || h.Destructive == mcp.HintTrue)
	h.OpenWorld = truth(openWorld || h.OpenWorld == mcp.HintTrue)
	return h
}

// warn says something of a tool once.
func (t *Target) warn(what string, tool *workflow.Tool, args ...any) {
	key := [2]string{what, tool.Name}
	if _, said := t.warned.LoadOrStore(key, true); !said {
		t.Config.Log.Warn(what, append([]any{"tool", tool.Name}, args...)...)
	}
}

func hint(said *bool) mcp.Hint {
	if said == nil {
		return mcp.HintUnset
	}
	return truth(*said)
}

func truth(is bool) mcp.Hint {
	if is {
		return mcp.HintTrue
	}
	return mcp.HintFalse
}
