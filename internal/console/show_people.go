package console

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/authserver/people"
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

// listed are people who signed in at an authorization server.
type listed struct {
	Issuer
	people.List
	err error
}

// maxPeople is how many are listed of each authorization server.
const maxPeople = 50

// lists lists the people who signed in, where that is asked for, or where nobody is found by
// their subject: those whose name is like it.
func (v *view) lists(ctx context.Context) {
	switch {
	case v.everyone && v.person == "":
	case v.person == "" || slices.ContainsFunc(v.held, func(h held) bool { return len(h.list) > 0 || h.err != nil }):
		return
	}
	for _, i := range v.now.Issuers {
		l := listed{Issuer: i}
		l.List, l.err = i.People(ctx, v.person, maxPeople)
		v.listed = append(v.listed, l)
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

// showPeople shows who signed in, and what is kept of one of them.
func (v *view) showPeople(p *page.Page) {
	p.Element("h2", "People, their applications and accounts", "id", "people-title")
	if len(v.now.Issuers) == 0 {
		p.Quiet("Nobody signs in here: there is no authorization server in this configuration. Who has tokens of another issuer is that one's to say.")
	} else {
		p.Open("form", "method", "get", "action", Path+"#people", "class", "find")
		p.Element("label", "Person", "for", "person")
		p.Open("input", "id", "person", "name", "person", "type", "search", "value", v.person, "placeholder", "name, or subject as log and audit have it", "autocomplete", "off", "spellcheck", "false")
		p.Element("button", "Look up", "type", "submit")
		p.Element("a", "List everybody", "href", Path+"?people#people")
		p.Close("form")
		for i := range v.held {
			v.held[i].show(p, v.person)
		}
		for i := range v.listed {
			v.listed[i].show(p, v)
		}
	}
	v.showAccounts(p)
}

// show lists people, each with where there is more of them.
func (l *listed) show(p *page.Page, v *view) {
	if l.err != nil {
		p.Element("p", "Who signed in at "+l.Name+" cannot be read now; the store may be away.", "class", "warning")
		return
	}
	if v.person != "" && len(l.People) == 0 {
		return // that there is nothing was said
	}
	p.Element("h3", map[bool]string{true: "Signed in at " + l.Name, false: "Like “" + v.person + "” at " + l.Name}[v.person == ""])
	if len(l.People) == 0 && l.Nameless == 0 {
		p.Quiet("Nobody yet.")
	}
	if len(l.People) > 0 {
		p.Open("ul", "class", "held")
		for i := range l.People {
			x := &l.People[i]
			p.Open("li")
			p.Open("div")
			p.Open("p")
			p.Element("a", x.Subject, "href", personAt(x.Subject))
			if x.Title != "" && x.Title != x.Subject {
				p.Text(", " + x.Title)
			}
			p.Close("p")
			what := count(uint64(x.Apps), "application", "applications") + ", signed in in " + count(uint64(x.Browsers), "browser", "browsers")
			if !x.Last.IsZero() {
				what += ", here last " + x.Last.UTC().Format("2 January 2006")
			}
			p.Quiet(what + ".")
			p.Close("div")
			p.Close("li")
		}
		p.Close("ul")
	}
	for _, n := range []struct {
		of   bool
		text string
	}{
		{l.More > 0, count(uint64(max(0, l.More)), "more is", "more are") + " not shown; look for a part of their name."},
		{l.Cut, "There are more than are looked through at once; look the others up by their subject."},
		{l.Nameless > 0, "Of " + count(uint64(max(0, l.Nameless)), "person", "people") + " the record does not say the name, until they come again; look them up by their subject."},
	} {
		if n.of {
			p.Quiet(n.text)
		}
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
