package console

import (
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/console/shape"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
	"github.com/sallyport-dev/sallyport/internal/page"
)

// account is one of the gateway's own, as it is.
type account struct {
	*Account
	state oauthclient.State
	err   error
}

// showAccounts shows the accounts that the gateway has of its own.
func (v *view) showAccounts(p *page.Page) {
	if len(v.accounts) == 0 {
		return
	}
	p.Element("h3", "The gateway's own accounts")
	p.Quiet("Whoever calls acts with them at these servers.")
	p.Open("ul", "class", "held")
	for i := range v.accounts {
		a := &v.accounts[i]
		word, more := a.words(v.at)
		p.Open("li")
		p.Open("div")
		p.Open("p")
		p.Element("strong", a.Server)
		p.Text(", " + word)
		p.Close("p")
		if more != "" {
			p.Quiet(more)
		}
		p.Close("div")
		if a.state.Holds {
			label := map[bool]string{true: "Forget its token", false: "Disconnect"}[a.state.Machine]
			p.Open("form", "method", "post", "action", Path+"/disconnect")
			p.Open("input", "type", "hidden", "name", "server", "value", a.Server)
			p.Element("button", label, "type", "submit", "aria-label", label+" of "+a.Server)
			p.Close("form")
		}
		p.Close("li")
	}
	p.Close("ul")
}

// words say how an account is, and what else there is to know of it.
func (a *account) words(now time.Time) (word, more string) {
	s := &a.state
	kind := "by a person's sign-in"
	if s.Machine {
		kind = "by credentials of its own"
	}
	var facts []string
	left := s.Expires.Sub(now)
	switch {
	case a.err != nil:
		return kind, "What is kept cannot be read now; the log says why."
	case !s.Holds && s.Machine:
		return kind, "It has no token yet: one is got when the server asks."
	case !s.Holds:
		return kind, "Nobody has signed in, or the sign-in has ended: run sallyport login."
	case s.Expires.IsZero():
		word = "connected " + kind
	case left > 0:
		word = "connected " + kind
		facts = append(facts, "Its token ends in "+shape.Span(left)+", "+clock(s.Expires, now))
	default:
		word = "connected " + kind
		facts = append(facts, "Its token has ended")
	}
	if s.Renews {
		facts = append(facts, "renewed by itself")
	} else if left <= 0 && !s.Expires.IsZero() {
		word = "at its end, " + kind
		facts = append(facts, "somebody has to sign in again: run sallyport login")
	}
	text := strings.Join(facts, ", ")
	if text != "" {
		text = capital(text) + ". "
	}
	if s.Issuer != "" {
		text += "From " + s.Issuer + "."
	}
	if len(s.Scopes) > 0 {
		text += " Scopes " + strings.Join(s.Scopes, ", ") + "."
	}
	return word, strings.TrimSpace(text)
}

// serveDisconnect forgets an account of the gateway's own.
func (c *Console) serveDisconnect(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	server := r.PostFormValue("server")
	now := c.cfg.Now()
	defer now.Release()
	for _, a := range now.Accounts {
		if a.Server != server {
			continue
		}
		if err := a.End(r); err != nil {
			c.cfg.Log.Error("an account of the gateway's that an operator ended goes on", "server", server, "error", err)
			c.refuse(w, http.StatusServiceUnavailable, "Not done", "It could not be ended now; the log says why. Try again.")
			return
		}
		c.cfg.Log.Info("an operator ended the gateway's own account at a server", "server", server)
		http.Redirect(w, r, Path+"#people", http.StatusSeeOther)
		return
	}
	c.refuse(w, http.StatusNotFound, "Nothing was ended", "The gateway has no such account any more. Open the console again.")
}
