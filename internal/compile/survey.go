package compile

import (
	"context"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Surveyed is what a server was found to be.
type Surveyed struct {
	*plan.Upstream
	// Callers says that the server is shown what is made of its caller. Nobody calls, so
	// that it may refuse, or have more to show.
	Callers            bool
	Revision           mcp.Revision // "" where it was not found out
	Tools              []string     // by the server's own names
	Prompts, Resources int
	Err                error // why it could not be asked
}

// Survey asks the servers of a validated set what they are, as a gateway would that
// nobody calls.
func Survey(ctx context.Context, set *manifest.Set, opts Options) ([]Surveyed, error) {
	p := plan.Of(set, plan.Process{Checking: true})
	if len(p.Problems) > 0 {
		return nil, p.Problems
	}
	var mu sync.Mutex
	revisions := map[string]mcp.Revision{}
	opts.Found = func(server string, rev mcp.Revision) {
		mu.Lock()
		defer mu.Unlock()
		revisions[server] = rev
	}
	parts, problems := NewMaker(opts).Make(p)
	defer parts.Release()
	if len(problems) > 0 {
		return nil, problems
	}
	servers := parts.servers()
	all := make([]Surveyed, len(servers))
	var asking sync.WaitGroup
	for i, up := range servers {
		s := &all[i]
		s.Upstream, s.Callers = up.plan, up.PerCaller()
		asking.Go(func() {
			count := func(n *int) func(*mcp.List, mcp.Item) { return func(*mcp.List, mcp.Item) { *n++ } }
			s.Err = eachItem(ctx, up.Upstream, "tools/list", func(_ *mcp.List, it mcp.Item) { s.Tools = append(s.Tools, it.Name) })
			if s.Err == nil {
				s.Err = eachItem(ctx, up.Upstream, "prompts/list", count(&s.Prompts))
			}
			if s.Err == nil {
				s.Err = eachItem(ctx, up.Upstream, "resources/list", count(&s.Resources))
			}
		})
	}
	asking.Wait()
	mu.Lock()
	defer mu.Unlock()
	for i := range all {
		all[i].Revision = revisions[all[i].Name]
	}
	return all, nil
}
