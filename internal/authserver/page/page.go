package page

import (
	_ "embed"
	"html"
	"net/http"
	"strings"
)

//go:embed style.css
var style string

// ServeStyle serves the style sheet of all pages.
func ServeStyle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = w.Write([]byte(style))
}

// Page is HTML under construction. Its few methods escape everything that they are
// given, as text or within double quotes, so that no stranger's word becomes markup.
// The library's templates would keep every exported method of the program alive.
type Page struct{ b strings.Builder }

// Open begins an element; attributes are pairs of name and value. An attribute
// without a value stands by its name.
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

// Field is a line of a list of facts.
func (p *Page) Field(term string, facts ...string) {
	p.Open("div")
	p.Element("dt", term)
	for _, f := range facts {
		p.Element("dd", f)
	}
	p.Close("div")
}

// Form is a form of hidden values and buttons.
func (p *Page) Form(action string, hidden [][2]string, buttons ...Button) {
	p.Open("form", "method", "post", "action", action)
	for _, h := range hidden {
		p.Open("input", "type", "hidden", "name", h[0], "value", h[1])
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

// Button submits a form, with a name and value of its own.
type Button struct {
	Name, Value, Label string
	Primary            bool
}

// Write sends a whole page: a title, and what content adds to it.
func Write(w http.ResponseWriter, status int, styleURL, title string, content func(p *Page)) {
	p := &Page{}
	p.b.WriteString("<!doctype html>")
	p.Open("html", "lang", "en")
	p.Open("head")
	p.Open("meta", "charset", "utf-8")
	p.Open("meta", "name", "viewport", "content", "width=device-width, initial-scale=1")
	p.Open("meta", "name", "robots", "content", "noindex")
	p.Element("title", title)
	p.Open("link", "rel", "stylesheet", "href", styleURL)
	p.Close("head")
	p.Open("body")
	p.Open("main")
	p.Element("h1", title)
	content(p)
	p.Close("main")
	p.Close("body")
	p.Close("html")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(p.b.String()))
}
