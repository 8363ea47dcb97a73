package text

import (
	"fmt"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/composite/workflow"
)

func (p *page) virtual(e *plan.Endpoint) {
	v := e.Virtual
	p.row("joins", "the members of MCPGroup %s, as %s", v.Group, v.ServerName)
	switch v.Strategy {
	case "prefix":
		p.row("names", "begin with %s", v.Format)
	case "priority":
		p.row("names", "that several have are the first one's%s", with(" of %s", strings.Join(v.Order, ", ")))
	default:
		p.row("names", "that several have are left out")
	}
	for i, up := range e.Upstreams {
		m := v.Members[i]
		p.row("member", "%s %s, with %s to answer%s", up.Kind, up.Name, m.Timeout, map[bool]string{true: "; clients see none of its tools"}[m.Hidden])
		p.upstream(up)
		p.tools(m.Tools)
	}
	for _, t := range v.Composites {
		p.composite(t)
	}
	if v.Optimizer != nil {
		p.optimizer(v.Optimizer)
	}
	if v.Whole {
		p.row("lists", "are refused while a member of which nothing is known cannot be asked")
	}
	p.row("health", "is asked every %s; %d failures make a member unavailable", v.Health.Every, v.Health.Unhealthy)
	if v.Verbose {
		p.row("log", "has all that is logged for debugging")
	}
	if v.Breaker.Enabled {
		p.row("health", "%d failed calls in a row stop the calls for %s", v.Breaker.FailureThreshold, v.Breaker.Timeout)
	}
}

func (p *page) composite(t *workflow.Tool) {
	p.row("composite", "%s, in %s at most", t.Name, t.Timeout)
	for _, s := range t.Steps {
		what := "calls " + s.Call.Tool
		switch s.Kind {
		case workflow.Ask:
			what = "asks the person"
		case workflow.ForEach:
			what = fmt.Sprintf("calls %s for each of up to %d elements, %d at a time", s.Call.Tool, s.Max, s.AtOnce)
		}
		var after []string
		for _, i := range s.After {
			after = append(after, t.Steps[i].ID)
		}
		more := with(" after %s", strings.Join(after, ", "))
		if s.Condition != nil {
			more += ", on a condition"
		}
		switch {
		case s.Continue:
			more += "; the others go on where it fails"
		case s.Call.Retries > 0:
			more += fmt.Sprintf("; %d times again where it fails", s.Call.Retries)
		}
		p.row("composite", "- %s %s%s", s.ID, what, more)
	}
}

func (p *page) optimizer(o *plan.Optimizer) {
	p.row("tools", "are searched: clients list find_tool and call_tool, which finds at most %d", o.Most)
	if e := o.Embedding; e != nil {
		p.row("tools", "are ranked by meaning too, with model %s of %s%s", e.Model, e.URL, map[bool]string{false: ", which is shown a key"}[e.Key.Empty()])
	}
}
