package console

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/console/shape"
	"github.com/sallyport-dev/sallyport/internal/console/tools"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/page"
)

// showTry is the form, and what came of it.
func (v *view) showTry(p *page.Page) {
	p.Element("h2", "Try a tool as…", "id", "try-title")
	p.Quiet("First you see what would become of a call: at the outer door, with the tool's name, with the policies, and what the server would get. Then you can send it, as yourself.")
	x := v.tried
	if x == nil {
		x = &tried{trial: trial{server: v.tryAt, as: asClaims}}
	} else if x.mistake != "" || x.verdict != "" || x.done != nil {
		x.show(p, v)
	}
	p.Open("form", "method", "post", "action", Path+"/try#try", "class", "try")
	if x.draft != "" {
		p.Open("input", "type", "hidden", "name", "draft", "value", x.draft)
	}
	p.Open("div", "class", "fields")
	p.Open("datalist", "id", "names")
	for _, s := range v.now.Servers[:min(len(v.now.Servers), maxNames)] {
		p.Open("option", "value", s.Name)
	}
	p.Close("datalist")
	input(p, "server", "Server", x.server, "list", "names", "required", "")
	x.showTools(p)
	x.showFields(p)
	p.Close("div")
	x.showAs(p)
	p.Open("div", "class", "buttons")
	p.Element("button", "Look", "type", "submit", "name", "do", "value", "look", "class", "primary")
	p.Element("button", "List its tools", "type", "submit", "name", "do", "value", "tools", "formnovalidate", "")
	p.Close("div")
	p.Close("form")
}

// showTools is where a tool is chosen: of those that the server has listed, or by its name.
func (x *tried) showTools(p *page.Page) {
	if len(x.tools) == 0 {
		input(p, "tool", "Tool", x.tool, "required", "")
		return
	}
	p.Open("p")
	p.Element("label", "Tool", "for", "try-tool")
	p.Open("select", "id", "try-tool", "name", "tool")
	option := func(name, label string) {
		attributes := []string{"value", name}
		if name == x.tool {
			attributes = append(attributes, "selected", "")
		}
		p.Element("option", label, attributes...)
	}
	if x.known() == nil {
		option(x.tool, map[bool]string{true: "Choose one", false: x.tool}[x.tool == ""])
	}
	for i := range x.tools {
		option(x.tools[i].Name, x.tools[i].Name)
	}
	p.Close("select")
	p.Element("button", "Show its arguments", "type", "submit", "name", "do", "value", "tool", "formnovalidate", "")
	p.Close("p")
	if t := x.known(); t != nil && t.About != "" {
		p.Quiet(t.About)
	}
}

// showFields are the arguments: a field for each that the tool's schema names, and JSON for
// whatever else there is to say.
func (x *tried) showFields(p *page.Page) {
	const example = `{"query": "rust"}`
	var fields []tools.Field
	if t := x.known(); t != nil {
		fields = t.Fields()
	}
	if len(fields) == 0 {
		area(p, "arguments", "Arguments, as JSON", x.arguments, example)
		return
	}
	p.Open("fieldset", "class", "arguments")
	p.Element("legend", "Arguments")
	for i := range fields {
		showField(p, &fields[i], x.arguments)
	}
	p.Close("fieldset")
	p.Open("details", "id", "try-json")
	p.Element("summary", "Write them as JSON instead")
	area(p, "arguments", "Arguments, as JSON", "", example)
	p.Close("details")
}

// show is one argument, as it was typed before.
func showField(p *page.Page, f *tools.Field, before string) {
	name, id := tools.Prefix+string(f.Kind)+"."+f.Name, "try-arg-"+f.Name
	value := string(mcp.Path([]byte(before), f.Name))
	if text, ok := mcp.Text([]byte(value)); ok && f.Kind == tools.Text {
		value = text
	}
	label := f.Name
	if !f.Required {
		label += ", or nothing"
	}
	attributes := []string{"id", id, "name", name}
	p.Open("p")
	p.Element("label", label, "for", id)
	if f.About != "" {
		p.Element("small", f.About, "id", id+"-about")
		attributes = append(attributes, "aria-describedby", id+"-about")
	}
	choices := f.Choices
	if f.Kind == tools.Bool {
		choices = []string{"true", "false"}
	}
	switch {
	case len(choices) > 0:
		p.Open("select", attributes...)
		for _, c := range append([]string{""}, choices...) {
			chosen := []string{"value", c}
			if c == value {
				chosen = append(chosen, "selected", "")
			}
			p.Element("option", c, chosen...)
		}
		p.Close("select")
	case f.Kind == tools.Int || f.Kind == tools.Num: // as text: a number that is too large for a browser's own stays what it is
		p.Open("input", append(attributes, "inputmode", "decimal", "autocomplete", "off", "value", value)...)
	case f.Kind == tools.Text:
		p.Open("input", append(attributes, "autocomplete", "off", "spellcheck", "false", "autocapitalize", "off", "value", value)...)
	default:
		p.Element("textarea", value, append(attributes, "rows", "2", "spellcheck", "false", "placeholder", "JSON")...)
	}
	p.Close("p")
}

// showAs is where it is said who tries.
func (x *tried) showAs(p *page.Page) {
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
	as(asClaims, "whom a token has these claims of; this is looked at, and never sent")
	area(p, "claims", "Claims, as JSON", x.claims, `{"sub": "alice", "groups": ["eng"]}`)
	as(asToken, "myself, by a token of mine")
	if x.kept {
		input(p, "token", "Token: yours is kept for up to ten minutes, or until you sign out; another takes its place", "", "type", "password", "autocomplete", "off")
	} else {
		input(p, "token", "Token, which is verified, and kept for ten minutes to send with", "", "type", "password", "autocomplete", "off")
	}
	as(asNobody, "myself, showing nothing")
	p.Close("fieldset")
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
func (x *tried) show(p *page.Page, v *view) {
	p.Open("div", "class", "tried", "role", "status", "id", "tried")
	defer p.Close("div")
	if x.mistake != "" {
		p.Element("p", x.mistake, "class", "warning")
		return
	}
	if x.done != nil {
		x.done.show(p, x)
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
			x.why.showDecision(p, "h5")
			x.why.showAllow(p, "h5", "try", x.server, x.caller.Subject)
		})
	case x.got != nil:
		step("The policies", "There are none: who gets in may call everything.", nil)
	}
	p.Close("ol")
	x.showMessages(p, v.at)
	x.showSend(p)
}

// showSend is the button that makes the call.
func (x *tried) showSend(p *page.Page) {
	switch {
	case x.got == nil:
		return
	case x.as == asClaims:
		p.Element("p", "This was not sent, and cannot be: claims that somebody writes down are nobody's word, and server and audit would be told of a call by somebody who did not call. What is made for each caller was not obtained either.", "class", "quiet sending")
		return
	case !x.send:
		return
	}
	p.Open("form", "method", "post", "action", Path+"/send#try", "class", "sending")
	p.Open("input", "type", "hidden", "name", "draft", "value", x.draft)
	p.Element("p", "Sent, it is a call like any other, by "+x.self()+": limits count it, and the audit says that it came from the console. It goes out once.")
	if t := x.known(); t == nil || !t.Reads {
		p.Open("p")
		p.Open("label", "class", "as")
		p.Open("input", "type", "checkbox", "name", "sure", "value", "yes", "required", "")
		p.Text(x.tool + " may change something: it does not say that it only reads. Send it all the same.")
		p.Close("label")
		p.Close("p")
	}
	p.Element("button", "Send it", "type", "submit", "class", "primary")
	p.Close("form")
}

// self is who sends.
func (x *tried) self() string {
	if x.caller == nil || x.caller.Source == identity.SourceAnonymous {
		return "an anonymous caller"
	}
	return x.caller.Subject
}

// show is what came of a call that was sent.
func (d *done) show(p *page.Page, x *tried) {
	p.Element("h3", d.verdict, "class", string(d.tone))
	p.Quiet("Sent to " + x.server + " in " + duration(d.took) + ". It was sent once; loading this page again does not send it anew.")
	p.Open("div", "class", "sides")
	p.Open("div", "class", "door")
	p.Element("h4", "The client sent")
	d.client.show(p)
	p.Close("div")
	p.Open("div", "class", "door")
	p.Element("h4", "The server got")
	if len(d.server) == 0 {
		p.Element("p", "Nothing: the call ended before it.")
	}
	for i := range d.server {
		d.server[i].show(p)
	}
	if d.more > 0 {
		p.Quiet(count(uint64(d.more), "more request", "more requests"))
	}
	p.Close("div")
	p.Close("div")
	p.Element("h4", "The answer, with status "+strconv.Itoa(d.status))
	if d.answer != "" {
		code(p, d.answer)
	}
	if d.cut {
		p.Quiet("There is more of it than is shown.")
	}
}

func (r *request) show(p *page.Page) {
	if line := strings.TrimSpace(r.line); line != "" {
		p.Element("p", line, "class", "where quiet")
	}
	if len(r.head) > 0 {
		p.Open("ul", "class", "head")
		for _, h := range r.head {
			p.Element("li", h)
		}
		p.Close("ul")
	}
	if r.body != "" {
		code(p, r.body)
	}
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
func (x *tried) showMessages(p *page.Page, now time.Time) {
	p.Open("div", "class", "sides")
	p.Open("div", "class", "door")
	p.Element("h4", "The client sends")
	p.Open("ul")
	switch x.as {
	case asToken:
		token := shape.Of("Bearer " + x.token.Reveal())
		p.Element("li", "Authorization: "+token.Text(now))
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
		x.to.showHead(p, now)
		code(p, indented(x.got))
	}
	p.Close("div")
	p.Close("div")
}

// showHead is what a server would get beside the message.
func (b *backend) showHead(p *page.Page, now time.Time) {
	if b.program {
		p.Element("p", b.where, "class", "where quiet")
	} else {
		p.Element("p", "POST "+b.where, "class", "where quiet")
	}
	p.Open("ul", "class", "head")
	for _, f := range b.fixed {
		p.Element("li", f.name+": "+f.value.Text(now)+", from "+f.from)
	}
	for _, name := range b.passes {
		p.Element("li", name+", as the client sends it")
	}
	switch {
	case b.made != "":
		p.Element("li", b.made)
	case b.program:
		for _, s := range b.shown {
			p.Element("li", s)
		}
	case len(b.fixed) == 0:
		p.Element("li", "no credential")
	}
	if !b.program {
		p.Element("li", "MCP's own headers, and none of the client's others", "class", "quiet")
	}
	p.Close("ul")
}

// indented is JSON with lines that people can read.
func indented(raw []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}
