package console

import (
	"cmp"
	"context"
	"net/http"
	"net/url"

	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/page"
)

// held is what the authorization servers keep of a person.
type held struct {
	Issuer
	list []authserver.Held
	err  error
}

// holds asks each authorization server what it keeps of the person who was looked up.
func (v *view) holds(ctx context.Context) {
	if v.person == "" {
		return
	}
	for _, i := range v.now.Issuers {
		h := held{Issuer: i}
		h.list, h.err = i.Held(ctx, v.person)
		v.held = append(v.held, h)
	}
}

// serveEnd ends something of a person's, and shows what is left.
func (c *Console) serveEnd(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	person, kind := r.PostFormValue("person"), r.PostFormValue("kind")
	now := c.cfg.Now()
	defer now.Release()
	for _, i := range now.Issuers {
		if i.Name != r.PostFormValue("issuer") || person == "" {
			continue
		}
		if err := i.End(r, person, kind, r.PostFormValue("id")); err != nil {
			c.cfg.Log.Error("what an operator ended goes on", "issuer", i.Name, "kind", kind, "subject", person, "error", err)
			c.refuse(w, http.StatusServiceUnavailable, "Not done", "It could not be ended now; the log says why. Try again.")
			return
		}
		c.cfg.Log.Info("an operator ended something of a person's", "issuer", i.Name, "kind", kind, "subject", person)
		http.Redirect(w, r, personAt(person), http.StatusSeeOther)
		return
	}
	c.refuse(w, http.StatusNotFound, "Nothing was ended", "There is no such authorization server any more. Open the console again.")
}

// personAt is where a person is looked up.
func personAt(subject string) string {
	return Path + "?" + url.Values{"person": {subject}}.Encode() + "#people"
}

// showPeople shows what is kept of one person, who is looked up by the name that policies
// and audit know: what is stored can be found by it, and tells nobody's name by itself.
func (v *view) showPeople(p *page.Page) {
	p.Element("h2", "People, their applications and accounts", "id", "people-title")
	if len(v.now.Issuers) == 0 {
		p.Quiet("Nobody signs in here: there is no authorization server in this configuration. Who has tokens of another issuer is that one's to say.")
		return
	}
	p.Open("form", "method", "get", "action", Path+"#people", "class", "find")
	p.Element("label", "Person", "for", "person")
	p.Open("input", "id", "person", "name", "person", "type", "search", "value", v.person, "placeholder", "subject, as log and audit have it", "autocomplete", "off", "spellcheck", "false", "required", "")
	p.Element("button", "Look up", "type", "submit")
	p.Close("form")
	for _, h := range v.held {
		h.show(p, v.person)
	}
}

func (h *held) show(p *page.Page, person string) {
	p.Element("h3", person+" at "+h.Name)
	if h.err != nil {
		p.Element("p", "What is kept cannot be read now; the store may be away.", "class", "warning")
		return
	}
	if len(h.list) == 0 {
		p.Quiet("Nothing: no application is allowed, no account is connected, no browser is signed in.")
		return
	}
	p.Open("ul", "class", "held")
	for _, x := range h.list {
		p.Open("li")
		p.Open("div")
		p.Open("p")
		p.Element("strong", cmp.Or(x.Name, "without a name"))
		if x.Kind != authserver.HeldBrowser { // whose name says so
			p.Text(", an " + x.Kind)
		}
		p.Close("p")
		p.Quiet(about(&x))
		p.Close("div")
		p.Open("form", "method", "post", "action", Path+"/end")
		for _, f := range [][2]string{{"issuer", h.Name}, {"person", person}, {"kind", x.Kind}, {"id", x.ID}} {
			p.Open("input", "type", "hidden", "name", f[0], "value", f[1])
		}
		p.Element("button", endWord(x.Kind), "type", "submit", "aria-label", endWord(x.Kind)+" "+x.Name)
		p.Close("form")
		p.Close("li")
	}
	p.Close("ul")
}

// about is what else there is to know of a thing.
func about(x *authserver.Held) string {
	since := "Since " + x.Since.UTC().Format("2 January 2006")
	switch {
	case x.Ended:
		return "It has ended: the person has to connect it again."
	case x.Kind == authserver.HeldApp:
		return since + ", for " + x.For + "."
	case x.Kind == authserver.HeldAccount:
		return since + ", as " + x.For + "."
	}
	return "Signed in. " + since + "."
}

// endWord is what the button says that ends a thing.
func endWord(kind string) string {
	switch kind {
	case authserver.HeldAccount:
		return "Disconnect"
	case authserver.HeldBrowser:
		return "Sign out"
	}
	return "End"
}
