package people

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/records"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// Person is what is kept of one. It is one record, so that its pages can show all of it.
type Person struct {
	// Subject and Title are who that is: the key has no more than a hash. A record of an
	// older release has neither, until it changes.
	Subject  string    `json:"w,omitempty"`
	Title    string    `json:"t,omitempty"` // as people read it
	Apps     []App     `json:"a,omitempty"`
	Browsers []Browser `json:"b,omitempty"`
}

// App is a client that a person allowed to use an endpoint. Its refresh tokens are good
// as long as it is here (REQ G-10).
type App struct {
	Client   string       `json:"c"`
	Audience string       `json:"u"`
	Name     string       `json:"n,omitempty"` // as people read it
	Host     string       `json:"h,omitempty"` // where its answers go
	Allowed  []Permission `json:"o"`           // what was asked about; the newest last
	Since    time.Time    `json:"s"`
	Used     time.Time    `json:"l"`
	Families []string     `json:"f,omitempty"` // of its tokens, the newest last
}

// Permission is what a person said yes to. They are asked anew when the client wants more,
// or the answer elsewhere; a loopback address with another port is elsewhere too, since
// another program may listen there (RFC 8252 §8.6).
type Permission struct {
	Redirect string    `json:"u"`
	Scopes   []string  `json:"o"`
	At       time.Time `json:"t"`
}

// Browser is one in which a person is signed in.
type Browser struct {
	Session string    `json:"k"` // the key of its record
	Name    string    `json:"n,omitempty"`
	At      time.Time `json:"t"`
}

// ConsentLife is how long what a person allowed needs no new yes.
const ConsentLife = 90 * 24 * time.Hour

const (
	maxApps     = 100
	maxBrowsers = 20
)

// ID names an application among those of a person.
func (a *App) ID() string { return store.Digest(a.Client, a.Audience)[:16] }

// ID names a browser among those of a person.
func (b *Browser) ID() string { return store.Digest(b.Session)[:16] }

// App finds what a person allowed a client at an endpoint; nil for nothing.
func (p *Person) App(client, audience string) *App {
	for i := range p.Apps {
		if p.Apps[i].Client == client && p.Apps[i].Audience == audience {
			return &p.Apps[i]
		}
	}
	return nil
}

// Book is all people of a server.
type Book struct {
	Records *records.Records
	Refresh time.Duration // that a refresh token lasts
	Session time.Duration // that a browser stays signed in
}

const kind = "person"

func (b *Book) key(subject string) string { return b.Records.Key(kind, subject) }

// Get reads what is kept of a person. What is stored is nil when nothing is.
func (b *Book) Get(ctx context.Context, subject string) (p Person, stored []byte, err error) {
	stored, err = b.Records.Get(ctx, b.key(subject), &p)
	if errors.Is(err, records.ErrGone) {
		return Person{}, stored, nil
	}
	return p, stored, err
}

// Change changes what is kept of a person, over all replicas.
func (b *Book) Change(ctx context.Context, subject string, change func(*Person)) error {
	key, life := b.key(subject), ConsentLife+b.Refresh
	for range 16 {
		p, stored, err := b.Get(ctx, subject)
		if err != nil {
			return err
		}
		p.Subject = subject
		change(&p)
		b.Prune(&p)
		var done bool
		if stored == nil {
			done, err = b.Records.Add(ctx, key, p, life)
		} else {
			done, err = b.Records.Swap(ctx, key, stored, p, life)
		}
		if done || err != nil {
			return err
		}
	}
	return errors.New("note what a person allowed: too many at the same time")
}

// Prune forgets what is over.
func (b *Book) Prune(p *Person) {
	now := time.Now()
	p.Apps = slices.DeleteFunc(p.Apps, func(a App) bool { return now.Sub(a.Used) > ConsentLife+b.Refresh })
	p.Browsers = slices.DeleteFunc(p.Browsers, func(x Browser) bool { return now.Sub(x.At) > b.Session })
	slices.SortFunc(p.Apps, func(a, b App) int { return b.Used.Compare(a.Used) })
	p.Apps = p.Apps[:min(len(p.Apps), maxApps)]
	p.Browsers = p.Browsers[max(0, len(p.Browsers)-maxBrowsers):]
}
