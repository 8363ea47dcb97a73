package gateway

import (
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

// resolve turns the public name a client used into the backend's own. Without tool
// configuration names are left alone.
func (e *Endpoint) resolve(x *Exchange) *mcp.Error {
	if e.tools != nil && x.message.Method == "tools/call" {
		if err := e.rename(x); err != nil {
			return err
		}
	}
	x.target = x.message.Target
	return nil
}

// filter lets request filters see the arguments; none can be configured yet.
func (e *Endpoint) filter(*Exchange) *mcp.Error { return nil }

// authorize asks the policies, where there are any, about what will really run. A
// caller is told no more than that it is denied, and the name of the denial.
func (e *Endpoint) authorize(x *Exchange) *mcp.Error {
	if e.policy == nil || x.message.Kind == 0 {
		return nil
	}
	need := policy.NeedOf(&x.message)
	if need.Denied {
		if e.policy.Shadow() {
			return nil
		}
		x.note("policy: " + need.Reason)
		return x.denied("")
	}
	if len(need.Asks) == 0 {
		return nil
	}
	p := e.policy.Principal(x.caller)
	for _, ask := range need.Asks {
		q := policy.Query{Action: ask.Action, Target: ask.Target, Server: e.name, Backend: e.name}
		if ask.Action == policy.CallTool {
			q.Hints = e.hints.of(ask.Target)
		}
		if ask.Action.HasArguments() {
			q.Arguments = x.arguments()
		}
		d := e.policy.Decide(p, &q)
		e.metrics.Decided(outcome(d))
		if x.span != nil {
			x.span.Event("policy", "sallyport.policy.action", ask.Action.String(), "sallyport.policy.decision", outcome(d), "sallyport.policy.decision.id", d.ID)
		}
		if d.Shadow {
			e.log.Warn("a policy in shadow mode would deny", "id", x.id, "decision", d.ID, "subject", x.caller.Subject, "action", ask.Action.String())
		}
		if !d.Allow {
			x.note("policy " + d.ID + why(d))
			return x.denied(d.ID)
		}
	}
	return nil
}

// outcome is a decision's label in metrics.
func outcome(d policy.Decision) string {
	switch {
	case d.Shadow:
		return "would_deny"
	case d.Allow:
		return "allow"
	default:
		return "deny"
	}
}

// why is what the operator is told of a denial.
func why(d policy.Decision) string {
	if len(d.Policies) == 0 {
		return ": no policy permits"
	}
	return ": " + strings.Join(d.Policies, ", ")
}

// arguments are the raw arguments of a call, nil when it has none.
func (x *Exchange) arguments() []byte {
	args, err := mcp.Member(x.message.Bytes(x.message.Params), "arguments")
	if err != nil { // parse has read the message already, and found its keys in order
		return nil
	}
	return args
}

// denied is the answer to what policy forbids: 403, or for an older client, which
// would take that for a broken session, an error in a 200.
func (x *Exchange) denied(id string) *mcp.Error {
	status := http.StatusOK
	if x.revision.Modern() || x.list != nil {
		status = http.StatusForbidden
	}
	err := mcp.Errorf(status, mcp.CodeInvalidParams, "not allowed by policy")
	if id != "" {
		err.Message += "; the operator can look up the decision " + id
		err.Data = []byte(`{"decision":` + string(mcp.Quote(id)) + `}`)
	}
	return err
}
