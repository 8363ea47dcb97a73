package virtual

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/upstream"
	"github.com/sallyport-dev/sallyport/internal/version"
)

// kind is one of the lists that servers have.
type kind int

const (
	tools kind = iota
	prompts
	resources
	templates
	kindCount
)

// kinds are the names of the lists: of their methods, of the capability of a server
// that has them, of their items in a result.
var kinds = [kindCount]struct{ method, capability, items, name string }{
	{"tools/list", "tools", "tools", "name"},
	{"prompts/list", "prompts", "prompts", "name"},
	{"resources/list", "resources", "resources", "uri"},
	{"resources/templates/list", "resources", "resourceTemplates", "uriTemplate"},
}

// kindOf is the list that a method asks for; false for other methods.
func kindOf(method string) (kind, bool) {
	for k := range kinds {
		if kinds[k].method == method {
			return kind(k), true
		}
	}
	return 0, false
}

// catalogue is what a member has, for those whose calls reach it alike. It is never
// changed.
type catalogue struct {
	lists   [kindCount][]item
	server  []byte // the result of server/discover; nil when it has never been had
	fetched time.Time
	failed  error // why the last try brought nothing new; nil when it did
}

// item is one thing of a list.
type item struct {
	raw   []byte
	name  string // its member's own
	hints mcp.Hints
}

// who is whose a call is: all of it that a member can tell callers apart by.
type who struct {
	caller   *identity.Caller
	token    secret.Value
	sharer   string
	captured http.Header
}

func whose(c *upstream.Call) who { return who{c.Caller, c.Token, c.Sharer, c.Captured} }

// call makes a call of the gateway's own, as somebody.
func (w who) call() *upstream.Call {
	return &upstream.Call{Caller: w.caller, Token: w.token, Sharer: w.sharer, Captured: w.captured, Header: http.Header{}}
}

type catalogueKey [sha256.Size]byte

// key tells apart whose calls reach a member differently: by the caller and the token
// where the member is shown what is made of them, and by the headers that pass. All
// others share one catalogue.
func (m *Member) key(w who) catalogueKey {
	return m.Upstream.Sharing(w.caller, w.token, w.captured)
}

// catalogues keeps what is known of one member.
type catalogues struct {
	member *Member
	life   context.Context    // of the target
	other  func(catalogueKey) // is told whose lists are other ones now
	log    *slog.Logger
	// fetched counts, for all members, how often a catalogue took another's place, or grew old.
	fetched *atomic.Uint64

	warned sync.Map // of which lists it has been said that something is left out

	mu      sync.Mutex
	entries map[catalogueKey]*entry
}

// entry is a catalogue and the fetching of it.
type entry struct {
	current  atomic.Pointer[catalogue]
	fetching sync.Mutex  // held while it is fetched
	pending  atomic.Bool // somebody waits for that in the background
	outdated atomic.Bool // the member has said that it has changed
	used     time.Time   // guarded by catalogues.mu
}

const (
	maxCatalogues = 1024             // of one member
	freshFor      = time.Minute      // after which a catalogue is fetched anew when it is used
	retryAfter    = 5 * time.Second  // a failed fetch is not repeated sooner
	fetchTimeout  = 15 * time.Second // where the member has no limit of its own
	firstWait     = 10 * time.Second // for a member of which nothing is known
	againWait     = time.Second      // for one that did not answer before
)

// get gives what is known of the member for somebody. What is known is given at once,
// and fetched anew in the background when it is old; what is not known is waited for.
func (c *catalogues) get(ctx context.Context, w who) *catalogue {
	e := c.entry(c.member.key(w))
	known := e.current.Load()
	switch {
	case known == nil:
		return c.await(ctx, e, w, firstWait)
	case c.fresh(e, known):
	case e.pending.CompareAndSwap(false, true):
		wait := time.Duration(0)
		if known.server == nil { // nothing was ever had; who asks now may be luckier
			wait = againWait
		}
		return c.await(ctx, e, w, wait)
	}
	return known
}

// await fetches, and gives what is known when that is done or has taken too long: nobody
// waits for one member to hear of the others.
func (c *catalogues) await(ctx context.Context, e *entry, w who, limit time.Duration) *catalogue {
	known := e.current.Load()
	var since time.Time
	if known != nil {
		since = known.fetched
	}
	fetch := func() {
		defer e.pending.Store(false)
		c.fetch(context.WithoutCancel(ctx), e, w, since)
	}
	if limit == 0 {
		go fetch()
		return known
	}
	within(limit, fetch)
	return e.current.Load()
}

// fresh reports whether what is known need not be fetched anew.
func (c *catalogues) fresh(e *entry, known *catalogue) bool {
	return time.Since(known.fetched) < c.age(known) && !e.outdated.Load()
}

// age is how old a catalogue may be.
func (c *catalogues) age(known *catalogue) time.Duration {
	if known.failed != nil {
		return retryAfter
	}
	return freshFor
}

// refresh fetches what somebody sees, unless that was done after it had changed.
func (c *catalogues) refresh(ctx context.Context, w who, changed time.Time) {
	c.fetch(ctx, c.entry(c.member.key(w)), w, changed)
}

// outdate has everybody's lists fetched anew when they are used.
func (c *catalogues) outdate(changed time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		if known := e.current.Load(); known != nil && known.fetched.Before(changed) {
			e.outdated.Store(true)
		}
	}
	c.fetched.Add(1)
}

func (c *catalogues) entry(key catalogueKey) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		if len(c.entries) >= maxCatalogues {
			c.forgetOldest()
		}
		e = &entry{}
		if c.entries == nil {
			c.entries = map[catalogueKey]*entry{}
		}
		c.entries[key] = e
	}
	e.used = time.Now()
	return e
}

func (c *catalogues) forgetOldest() {
	var oldest catalogueKey
	var since time.Time
	for key, e := range c.entries {
		if since.IsZero() || e.used.Before(since) {
			oldest, since = key, e.used
		}
	}
	delete(c.entries, oldest)
}

// fetch asks the member, unless somebody else began to do so after since, while it
// waited. An answer that was on its way when the member changed may be the old one.
func (c *catalogues) fetch(ctx context.Context, e *entry, w who, since time.Time) {
	e.fetching.Lock()
	defer e.fetching.Unlock()
	seen := e.current.Load()
	if seen != nil && seen.fetched.After(since) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.member.timeout(fetchTimeout))
	defer cancel()
	e.outdated.Store(false)
	next, leftOut := c.member.ask(ctx, w, seen)
	for k, why := range leftOut {
		if why == "" {
			continue
		}
		if _, said := c.warned.LoadOrStore(k, true); !said {
			c.log.Warn("items of a member's list are left out, since clients cannot read them", "member", c.member.Upstream.Name, "list", kinds[k].method, "cause", why)
		}
	}
	if next.failed != nil && (seen == nil || seen.failed == nil) && c.life.Err() == nil {
		c.log.Warn("a member's lists cannot be had; what was known of it stays", "member", c.member.Upstream.Name, "cause", next.failed)
	}
	if seen != nil && next.same(seen) {
		same := *seen // the lists are the very same, so that what was made of them is still good
		same.fetched, same.failed = next.fetched, next.failed
		e.current.Store(&same)
		c.fetched.Add(1)
		return
	}
	e.current.Store(next)
	c.fetched.Add(1)
	go c.other(c.member.key(w))
}

// ask has the member say what it has. Of a list that cannot be had, what was known
// before stays.
func (m *Member) ask(ctx context.Context, w who, before *catalogue) (next *catalogue, leftOut [kindCount]string) {
	next = &catalogue{fetched: time.Now()}
	if before != nil {
		next.lists, next.server = before.lists, before.server
	}
	server, err := m.discover(ctx, w)
	if err != nil {
		next.failed = err
		return next, leftOut
	}
	next.server = server
	var asking sync.WaitGroup
	var failed [kindCount]error
	for k := range kinds {
		if !mcp.HasObject(server, "capabilities", kinds[k].capability) {
			next.lists[k] = nil
			continue
		}
		asking.Go(func() {
			var raw [][]byte
			raw, failed[k] = m.Upstream.List(ctx, w.call(), kinds[k].method, func(page []byte) ([]byte, error) {
				if l, err := mcp.ReadList(page, kinds[k].method); err == nil && l != nil && l.LeftOut > 0 {
					leftOut[k] = l.Why.Error()
				}
				return page, nil
			})
			if failed[k] == nil {
				next.lists[k] = read(raw, kind(k), &leftOut[k])
			}
		})
	}
	asking.Wait()
	for _, err := range failed {
		if err != nil {
			next.failed = err
		}
	}
	return next, leftOut
}

// read takes items apart, in the order of their names: however a server shuffles them,
// clients see one order. One that cannot be read, and a name that is there already,
// are left out.
func read(raw [][]byte, k kind, leftOut *string) (items []item) {
	seen := map[string]bool{}
	for _, r := range raw {
		v, err := mcp.Member(r, kinds[k].name)
		name, ok := mcp.Text(v)
		switch {
		case seen[name]:
			continue
		case err != nil || !ok || name == "":
			*leftOut = "it has no " + kinds[k].name
			continue
		case k == tools && !isSchema(r): // clients refuse a whole list for one of these
			*leftOut = strconv.Quote(name) + " has no inputSchema of type object"
			continue
		case k == tools && !convert.FitForHeaders(r):
			*leftOut = strconv.Quote(name) + " wants arguments in headers that cannot be there (x-mcp-header)"
			continue
		}
		seen[name] = true
		it := item{raw: slices.Clone(r), name: name}
		if annotations, err := mcp.Member(r, "annotations"); k == tools && err == nil && annotations != nil {
			it.hints, _ = mcp.ReadHints(annotations)
		}
		items = append(items, it)
	}
	slices.SortFunc(items, func(a, b item) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return items
}

// isSchema reports whether a tool says what it takes, as clients want it said.
func isSchema(tool []byte) bool {
	schema, err := mcp.Member(tool, "inputSchema")
	if err != nil || !mcp.HasObject(schema) {
		return false
	}
	of, err := mcp.Member(schema, "type")
	return err == nil && string(of) == `"object"`
}

// same reports whether two catalogues have the same lists.
func (c *catalogue) same(other *catalogue) bool {
	for k := range c.lists {
		if !slices.EqualFunc(c.lists[k], other.lists[k], func(a, b item) bool { return string(a.raw) == string(b.raw) }) {
			return false
		}
	}
	return string(c.server) == string(other.server)
}

// discover asks what the member says of itself.
func (m *Member) discover(ctx context.Context, w who) ([]byte, error) {
	raw := message(`"id":1,`, "server/discover", mcp.Merge(nil, []mcp.Field{{Name: "_meta", Value: ownMeta()}}))
	answer, err := m.request(ctx, w, raw)
	if err != nil {
		return nil, err
	}
	return mcp.Member(answer, "result")
}

// ownMeta says who asks, where the gateway does so itself.
func ownMeta() []byte {
	return []byte(`{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},` +
		`"io.modelcontextprotocol/clientInfo":{"name":"sallyport","version":` + string(mcp.Quote(version.Version())) + `}}`)
}

func message(id, method string, params []byte) []byte {
	return []byte(`{"jsonrpc":"2.0",` + id + `"method":"` + method + `","params":` + string(params) + `}`)
}

// request sends a request of the gateway's own and reads its answer, which has a result.
func (m *Member) request(ctx context.Context, w who, raw []byte) ([]byte, error) {
	msg, refused := mcp.Parse(raw, mcp.DefaultLimits())
	if refused != nil {
		return nil, refused
	}
	c := w.call()
	c.Method, c.Body, c.Message, c.Revision = http.MethodPost, raw, &msg, mcp.Rev20260728
	c.Header["Accept"] = []string{"application/json, text/event-stream"}
	c.Header[mcp.HeaderProtocolVersion] = []string{string(mcp.Rev20260728)}
	c.Header[mcp.HeaderMethod] = []string{msg.Method}
	a, err := m.Upstream.Do(ctx, c)
	if err != nil {
		return nil, err
	}
	defer a.End("")
	answer, err := m.answer(a)
	if err != nil {
		return nil, err
	}
	if result, err := mcp.Member(answer, "result"); err != nil || result == nil {
		return nil, m.bad("does not answer " + msg.Method)
	}
	return answer, nil
}

// answer reads the response out of an answer, whichever way it comes.
func (m *Member) answer(a *upstream.Answer) ([]byte, error) {
	if !a.Stream {
		body, err := io.ReadAll(io.LimitReader(a.Body, maxOwnAnswer+1))
		if err != nil || len(body) > maxOwnAnswer {
			return nil, m.bad("breaks off its answer, or says too much")
		}
		return body, nil
	}
	events := mcp.NewEventReader(a.Body, maxOwnAnswer)
	for {
		ev, err := events.Next()
		if err != nil {
			return nil, m.bad("breaks off its answer")
		}
		if mcp.PeekResponse(ev.Data) {
			return slices.Clone(ev.Data), nil
		}
	}
}

// maxOwnAnswer is the largest answer to what the gateway asks by itself, in bytes.
const maxOwnAnswer = 16 << 20
