package people

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// Listed is a person in a list.
type Listed struct {
	Subject, Title string
	Apps, Browsers int
	Last           time.Time // that they allowed something, used it or signed in; zero where nothing of that is left
}

// List are people, those first who were there last.
type List struct {
	People   []Listed
	More     int  // that are not listed
	Nameless int  // whose records do not say yet who they are
	Cut      bool // there are more records than were looked through
}

// How far a list goes: every record has to be read and opened for it.
const (
	maxLooked = 20_000
	maxLooks  = 5 * time.Second
)

// List lists at most n people, of all whose subject or name has a text in it, in any case.
func (b *Book) List(ctx context.Context, text string, n int) (l List, err error) {
	ctx, cancel := context.WithTimeout(ctx, maxLooks)
	defer cancel()
	text = strings.ToLower(text)
	looked := 0
	err = b.Records.Each(ctx, kind, func(open func(any) error) bool {
		var p Person
		if looked++; looked > maxLooked || ctx.Err() != nil {
			l.Cut = true
			return false
		}
		if open(&p) != nil {
			return true // it is of a key that is gone
		}
		b.Prune(&p)
		switch {
		case p.Subject == "":
			l.Nameless++
		case strings.Contains(strings.ToLower(p.Subject), text) || strings.Contains(strings.ToLower(p.Title), text):
			l.People = append(l.People, p.listed())
		}
		return true
	})
	if errors.Is(err, context.DeadlineExceeded) {
		l.Cut, err = true, nil
	}
	slices.SortFunc(l.People, func(a, b Listed) int {
		return cmp.Or(b.Last.Compare(a.Last), strings.Compare(a.Subject, b.Subject))
	})
	if l.More = len(l.People) - n; l.More > 0 {
		l.People = l.People[:n]
	}
	l.More = max(0, l.More)
	return l, err
}

func (p *Person) listed() Listed {
	l := Listed{Subject: p.Subject, Title: p.Title, Apps: len(p.Apps), Browsers: len(p.Browsers)}
	note := func(t time.Time) {
		if t.After(l.Last) {
			l.Last = t
		}
	}
	for i := range p.Apps {
		note(p.Apps[i].Used)
	}
	for i := range p.Browsers {
		note(p.Browsers[i].At)
	}
	return l
}
