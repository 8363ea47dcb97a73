package page

import "net/http"

// Document is a whole page with a look of its own.
type Document struct {
	Title string
	Style string
	// Script makes a page better that works without it; "" for none. It may ask where the
	// page comes from, and nobody else.
	Script string
}

// Write sends the page. Its forms go to where it comes from, and nowhere else.
func (d *Document) Write(w http.ResponseWriter, status int, content func(p *Page)) {
	p := &Page{}
	p.begin(d.Title, d.Style)
	content(p)
	allowed := policy(d.Style, "data:") + "; form-action 'self'"
	if d.Script != "" {
		p.b.WriteString("<script>" + d.Script + "</script>")
		allowed += "; script-src " + hashOf(d.Script) + "; connect-src 'self'"
	}
	p.send(w, status, allowed)
}

// Fragment is a part of a page by itself.
func Fragment(content func(p *Page)) string {
	p := &Page{}
	content(p)
	return p.b.String()
}

// Icon is the gateway's own, in front of its name.
func (p *Page) Icon() { p.b.WriteString(icon) }
