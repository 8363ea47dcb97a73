package composite

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/composite/workflow"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
	"github.com/sallyport-dev/sallyport/internal/virtual"
)

// Config is all of a [Target].
type Config struct {
	Name     string // of the resource
	Inner    *virtual.Target
	Tools    []*workflow.Tool // Inner leaves their names alone
	Memory   *Memory
	MaxBytes int // of a step's result, and of all results of a call together
	Log      *slog.Logger
}

// Target serves the tools of a virtual server, and composite ones. It is safe for use by
// many goroutines.
type Target struct {
	*virtual.Target
	Config
	warned sync.Map // what has been warned of
	seen   seen
	life   context.Context // of what no client waits for
	end    context.CancelFunc
}

// New makes a target.
func New(cfg Config) *Target {
	t := &Target{Target: cfg.Inner, Config: cfg}
	t.life, t.end = context.WithCancel(context.Background())
	return t
}

// Shutdown ends calls whose clients are to come back with an answer.
func (t *Target) Shutdown() {
	t.end()
	t.Target.Shutdown()
}

// tool is a composite tool by its name; nil for none.
func (t *Target) tool(name string) *workflow.Tool {
	if i := slices.IndexFunc(t.Tools, func(tool *workflow.Tool) bool { return tool.Name == name }); i >= 0 {
		return t.Tools[i]
	}
	return nil
}

// Resolve finds out whose the thing is that a message is about. A composite tool is the
// gateway's own.
func (t *Target) Resolve(ctx context.Context, c *upstream.Call, m *mcp.Envelope) upstream.Resolution {
	if m.Method == "tools/call" {
		if tool := t.tool(m.Target); tool != nil {
			return upstream.Resolution{Name: tool.Name, Hints: t.hints(ctx, c, tool)}
		}
	}
	return t.Target.Resolve(ctx, c, m)
}

// Do answers a call, or has a member answer it.
func (t *Target) Do(ctx context.Context, c *upstream.Call) (*upstream.Answer, error) {
	m := c.Message
	if m == nil {
		return t.Target.Do(ctx, c)
	}
	switch {
	case m.Kind == mcp.KindResponse:
		if t.Memory.answer(virtual.Client(c), m) {
			return c.Answered(backend.StatusResponse(http.StatusAccepted)), nil
		}
	case m.Method == "notifications/cancelled" && !c.Revision.Modern():
		t.Memory.cancel(virtual.Client(c), mcp.Path(m.Bytes(m.Params), "requestId"))
	case m.Method == "tools/list" && m.Kind == mcp.KindRequest:
		return t.list(ctx, c)
	case m.Method == "tools/call" && m.Kind == mcp.KindRequest:
		if tool := t.tool(m.Target); tool != nil && c.Member == "" {
			return t.call(ctx, c, tool)
		}
	}
	return t.Target.Do(ctx, c)
}

// list adds the composite tools to the first page of the list.
func (t *Target) list(ctx context.Context, c *upstream.Call) (*upstream.Answer, error) {
	a, err := t.Target.Do(ctx, c)
	if err != nil || a.Stream || a.Status != http.StatusOK || mcp.Path(c.Message.Bytes(c.Message.Params), "cursor") != nil {
		return a, err
	}
	var raw bytes.Buffer
	if _, err := raw.ReadFrom(a.Body); err != nil { // it is in memory
		return a, err
	}
	body := backend.JSONResponse(a.Status, t.with(ctx, c, raw.Bytes()))
	a.Body, a.ContentLength, a.Ahead = body.Body, body.ContentLength, nil
	a.Owners = t.owners(a.Owners)
	return a, nil
}

// List returns the raw items of a whole list, as clients see them.
func (t *Target) List(ctx context.Context, c *upstream.Call, method string, change func(page []byte, owners upstream.Owners) ([]byte, error)) ([][]byte, error) {
	if method != "tools/list" {
		return t.Target.List(ctx, c, method, change)
	}
	return t.Target.List(ctx, c, method, func(page []byte, owners upstream.Owners) ([]byte, error) {
		return change(t.with(ctx, c, page), t.owners(owners))
	})
}

// with is a list of the virtual server's with the composite tools before its own.
func (t *Target) with(ctx context.Context, c *upstream.Call, page []byte) []byte {
	before, after, ok := bytes.Cut(page, []byte(`"result":{"tools":[`))
	if !ok {
		return page // an error
	}
	made := append(bytes.Clone(before), `"result":{"tools":[`...)
	for i, tool := range t.Tools {
		if i > 0 {
			made = append(made, ',')
		}
		made = append(made, t.item(ctx, c, tool)...)
	}
	if len(t.Tools) > 0 && !bytes.HasPrefix(after, []byte("]")) {
		made = append(made, ',')
	}
	return append(made, after...)
}

// owners says of the composite tools that they are the server's own.
func (t *Target) owners(inner upstream.Owners) upstream.Owners {
	return func(l *mcp.List) []upstream.Group {
		own := upstream.Group{Member: t.Config.Name}
		for i, it := range l.Items {
			if t.tool(it.Name) != nil {
				own.Items, own.At = append(own.Items, it), append(own.At, i)
			}
		}
		return append(slices.Clip(inner(l)), own)
	}
}
