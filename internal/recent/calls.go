package recent

import (
	"container/list"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

// Call is one that was refused or failed, or several that are alike, of which it is the last.
type Call struct {
	audit.Event                  // its target is as it may be shown
	Caller      *identity.Caller // nil where nobody knows who called
	Decision    string           // of policies, that the client was told
	// Asked is what a policy said no to, without arguments; nil where it was something else
	// that said no, or what was asked for may not be kept.
	Asked *policy.Query
	Told  string // to the client, in place of an answer
	Cause string // of a failure, as the log has it

	Count int       // of the calls that are alike
	First time.Time // of the first of them
}

// Key tells calls apart that are worth a look each. Who is not known is one caller,
// whatever address the calls come from: strangers can have many.
type key struct {
	server, member, method, target, caller, reason string
	status                                         int
}

func (c *Call) key() key {
	k := key{c.Server, c.Member, c.Method, c.Target, "", c.Reason, c.Status}
	if c.Method == "" {
		k.method = c.HTTPMethod
	}
	if c.Decision != "" { // no two are the same
		k.reason = strings.ReplaceAll(k.reason, c.Decision, "")
	}
	if c.Caller == nil {
		k.target = ""
		return k
	}
	k.caller = c.Caller.Key()
	return k
}

// Kept is how many calls are remembered, at most; maxText how many bytes of each text
// that comes from outside.
const (
	Kept    = 200
	maxText = 1 << 10
)

// Calls are the last ones. A nil *Calls keeps none. It is safe for use by many goroutines.
type Calls struct {
	mu     sync.Mutex
	order  list.List // of *Call, the last one first
	byKey  map[key]*list.Element
	change uint64
}

// New makes a memory that holds nothing yet.
func New() *Calls { return &Calls{byKey: map[key]*list.Element{}} }

// Add takes in a call that has just ended. It keeps c.
func (r *Calls) Add(c *Call) {
	if r == nil {
		return
	}
	for _, text := range []*string{&c.Method, &c.Target, &c.Subject, &c.Reason, &c.Told, &c.Cause} {
		*text = cut(*text)
	}
	if c.Asked != nil && c.Asked.Target != cut(c.Asked.Target) {
		c.Asked = nil
	}
	c.Count, c.First = 1, c.Time
	k := c.key()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.change++
	if e, ok := r.byKey[k]; ok {
		before := e.Value.(*Call)
		c.Count, c.First = before.Count+1, before.First
		e.Value = c
		r.order.MoveToFront(e)
		return
	}
	r.byKey[k] = r.order.PushFront(c)
	if r.order.Len() > Kept {
		oldest := r.order.Remove(r.order.Back()).(*Call)
		delete(r.byKey, oldest.key())
	}
}

// List returns the calls, the last one first. They are not changed any more.
func (r *Calls) List() []*Call {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*Call, 0, r.order.Len())
	for e := r.order.Front(); e != nil; e = e.Next() {
		all = append(all, e.Value.(*Call))
	}
	return all
}

// Change is another number whenever something has come in.
func (r *Calls) Change() uint64 {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.change
}

// cut shortens text to what is kept, at a character's end.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "…"
}
