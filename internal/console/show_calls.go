package console

import (
	"cmp"
	"strconv"
	"time"

	"github.com/sallyport-dev/sallyport/internal/page"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

func (v *view) showCalls(p *page.Page) {
	p.Element("h2", "Refused and failed", "id", "calls-title")
	switch {
	case len(v.calls) == 0 && v.find != "":
		p.Quiet("None of what is remembered has “" + v.find + "” in it.")
		return
	case len(v.calls) == 0:
		p.Quiet("Nothing since the gateway was started. What comes in shows here, the last first.")
		return
	}
	p.Open("ol", "class", "calls")
	for i := range v.calls {
		v.calls[i].show(p, v)
	}
	p.Close("ol")
	if v.older > 0 {
		p.Quiet(count(uint64(v.older), "more is", "more are") + " remembered; find them by server, person, tool or decision.")
	}
}

func (c *call) show(p *page.Page, v *view) {
	p.Open("li", "id", "call-"+c.ID)
	p.Open("p", "class", "what")
	p.Element("time", clock(c.Time, v.at), "datetime", c.Time.UTC().Format(time.RFC3339))
	word, tone := verdict(c.Call)
	p.Element("span", word, "class", "tag "+string(tone))
	p.Open("span", "class", "said")
	name, more := who(c.Call)
	p.Element("strong", name)
	if more != "" {
		p.Element("span", " "+more, "class", "quiet")
	}
	p.Text(" " + act(c.Method) + " ")
	if c.Target != "" {
		p.Element("code", c.Target)
		p.Text(" at ")
	}
	p.Text(c.Server)
	if c.Member != "" {
		p.Text(", " + c.Member)
	}
	if c.Count > 1 {
		p.Element("span", strconv.Itoa(c.Count)+" times since "+clock(c.First, v.at), "class", "times")
	}
	p.Close("span")
	p.Close("p")
	p.Element("p", c.words.what, "class", "reason")
	p.Open("div", "class", "answers")
	c.showWhy(p)
	c.why.showAllow(p, "h3", c.ID, c.Server, c.Subject)
	p.Close("div")
	p.Close("li")
}

// act is what a caller does, as a verb that a name follows.
func act(method string) string {
	switch method {
	case "tools/call":
		return "calls"
	case "prompts/get":
		return "gets the prompt"
	case "resources/read":
		return "reads"
	case "":
		return "sends a request to"
	}
	return "sends " + method + " to"
}

// showWhy is all that is known of why.
func (c *call) showWhy(p *page.Page) {
	p.Open("details", "id", "why-"+c.ID)
	p.Element("summary", "Why?")
	if c.why != nil {
		c.why.show(p)
	} else if c.Decision != "" {
		p.Quiet("The policies cannot be asked again: the server is gone, or what was asked for has something in it that is not kept.")
	}
	if c.words.do != "" {
		p.Element("p", c.words.do)
	}
	p.Open("dl")
	for _, f := range [][2]string{
		{"The client was told", c.Told},
		{"Cause", c.Cause},
		{"Decision", c.Decision},
		{"Caller known by", c.Source},
		{"Comes from", c.Client},
		{"Request", cmp.Or(c.Method, c.HTTPMethod) + ", answered with status " + strconv.Itoa(c.Status)},
		{"In log and audit", c.ID},
	} {
		if f[1] != "" {
			p.Field(f[0], f[1])
		}
	}
	p.Close("dl")
	p.Close("details")
}

// show is what policies say now of a call that was denied.
func (e *explained) show(p *page.Page) {
	if d := e.says.Decision; d.Allow && !d.Shadow {
		p.Element("p", "The policies of now would allow it: they have changed since.", "class", "good")
	}
	e.showDecision(p, "h3")
}

// showDecision is a decision, and what led to it, below headings of a level that follows on those around it.
func (e *explained) showDecision(p *page.Page, heading string) {
	if e.says.Reason != "" {
		p.Element("p", capital(e.says.Reason)+".")
	}
	if e.says.Principal != "" {
		p.Open("dl")
		p.Field("Caller", append([]string{e.says.Principal}, within(e.says.In)...)...)
		p.Field("Asks for", e.says.Action+" on "+e.says.Resource)
		p.Close("dl")
	}
	for _, list := range []struct {
		title    string
		policies []policy.Explained
	}{{"Decided by", e.says.Decided}, {"Near, but not enough", e.says.Near}} {
		if len(list.policies) == 0 {
			continue
		}
		p.Element(heading, list.title)
		for i := range list.policies {
			e.showPolicy(p, &list.policies[i])
		}
	}
	if len(e.says.Missing) > 0 {
		p.Element(heading, "Looked for, and not found")
		p.Open("ul")
		for _, m := range e.says.Missing {
			p.Element("li", m)
		}
		p.Close("ul")
	}
	if e.arguments {
		p.Quiet("Arguments are not kept, so what is said of them here may not be so.")
	}
}

// within are the groups that a caller is in.
func within(groups []string) (all []string) {
	for _, g := range groups {
		all = append(all, "in "+g)
	}
	return all
}

func (e *explained) showPolicy(p *page.Page, x *policy.Explained) {
	text, place := e.source(x)
	p.Open("p", "class", "place")
	p.Element("strong", x.Name)
	p.Element("span", ", "+place+", line "+strconv.Itoa(x.Line)+" of its text", "class", "quiet")
	p.Close("p")
	if text != "" {
		code(p, text)
	}
	if len(x.Why) > 0 {
		p.Open("ul")
		for _, why := range x.Why {
			p.Element("li", why)
		}
		p.Close("ul")
	}
}

// showAllow is what would allow it, to be pasted into a manifest: the console changes none.
func (e *explained) showAllow(p *page.Page, heading, id, server, subject string) {
	switch {
	case e == nil:
		return
	case len(e.permits) == 0 && len(e.says.Decided) > 0 && !e.says.Decision.Allow:
		p.Quiet("No added line allows this: a policy forbids it, and forbids win.")
		return
	case len(e.permits) == 0:
		return
	}
	p.Open("details", "id", "allow-"+id)
	p.Element("summary", "Allow this")
	place := ""
	if len(e.texts) > 0 {
		place = " It goes with the others: " + e.texts[0].place + "."
	}
	p.Element("p", "Add one of these to the policies of "+server+"."+place)
	for i, permit := range e.permits {
		if i > maxPermits {
			break
		}
		title := "For " + subject + " alone"
		if permit.Group != "" {
			title = "For everybody in " + permit.Group
		}
		p.Element(heading, title)
		copied(p, "allow-"+id+"-"+strconv.Itoa(i), "the policy "+title, permit.Text)
	}
	p.Close("details")
}

// maxPermits is for how many groups a policy is offered.
const maxPermits = 5

func (v *view) showConfiguration(p *page.Page) {
	p.Element("h2", "What is wrong with this configuration", "id", "configuration-title")
	if v.now.Refused != "" {
		p.Open("p", "class", "warning")
		p.Text("A newer configuration is not served, for these reasons. What was served before goes on.")
		p.Close("p")
		code(p, v.now.Refused)
	}
	if len(v.now.Warnings) == 0 {
		if v.now.Refused == "" {
			p.Quiet("Nothing that the gateway can tell.")
		}
		return
	}
	p.Open("ul", "class", "problems")
	for _, w := range v.now.Warnings {
		p.Element("li", w)
	}
	p.Close("ul")
}
