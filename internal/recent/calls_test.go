package recent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/policy"
	"github.com/sallyport-dev/sallyport/internal/recent"
)

func denied(who, target, decision string, at int) *recent.Call {
	c := &recent.Call{
		Event:    audit.Event{Time: time.Unix(int64(at), 0), Server: "docs", Method: "tools/call", Target: target, Status: 403, Reason: "policy " + decision + ": no policy permits"},
		Decision: decision,
	}
	if who != "" {
		c.Caller = &identity.Caller{Subject: who, Source: identity.SourceJWT}
	}
	return c
}

// What comes again is one call with a count, the last one first; the oldest make room.
func TestCalls(t *testing.T) {
	t.Parallel()
	r := recent.New()
	r.Add(denied("alice", "search", "AAAA", 1))
	r.Add(denied("bob", "search", "BBBB", 2))
	r.Add(denied("alice", "delete", "CCCC", 3))
	r.Add(denied("alice", "search", "DDDD", 4))
	var got []string
	for _, c := range r.List() {
		got = append(got, fmt.Sprint(c.Caller.Subject, " ", c.Target, " ", c.Decision, " ", c.Count, " since ", c.First.Unix()))
	}
	want := []string{"alice search DDDD 2 since 1", "alice delete CCCC 1 since 3", "bob search BBBB 1 since 2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	before := r.Change()
	for i := range 10 * recent.Kept {
		r.Add(denied("carol", fmt.Sprint("tool", i), "", i))
	}
	all := r.List()
	if len(all) != recent.Kept || all[0].Target != fmt.Sprint("tool", 10*recent.Kept-1) || r.Change() == before {
		t.Errorf("%d calls are kept, the last one of %s", len(all), all[0].Target)
	}
	r.Add(denied("alice", "search", "EEEE", 5))
	if first := r.List()[0]; first.Count != 1 {
		t.Errorf("what was forgotten is counted on: %d", first.Count)
	}
}

// Strangers take one place together, so that they cannot drive out the calls of people.
func TestStrangersTakeOnePlace(t *testing.T) {
	t.Parallel()
	r := recent.New()
	r.Add(denied("alice", "search", "AAAA", 1))
	for i := range 2 * recent.Kept {
		c := denied("", fmt.Sprint("x", i), "", i)
		c.Client, c.Reason = fmt.Sprintf("192.0.2.%d", i%250), "the request carries no credential"
		r.Add(c)
	}
	if all := r.List(); len(all) != 2 || all[0].Count != 2*recent.Kept || all[1].Caller == nil {
		t.Errorf("%d calls are kept", len(all))
	}
}

// However long a stranger's text is, little of it stays.
func TestTextIsCut(t *testing.T) {
	t.Parallel()
	r := recent.New()
	c := denied("alice", strings.Repeat("ä", 1<<20), "", 1)
	c.Asked = &policy.Query{Target: c.Target}
	r.Add(c)
	got := r.List()[0]
	if len(got.Target) > 2<<10 || !strings.HasSuffix(got.Target, "ä…") || got.Asked != nil {
		t.Errorf("%d bytes are kept, and %v", len(got.Target), got.Asked)
	}
}

func TestNil(t *testing.T) {
	t.Parallel()
	var r *recent.Calls
	r.Add(denied("alice", "search", "", 1))
	if r.List() != nil || r.Change() != 0 {
		t.Error("nil keeps something")
	}
}
