package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Question is a call that nobody makes: would it be allowed?
type Question struct {
	Server    string
	Claims    token.Claims // of the caller; nil for the anonymous one
	Method    string       // tools/call, prompts/get, resources/read or a list method
	Name      string       // of the tool or prompt as clients know it, or the resource's URI
	Arguments []byte       // of the call, a raw JSON object; nil for none
	Hints     mcp.Hints    // the tool's annotations, which only its server knows
}

// Explain answers a question by the policies of a validated set, and says why.
// Nothing is dialled.
func Explain(set *manifest.Set, q Question) (policy.Explanation, error) {
	snap, problems, _ := newCheckServer().compile(set)
	defer snap.release()
	if len(problems) > 0 {
		return policy.Explanation{}, problems
	}
	e := snap.endpoints[q.Server]
	if e == nil {
		return policy.Explanation{}, fmt.Errorf("there is no server %q; there are: %s", q.Server, strings.Join(slices.Sorted(maps.Keys(snap.endpoints)), ", "))
	}
	if e.policy == nil {
		return policy.Explanation{}, fmt.Errorf("server %q has no policies: everybody who gets in may do everything", q.Server)
	}
	caller := identity.Anonymous()
	if q.Claims != nil {
		var err error
		if caller, err = e.mapping.Explain(q.Claims); err == nil && e.accounts != nil {
			caller, err = e.accounts.with(nil).Admit(caller)
		}
		if err != nil {
			return policy.Explanation{}, err
		}
	}
	name := q.Name
	if e.tools != nil && q.Method == "tools/call" {
		var ok bool
		if name, ok = e.tools.backendName(q.Name); !ok {
			return policy.Explanation{}, fmt.Errorf("clients of %q see no tool %q: its MCPToolConfig hides or renames it", q.Server, q.Name)
		}
	}
	need := policy.NeedOf(&mcp.Envelope{Kind: mcp.KindRequest, Method: q.Method, Target: name})
	switch {
	case need.Denied:
		return policy.Explanation{}, fmt.Errorf("denied: %s", need.Reason)
	case len(need.Asks) == 0:
		return policy.Explanation{}, fmt.Errorf("allowed: %s needs no policy", q.Method)
	}
	ask := need.Asks[0]
	return e.policy.Explain(e.policy.Principal(caller), &policy.Query{
		Action: ask.Action, Target: ask.Target, Server: e.name, Backend: e.name, Hints: q.Hints, Arguments: q.Arguments,
	}), nil
}
