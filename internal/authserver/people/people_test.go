package people_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport-dev/sallyport/internal/authserver/people"
	"github.com/sallyport-dev/sallyport/internal/authserver/records"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/store"
)

func newBook(t *testing.T) (*people.Book, store.Store) {
	t.Helper()
	ring, err := seal.NewRing(bytes.Repeat([]byte{1}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	kept := store.NewMemory()
	return &people.Book{Records: &records.Records{Store: kept, Ring: ring, Prefix: "as/"}, Refresh: time.Hour, Session: time.Hour}, kept
}

// People are listed, those first who were there last, by their subject or name, in any case;
// of a record that does not say whose it is no more is told than that it is there. The store
// has no name in the clear.
func TestList(t *testing.T) {
	t.Parallel()
	b, kept := newBook(t)
	now := time.Now()
	for i, who := range [][2]string{{"u-1", "Alice Example (alice@example.com)"}, {"u-2", "Bob"}, {"carol", ""}} {
		if err := b.Change(t.Context(), who[0], func(p *people.Person) {
			p.Title = who[1]
			p.Apps = append(p.Apps, people.App{Client: "c", Audience: "a", Used: now.Add(time.Duration(i) * time.Second)})
			if i == 1 {
				p.Browsers = append(p.Browsers, people.Browser{Session: "s", At: now.Add(-2 * time.Hour)}) // over
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Records.Put(t.Context(), b.Records.Key("person", "old"), people.Person{Apps: []people.App{{Client: "c", Used: now}}}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := b.Records.Put(t.Context(), b.Records.Key("code", "x"), people.Person{Subject: "nobody"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	subjects := func(text string, n int) (all []string, l people.List) {
		t.Helper()
		l, err := b.List(t.Context(), text, n)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range l.People {
			all = append(all, p.Subject)
		}
		return all, l
	}
	all, l := subjects("", 10)
	if diff := cmp.Diff([]string{"carol", "u-2", "u-1"}, all); diff != "" || l.Nameless != 1 || l.More != 0 || l.Cut {
		t.Errorf("everybody: %s %+v", diff, l)
	}
	if diff := cmp.Diff(people.Listed{Subject: "u-2", Title: "Bob", Apps: 1}, l.People[1], cmpopts.IgnoreFields(people.Listed{}, "Last")); diff != "" {
		t.Error(diff)
	}
	if all, l := subjects("", 1); len(all) != 1 || l.More != 2 {
		t.Errorf("one of them: %v %+v", all, l)
	}
	for text, want := range map[string][]string{"ALICE@": {"u-1"}, "u-": {"u-2", "u-1"}, "mallory": nil} {
		if all, _ := subjects(text, 10); cmp.Diff(want, all) != "" {
			t.Errorf("%q: %q, want %q", text, all, want)
		}
	}
	if err := kept.Scan(t.Context(), "", func(key string, value []byte) bool {
		for _, name := range []string{"alice", "Alice", "carol", "u-1"} {
			if bytes.Contains(value, []byte(name)) || bytes.Contains([]byte(key), []byte(name)) {
				t.Errorf("the store has %s in the clear", name)
			}
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
}

// A list ends with whoever asked for it, and says that it is not whole.
func TestListEnds(t *testing.T) {
	t.Parallel()
	b, _ := newBook(t)
	for i := range 3 {
		if err := b.Change(t.Context(), fmt.Sprint(i), func(*people.Person) {}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if l, err := b.List(ctx, "", 10); err == nil && !l.Cut {
		t.Errorf("it looks whole: %+v", l)
	}
}
