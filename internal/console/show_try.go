package console

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/sallyport-dev/sallyport/internal/page"
)

// showTry is the form, and what came of it.
func (v *view) showTry(p *page.Page) {
	p.Element("h2", "Try a tool as…", "id", "try-title")
	p.Quiet("What would become of a call: at the outer door, with the tool's name, with the policies, and what the server would get. Nothing is sent to the server.")
	x := v.tried
	if x == nil {
		x = &tried{trial: trial{server: v.tryAt, as: asClaims}}
	} else {
		x.show(p)
	}
	p.Open("form", "method", "post", "action", Path+"/try#try", "class", "try")
	p.Open("div", "class", "fields")
	p.Open("datalist", "id", "names")
	for _, s := range v.now.Servers[:min(len(v.now.Servers), maxNames)] {
		p.Open("option", "value", s.Name)
		p.Close("option")
	}
	p.Close("datalist")
	input(p, "server", "Server", x.server, "list", "names", "required", "")
	input(p, "tool", "Tool", x.tool, "required", "")
	area(p, "arguments", "Arguments, as JSON", x.arguments, `{"query": "rust"}`)
	p.Close("div")
	p.Open("fieldset")
	p.Element("legend", "As")
	as := func(value, label string) {
		p.Open("label", "class", "as")
		attributes := []string{"type", "radio", "name", "as", "value", value}
		if x.as == value {
			attributes = append(attributes, "checked", "")
		}
		p.Open("input", attributes...)
		p.Text(label)
		p.Close("label")
	}
	as(asClaims, "whom a token has these claims of")
	area(p, "claims", "Claims, as JSON", x.claims, `{"sub": "alice", "groups": ["eng"]}`)
	as(asToken, "myself, or whose token this is: it is verified, and not kept")
	input(p, "token", "Token", "", "type", "password", "autocomplete", "off")
	as(asNobody, "somebody who shows nothing")
	p.Close("fieldset")
	p.Element("button", "Look", "type", "submit", "class", "primary")
	p.Close("form")
}

// maxNames is how many servers are offered to choose from; others are typed.
const maxNames = 1000

func input(p *page.Page, name, label, value string, attributes ...string) {
	p.Open("p")
	p.Element("label", label, "for", "try-"+name)
	p.Open("input", append([]string{"id", "try-" + name, "name", name, "value", value, "spellcheck", "false", "autocapitalize", "off"}, attributes...)...)
	p.Close("p")
}

func area(p *page.Page, name, label, value, example string) {
	p.Open("p")
	p.Element("label", label, "for", "try-"+name)
	p.Element("textarea", value, "id", "try-"+name, "name", name, "rows", "2", "spellcheck", "false", "placeholder", example)
	p.Close("p")
}

// show is what came of a trial.
func (x *tried) show(p *page.Page) {
	p.Open("div", "class", "tried", "role", "status", "id", "tried")
	defer p.Close("div")
	if x.mistake != "" {
		p.Element("p", x.mistake, "class", "warning")
		return
	}
	p.Element("h3", x.verdict, "class", string(x.tone))
	p.Open("ol", "class", "steps")
	step := func(title, text string, more func()) {
		p.Open("li")
		p.Element("h4", title)
		if text != "" {
			p.Element("p", text)
		}
		if more != nil {
			more()
		}
		p.Close("li")
	}
	step("The outer door", x.door, func() { x.showCaller(p) })
	if x.name != "" {
		step("The tool", x.name, nil)
	}
	switch {
	case x.why != nil:
		step("The policies", map[bool]string{true: "Permit it.", false: "Do not permit it."}[x.why.says.Decision.Allow && !x.why.says.Decision.Shadow], func() {
			x.why.showDecision(p)
			x.why.showAllow(p, "try", x.server, x.caller.Subject)
		})
	case x.got != nil:
		step("The policies", "There are none: who gets in may call everything.", nil)
	}
	p.Close("ol")
	x.showMessages(p)
}

// showCaller is whom the gateway takes the caller for.
func (x *tried) showCaller(p *page.Page) {
	c := x.caller
	if c == nil {
		return
	}
	known := c.Source
	if x.as == asClaims {
		known = "" // by whatever proves them
	}
	p.Open("dl")
	for _, f := range []struct {
		term  string
		facts []string
	}{{"Caller", []string{c.Subject}}, {"Known by", []string{known}}, {"By the word of", []string{c.Issuer}}, {"E-mail", []string{c.Email}}, {"Groups", c.Groups}, {"Roles", c.Roles}, {"Client", []string{c.ClientID}}} {
		if len(f.facts) > 0 && f.facts[0] != "" {
			p.Field(f.term, f.facts...)
		}
	}
	p.Close("dl")
}

// showMessages puts what the client sends beside what the server gets, credentials as what
// they are.
func (x *tried) showMessages(p *page.Page) {
	p.Open("div", "class", "sides")
	p.Open("div", "class", "door")
	p.Element("h4", "The client sends")
	p.Open("ul")
	switch x.as {
	case asToken:
		p.Element("li", fmt.Sprintf("Authorization: Bearer, a token of %d characters", len(x.token.Reveal())))
	case asClaims:
		p.Element("li", "a proof with these claims, and whatever else its headers say")
	default:
		p.Element("li", "no proof, and whatever else its headers say")
	}
	p.Close("ul")
	code(p, indented(x.sent))
	p.Close("div")
	p.Open("div", "class", "door")
	p.Element("h4", "The server gets")
	switch {
	case x.got == nil:
		p.Element("p", "Nothing: the call ends before it.")
	case x.to == nil:
		p.Element("p", "Nothing: the gateway answers itself.")
	default:
		p.Open("p", "class", "where")
		p.Element("span", x.to.where, "class", "quiet")
		p.Close("p")
		p.Open("ul")
		for _, s := range x.to.shown {
			p.Element("li", s)
		}
		p.Element("li", "MCP's own headers, and none of the client's others", "class", "quiet")
		p.Close("ul")
		code(p, indented(x.got))
	}
	p.Close("div")
	p.Close("div")
}

// indented is JSON with lines that people can read.
func indented(raw []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}
