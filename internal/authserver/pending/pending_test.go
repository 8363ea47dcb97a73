package pending_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/pending"
)

// FINDING S9: where there are too many in all, the sender with the most gives way, and
// the old are forgotten first.
func TestTooManyInAll(t *testing.T) {
	t.Parallel()
	var s pending.SignIns
	now := time.Now()
	kept := 0
	add := func(sender, browser string, at time.Time) []string {
		kept++
		gone := s.Add(sender, pending.Begun{Record: fmt.Sprintf("%s %s %d", sender, browser, kept), Browser: browser, Until: at.Add(10 * time.Minute)}, at)
		kept -= len(gone)
		return gone
	}
	add("quiet", "one", now)
	for i := range 12_000 {
		add(fmt.Sprintf("flood %d", i%30), "x", now)
	}
	if kept != 10_000 {
		t.Errorf("%d are kept", kept)
	}
	if gone := add("new", "two", now); len(gone) != 1 || gone[0][:5] != "flood" {
		t.Errorf("%q made room for somebody new", gone)
	}
	if gone := add("new", "two", now.Add(11*time.Minute)); len(gone) != 0 {
		t.Errorf("%q made room although all others are old", gone)
	}
	s.Done("nobody's")
}
