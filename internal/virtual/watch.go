package virtual

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// watch notices what changes at members, and has those hear of it who listen and see
// something else now. A member's own word that its lists have changed is not passed on:
// first the new lists are had, then those are told whose view they change.
type watch struct {
	target *Target

	mu      sync.Mutex
	streams map[*stream]struct{}
	soon    map[int]*changes // of members that have changed, a moment ago
	ended   bool
}

// changes are what a member has told of them.
type changes struct {
	last time.Time
	told map[catalogueKey]who
}

const (
	gather    = 100 * time.Millisecond // how long changes are gathered before anybody is told: a burst is told once
	refreshes = 8                      // how many callers' lists are fetched of one member at a time
)

func (w *watch) init(t *Target) {
	w.target, w.streams, w.soon = t, map[*stream]struct{}{}, map[int]*changes{}
}

// listChanged reports whether a notification says that a list has changed.
func listChanged(method string) bool {
	switch method {
	case "notifications/tools/list_changed", "notifications/prompts/list_changed", "notifications/resources/list_changed":
		return true
	}
	return false
}

// changed notes that a member said that it has changed, to somebody.
func (w *watch) changed(member int, of who) {
	key := w.target.members[member].key(of)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	c := w.soon[member]
	if c == nil {
		c = &changes{told: map[catalogueKey]who{}}
		w.soon[member] = c
		time.AfterFunc(gather, func() { w.refresh(member) })
	}
	c.last, c.told[key] = time.Now(), of
}

// refresh fetches what a changed member has: for those whom it told and those who
// listen now, for others when they ask next.
func (w *watch) refresh(member int) {
	w.mu.Lock()
	c, ended := w.soon[member], w.ended
	delete(w.soon, member)
	w.mu.Unlock()
	if ended {
		return
	}
	t := w.target
	t.known[member].outdate(c.last)
	for _, st := range w.listeners() {
		c.told[t.members[member].key(st.of)] = st.of
	}
	room := make(chan struct{}, refreshes)
	for _, of := range c.told {
		room <- struct{}{}
		go func() {
			t.known[member].refresh(t.life, of, c.last)
			<-room
		}()
	}
}

func (w *watch) listeners() (all []*stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for st := range w.streams {
		all = append(all, st)
	}
	return all
}

// look tells those who listen and to whom a member shows what has changed.
func (w *watch) look(member int, key catalogueKey) {
	for _, st := range w.listeners() {
		if w.target.members[member].key(st.of) == key {
			st.look(w.target.life)
		}
	}
}

func (w *watch) add(st *stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.streams[st] = struct{}{}
}

func (w *watch) remove(st *stream) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.streams, st)
}

func (w *watch) close() {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
}

// nobody is whose calls are made without a caller.
func nobody() who { return who{caller: identity.Anonymous()} }

// Begin asks the members what they have, and has those watched that all callers see alike.
// It listens first: what changes between asking and listening would be missed.
func (t *Target) Begin() {
	for i := range t.members {
		if !t.members[i].Upstream.PerCaller() {
			go t.attend(t.life, i, t.lists(i, nobody(), func() { t.known[i].get(t.life, nobody()) }))
		}
		if t.HealthEvery > 0 {
			go t.check(t.life, i)
		}
	}
}

// lists is an ear for changes of a member's lists, as somebody sees them.
func (t *Target) lists(i int, of who, settled func()) ear {
	return ear{of: of, params: listenParams(true, nil), settled: settled, opened: func(bool) { t.watch.changed(i, of) }, take: func(m *mcp.Envelope) {
		if listChanged(m.Method) {
			t.watch.changed(i, of)
		}
	}}
}

// ear is what somebody listens for at a member.
type ear struct {
	of      who
	params  []byte
	settled func()              // is called once: it listens, or that will take a while
	opened  func(again bool)    // is called whenever it listens: what has happened before, nobody has heard
	take    func(*mcp.Envelope) // is given what the member says
}

// listenParams are those of subscriptions/listen.
func listenParams(lists bool, uris []string) []byte {
	var fields []mcp.Field
	if lists {
		for _, name := range []string{"toolsListChanged", "promptsListChanged", "resourcesListChanged"} {
			fields = append(fields, mcp.Field{Name: name, Value: []byte("true")})
		}
	}
	if len(uris) > 0 {
		list := []byte{'['}
		for i, uri := range uris {
			if i > 0 {
				list = append(list, ',')
			}
			list = mcp.AppendQuote(list, uri)
		}
		fields = append(fields, mcp.Field{Name: "resourceSubscriptions", Value: append(list, ']')})
	}
	return mcp.Merge(nil, []mcp.Field{{Name: "_meta", Value: ownMeta()}, {Name: "notifications", Value: mcp.Merge(nil, fields)}})
}

const (
	reopenFirst = 2 * time.Second
	reopenLast  = 2 * time.Minute
)

// attend listens at a member until ctx ends, or the member says that it tells nothing.
func (t *Target) attend(ctx context.Context, i int, e ear) {
	e.settled = sync.OnceFunc(e.settled)
	late := time.AfterFunc(settleTime, e.settled)
	defer late.Stop()
	again := false
	for wait := reopenFirst; ctx.Err() == nil; wait = min(2*wait, reopenLast) {
		began := time.Now()
		granted, refused := t.attendOnce(ctx, i, e, again)
		e.settled()
		if refused {
			return
		}
		again = again || granted
		if time.Since(began) > 4*wait {
			wait = reopenFirst
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (t *Target) attendOnce(ctx context.Context, i int, e ear, again bool) (granted, refused bool) {
	raw := message(`"id":"sallyport-listen",`, "subscriptions/listen", e.params)
	msg, wrong := mcp.Parse(raw, mcp.DefaultLimits())
	if wrong != nil {
		return false, true
	}
	c := e.of.call()
	c.Method, c.Body, c.Message, c.Revision = http.MethodPost, raw, &msg, mcp.Rev20260728
	c.Header["Accept"] = []string{"application/json, text/event-stream"}
	c.Header[mcp.HeaderProtocolVersion] = []string{string(mcp.Rev20260728)}
	c.Header[mcp.HeaderMethod] = []string{msg.Method}
	a, err := t.members[i].Upstream.Do(ctx, c)
	if err != nil {
		return false, false
	}
	defer a.End("")
	if !a.Stream {
		return false, a.Status < http.StatusInternalServerError && a.Status != http.StatusTooManyRequests
	}
	events := mcp.NewEventReader(a.Body, t.MaxEventBytes)
	for {
		ev, err := events.Next()
		if err != nil {
			return granted, false
		}
		m, wrong := mcp.Parse(ev.Data, mcp.DefaultLimits())
		switch {
		case wrong != nil:
		case m.Method == "notifications/subscriptions/acknowledged":
			notes, err := mcp.Member(m.Bytes(m.Params), "notifications")
			if granted = err == nil && notes != nil && string(notes) != "{}"; !granted {
				return false, true
			}
			e.opened(again)
			e.settled()
		case m.Kind == mcp.KindNotification:
			e.take(&m)
		case m.Kind == mcp.KindResponse:
			return granted, !granted
		}
	}
}

// stream is somebody who listens, in either era.
type stream struct {
	target  *Target
	of      who
	rights  upstream.Rights
	client  string
	wants   [kindCount]bool
	arrived chan []byte   // messages for the client
	broken  chan struct{} // closed when the client does not read
	ctx     context.Context
	cancel  context.CancelFunc
	meta    []byte // raw _meta of the notifications; nil for none

	looking sync.Mutex // held while it is compared what the client saw and sees
	seen    digests    // guarded by looking
	once    sync.Once
}

const maxWaiting = 256 // messages that a client has not read

// look tells the client which of the lists it has seen are other ones now.
func (st *stream) look(ctx context.Context) {
	st.looking.Lock()
	defer st.looking.Unlock()
	v := st.target.view(ctx, st.of)
	var told [kindCount]bool
	for k := range kinds {
		before := st.seen[k]
		st.seen[k] = v.digest(kind(k), st.rights)
		if before == (digest{}) || before == st.seen[k] || !st.wants[k] {
			continue
		}
		first := kind(k)
		if first == templates { // told as resources are
			first = resources
		}
		if !told[first] {
			told[first] = true
			st.send(st.note("notifications/"+kinds[k].capability+"/list_changed", nil))
		}
	}
}

// note is a notification as this client hears it.
func (st *stream) note(method string, params []byte) []byte {
	if st.meta != nil {
		params = mcp.Merge(params, []mcp.Field{{Name: "_meta", Value: st.meta}})
	}
	if params == nil {
		return []byte(`{"jsonrpc":"2.0","method":"` + method + `"}`)
	}
	return []byte(`{"jsonrpc":"2.0","method":"` + method + `","params":` + string(params) + `}`)
}

func (st *stream) send(raw []byte) {
	select {
	case st.arrived <- raw:
	default: // a client that does not read must not miss some and get others
		st.once.Do(func() { close(st.broken) })
	}
}

const resourceUpdated = "notifications/resources/updated"

// updated tells the client that a resource has changed, which a member calls own.
func (st *stream) updated(member int, own string) {
	uri, _ := st.target.view(st.ctx, st.of).uris.Public(Own{Member: member, Name: own})
	st.send(st.note(resourceUpdated, mcp.Merge(nil, []mcp.Field{{Name: "uri", Value: mcp.Quote(uri)}})))
}

// own listens for the client alone at the members that callers see differently.
func (st *stream) own() {
	for i := range st.target.members {
		if m := &st.target.members[i]; !m.Upstream.PerCaller() && m.key(st.of) == m.key(nobody()) {
			continue
		}
		go st.target.attend(st.ctx, i, st.target.lists(i, st.of, func() {}))
	}
}

func (t *Target) newStream(ctx context.Context, c *upstream.Call) *stream {
	st := &stream{
		target: t, of: whose(c), rights: c.Rights, client: client(c), arrived: make(chan []byte, maxWaiting), broken: make(chan struct{}),
	}
	st.seen = t.Memory.lastSeen(st.client, sessionOf(c.State).id == "")
	st.ctx, st.cancel = context.WithCancel(ctx)
	return st
}
