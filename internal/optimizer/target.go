package optimizer

import (
	"context"

	"github.com/sallyport-dev/sallyport/internal/embedding"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// Inner is a target whose tools can be searched.
type Inner interface {
	upstream.Target
	// Shown are all tools as the call's client sees them.
	Shown(ctx context.Context, c *upstream.Call) *upstream.Shown
}

// Config is all of a [Target].
type Config struct {
	Most     int               // tools that a search finds at most
	Vectors  *embedding.Client // ranks by meaning too; nil for words alone
	Share    float64           // of meaning in the ranking, from 0 to 1
	Farthest float64           // distance in meaning of what is found, from 0 to 2
}

// Target serves a search for the tools of another target. It is safe for use by many
// goroutines.
type Target struct {
	Inner
	cfg     Config
	classes classes
	life    context.Context // of what the target does by itself
	end     context.CancelFunc
}

// New makes a target around another one.
func New(inner Inner, cfg Config) *Target {
	t := &Target{Inner: inner, cfg: cfg}
	t.life, t.end = context.WithCancel(context.Background())
	return t
}

// Shutdown ends what the target does by itself.
func (t *Target) Shutdown() { t.end() }

// Members are those of the inner target, and whoever makes vectors of texts.
func (t *Target) Members() []upstream.MemberState {
	all := t.Inner.Members()
	if t.cfg.Vectors != nil {
		all = append(all, upstream.MemberState{Name: "embedding service", Status: t.cfg.Vectors.Status()})
	}
	return all
}

// Called is the name of the tool that a message calls, as clients know it.
func Called(m *mcp.Envelope) string {
	if m.Target != callTool {
		return m.Target
	}
	name, _, _ := called(m)
	return name
}

// Resolve finds out what a message is about: with call_tool, what the tool that it names
// is about.
func (t *Target) Resolve(ctx context.Context, c *upstream.Call, m *mcp.Envelope) upstream.Resolution {
	if m.Method != "tools/call" {
		return t.Inner.Resolve(ctx, c, m)
	}
	if m.Target == findTool {
		return upstream.Resolution{Name: findTool, Lists: true}
	}
	if m.Target != callTool { // it is not listed, so it cannot be called
		return upstream.Resolution{Name: m.Target, Unknown: "tool"}
	}
	name, arguments, bad := called(m)
	if bad != "" {
		return upstream.Resolution{Name: callTool, Lists: true} // Do says what is wrong
	}
	direct, refused := rewritten(m, mcp.Edit{Span: m.Params, New: mcp.Merge(m.Bytes(m.Params), []mcp.Field{
		{Name: "name", Value: mcp.Quote(name)}, {Name: "arguments", Value: arguments},
	})})
	if refused != nil {
		return upstream.Resolution{Name: name, Unknown: "tool"}
	}
	r := t.Inner.Resolve(ctx, c, &direct)
	if r.Unknown != "" {
		return r
	}
	if r.Edits != nil {
		if direct, refused = rewritten(&direct, r.Edits...); refused != nil {
			return upstream.Resolution{Name: name, Unknown: "tool"}
		}
	}
	r.Edits = []mcp.Edit{{Span: m.Params, New: direct.Bytes(direct.Params)}}
	return r
}

// rewritten is a message with changes, read again.
func rewritten(m *mcp.Envelope, edits ...mcp.Edit) (mcp.Envelope, *mcp.Error) {
	return mcp.Parse(mcp.Splice(m.Raw, edits...), mcp.DefaultLimits())
}

// Do answers what is about the two tools; all else goes on.
func (t *Target) Do(ctx context.Context, c *upstream.Call) (*upstream.Answer, error) {
	m := c.Message
	if m == nil || m.Kind != mcp.KindRequest {
		return t.Inner.Do(ctx, c)
	}
	switch {
	case m.Method == "tools/list":
		return list(c), nil
	case m.Method == "tools/call" && c.Member == "" && c.Target == findTool:
		return t.find(ctx, c), nil
	case m.Method == "tools/call" && c.Member == "" && c.Target == callTool:
		_, _, bad := called(m)
		return mistake(c, bad), nil
	case m.Method == "tools/call":
		t.mirror(ctx, c)
	}
	return t.Inner.Do(ctx, c)
}

// List returns the raw items of a whole list.
func (t *Target) List(ctx context.Context, c *upstream.Call, method string, change func(page []byte, owners upstream.Owners) ([]byte, error)) ([][]byte, error) {
	if method != "tools/list" {
		return t.Inner.List(ctx, c, method, change)
	}
	page, err := change([]byte(`{"jsonrpc":"2.0","id":1,"result":{"tools":[`+tools+`]}}`), owners)
	if err != nil {
		return nil, err
	}
	l, err := mcp.ReadList(page, method)
	if err != nil || l == nil {
		return nil, err
	}
	var items [][]byte
	for _, it := range l.Items {
		items = append(items, l.Bytes(it.Span))
	}
	return items, nil
}
