package pending

import (
	"slices"
	"sync"
	"time"
)

// SignIns are those whose browsers are at a provider. A program can press the
// consent page's button too, and each press keeps a record for minutes: so there is a
// bound for one sender and one for all. Where one is met the newest one makes room
// of the browser that has the most under way there, never whoever comes next: all who
// share an address, with a program that begins sign-ins for fun, still get in.
// The zero value is ready.
type SignIns struct {
	mu      sync.Mutex
	senders map[string][]Begun // oldest first
	at      map[string]string  // record → sender
}

// Begun is a sign-in under way.
type Begun struct {
	Record  string // its key in the store
	Browser string
	Until   time.Time
}

const (
	mostOfOne = 500 // an office behind one address ends what it begins
	mostOfAll = 10_000
)

// Add notes a sign-in, and returns the records of those that make room for it.
func (s *SignIns) Add(sender string, b Begun, now time.Time) (gone []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		s.senders, s.at = map[string][]Begun{}, map[string]string{}
	}
	if len(s.at) >= mostOfAll {
		s.sweep(now)
	}
	s.forgetOld(sender, now)
	switch {
	case len(s.senders[sender]) >= mostOfOne:
		gone = s.pushOut(sender)
	case len(s.at) >= mostOfAll:
		most := sender
		for other, list := range s.senders {
			if len(list) > len(s.senders[most]) {
				most = other
			}
		}
		gone = s.pushOut(most)
	}
	s.senders[sender] = append(s.senders[sender], b)
	s.at[b.Record] = sender
	return gone
}

// pushOut takes out the newest sign-in of the sender's busiest browser.
func (s *SignIns) pushOut(sender string) []string {
	list := s.senders[sender]
	counts := map[string]int{}
	victim, most := -1, 0
	for i, b := range list {
		counts[b.Browser]++
		if counts[b.Browser] >= most {
			victim, most = i, counts[b.Browser]
		}
	}
	if victim < 0 {
		return nil
	}
	record := list[victim].Record
	s.take(record)
	return []string{record}
}

// Done forgets a sign-in that is not waited for any more.
func (s *SignIns) Done(record string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take(record)
}

func (s *SignIns) take(record string) {
	sender, there := s.at[record]
	if !there {
		return
	}
	delete(s.at, record)
	s.set(sender, slices.DeleteFunc(s.senders[sender], func(b Begun) bool { return b.Record == record }))
}

func (s *SignIns) sweep(now time.Time) {
	for sender := range s.senders {
		s.forgetOld(sender, now)
	}
}

func (s *SignIns) forgetOld(sender string, now time.Time) {
	list := s.senders[sender]
	old := 0
	for ; old < len(list) && now.After(list[old].Until); old++ {
		delete(s.at, list[old].Record)
	}
	s.set(sender, slices.Delete(list, 0, old))
}

func (s *SignIns) set(sender string, list []Begun) {
	if len(list) == 0 {
		delete(s.senders, sender)
		return
	}
	s.senders[sender] = list
}
