package page

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html"
	"net/http"
	"net/url"
	"strings"
)

//go:embed style.css
var style string

//go:embed icon.svg
var icon string

// Site is whose pages these are.
type Site struct {
	Name       string
	LogoURL    string // https; "" for none
	SupportURL string // https or mailto; "" for none
}

// Page is HTML under construction. Its few methods escape everything that they are
// given, as text or within double quotes, so that no stranger's word becomes markup.
// The library's templates would keep every exported method of the program alive.
type Page struct{ b strings.Builder }

// Open begins an element; attributes are pairs of name and value.
func (p *Page) Open(tag string, attributes ...string) {
	p.b.WriteString("<" + tag)
	for i := 0; i+1 < len(attributes); i += 2 {
		p.b.WriteString(" " + attributes[i] + `="` + html.EscapeString(attributes[i+1]) + `"`)
	}
	p.b.WriteString(">")
}

// Close ends an element.
func (p *Page) Close(tag string) { p.b.WriteString("</" + tag + ">") }

// Text is text.
func (p *Page) Text(text string) { p.b.WriteString(html.EscapeString(text)) }

// Element is a whole element with nothing but text in it.
func (p *Page) Element(tag, text string, attributes ...string) {
	p.Open(tag, attributes...)
	p.Text(text)
	p.Close(tag)
}

// Quiet is a paragraph that explains.
func (p *Page) Quiet(text string) { p.Element("p", text, "class", "quiet") }

// Warning is a paragraph that people must not miss.
func (p *Page) Warning(text string) { p.Element("p", text, "class", "warning") }

// Field is a line of a list of facts.
func (p *Page) Field(term string, facts ...string) {
	p.Open("div")
	p.Element("dt", term)
	for _, f := range facts {
		p.Element("dd", f)
	}
	p.Close("div")
}

// Form is a form of hidden values and buttons; fields come between them, nil for none.
func (p *Page) Form(action string, hidden [][2]string, fields func(), buttons ...Button) {
	p.Open("form", "method", "post", "action", action)
	for _, h := range hidden {
		p.Open("input", "type", "hidden", "name", h[0], "value", h[1])
	}
	if fields != nil {
		fields()
	}
	p.Open("div", "class", "actions")
	for _, b := range buttons {
		attributes := []string{"type", "submit", "name", b.Name, "value", b.Value}
		if b.Primary {
			attributes = append(attributes, "class", "primary")
		}
		p.Element("button", b.Label, attributes...)
	}
	p.Close("div")
	p.Close("form")
}

// Cards is a list of n cards, each as card fills it.
func (p *Page) Cards(n int, card func(i int)) {
	p.Open("ul", "class", "cards")
	for i := range n {
		p.Open("li")
		card(i)
		p.Close("li")
	}
	p.Close("ul")
}

// Item is a line of a list: a name as programs have it, and what people read of it.
type Item struct{ Name, Title, Description string }

// Items is a list of names.
func (p *Page) Items(items []Item) {
	p.Open("ul")
	for _, item := range items {
		p.Open("li")
		p.Element("code", item.Name)
		p.Text(" " + item.Title)
		if item.Description != "" {
			p.Element("small", item.Description)
		}
		p.Close("li")
	}
	p.Close("ul")
}

// Choice is one of several; the one with checked is chosen until the person says else.
func (p *Page) Choice(name, value, label, more string, checked bool) {
	p.Open("label", "class", "choice")
	attributes := []string{"type", "radio", "name", name, "value", value, "required", ""}
	if checked {
		attributes = append(attributes, "checked", "")
	}
	p.Open("input", attributes...)
	p.Open("span")
	p.Text(label)
	if more != "" {
		p.Element("small", more)
	}
	p.Close("span")
	p.Close("label")
}

// Button submits a form, with a name and value of its own.
type Button struct {
	Name, Value, Label string
	Primary            bool
}

// Write sends a whole page: a title, and what content adds to it. An id is shown at its
// end; "" for none.
func (s *Site) Write(w http.ResponseWriter, status int, title, id string, content func(p *Page)) {
	p := &Page{}
	p.begin(title, style)
	s.header(p)
	p.Open("main")
	p.Element("h1", title)
	content(p)
	p.Close("main")
	s.footer(p, id)
	p.send(w, status, policy(style, s.images()))
}

// begin opens a page, up to what is in its body.
func (p *Page) begin(title, style string) {
	p.b.WriteString("<!doctype html>")
	p.Open("html", "lang", "en")
	p.Open("head")
	p.Open("meta", "charset", "utf-8")
	p.Open("meta", "name", "viewport", "content", "width=device-width, initial-scale=1")
	p.Open("meta", "name", "robots", "content", "noindex")
	p.Element("title", title)
	p.Open("link", "rel", "icon", "href", "data:image/svg+xml;base64,"+base64.StdEncoding.EncodeToString([]byte(icon)))
	p.b.WriteString("<style>" + style + "</style>")
	p.Close("head")
	p.Open("body")
}

// send closes a page and sends it.
func (p *Page) send(w http.ResponseWriter, status int, policy string) {
	p.Close("body")
	p.Close("html")
	protect(w.Header(), policy)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(p.b.String())) // whoever asked may be gone
}

func (s *Site) header(p *Page) {
	p.Open("header")
	if s.LogoURL != "" {
		p.Open("img", "src", s.LogoURL, "alt", "", "referrerpolicy", "no-referrer")
	} else {
		p.b.WriteString(icon)
	}
	p.Element("span", s.Name)
	p.Close("header")
}

func (s *Site) footer(p *Page, id string) {
	if s.SupportURL == "" && id == "" {
		return
	}
	p.Open("footer")
	if s.SupportURL != "" {
		p.Element("a", "Get help", "href", s.SupportURL)
	}
	if id != "" {
		p.Open("span")
		p.Text("Reference ")
		p.Element("code", id)
		p.Close("span")
	}
	p.Close("footer")
}

// images is where the logo may come from.
func (s *Site) images() string {
	if u, err := url.Parse(s.LogoURL); err == nil && u.Host != "" {
		return "data: " + u.Scheme + "://" + u.Host
	}
	return "data:"
}

// policy is what a page may load: its own style, and images of some places. There is no
// form-action: browsers apply it to redirects that follow a form too, and those lead to
// providers and to clients' own schemes, of which nobody has a list. What is shown is
// escaped, so there is no form but ours.
func policy(style, images string) string {
	return "default-src 'none'; style-src " + hashOf(style) + "; img-src " + images + "; frame-ancestors 'none'; base-uri 'none'"
}

// hashOf names a text that stands in a page, for its policy.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// protect sets the headers of a page: no other page may frame it, nothing of it is kept
// by anybody, and nothing is run or fetched for it but what its policy says.
func protect(h http.Header, policy string) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin") // addresses have codes and states in them; without a referrer forms would have no origin
	h.Set("Cache-Control", "no-store")
}
