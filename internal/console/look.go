package console

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/page"
	"github.com/sallyport-dev/sallyport/internal/recent"
	"github.com/sallyport-dev/sallyport/internal/status"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// view is all that is on the page at one moment.
type view struct {
	now      *Now
	at       time.Time
	find     string // what calls and servers are shown of; "" for all
	signedIn bool   // by a cookie, which can be given back

	headline string
	tone     tone
	facts    string
	rows     []row
	left     int // servers that are not shown
	calls    []call
	older    int // calls that are not shown
	tryAt    string
	tried    *tried // nil before a trial
	person   string // who is looked up; "" for nobody
	held     []held // of the person
	everyone bool   // who signed in is listed
	listed   []listed
	accounts []account // of the gateway's own
}

// row is a server as it is.
type row struct {
	*Server
	health  health
	members []memberHealth // of several; nil for one
	load    load
}

// call is one that was refused or failed, with why.
type call struct {
	*recent.Call
	words words
	why   *explained // what policies say; nil where none was asked
}

// tone is how much something needs somebody. It never stands for itself: there are words
// with it.
type tone string

const (
	good  tone = "good"
	quiet tone = "quiet"
	warn  tone = "warn"
	bad   tone = "bad"
)

// health is how a server does, in words.
type health struct {
	tone tone
	text string
	why  string
	last time.Time
}

type memberHealth struct {
	name string
	health
}

// How much is on the page at a time.
const (
	maxRows  = 100
	maxCalls = 50
)

// lookOnce takes in how the gateway is, for a page that asks nothing more of it.
func (c *Console) lookOnce(r *http.Request) *view {
	now := c.cfg.Now()
	defer now.Release()
	return c.look(r, &now)
}

// lookAround takes in what a whole page shows besides: people, and accounts.
func (c *Console) lookAround(r *http.Request, now *Now) *view {
	v := c.look(r, now)
	v.holds(r.Context())
	v.lists(r.Context())
	slices.SortFunc(now.Accounts, func(a, b Account) int { return strings.Compare(a.Server, b.Server) })
	for i := range now.Accounts {
		a := account{Account: &now.Accounts[i]}
		a.state, a.err = a.State(r.Context())
		v.accounts = append(v.accounts, a)
	}
	return v
}

// look takes in how the gateway is.
func (c *Console) look(r *http.Request, now *Now) *view {
	v := &view{now: now, at: time.Now(), find: strings.TrimSpace(r.URL.Query().Get("find")), tryAt: r.URL.Query().Get("try"), person: r.URL.Query().Get("person"), everyone: r.URL.Query().Has("people")}
	if len(c.cfg.Tokens) > 0 {
		v.signedIn = c.sessions.known(r)
	}
	var trouble troubles
	byName := map[string]*Server{}
	for _, s := range v.now.Servers {
		byName[s.Name] = s
		rw := row{Server: s}
		rw.health, rw.members = healthOf(v.now.Endpoint(s.Name).Target.Members())
		trouble.add(s, rw.health)
		switch {
		case v.find != "" && !s.speaksOf(v.find):
		case len(v.rows) < maxRows:
			rw.load = c.load(s.Name) // not of thousands, again and again for each page
			v.rows = append(v.rows, rw)
		default:
			v.left++
		}
	}
	all := c.cfg.Recent.List()
	for _, x := range all {
		switch {
		case v.find != "" && !speaksOf(x, v.find):
		case len(v.calls) < maxCalls:
			v.calls = append(v.calls, call{x, wordsOf(x), c.explain(x, byName[x.Server], v.now)})
		default:
			v.older++
		}
	}
	c.forget(all)
	v.headline, v.tone = trouble.headline(v.now)
	v.facts = trouble.facts(v)
	return v
}

// title is that of the browser's tab.
func (v *view) title() string { return v.headline + " – Sallyport" }

func (s *Server) speaksOf(text string) bool { return holds(text, s.Name, s.Title, s.About) }

func speaksOf(x *recent.Call, text string) bool {
	who := ""
	if x.Caller != nil {
		who = x.Caller.Email + " " + x.Caller.Name
	}
	return holds(text, x.ID, x.Server, x.Member, x.Method, x.Target, x.Subject, x.Decision, x.Reason, who)
}

// holds reports whether one of the texts has the other in it, in any case.
func holds(text string, in ...string) bool {
	text = strings.ToLower(text)
	for _, t := range in {
		if strings.Contains(strings.ToLower(t), text) {
			return true
		}
	}
	return false
}

// healthOf puts into words how the servers behind an endpoint are: the worst of them
// first, and each for itself where there are several.
func healthOf(states []upstream.MemberState) (worst health, each []memberHealth) {
	worst = health{tone: quiet, text: "Has nothing behind it"}
	for i, s := range states {
		h := health{last: s.Last, why: s.Why}
		switch s.Status {
		case status.Ready:
			h.tone, h.text, h.why = good, "answers", ""
		case status.Unauthenticated:
			h.tone, h.text, h.why = good, "is there, and asks for a credential", ""
		case status.Degraded:
			h.tone, h.text = warn, "does not answer well"
		case status.Unavailable:
			h.tone, h.text = bad, "does not answer"
		default:
			h.tone, h.text = quiet, "was not asked yet"
		}
		if len(s.Changed) > 0 && h.tone != bad {
			h.tone, h.text = warn, "has tools that are not as they were locked"
			var names []string
			for _, c := range s.Changed {
				names = append(names, c.Tool+": "+c.Change)
			}
			h.why = strings.Join(names, "; ")
		}
		each = append(each, memberHealth{s.Name, h})
		if i == 0 || h.tone.rank() > worst.tone.rank() {
			if worst = h; len(states) > 1 {
				worst.text = s.Name + " " + h.text
			} else {
				worst.text = capital(h.text)
			}
		}
	}
	if len(each) < 2 {
		return worst, nil
	}
	if worst.tone == good {
		worst.text = "All " + strconv.Itoa(len(each)) + " members answer"
	}
	return worst, each
}

func (t tone) rank() int { return strings.Index("good quiet warn bad", string(t)) }

// troubles are what the sentence on top is made of.
type troubles struct {
	servers, everybody int
	down, poor         []string
}

func (t *troubles) add(s *Server, h health) {
	t.servers++
	if s.anonymous {
		t.everybody++
	}
	switch h.tone {
	case bad:
		t.down = append(t.down, s.Name)
	case warn:
		t.poor = append(t.poor, s.Name)
	}
}

// headline is the one sentence that says how the gateway is.
func (t *troubles) headline(now *Now) (string, tone) {
	switch {
	case now.Since.IsZero():
		return "The gateway is starting.", quiet
	case now.Leaving:
		return "The gateway is about to end: clients are sent elsewhere.", warn
	}
	var parts []string
	if len(t.down) > 0 {
		parts = append(parts, several(t.down, t.servers, "does not answer", "do not answer"))
	}
	if len(t.poor) > 0 && len(t.down) == 0 {
		parts = append(parts, several(t.poor, t.servers, "needs a look", "need a look"))
	}
	if len(now.Lacks) > 0 {
		parts = append(parts, "something that the gateway needs is missing")
	}
	if now.Refused != "" {
		parts = append(parts, "a newer configuration is not served")
	}
	switch text := strings.Join(parts, ", and "); {
	case text != "" && len(t.down) > 0:
		return sentence(text), bad
	case text != "":
		return sentence(text), warn
	case t.servers == 0:
		return "Nothing is served: the configuration has no servers.", quiet
	case t.servers == 1:
		return "All is well with the one server there is.", good
	}
	return fmt.Sprintf("All is well with all %d servers.", t.servers), good
}

// several says something of a few by their names, and of many by their number.
func several(names []string, of int, one, many string) string {
	switch len(names) {
	case 1:
		return names[0] + " " + one
	case 2:
		return names[0] + " and " + names[1] + " " + many
	}
	return fmt.Sprintf("%d of %d servers %s", len(names), of, many)
}

// sentence makes a sentence, whose first word may be a name: that stays as it is.
func sentence(text string) string {
	if strings.HasPrefix(text, "a newer") || strings.HasPrefix(text, "something") {
		text = capital(text)
	}
	return text + "."
}

// facts is what else there is to know at a glance.
func (t *troubles) facts(v *view) string {
	if v.now.Since.IsZero() {
		return ""
	}
	var calls uint64
	for i := range v.rows {
		calls += v.rows[i].load.total
	}
	text := "Served since " + clock(v.now.Since, v.at) + "."
	if v.now.Revision != "" { // of demo and run there is none
		text = "Configuration " + short(v.now.Revision) + ", served since " + clock(v.now.Since, v.at) + "."
	}
	if v.find == "" && v.left == 0 {
		text += " " + count(calls, "call", "calls") + " since the start."
	}
	switch {
	case t.everybody == 1 && t.servers == 1:
		text += " It lets everybody in."
	case t.everybody == 1:
		text += " One server lets everybody in."
	case t.everybody > 1:
		text += fmt.Sprintf(" %d servers let everybody in.", t.everybody)
	}
	return text
}

func count(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	digits := strconv.FormatUint(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits + " " + many
}

// short is the beginning of a hash.
func short(hash string) string { return hash[:min(len(hash), 8)] }

// clock is a time of day, with the day where that is another one.
func clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04:05") + " UTC"
	}
	return t.Format("2 Jan 15:04") + " UTC"
}

// ago is how long something is past, as exact as it takes to be worth a glance.
func ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return ""
	case d < 2*time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	}
	return "at " + clock(t, now)
}

// part is one of the page's.
type part struct {
	id   string
	show func(*page.Page)
}

// parts are what a stream keeps up to date, each for itself.
func (v *view) parts() []part {
	return []part{{"state", v.showState}, {"servers", v.showServers}, {"calls", v.showCalls}, {"configuration", v.showConfiguration}}
}
