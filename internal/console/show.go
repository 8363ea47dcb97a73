package console

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport-dev/sallyport/internal/page"
)

//go:embed style.css
var style string

//go:embed script.js
var script string

// show is the whole page, in the order in which one wants to know it.
func (v *view) show(p *page.Page) {
	p.Element("a", "Skip to the state of the gateway", "class", "skip", "href", "#state")
	p.Open("header")
	p.Icon()
	p.Element("span", "Sallyport", "class", "name")
	p.Open("nav", "aria-label", "On this page")
	for _, link := range [][2]string{{"#servers", "Servers"}, {"#calls", "Refused and failed"}, {"#try", "Try"}, {"#people", "People"}, {"#configuration", "Configuration"}} {
		p.Element("a", link[1], "href", link[0])
	}
	p.Close("nav")
	p.Element("span", "as of "+clock(v.at, v.at), "id", "live", "class", "quiet")
	if v.signedIn {
		p.Open("form", "method", "post", "action", Path+"/sign-out")
		p.Element("button", "Sign out", "type", "submit", "class", "plain")
		p.Close("form")
	}
	p.Close("header")
	p.Open("main")
	for _, part := range slices.Insert(v.parts(), 3, part{"try", v.showTry}, part{"people", v.showPeople}) { // nothing of that is news
		attributes := []string{"id", part.id, "aria-labelledby", part.id + "-title"}
		if part.id == "state" {
			attributes = append(attributes, "role", "status", "tabindex", "-1")
		}
		p.Open("section", attributes...)
		part.show(p)
		p.Close("section")
	}
	p.Close("main")
}

func (v *view) showState(p *page.Page) {
	p.Element("h1", v.headline, "id", "state-title", "class", string(v.tone))
	if v.facts != "" {
		p.Quiet(v.facts)
	}
	for _, lack := range v.now.Lacks {
		p.Element("p", capital(lack)+".", "class", "trouble")
	}
	if v.now.Refused != "" {
		p.Open("p")
		p.Element("a", "What is wrong with the newer configuration", "href", "#configuration")
		p.Close("p")
	}
}

// finder is the form that shows less.
func (v *view) finder(p *page.Page) {
	p.Open("form", "method", "get", "action", Path, "class", "find", "role", "search")
	p.Element("label", "Find", "for", "find")
	p.Open("input", "id", "find", "name", "find", "type", "search", "value", v.find, "placeholder", "server, person, tool, decision", "autocomplete", "off", "spellcheck", "false")
	p.Element("button", "Find", "type", "submit")
	if v.find != "" {
		p.Element("a", "Show all", "href", Path)
	}
	p.Close("form")
}

func (v *view) showServers(p *page.Page) {
	p.Element("h2", "Servers and their two doors", "id", "servers-title")
	if len(v.now.Servers) > 0 {
		v.finder(p)
	}
	if len(v.rows) == 0 {
		p.Quiet(map[bool]string{true: "No server is called so.", false: "None."}[v.find != "" && len(v.now.Servers) > 0])
		return
	}
	for i := range v.rows {
		v.rows[i].show(p, v)
	}
	if v.left > 0 {
		p.Quiet(count(uint64(v.left), "server is", "servers are") + " not shown; find them by their names.")
	}
}

func (r *row) show(p *page.Page, v *view) {
	id := "server-" + r.Name
	p.Open("article", "id", id, "aria-labelledby", id+"-title", "class", string(r.health.tone))
	p.Open("div", "class", "top")
	p.Open("div", "class", "title")
	p.Element("h3", r.Name, "id", id+"-title")
	if r.Title != "" || r.About != "" {
		p.Open("p", "class", "quiet")
		p.Text(r.Title)
		if r.Title != "" && r.About != "" {
			p.Text(". ")
		}
		p.Text(r.About)
		p.Close("p")
	}
	p.Close("div")
	r.health.show(p, v)
	r.load.show(p, r.Name)
	p.Close("div")
	r.why(p)
	r.doorways(p)
	p.Open("div", "class", "more")
	r.showPolicies(p)
	r.connect(p, v)
	p.Element("a", "Try a tool of "+r.Name, "href", Path+"?try="+r.Name+"#try")
	p.Close("div")
	p.Close("article")
}

func (h *health) show(p *page.Page, v *view) {
	p.Open("p", "class", "health "+string(h.tone))
	p.Element("span", "", "class", "dot", "aria-hidden", "true")
	p.Text(h.text)
	if last := ago(h.last, v.at); last != "" {
		p.Element("span", ", asked "+last, "class", "quiet")
	}
	p.Close("p")
}

// capital writes the first letter of a text large.
func capital(text string) string {
	if text == "" || text[0] < 'a' || text[0] > 'z' {
		return text
	}
	return string(text[0]-'a'+'A') + text[1:]
}

// why tells what is wrong with what is behind the server, and with its door.
func (r *row) why(p *page.Page) {
	if r.health.why != "" {
		p.Element("p", r.health.why, "class", "trouble")
	}
	for _, m := range r.members {
		if m.tone != good && m.why != "" && m.why != r.health.why {
			p.Element("p", m.name+" "+m.text+": "+m.why, "class", "trouble")
		}
	}
	for _, n := range r.notes {
		p.Element("p", capital(n)+".", "class", "note")
	}
}

// doorways are both doors, and what lies between them.
func (r *row) doorways(p *page.Page) {
	p.Open("div", "class", "doors")
	p.Open("div", "class", "door")
	p.Element("h4", "Lets in")
	p.Open("ul")
	for i, who := range r.who {
		if r.anonymous && i == len(r.who)-1 {
			p.Element("li", who, "class", "anonymous")
			continue
		}
		p.Element("li", who)
	}
	p.Close("ul")
	p.Close("div")

	p.Open("div", "class", "between")
	p.Element("h4", "Who may")
	p.Element("p", r.may)
	if r.audited {
		p.Element("p", "and is audited", "class", "quiet")
	}
	p.Close("div")

	p.Open("div", "class", "door")
	p.Element("h4", map[bool]string{true: "Each server is sent", false: "The server is sent"}[len(r.behind) > 1])
	for _, b := range r.behind {
		p.Open("p", "class", "where")
		if len(r.behind) > 1 {
			p.Element("strong", b.name+" ")
		}
		p.Element("span", b.where, "class", "quiet")
		p.Close("p")
		p.Open("ul")
		for _, s := range b.shown {
			p.Element("li", s)
		}
		p.Close("ul")
	}
	p.Close("div")
	p.Close("div")
}

// showPolicies shows the policies' own words, to whoever wants them.
func (r *row) showPolicies(p *page.Page) {
	if len(r.policies) == 0 {
		return
	}
	p.Open("details", "id", "policies-"+r.Name)
	p.Element("summary", "The policies of "+r.Name)
	for i, t := range r.policies {
		if i == maxPolicies {
			p.Quiet(fmt.Sprintf("and %d more", len(r.policies)-i))
			break
		}
		p.Element("p", t.place, "class", "quiet place")
		code(p, t.text)
	}
	p.Close("details")
}

const maxPolicies = 20

// code is text that stands in lines.
func code(p *page.Page, text string) {
	p.Open("pre", "tabindex", "0")
	p.Element("code", text)
	p.Close("pre")
}

// show draws calls a minute, and says the same in words.
func (l *load) show(p *page.Page, name string) {
	p.Open("div", "class", "load")
	p.Open("p")
	switch n := len(l.minutes); {
	case l.total == 0:
		p.Element("span", "no calls yet", "class", "quiet")
	case n == 0:
		p.Text(count(l.total, "call", "calls"))
	default:
		p.Text(count(l.minutes[n-1], "call", "calls") + " a minute")
	}
	switch within := l.lately.Within(0.95); {
	case within < 0:
		p.Element("span", "95 % took longer than 5 min", "class", "quiet")
	case within > 0:
		p.Element("span", "95 % within "+duration(within), "class", "quiet")
	}
	p.Close("p")
	l.spark(p, name)
	p.Close("div")
}

// duration is one as people write it.
func duration(d time.Duration) string {
	if d < time.Second {
		return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', -1, 64) + " ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
}

// spark draws the last minutes, the last one on the right.
func (l *load) spark(p *page.Page, name string) {
	highest := uint64(0)
	for _, n := range l.minutes {
		highest = max(highest, n)
	}
	if highest == 0 {
		return
	}
	const bar, height = 4, 24
	p.Open("svg", "class", "spark", "viewBox", fmt.Sprintf("0 0 %d %d", minutes*bar, height), "width", fmt.Sprint(minutes*bar), "height", fmt.Sprint(height),
		"role", "img", "aria-label", fmt.Sprintf("calls of %s in each of the last %d minutes, %d at most", name, len(l.minutes), highest))
	for i, n := range l.minutes {
		tall := max(1, float64(n)/float64(highest)*height)
		p.Open("rect", "x", fmt.Sprint((minutes-len(l.minutes)+i)*bar), "y", fmt.Sprintf("%.1f", height-tall), "width", fmt.Sprint(bar-1), "height", fmt.Sprintf("%.1f", tall))
		p.Close("rect")
	}
	p.Close("svg")
}
