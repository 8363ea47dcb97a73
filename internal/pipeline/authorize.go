package pipeline

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

// authorize asks the policies, where there are any, about what will really run. A
// caller is told no more than that it is denied, and the name of the denial.
func (e *Endpoint) authorize(x *Exchange) *mcp.Error {
	if e.Policy == nil || x.Message.Kind == 0 {
		return nil
	}
	need := policy.NeedOf(&x.Message)
	if x.lists {
		need = policy.Need{Asks: []policy.Ask{{Action: policy.ListTools}}}
	}
	if need.Denied {
		if e.Policy.Shadow() {
			return nil
		}
		x.Note("policy: " + need.Reason)
		return x.denied("")
	}
	if len(need.Asks) == 0 {
		return nil
	}
	p := e.Policy.Principal(x.Caller)
	for _, ask := range need.Asks {
		q := policy.Query{Action: ask.Action, Target: ask.Target, Server: e.Name, Backend: cmp.Or(x.member, e.Name)}
		if ask.Action == policy.CallTool {
			q.Hints = x.hints
		}
		if ask.Action.HasArguments() {
			q.Arguments = x.arguments()
		}
		d := e.Policy.Decide(p, &q)
		e.Metrics.Decided(outcome(d))
		if x.span != nil {
			x.span.Event("policy", "sallyport.policy.action", ask.Action.String(), "sallyport.policy.decision", outcome(d), "sallyport.policy.decision.id", d.ID)
		}
		if d.Shadow {
			e.limited.Warn("shadow "+x.Caller.Subject, "a policy in shadow mode would deny", "id", x.ID, "decision", d.ID, "subject", x.Caller.Subject, "action", ask.Action.String())
		}
		if !d.Allow {
			x.decision = d.ID
			if e.Recent != nil && mcp.Shown(q.Target) == q.Target {
				x.asked = &policy.Query{Action: q.Action, Target: q.Target, Server: q.Server, Backend: q.Backend, Hints: q.Hints}
			}
			x.Note("policy " + d.ID + why(d))
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
	switch {
	case d.Reason != "":
		return ": " + d.Reason
	case len(d.Policies) == 0:
		return ": no policy permits"
	}
	return ": " + strings.Join(d.Policies, ", ")
}

// arguments are the raw arguments of a call, nil when it has none.
func (x *Exchange) arguments() []byte {
	args, err := mcp.Member(x.Message.Bytes(x.Message.Params), "arguments")
	if err != nil { // parse has read the message already, and found its keys in order
		return nil
	}
	return args
}

// denied is the answer to what policy forbids: 403, or for an older client, which
// would take that for a broken session, an error in a 200.
func (x *Exchange) denied(id string) *mcp.Error {
	status := http.StatusOK
	if x.Revision.Modern() || x.Plain {
		status = http.StatusForbidden
	}
	err := mcp.Errorf(status, mcp.CodeInvalidParams, "not allowed by policy")
	if id != "" {
		err.Message += "; the operator can look up the decision " + id
		err.Data = []byte(`{"decision":` + string(mcp.Quote(id)) + `}`)
	}
	return err
}
