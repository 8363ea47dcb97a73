package upstream

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/toollock"
)

// Drift is what becomes of a tool that is not as it was locked.
type Drift string

// What can become of one. It is said in the log in any case.
const (
	DriftAllow      Drift = "allow"      // it is shown and called
	DriftQuarantine Drift = "quarantine" // as if it were not there, until the lock is written anew
	DriftDeny       Drift = "deny"       // it is shown, and calls are refused with the reason
)

// Lock holds the tools of a server to what they were. Lists are looked at as they come;
// before a call it is known what the server says of its tools now, to this caller.
type Lock struct {
	Tools toollock.Server
	Drift Drift
	Log   *slog.Logger

	mu    sync.Mutex
	known map[string]judged         // by tool: as it was seen last
	said  map[string]bool           // what has been reported
	views map[[32]byte]*lockedTools // by who sees the same
	drift map[string]string         // what differs now, by tool
}

// judged is a tool as a server says it, and how that differs from the lock; "" where it
// does not.
type judged struct {
	raw    []byte
	change string
}

// lockedTools are what differs for somebody.
type lockedTools struct {
	fetching sync.Mutex
	at       time.Time // zero where it has to be found out anew
	drift    map[string]string
	pending  bool
}

const (
	maxJudged    = 20_000
	maxLockViews = 1024
)

// judge says how a tool differs from what it was.
func (l *Lock) judge(name string, raw []byte) (change string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k, ok := l.known[name]; ok && bytes.Equal(k.raw, raw) {
		l.report(name, k.change)
		return k.change
	}
	_, now, err := toollock.Of(raw)
	before, locked := l.Tools[name]
	switch {
	case err != nil:
		change = "it cannot be read without doubt"
	case !locked:
		change = toollock.Added(&now)
	default:
		change = before.Changes(&now)
	}
	if l.known == nil || len(l.known) >= maxJudged {
		l.known = map[string]judged{}
	}
	l.known[name] = judged{bytes.Clone(raw), change}
	l.report(name, change)
	return change
}

// report says what differs, once, and has all views of it found out anew. l.mu is held.
func (l *Lock) report(name, change string) {
	if l.drift == nil || len(l.drift) >= maxJudged {
		l.drift, l.said = map[string]string{}, map[string]bool{}
	}
	if change == "" {
		delete(l.drift, name)
		return
	}
	l.drift[name] = change
	if l.said[name+"\x00"+change] {
		return
	}
	l.said[name+"\x00"+change] = true
	l.stale()
	l.Log.Warn("a tool is not as it was locked; look at it, and run sallyport lock to accept it", "tool", mcp.Shown(name), "change", change, "drift", string(l.Drift))
}

// stale has all views found out anew. l.mu is held.
func (l *Lock) stale() {
	for _, v := range l.views {
		v.at = time.Time{}
	}
}

// Publish unmarks in keep the tools of a list that are quarantined.
func (l *Lock) Publish(list *mcp.List, keep []bool) {
	for i, it := range list.Items {
		if l.judge(it.Name, list.Bytes(it.Span)) != "" && l.Drift == DriftQuarantine {
			keep[i] = false
		}
	}
}

// Changed is what differs now, by tool.
func (l *Lock) Changed() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]string, len(l.drift))
	for name, change := range l.drift {
		all[name] = change
	}
	return all
}

// listed looks at the pages of a whole list for somebody, before change does. done is
// called when all are there. whole says that nobody is shown other tools.
func (l *Lock) listed(who [32]byte, whole bool, change func([]byte) ([]byte, error)) (over func([]byte) ([]byte, error), done func()) {
	drift := map[string]string{}
	over = func(page []byte) ([]byte, error) {
		list, err := mcp.ReadList(page, "tools/list")
		if err != nil || list == nil {
			return change(page)
		}
		keep := make([]bool, len(list.Items))
		for i, it := range list.Items {
			change := l.judge(it.Name, list.Bytes(it.Span))
			drift[it.Name] = change
			keep[i] = change == "" || l.Drift != DriftQuarantine
		}
		return change(list.Rewrite(keep))
	}
	return over, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for name := range l.Tools {
			if _, there := drift[name]; !there && whole {
				l.report(name, toollock.Gone)
			}
		}
		v := l.view(who)
		v.at, v.drift = time.Now(), drift
	}
}

// view is what differs for somebody. l.mu is held.
func (l *Lock) view(who [32]byte) *lockedTools {
	v := l.views[who]
	if v == nil {
		if l.views == nil || len(l.views) >= maxLockViews {
			l.views = map[[32]byte]*lockedTools{}
		}
		v = &lockedTools{}
		l.views[who] = v
	}
	return v
}

// lockFresh is how old what is known of a server's tools may be when one is called.
const lockFresh = time.Minute

// admit refuses the call of a tool that is not as it was locked.
func (u *Upstream) admit(ctx context.Context, c *Call) error {
	l := u.Lock
	if l == nil || l.Drift == DriftAllow || c.Message == nil || c.Message.Method != "tools/call" {
		return nil
	}
	name := c.Message.Target
	if _, locked := l.Tools[name]; !locked {
		return l.refuse(c, "it is in no lock")
	}
	drift, err := u.drift(ctx, c)
	if err != nil {
		return err
	}
	if change := drift[name]; change != "" {
		return l.refuse(c, change)
	}
	return nil
}

// drift is what differs for the caller, as of a moment ago.
func (u *Upstream) drift(ctx context.Context, c *Call) (map[string]string, error) {
	l, who := u.Lock, u.Sharing(c.Caller, c.Token, c.Captured)
	l.mu.Lock()
	v := l.view(who)
	at, drift, pending := v.at, v.drift, v.pending
	old := !at.IsZero() && time.Since(at) >= lockFresh
	if old && !pending {
		v.pending = true
	}
	l.mu.Unlock()
	if old && !pending {
		go func() {
			_ = u.list(context.WithoutCancel(ctx), c) // what is known stays
			l.mu.Lock()
			defer l.mu.Unlock()
			v.pending = false
		}()
	}
	if !at.IsZero() {
		return drift, nil
	}
	v.fetching.Lock()
	defer v.fetching.Unlock()
	l.mu.Lock()
	known := !v.at.IsZero()
	l.mu.Unlock()
	if !known { // nobody has found out meanwhile
		if err := u.list(ctx, c); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if v = l.view(who); v.drift == nil { // those of others have taken its place at once
		return nil, &Denied{Reason: "tool_lock", Public: mcp.Errorf(http.StatusServiceUnavailable, mcp.CodeInternal, "%s: too many callers; try again", u.Name)}
	}
	return v.drift, nil
}

// list has the server say what its tools are, to whoever makes a call.
func (u *Upstream) list(ctx context.Context, c *Call) error {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	own := &Call{Caller: c.Caller, Token: c.Token, Sharer: c.Sharer, Captured: c.Captured, Header: http.Header{}}
	_, err := u.List(ctx, own, "tools/list", func(page []byte) ([]byte, error) { return page, nil })
	return err
}

const lockTimeout = 15 * time.Second

// refuse says no to a call. Of what is quarantined a client hears no more than of what
// there is not.
func (l *Lock) refuse(c *Call, change string) error {
	name := c.Message.Target
	status := http.StatusOK // an older client takes an error status for a broken session
	if c.Revision.Modern() {
		status = http.StatusForbidden
	}
	id := rand.Text()[:10]
	d := &Denied{Reason: "tool_lock " + id + ": " + mcp.Shown(name) + ": " + change, Decision: id}
	if l.Drift == DriftQuarantine {
		if status != http.StatusOK {
			status = http.StatusBadRequest
		}
		d.Public = mcp.Errorf(status, mcp.CodeInvalidParams, "unknown tool: %s", name)
		return d
	}
	d.Public = mcp.Errorf(status, mcp.CodeInvalidParams, "not allowed: the tool is not as it was when it was locked; the operator can look up the decision %s", id)
	d.Public.Data = []byte(`{"decision":` + string(mcp.Quote(id)) + `}`)
	return d
}

// watched is a stream on which a server may say that its tools have changed.
type watched struct {
	io.ReadCloser
	lock *Lock
	tail []byte // the end of what was read, in case the words are split
}

var toolsChanged = []byte("tools/list_changed")

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.tail = append(w.tail, p[:n]...)
	if bytes.Contains(w.tail, toolsChanged) {
		w.lock.mu.Lock()
		w.lock.stale()
		w.lock.mu.Unlock()
		w.tail = w.tail[:0]
	}
	if keep := len(toolsChanged) - 1; len(w.tail) > keep {
		w.tail = append(w.tail[:0], w.tail[len(w.tail)-keep:]...)
	}
	return n, err
}
