package mcp

import (
	"bytes"
	"sync"
	"unicode/utf8"
)

// Bytes returns the bytes of a span of the list or of one of its items, nil for an
// absent one.
func (l *List) Bytes(s Span) []byte {
	if !s.Present() {
		return nil
	}
	end := l.base + s.End
	return l.Raw[l.base+s.Start : end : end]
}

// Rewrite returns the message without the items for which keep is false and with
// the edits made, and otherwise byte for byte as it was (REQ F-4). keep may be nil:
// all stay. The edits' spans are the list's and its items'; those in items that go
// must not be given.
func (l *List) Rewrite(keep []bool, edits ...Edit) []byte {
	return l.AppendRewrite(nil, keep, edits...)
}

// AppendRewrite appends what Rewrite returns. dst and Raw must not overlap.
func (l *List) AppendRewrite(dst []byte, keep []bool, edits ...Edit) []byte {
	all := make([]Edit, 0, len(edits)+8)
	for _, e := range edits {
		e.Span = Span{l.base + e.Span.Start, l.base + e.Span.End}
		all = append(all, e)
	}
	if keep != nil {
		spans := make([]Span, len(l.Items))
		for i, it := range l.Items {
			spans[i] = Span{l.base + it.Span.Start, l.base + it.Span.End}
		}
		all = append(all, dropped(spans, keep)...)
	}
	return appendSplice(dst, l.Raw, all)
}

// dropped is the removal of each run of spans that go, with one comma each: the one
// before, or behind it for the first.
func dropped(spans []Span, keep []bool) []Edit {
	var edits []Edit
	for i := 0; i < len(spans); i++ {
		if keep[i] {
			continue
		}
		first := i
		for i+1 < len(spans) && !keep[i+1] {
			i++
		}
		span := Span{spans[first].Start, spans[i].End}
		switch {
		case first > 0:
			span.Start = spans[first-1].End
		case i+1 < len(spans):
			span.End = spans[i+1].Start
		}
		edits = append(edits, Edit{Span: span})
	}
	return edits
}

// Lists reads lists, and knows those again that it has read before: servers answer
// everybody with the same bytes but for the id, and comparing them costs a fraction
// of reading them. The zero Lists is ready, and safe for use by several at a time.
type Lists struct {
	// LeftOut, if not nil, hears of items that are left out of lists: when the first is,
	// and when there are more or fewer of them. n is 0 when all are there again.
	LeftOut func(method string, n int, why error)

	mu     sync.Mutex
	left   map[string]int // by method
	recent [recentLists]remembered
	next   int
}

type remembered struct {
	method string
	list   *List
}

const (
	recentLists    = 8       // pages of a few lists
	maxListKept    = 1 << 20 // bytes
	maxListIDKnown = 128     // bytes
)

// Read is ReadList, except that raw is kept by nobody but the List. The Items of
// lists that are the same are the same slice.
func (c *Lists) Read(raw []byte, method string) (*List, error) {
	if l := c.find(raw, method); l != nil {
		c.note(method, l)
		return l, nil
	}
	l, err := ReadList(raw, method)
	if err != nil || l == nil {
		return l, err
	}
	c.note(method, l)
	if l.LeftOut > 0 || len(raw) > maxListKept {
		return l, nil
	}
	kept := *l
	kept.Raw = bytes.Clone(raw)
	c.mu.Lock()
	c.recent[c.next] = remembered{method, &kept}
	c.next = (c.next + 1) % len(c.recent)
	c.mu.Unlock()
	return l, nil
}

// note tells of a change in what is left out.
func (c *Lists) note(method string, l *List) {
	if c.LeftOut == nil {
		return
	}
	c.mu.Lock()
	before := c.left[method]
	if before != l.LeftOut {
		if c.left == nil {
			c.left = map[string]int{}
		}
		c.left[method] = l.LeftOut
	}
	c.mu.Unlock()
	if before != l.LeftOut {
		c.LeftOut(method, l.LeftOut, l.Why)
	}
}

func (c *Lists) find(raw []byte, method string) *List {
	c.mu.Lock()
	recent := c.recent
	c.mu.Unlock()
	for _, r := range recent {
		if r.list != nil && r.method == method {
			if l := r.list.like(raw); l != nil {
				return l
			}
		}
	}
	return nil
}

// like returns the list in raw if raw is this list's message but for the id.
func (l *List) like(raw []byte) *List {
	shift := len(raw) - len(l.Raw)
	end := l.id.End + shift
	if end <= l.id.Start || end-l.id.Start > maxListIDKnown ||
		!plainID(raw[l.id.Start:end]) ||
		!bytes.Equal(raw[:l.id.Start], l.Raw[:l.id.Start]) ||
		!bytes.Equal(raw[end:], l.Raw[l.id.End:]) {
		return nil
	}
	same := *l
	same.Raw, same.id = raw, Span{l.id.Start, end}
	if l.base > l.id.Start {
		same.base += shift
	}
	return &same
}

// plainID reports whether b is one JSON string or integer, of the kinds that
// nobody needs a JSON reader for.
func plainID(b []byte) bool {
	if n := len(b); n >= 2 && b[0] == '"' && b[n-1] == '"' {
		for _, c := range b[1 : n-1] {
			if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
				return false
			}
		}
		return true
	}
	digits := bytes.TrimPrefix(b, []byte("-"))
	if len(digits) == 0 || digits[0] == '0' && len(digits) > 1 {
		return false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
