package duplex

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

func synctestWait() { synctest.Wait() }

// inBubble runs a test on fake links and a clock of its own.
func inBubble(t *testing.T, test func(t *testing.T, r *rig), change ...func(*config)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, change...)
		test(t, r)
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// REQ F-1, F-4
func TestDuplexAnswersJSON(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		c := r.post(id, toolCall("1"))
		l.hears(t, toolCall("1"))
		l.say(toolResult("1"))
		r.json(c, http.StatusOK, toolResult("1"))

		c = r.post(id, toolCall("2"))
		l.hears(t, toolCall("2"))
		l.say(`{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"no"}}`)
		r.json(c, http.StatusOK, `{"jsonrpc":"2.0","id":2,"error":{"code":-32601,"message":"no"}}`) // errors travel with 200
	})
}

func TestDuplexSessionIDs(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		r.failed(r.post("", toolCall("1")), http.StatusBadRequest, backend.ReasonSession)
		r.failed(r.post("", initialized), http.StatusBadRequest, backend.ReasonSession)
		r.failed(r.do(t.Context(), &backend.Request{Method: http.MethodGet}), http.StatusBadRequest, backend.ReasonSession)
		r.failed(r.post("no such", toolCall("1")), http.StatusNotFound, backend.ReasonSession)
		foreign := r.request(id, toolCall("1"))
		foreign.Session.Origin = "https://elsewhere:443"
		r.failed(r.do(t.Context(), foreign), http.StatusNotFound, backend.ReasonSession)

		end := &backend.Request{Method: http.MethodDelete, Session: backend.Session{ID: id, Origin: "fake:"}}
		if got := r.answered(r.do(t.Context(), end)); got.resp.Status != http.StatusNoContent {
			t.Errorf("DELETE is answered with %d", got.resp.Status)
		}
		r.failed(r.post(id, toolCall("1")), http.StatusNotFound, backend.ReasonSession)
		r.failed(r.do(t.Context(), end), http.StatusNotFound, backend.ReasonSession)
		synctest.Wait()
		if !l.ended() {
			t.Error("the connection of an ended session is still there")
		}
	})
}

// People are apart: the same ids in two sessions reach two servers.
func TestDuplexSessionsAreApart(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		a, la := r.open()
		b, lb := r.open()
		if a == b || la == lb {
			t.Fatal("two sessions share an id or a link")
		}
		ca, cb := r.post(a, toolCall("1")), r.post(b, toolCall("1"))
		la.hears(t, toolCall("1"))
		lb.hears(t, toolCall("1"))
		lb.say(`{"jsonrpc":"2.0","id":1,"result":"b"}`)
		la.say(`{"jsonrpc":"2.0","id":1,"result":"a"}`)
		r.json(ca, http.StatusOK, `{"jsonrpc":"2.0","id":1,"result":"a"}`)
		r.json(cb, http.StatusOK, `{"jsonrpc":"2.0","id":1,"result":"b"}`)
	})
}

func TestDuplexRefusedInitialize(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.post("", initialize)
		l := r.link()
		l.hears(t, initialize)
		const no = `{"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"no"}}`
		l.say(no)
		got := r.answered(c)
		if got.resp.Session.ID != "" {
			t.Error("a session without an initialize result")
		}
		synctest.Wait()
		if !l.ended() {
			t.Error("the connection of a refused initialize is still there")
		}
	})
}

func TestDuplexStreams(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		c := r.post(id, toolCall("1"))
		l.hear(t)
		ask := `{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage","params":{}}` // the server's own id 1
		l.say(progress("1"), ask)
		got := r.answered(c) // before the answer is there
		r.events(got, progress("1"), ask)
		r.accepted(id, `{"jsonrpc":"2.0","id":1,"result":{"role":"assistant"}}`)
		l.hears(t, `{"jsonrpc":"2.0","id":1,"result":{"role":"assistant"}}`)
		l.say(toolResult("1"))
		r.events(got, toolResult("1"))
		r.over(got, nil)
	})
}

// A server of 2025-03-26 may send several messages in an array.
func TestDuplexBatchFromServer(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		c := r.post(id, toolCall("1"))
		l.hear(t)
		l.sayWire(` [ ` + progress("1") + `,` + toolResult("2") + ` ] `)
		got := r.answered(c)
		r.events(got, progress("1"), toolResult("1"))
		r.over(got, nil)
	})
}

const (
	logMessage  = `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}}`
	listChanged = `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`
	updated     = `{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:b"}}`
	elicit      = `{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{}}`
	taskUpdate  = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"of a task","progress":1}}`
)

// Each message goes to exactly one stream, and to the right one.
func TestDuplexAttribution(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		inFlight  int
		listening bool
		message   string
		want      string // "GET", "1", "2" or "kept"
	}{
		"one in flight, it is about that":               {1, true, logMessage, "1"},
		"a question too":                                {1, true, elicit, "1"},
		"lists are not":                                 {1, true, listChanged, "GET"},
		"nor are resources":                             {1, true, updated, "GET"},
		"lists go with it when nobody listens":          {1, false, listChanged, "1"},
		"two in flight, nobody knows which":             {2, true, logMessage, "GET"},
		"two in flight and nobody listens: the elder":   {2, false, elicit, "1"},
		"nothing in flight":                             {0, true, elicit, "GET"},
		"nothing at all":                                {0, false, elicit, "kept"},
		"progress knows its request":                    {2, true, progress("2"), "2"},
		"progress of a task":                            {2, true, taskUpdate, "GET"},
		"progress of a task, nobody listens":            {1, false, taskUpdate, "kept"},
		"progress knows its request, one in flight too": {1, false, progress("1"), "1"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				id, l := r.open()
				streams := map[string]<-chan result{}
				for i := range c.inFlight {
					n := strconv.Itoa(i + 1)
					streams[n] = r.post(id, toolCall(n))
					l.hear(t)
				}
				var get result
				if c.listening {
					get = r.listen(id)
				}
				l.say(c.message)
				switch c.want {
				case "GET":
					r.events(get, c.message)
				case "kept":
					r.events(r.listen(id), c.message)
				default:
					r.events(r.answered(streams[c.want]), c.message)
					delete(streams, c.want)
				}
				for n, s := range streams { // and nowhere else
					l.say(toolResult(n))
					r.json(s, http.StatusOK, toolResult(n))
				}
			})
		})
	}
}

func TestDuplexKeepsMessagesForAStream(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		l.say(logMessage, elicit)
		c := r.post(id, toolCall("1"))
		l.hears(t, toolCall("1"))
		l.say(toolResult("1"))
		got := r.answered(c)
		r.events(got, logMessage, elicit, toolResult("1"))
		r.over(got, nil)

		// Bounded: the oldest notifications go, questions stay, and the log says so once.
		l.say(elicit)
		note := func(i int) string {
			return `{"jsonrpc":"2.0","method":"notifications/message","params":{"n":` + strconv.Itoa(i) + `}}`
		}
		for i := range 2 * maxPending {
			l.say(note(i))
		}
		get := r.listen(id)
		r.events(get, elicit)
		for i := maxPending + 1; i < 2*maxPending; i++ {
			r.events(get, note(i))
		}
		if n := r.logged("too many wait"); n != 1 {
			t.Errorf("%d log lines about dropped messages, want 1", n)
		}
		large := strings.Repeat("x", maxPendingBytes/2)
		_ = get.resp.Body.Close()
		l.say(`{"jsonrpc":"2.0","method":"a","params":{"x":"` + large + `"}}`)
		l.say(`{"jsonrpc":"2.0","method":"b","params":{"x":"` + large + `"}}`)
		get = r.listen(id)
		if got := r.event(get); !strings.Contains(got, `"method":"b"`) {
			t.Errorf("more than %d bytes were kept", maxPendingBytes)
		}
	})
}

func TestDuplexNewerStreamTakesOver(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		first := r.listen(id)
		l.say(logMessage, listChanged)
		synctest.Wait()
		second := r.listen(id)
		r.events(second, logMessage, listChanged) // nobody had read them
		r.over(first, nil)
		l.say(elicit)
		r.events(second, elicit)

		// What a client that hung up has not read waits for its next stream.
		l.say(updated)
		_ = second.resp.Body.Close()
		third := r.listen(id)
		r.events(third, updated)
		_ = third.resp.Body.Close()
	})
}

func TestDuplexGivenUp(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		ctx, cancel := context.WithCancel(t.Context())
		c := r.do(ctx, r.request(id, toolCall("1")))
		l.hear(t)
		cancel()
		r.failed(c, 499, backend.ReasonCanceled)
		l.hears(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"nobody waits for the answer any more"}}`)
		l.say(toolResult("1")) // late: for nobody

		// The time limit.
		start := time.Now()
		c = r.post(id, toolCall(`"two"`))
		l.hear(t)
		f := r.failed(c, http.StatusGatewayTimeout, backend.ReasonTimeout)
		if d := time.Since(start); d != 2*time.Minute {
			t.Errorf("gave up after %v", d)
		}
		if f.Public.Code != -32603 {
			t.Errorf("code is %d", f.Public.Code)
		}
		if got := l.hear(t); !strings.Contains(got, `"requestId":"two"`) {
			t.Errorf("server got %s", got)
		}

		// The client hangs up in the middle of a stream.
		c = r.post(id, toolCall("3"))
		l.hear(t)
		l.say(progress("3"))
		got := r.answered(c)
		_ = got.resp.Body.Close()
		if got := l.hear(t); !strings.Contains(got, `"requestId":3`) {
			t.Errorf("server got %s", got)
		}
		// And after its end: there is nothing to cancel.
		c = r.post(id, toolCall("4"))
		l.hear(t)
		l.say(progress("4"), toolResult("4"))
		got = r.answered(c)
		r.events(got, progress("4"), toolResult("4"))
		r.over(got, nil)
		c = r.post(id, toolCall("5"))
		l.hear(t)
		l.say(progress("5"), toolResult("5"))
		_ = r.answered(c).resp.Body.Close() // unread, but answered
		l.silent(t, time.Minute)
	})
}

// A server that takes nothing in holds nobody, and is not told to cancel what it
// has never got.
func TestDuplexUnsent(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		l.full.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		c := r.do(ctx, r.request(id, toolCall("1")))
		synctest.Wait()
		l.full.Store(false)
		cancel()
		r.failed(c, 499, backend.ReasonCanceled)
		l.silent(t, time.Minute)
		l.full.Store(true)
		l.say(listChanged)
		r.failed(r.post(id, toolCall("2")), http.StatusGatewayTimeout, backend.ReasonTimeout)
		r.failed(r.post(id, `{"jsonrpc":"2.0","id":5,"result":{}}`), http.StatusGatewayTimeout, backend.ReasonTimeout)
		l.full.Store(false)
		l.silent(t, time.Minute)
		r.events(r.listen(id), listChanged) // which the failed request was to be told
	})
}

// An initialize must not be cancelled (MCP 2025-11-25 cancellation): the session ends instead.
func TestDuplexGivenUpInitialize(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.post("", initialize)
		l := r.link()
		l.hears(t, initialize)
		r.failed(c, http.StatusGatewayTimeout, backend.ReasonTimeout)
		l.silent(t, time.Minute)
		if !l.ended() {
			t.Error("the connection is still there")
		}
	})
}

// A server need not answer what its client has cancelled, and the POST ends all
// the same.
func TestDuplexWithdrawn(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		const cancel = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`
		const end = `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"docs: the request was cancelled"}}`
		c := r.post(id, toolCall("1"))
		l.hear(t)
		r.accepted(id, cancel)
		l.hears(t, cancel)
		r.json(c, http.StatusOK, end)

		c = r.post(id, toolCall("1"))
		l.hear(t)
		l.say(progress("1"))
		got := r.answered(c)
		r.events(got, progress("1"))
		r.accepted(id, cancel)
		r.events(got, end)
		r.over(got, nil)

		// One that answers within the time is heard.
		l.hears(t, cancel)
		c = r.post(id, toolCall("1"))
		l.hear(t)
		r.accepted(id, cancel)
		l.say(toolResult("1"))
		r.json(c, http.StatusOK, toolResult("1"))
	})
}

// Clients that never say goodbye shut nobody out: the session that is idle for longest
// makes room, and one caller's do so for that caller.
func TestDuplexRoom(t *testing.T) { // FINDING F4; REQ G-2, G-9
	inBubble(t, func(t *testing.T, r *rig) {
		as := func(caller string) string {
			time.Sleep(time.Second)
			req := r.request("", initialize)
			req.Caller = caller
			c := r.do(t.Context(), req)
			l := r.link()
			l.hear(t)
			l.say(initResult)
			got := r.answered(c)
			_ = got.resp.Body.Close()
			return got.resp.Session.ID
		}
		gone := func(id string) bool {
			r.Duplex.mu.Lock()
			defer r.Duplex.mu.Unlock()
			return r.sessions[id] == nil
		}
		bob := as("bob")
		first, second := as("alice"), as("alice")
		third := as("alice") // her share is two
		if !gone(first) || gone(second) || gone(bob) {
			t.Error("another session than the caller's oldest made room")
		}
		carol := as("carol")
		as("dave") // there are four in all
		if !gone(bob) || gone(second) || gone(third) || gone(carol) {
			t.Error("another session than the oldest made room")
		}
		// What is in use does not go.
		streams := []result{r.listen(second), r.listen(third)}
		req := r.request("", initialize)
		req.Caller = "alice"
		f := r.failed(r.do(t.Context(), req), http.StatusServiceUnavailable, backend.ReasonBusy)
		if f.RetryAfter <= 0 || !strings.Contains(f.Public.Message, "all 2 sessions") {
			t.Errorf("failure = %v, again after %v", f, f.RetryAfter)
		}
		_ = streams[0].resp.Body.Close()
		as("alice")
		if !gone(second) || gone(third) {
			t.Error("the session whose stream has ended did not make room")
		}
		_ = streams[1].resp.Body.Close()
	}, func(cfg *config) { cfg.maxSessions, cfg.perCaller = 4, 2 })
}

func TestDuplexIdleSessionsEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		for range 5 { // each request starts the time anew
			time.Sleep(29 * time.Minute)
			c := r.post(id, toolCall("1"))
			l.hear(t)
			l.say(toolResult("1"))
			r.json(c, http.StatusOK, toolResult("1"))
		}
		get := r.listen(id)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if l.ended() {
			t.Fatal("a session with a listener ended")
		}
		_ = get.resp.Body.Close()
		time.Sleep(30*time.Minute - 1)
		synctest.Wait()
		if l.ended() {
			t.Fatal("a session ended before its time")
		}
		time.Sleep(2)
		synctest.Wait()
		if !l.ended() {
			t.Fatal("an idle session did not end")
		}
		r.failed(r.post(id, toolCall("1")), http.StatusNotFound, backend.ReasonSession)
	})
}

func TestDuplexClose(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		get := r.listen(id)
		c := r.post(id, toolCall("1"))
		l.hear(t)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		r.failed(c, http.StatusServiceUnavailable, backend.ReasonUnreachable)
		r.over(get, nil)
		if !l.ended() {
			t.Error("a connection is left")
		}
		r.failed(r.post("", initialize), http.StatusServiceUnavailable, backend.ReasonUnreachable)
		r.failed(r.post("", modernCall("1")), http.StatusServiceUnavailable, backend.ReasonUnreachable)
		r.failed(r.post(id, toolCall("1")), http.StatusNotFound, backend.ReasonSession)
	})
}

// A client that asks for much and reads nothing holds its own server up for a
// while, and then loses its stream, not the session.
func TestDuplexSlowReader(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		c := r.post(id, toolCall("1"))
		l.hear(t)
		note := strings.Replace(progress("1"), `"progress":1`, `"progress":1,"message":"`+strings.Repeat("x", 1<<20)+`"`, 1)
		said := make(chan time.Duration, 1)
		go func() {
			start := time.Now()
			for range 5 {
				l.say(note)
			}
			said <- time.Since(start)
		}()
		got := r.answered(c)
		if d := <-said; d != slowReader {
			t.Errorf("the server was held up for %v", d)
		}
		if _, err := io.Copy(io.Discard, got.body); err == nil {
			t.Error("the stream ended as if it were complete")
		}
		if got := l.hear(t); !strings.Contains(got, "notifications/cancelled") {
			t.Errorf("server got %s", got)
		}
		_ = got.resp.Body.Close()
		c = r.post(id, toolCall("2"))
		l.hear(t)
		l.say(toolResult("2"))
		r.json(c, http.StatusOK, toolResult("2"))
	})
}

func TestDuplexTooLong(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		one, two := r.post(id, toolCall("1")), r.post(id, toolCall("2"))
		l.hear(t)
		l.hear(t)
		l.to.skipped(100, idKey([]byte(r.wires["n2"])))
		r.failed(two, http.StatusBadGateway, backend.ReasonTooLarge)
		synctest.Wait()
		if len(one) != 0 {
			t.Error("the answer to another request was too long, and this one failed")
		}
		two = r.post(id, toolCall("2"))
		l.hear(t)
		l.to.skipped(100, "") // could be either
		r.failed(one, http.StatusBadGateway, backend.ReasonTooLarge)
		r.failed(two, http.StatusBadGateway, backend.ReasonTooLarge)
		c := r.post(id, toolCall("3"))
		l.hear(t)
		l.say(toolResult("3"))
		r.json(c, http.StatusOK, toolResult("3"))
	})
}
