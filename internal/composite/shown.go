package composite

import (
	"context"
	"slices"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// seen are lists of all tools, by those of the members alone, so that the same ones stay
// the same.
type seen struct {
	mu   sync.Mutex
	with map[*upstream.Shown]*upstream.Shown
}

const maxSeen = 256

// Shown are the tools as the call's client sees them, composite ones among them.
func (t *Target) Shown(ctx context.Context, c *upstream.Call) *upstream.Shown {
	members := t.Target.Shown(ctx, c)
	t.seen.mu.Lock()
	defer t.seen.mu.Unlock()
	if all := t.seen.with[members]; all != nil {
		return all
	}
	all := &upstream.Shown{Items: slices.Clip(members.Items), Names: slices.Clip(members.Names), Groups: slices.Clip(members.Groups)}
	own := upstream.Group{Member: t.Config.Name}
	for _, tool := range t.Tools {
		own.Items, own.At = append(own.Items, mcp.Item{Name: tool.Name, Hints: t.hints(ctx, c, tool)}), append(own.At, len(all.Items))
		all.Items, all.Names = append(all.Items, t.item(ctx, c, tool)), append(all.Names, tool.Name)
	}
	all.Groups = append(all.Groups, own)
	if len(t.seen.with) >= maxSeen || t.seen.with == nil {
		t.seen.with = map[*upstream.Shown]*upstream.Shown{}
	}
	t.seen.with[members] = all
	return all
}
