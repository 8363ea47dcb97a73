package console

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/console/tools"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// draft is what a page of a trial goes on from: what must not stand in it, or would have to
// be asked again.
type draft struct {
	owner  [sha256.Size]byte // the browser's session, where there is one
	ends   time.Time
	server string
	token  secret.Value
	shown  time.Time    // when the token was typed
	tools  []tools.Tool // nil before they were asked for

	ready       *trial // that would come through, and can be sent, once; nil for none
	fingerprint string // of the server's settings, when that was looked at
}

// Drafts end soon: there may be a token in them.
const (
	draftLife = 10 * time.Minute
	maxDrafts = 40
)

// drafts are kept by what only the page has that goes on from them.
type drafts struct {
	mu  sync.Mutex
	all map[string]*draft
}

// keep keeps a draft, and returns its name.
func (d *drafts) keep(x *draft) string {
	id, now := rand.Text(), time.Now()
	if x.shown.IsZero() || x.token.Empty() {
		x.shown = now
	}
	x.ends = x.shown.Add(draftLife) // however often somebody goes on with a token
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = map[string]*draft{}
	}
	first := ""
	for other, o := range d.all {
		if now.After(o.ends) {
			delete(d.all, other)
		} else if first == "" || o.ends.Before(d.all[first].ends) {
			first = other
		}
	}
	if len(d.all) >= maxDrafts {
		delete(d.all, first)
	}
	d.all[id] = x
	return id
}

// find returns a draft that a browser goes on from; nil for none.
func (d *drafts) find(r *http.Request, id string) *draft {
	d.mu.Lock()
	defer d.mu.Unlock()
	x := d.all[id]
	if x == nil || x.owner != ownerOf(r) || time.Now().After(x.ends) {
		return nil
	}
	return x
}

// take returns what can be sent, and nobody gets it again: a page that is loaded anew sends
// nothing twice. Of a tool that may change something the operator has to be sure.
func (d *drafts) take(x *draft, sure bool) (t *trial, ask bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t = x.ready; t != nil && !sure && !x.reads(t.tool) {
		return t, true
	}
	x.ready = nil
	return t, false
}

// forget drops the drafts of a browser.
func (d *drafts) forget(r *http.Request) {
	owner := ownerOf(r)
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, x := range d.all {
		if x.owner == owner {
			delete(d.all, id)
		}
	}
}

// ownerOf tells browsers apart that have signed in.
func ownerOf(r *http.Request) [sha256.Size]byte {
	if c, err := r.Cookie(cookieName); err == nil {
		return sha256.Sum256([]byte(c.Value))
	}
	return [sha256.Size]byte{}
}
