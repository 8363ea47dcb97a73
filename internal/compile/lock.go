package compile

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/toollock"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// Locked is what a server has now, for a lock.
type Locked struct {
	Server string
	Tools  toollock.Server
	Lock   *plan.ToolLock // what its manifest says of a lock; nil for nothing
	Was    toollock.Server
	// Callers says that the server is shown what is made of its caller. Nobody calls, so
	// that there may be more tools.
	Callers bool
	Err     error // why it could not be asked
}

// ListTools asks the servers of a validated set for their tools, as a gateway would that
// nobody calls. Was is what is locked of them, as far as it can be read.
func ListTools(ctx context.Context, set *manifest.Set, opts Options) ([]Locked, error) {
	p := plan.Of(set, plan.Process{Checking: true, Locking: true})
	if len(p.Problems) > 0 {
		return nil, p.Problems
	}
	parts, problems := NewMaker(opts).Make(p)
	defer parts.Release()
	if len(problems) > 0 {
		return nil, problems
	}
	before := plan.Of(set, plan.Process{Checking: true})
	servers := parts.servers()
	out := make([]Locked, len(servers))
	var asking sync.WaitGroup
	for i, up := range servers {
		out[i] = Locked{Server: up.Name, Lock: up.plan.Lock, Was: lockedBefore(before, up.Name), Callers: up.PerCaller()}
		asking.Go(func() { out[i].Tools, out[i].Err = toolsOf(ctx, up.Upstream) })
	}
	asking.Wait()
	return out, nil
}

// servers are those of the parts, in the order of their names: of one that is served at
// several endpoints the first that has a lock, or the first.
func (p *Parts) servers() []planned {
	var all []planned
	for _, up := range p.upstreams {
		switch at := slices.IndexFunc(all, func(other planned) bool { return other.Name == up.Name }); {
		case at < 0:
			all = append(all, up)
		case all[at].plan.Lock == nil && up.plan.Lock != nil:
			all[at] = up
		}
	}
	slices.SortFunc(all, func(a, b planned) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// lockedBefore is what a plan holds a server to; nil for nothing.
func lockedBefore(p *plan.Plan, server string) toollock.Server {
	for _, e := range p.Endpoints {
		for _, up := range e.Upstreams {
			if up.Name == server && up.Lock != nil {
				return up.Lock.Tools
			}
		}
	}
	return nil
}

func toolsOf(ctx context.Context, up *upstream.Upstream) (toollock.Server, error) {
	var failed error
	tools := toollock.Server{}
	err := eachItem(ctx, up, "tools/list", func(l *mcp.List, it mcp.Item) {
		name, t, err := toollock.Of(l.Bytes(it.Span))
		if err != nil {
			failed = err
			return
		}
		tools[name] = t
	})
	if err == nil {
		err = failed
	}
	return tools, err
}

// eachItem asks a server for a list, as nobody in particular.
func eachItem(ctx context.Context, up *upstream.Upstream, method string, take func(*mcp.List, mcp.Item)) error {
	c := &upstream.Call{Caller: identity.Anonymous(), Header: map[string][]string{}}
	_, err := up.List(ctx, c, method, func(page []byte) ([]byte, error) {
		l, err := mcp.ReadList(page, method)
		if err != nil || l == nil {
			return page, err
		}
		for _, it := range l.Items {
			take(l, it)
		}
		return page, nil
	})
	return err
}
