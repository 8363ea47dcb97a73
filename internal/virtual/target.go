package virtual

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/upstream"
	"github.com/sallyport-dev/sallyport/internal/virtual/names"
)

// Own is what one member calls something.
type Own = names.Own

// Config is all of a [Target].
type Config struct {
	Name       string // of the resource
	ServerName string // what it calls itself to clients
	Members    []Member
	Naming     names.Naming
	// Whole says that a list is refused while a member of which nothing is known cannot
	// be asked; else the member is left out.
	Whole         bool
	HealthEvery   time.Duration // between two checks of a member; 0 for none
	HealthTimeout time.Duration
	Unhealthy     int // failed checks in a row after which a member counts as unavailable
	Breaker       Breaker
	Memory        *Memory
	Ring          *seal.Ring // seals cursors
	Beside        []byte     // what clients see in the list of tools besides the members' own
	MaxEventBytes int
	Log           *slog.Logger
}

// Member is one server of a virtual one.
type Member struct {
	Upstream *upstream.Upstream
	Timeout  time.Duration      // without a word of the member; 0 for the process's own
	Tools    *upstream.ToolView // nil where all are shown as they are
	Hidden   bool               // clients see none of its tools
}

func (m *Member) timeout(otherwise time.Duration) time.Duration {
	if m.Timeout > 0 && m.Timeout < otherwise {
		return m.Timeout
	}
	return otherwise
}

// bad is an answer of a member that makes no sense.
func (m *Member) bad(what string) *backend.Failure {
	return &backend.Failure{
		Public: mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "%s: the server %s", m.Upstream.Name, what),
		Reason: backend.ReasonBadAnswer,
	}
}

// Target serves the members as one. It is safe for use by many goroutines.
type Target struct {
	Config
	key         string
	passthrough []string
	members     []Member
	index       map[string]int // of members, by name
	perCaller   bool           // some member is shown what is made of the caller

	known    []catalogues  // by member
	fetched  atomic.Uint64 // how often a catalogue took another's place
	breakers []breaker     // by member
	views    views
	seen     *keep.Cache[seenView] // by Sharing
	watch    watch
	warned   sync.Map        // what has been warned of
	life     context.Context // of what the target does by itself
	end      context.CancelFunc
}

// New makes a target. Nothing is asked of its members before Begin, or the first client.
func New(cfg Config) *Target {
	t := &Target{
		Config: cfg, key: "virtual/" + cfg.Name, members: cfg.Members, index: make(map[string]int, len(cfg.Members)),
		seen: keep.NewCache[seenView](maxSeen), known: make([]catalogues, len(cfg.Members)), breakers: make([]breaker, len(cfg.Members)),
	}
	t.life, t.end = context.WithCancel(context.Background())
	for i := range t.members {
		m := &t.members[i]
		t.index[m.Upstream.Name] = i
		t.perCaller = t.perCaller || m.Upstream.PerCaller()
		t.known[i].member, t.known[i].life, t.known[i].log, t.known[i].fetched = m, t.life, cfg.Log, &t.fetched
		for _, name := range m.Upstream.Passthrough {
			if !slices.Contains(t.passthrough, name) {
				t.passthrough = append(t.passthrough, name)
			}
		}
		t.known[i].other = func(key catalogueKey) { t.watch.look(i, key) }
	}
	t.watch.init(t)
	return t
}

// Shutdown ends what the target does by itself. Sessions at members go on: another
// target with the same memory has them.
func (t *Target) Shutdown() {
	t.end()
	t.watch.close()
}

// Key names what is behind the target. A session outlives members that come and go.
func (t *Target) Key() string { return t.key }

// Passthrough are the canonical names of client headers that may pass to any member.
func (t *Target) Passthrough() []string { return t.passthrough }

// WantsToken reports whether a member is shown what is made of the caller's token.
func (t *Target) WantsToken() bool {
	return slices.ContainsFunc(t.members, func(m Member) bool { return m.Upstream.Credential != nil })
}

// view is what somebody sees. It costs the same for one member and for many, as long as
// no catalogue is old or has changed.
func (t *Target) view(ctx context.Context, w who) *view {
	now, fetched := time.Now(), t.fetched.Load()
	key := upstream.Sharing(t.perCaller, w.caller, w.token, w.captured)
	if s, ok := t.seen.Get(key, now); ok && s.fetched == fetched {
		return s.view
	}
	all := make([]*catalogue, len(t.members))
	good := now.Add(freshFor)
	var asking sync.WaitGroup
	for i := range t.members {
		e := t.known[i].entry(t.members[i].key(w))
		if c := e.current.Load(); c != nil && t.known[i].fresh(e, c) {
			all[i] = c
			if end := c.fetched.Add(t.known[i].age(c)); end.Before(good) {
				good = end
			}
			continue
		}
		good = now // it is fetched anew, now or in the background
		asking.Go(func() { all[i] = t.known[i].get(ctx, w) })
	}
	asking.Wait()
	v := t.views.of(all, t.build)
	t.seen.Put(key, seenView{v, fetched}, good)
	return v
}

// member is the index of a member by name; -1 for none.
func (t *Target) member(name string) int {
	if i, ok := t.index[name]; ok {
		return i
	}
	return -1
}

// Resolve finds out whose the thing is that a message is about, and what its member
// calls it.
func (t *Target) Resolve(ctx context.Context, c *upstream.Call, m *mcp.Envelope) upstream.Resolution {
	switch m.Method {
	case "tools/call":
		v := t.view(ctx, whose(c))
		return t.resolved(m, "tool", v.tools.Own, v.hints)
	case "prompts/get":
		return t.resolved(m, "prompt", t.view(ctx, whose(c)).prompts.Own, nil)
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		if c.Revision.Modern() && m.Method != "resources/read" {
			break // there are none in this revision
		}
		v := t.view(ctx, whose(c))
		return t.resolved(m, "resource", t.linked(c, v), nil)
	case "completion/complete":
		return t.resolveReference(c, m, t.view(ctx, whose(c)))
	}
	if c.Revision.Modern() && isTask(m.Method) {
		return t.resolved(m, "task", func(id string) (Own, bool) {
			member, own, ok := names.Tasks{Ring: t.Ring}.Own(client(c), id)
			i := t.member(member)
			return Own{Member: i, Name: own}, ok && i >= 0
		}, nil)
	}
	return upstream.Resolution{Name: m.Target}
}

func (t *Target) resolved(m *mcp.Envelope, what string, find func(string) (Own, bool), hints func(Own) mcp.Hints) upstream.Resolution {
	own, ok := find(m.Target)
	if !ok {
		return upstream.Resolution{Name: m.Target, Unknown: what}
	}
	r := upstream.Resolution{Member: t.members[own.Member].Upstream.Name, Name: own.Name}
	if own.Name != m.Target {
		r.Edits = []mcp.Edit{{Span: m.TargetSpan, New: mcp.Quote(own.Name)}}
	}
	if hints != nil {
		r.Hints = hints(own)
	}
	return r
}

// hints are the annotations of a tool.
func (v *view) hints(own Own) mcp.Hints {
	it, _ := v.item(own)
	return it.hints
}

// resolveReference finds the prompt or template that a completion is about.
func (t *Target) resolveReference(c *upstream.Call, m *mcp.Envelope, v *view) upstream.Resolution {
	params := m.Bytes(m.Params)
	ref, err := mcp.Member(params, "ref")
	if err != nil || ref == nil {
		return upstream.Resolution{Unknown: "reference"}
	}
	key, find, what := "name", v.prompts.Own, "prompt"
	if value, _ := mcp.Member(ref, "type"); string(value) == `"ref/resource"` {
		key, what = "uri", "resource"
		find = func(uri string) (Own, bool) {
			if own, ok := v.uris.OwnTemplate(uri); ok {
				return own, true
			}
			return t.linked(c, v)(uri)
		}
	}
	value, err := mcp.Member(ref, key)
	public, ok := mcp.Text(value)
	if err != nil || !ok {
		return upstream.Resolution{Unknown: what}
	}
	own, ok := find(public)
	if !ok {
		return upstream.Resolution{Name: public, Unknown: what}
	}
	r := upstream.Resolution{Member: t.members[own.Member].Upstream.Name, Name: own.Name}
	if own.Name != public {
		params = mcp.Merge(params, []mcp.Field{{Name: "ref", Value: mcp.Merge(ref, []mcp.Field{{Name: key, Value: mcp.Quote(own.Name)}})}})
		r.Edits = []mcp.Edit{{Span: m.Params, New: params}}
	}
	return r
}

// Prepare obtains what a call shows its member. A call that the target answers itself
// shows nobody anything.
func (t *Target) Prepare(ctx context.Context, c *upstream.Call) error {
	if i := t.member(c.Member); i >= 0 {
		return t.members[i].Upstream.Prepare(ctx, c)
	}
	return nil
}

// Knows reports whether a state is one that Do can present.
func (t *Target) Knows(state []byte) bool { return len(state) > 0 && state[0] == stateVersion }

// Do answers a call, or has a member answer it.
func (t *Target) Do(ctx context.Context, c *upstream.Call) (*upstream.Answer, error) {
	session := sessionOf(c.State).id
	if session != "" && t.Memory.terminated(session) {
		var id []byte
		if c.Message != nil {
			id = c.Message.ID
		}
		return c.Answered(backend.Refusal(id, mcp.Errorf(http.StatusNotFound, mcp.CodeInvalidRequest, "%s: this session has been ended; initialize again", t.Name))), nil
	}
	switch c.Method {
	case http.MethodGet:
		return t.listenLegacy(ctx, c)
	case http.MethodDelete:
		t.Memory.terminate(session)
		return c.Answered(&backend.Response{Status: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody}), nil
	}
	m := c.Message
	switch m.Kind {
	case mcp.KindNotification:
		return t.notified(ctx, c)
	case mcp.KindResponse:
		return t.answered(ctx, c)
	}
	if k, ok := kindOf(m.Method); ok {
		return t.list(ctx, c, k)
	}
	switch m.Method {
	case "initialize":
		if !c.Revision.Modern() {
			return t.initialize(ctx, c)
		}
	case "server/discover":
		return t.discover(ctx, c)
	case "ping":
		if !c.Revision.Modern() {
			return c.Answered(result(m.ID, []byte("{}"))), nil
		}
	case "logging/setLevel":
		if !c.Revision.Modern() {
			return t.setLevel(ctx, c)
		}
	case "subscriptions/listen":
		return t.listen(ctx, c)
	}
	i := t.member(c.Member)
	if i < 0 {
		e := mcp.Errorf(http.StatusOK, mcp.CodeMethodNotFound, "%s is not served here", m.Method)
		if c.Revision.Modern() {
			e.Status = http.StatusNotFound
		}
		return c.Answered(backend.Refusal(m.ID, e)), nil
	}
	return t.call(ctx, c, i)
}

// Close ends the session whose state the call presents.
func (t *Target) Close(_ context.Context, c *upstream.Call) error {
	t.Memory.end(sessionOf(c.State).id)
	return nil
}

// Members are the members as they are, in order.
func (t *Target) Members() []upstream.MemberState {
	all := make([]upstream.MemberState, len(t.members))
	for i := range t.members {
		all[i] = t.members[i].Upstream.State(t.members[i].Tools)
		if t.members[i].Hidden {
			all[i].Changed = nil
		}
	}
	return all
}

// Learn has nothing to take in: what members say of their tools is known.
func (t *Target) Learn([]mcp.Item) {}

// Renames reports that lists come with the names that clients know.
func (t *Target) Renames() bool { return false }

// Publish has nothing to do, then.
func (t *Target) Publish(string, *mcp.List, []bool) []mcp.Edit { return nil }
