package duplex

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

const meta = `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}`

func modernCall(id string, more ...string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"x","_meta":{` + strings.Join(append([]string{meta}, more...), ",") + `}}}`
}

func withID(message, id string) string {
	return strings.Replace(message, `"id":1,`, `"id":`+id+`,`, 1)
}

// Many clients on one connection: ids and tokens are made unique, and come back as
// each client wrote them, byte by byte.
func TestSharedIDs(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		token := `"progressToken":7`
		one := r.post("", modernCall("1", token))
		l := r.modernLink()
		l.hears(t, strings.Replace(modernCall("1", token), token, `"progressToken":1`, 1))
		two := r.post("", modernCall(`1`, `"progressToken":"\u0037"`))
		l.hears(t, strings.Replace(modernCall("2", token), token, `"progressToken":2`, 1))
		three := r.post("", modernCall(`"\u0061"`))
		l.hears(t, modernCall("3"))

		l.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":2,"x":9007199254740993}}`)
		stream := r.answered(two)
		r.events(stream, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1,"progressToken":"\u0037","x":9007199254740993}}`)
		l.say(
			`{"id":3,"jsonrpc":"2.0","result":{"id":3,"n":1.50}}`,
			`{"jsonrpc":"2.0","id":2,"result":{}}`,
			`{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`,
		)
		r.json(three, http.StatusOK, `{"id":"\u0061","jsonrpc":"2.0","result":{"id":3,"n":1.50}}`)
		r.json(one, http.StatusOK, `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`)
		r.events(stream, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		r.over(stream, nil)
		if len(r.srv.links) != 0 {
			t.Error("a second connection")
		}
	})
}

func TestSharedListen(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		const sub = `"io.modelcontextprotocol/subscriptionId":`
		listen := `{"jsonrpc":"2.0","id":"mine","method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{` + meta + `}}}`
		one := r.post("", listen)
		l := r.modernLink()
		l.hear(t)
		two := r.post("", listen)
		l.hear(t)
		ack := `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{` + sub + `ID},"notifications":{}}}`
		changed := `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{` + sub + `ID}}}`
		as := func(message, id string) string { return strings.Replace(message, "ID}", id+"}", 1) }
		l.say(as(ack, "1"), as(ack, `2`), as(changed, "2"))
		first, second := r.answered(one), r.answered(two)
		r.events(first, as(ack, `"mine"`))
		r.events(second, as(ack, `"mine"`), as(changed, `"mine"`))

		// Nobody's: no id, or one that is not there any more.
		l.say(listChanged, as(changed, "3"))

		// The server ends one with a result, the other as stdio servers must.
		l.say(`{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","_meta":{` + sub + `1}}}`)
		r.events(first, `{"jsonrpc":"2.0","id":"mine","result":{"resultType":"complete","_meta":{`+sub+`"mine"}}}`)
		r.over(first, nil)
		l.say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`)
		r.events(second, `{"jsonrpc":"2.0","id":"mine","result":{"resultType":"complete","_meta":{`+sub+`"mine"}}}`)
		r.over(second, nil)

		// A client that closes its stream cancels (MCP 2026-07-28 transports).
		c := r.post("", listen)
		l.hear(t)
		l.say(as(ack, "3"))
		got := r.answered(c)
		r.events(got, as(ack, `"mine"`))
		_ = got.resp.Body.Close()
		if got := l.hear(t); !strings.Contains(got, `"requestId":3`) {
			t.Errorf("server got %s", got)
		}
	})
}

// What would change the connection for everybody does not get to the server, even
// if that one would do it.
func TestSharedKeepsNoState(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.post("", modernCall("1"))
		l := r.modernLink()
		l.hear(t)
		for _, method := range []string{"initialize", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"} {
			got := r.answered(r.post("", `{"jsonrpc":"2.0","id":5,"method":"`+method+`","params":{"_meta":{`+meta+`}}}`))
			if got.resp.Status != http.StatusNotFound {
				t.Errorf("%s is answered with %d", method, got.resp.Status)
			}
		}
		for _, method := range []string{"notifications/initialized", "notifications/roots/list_changed", "notifications/cancelled", "notifications/progress"} {
			r.accepted("", `{"jsonrpc":"2.0","method":"`+method+`","params":{"requestId":1,"_meta":{`+meta+`}}}`)
		}
		l.silent(t, time.Minute)
		other := `{"jsonrpc":"2.0","method":"notifications/x","params":{"_meta":{` + meta + `}}}`
		r.accepted("", other)
		l.hears(t, other)
		l.say(withID(toolResult("1"), "1"))
		r.json(c, http.StatusOK, toolResult("1"))
	})
}

// A log message names no request. It is given to one only if there is no doubt.
func TestSharedLogMessages(t *testing.T) {
	const wants = `"io.modelcontextprotocol/logLevel":"info"`
	for name, c := range map[string]struct {
		inFlight []string
		given    bool
	}{
		"the only one":            {[]string{modernCall("1", wants)}, true},
		"it does not want any":    {[]string{modernCall("1")}, false},
		"one of two":              {[]string{modernCall("1", wants), modernCall("1")}, false},
		"the only one but a list": {[]string{modernCall("1", wants), `{"jsonrpc":"2.0","id":2,"method":"subscriptions/listen","params":{"_meta":{` + meta + `}}}`}, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				var all []<-chan result
				var l *fakeLink
				for _, m := range c.inFlight {
					all = append(all, r.post("", m))
					if l == nil {
						l = r.modernLink()
					}
					l.hear(t)
				}
				l.say(logMessage)
				l.say(toolResult("1"))
				got := r.answered(all[0])
				if got.resp.Stream != c.given {
					t.Errorf("the log message was given: %v, want %v", got.resp.Stream, c.given)
				}
				if got.resp.Stream {
					r.events(got, logMessage)
				}
				_ = got.resp.Body.Close()
			})
		})
	}
}

// What names no request is nobody's once a second caller has used the process: it
// may be about anything that either of them has ever asked.
func TestSharedUnaddressed(t *testing.T) { // FINDING S1; REQ G-1
	t.Parallel()
	const wants = `"io.modelcontextprotocol/logLevel":"info"`
	const custom = `{"jsonrpc":"2.0","method":"notifications/x/outcome","params":{"secret":"alice's"}}`
	for name, before := range map[string]func(*rig, *fakeLink){
		"answered before": func(r *rig, l *fakeLink) {
			l.say(toolResult("1"))
		},
		"still running": func(*rig, *fakeLink) {},
		"given up":      nil,
		"a notification": func(r *rig, l *fakeLink) {
			l.say(toolResult("1"))
			r.accepted("", `{"jsonrpc":"2.0","method":"notifications/x","params":{"_meta":{`+meta+`}}}`)
			l.hear(r.t)
		},
	} {
		for message, raw := range map[string]string{"a log message": logMessage, "a custom one": custom} {
			t.Run(name+", "+message, func(t *testing.T) {
				inBubble(t, func(t *testing.T, r *rig) {
					counted := &drops{}
					r.shared.metrics = counted
					ctx, leave := context.WithCancel(t.Context())
					defer leave()
					alice := r.do(ctx, r.request("", modernCall("1", wants)))
					l := r.modernLink()
					l.hear(t)
					if before == nil {
						leave()
						r.failed(alice, 499, backend.ReasonCanceled)
						l.hear(t)
					} else {
						before(r, l)
					}
					req := r.request("", modernCall("1", wants))
					req.Caller = "bob"
					bob := r.do(t.Context(), req)
					l.hear(t)
					l.say(raw, toolResult("2"))
					r.json(bob, http.StatusOK, toolResult("1"))
					if counted.of(droppedUnaddressed) != 1 {
						t.Errorf("dropped = %v, want one unaddressed", counted.all)
					}
					// A new process knows neither of them.
					l.end("exit status 1")
					synctest.Wait()
					again := r.post("", modernCall("1", wants))
					l = r.modernLink()
					l.hear(t)
					l.say(raw)
					r.events(r.answered(again), raw)
				})
			})
		}
	}
}

// A caller who is not known is somebody else each time.
func TestSharedUnknownCaller(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		req := r.request("", modernCall("1", `"io.modelcontextprotocol/logLevel":"info"`))
		req.Caller = ""
		c := r.do(t.Context(), req)
		l := r.modernLink()
		l.hear(t)
		l.say(logMessage, toolResult("1"))
		r.json(c, http.StatusOK, toolResult("1"))
	})
}

// A progress token is the gateway's own on a shared connection: nobody can ask for
// somebody else's by guessing it.
func TestSharedProgressOfSomebodyElse(t *testing.T) { // REQ G-1
	inBubble(t, func(t *testing.T, r *rig) {
		alice := r.post("", modernCall("1", `"progressToken":1`))
		l := r.modernLink()
		l.hear(t)
		req := r.request("", modernCall("1")) // wire id 2, and no token
		req.Caller = "bob"
		bob := r.do(t.Context(), req)
		l.hear(t)
		l.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":1}}`, toolResult("2"))
		r.json(bob, http.StatusOK, toolResult("1"))
		l.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`)
		r.events(r.answered(alice), `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`)
	})
}

// drops counts what reaches nobody.
type drops struct {
	mu  sync.Mutex
	all map[string]int
}

func (d *drops) Redirected(int) {}

func (d *drops) Dropped(why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = map[string]int{}
	}
	d.all[why]++
}

func (d *drops) of(why string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all[why]
}

func TestSharedRefusesTheServersRequests(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.post("", modernCall("1"))
		l := r.modernLink()
		l.hear(t)
		l.say(`{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}`)
		if got := l.hear(t); !strings.Contains(got, `"id":"q"`) || !strings.Contains(got, "-32601") {
			t.Errorf("server got %s", got)
		}
		l.say(toolResult("1"))
		r.json(c, http.StatusOK, toolResult("1"))
	})
}

// The HTTP status says what the error is (MCP 2026-07-28 transports).
func TestSharedStatus(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		noMeta := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`
		var l *fakeLink
		for i, c := range []struct {
			request, code string
			status        int
		}{
			{modernCall("1"), "-32601", 404},
			{modernCall("1"), "-32020", 400},
			{modernCall("1"), "-32021", 400},
			{modernCall("1"), "-32022", 400},
			{modernCall("1"), "-32700", 400},
			{modernCall("1"), "-32600", 400},
			{modernCall("1"), "-32602", 200},
			{modernCall("1"), "-32603", 200},
			{modernCall("1"), "-32000", 200},
			{noMeta, "-32602", 400},
		} {
			answer := r.post("", c.request)
			if i == 0 {
				l = r.modernLink()
			}
			l.hear(t)
			l.say(`{"jsonrpc":"2.0","id":` + strconv.Itoa(i+1) + `,"error":{"message":"no","code":` + c.code + `}}`)
			r.json(answer, c.status, `{"jsonrpc":"2.0","id":1,"error":{"message":"no","code":`+c.code+`}}`)
		}
	})
}

const onlyOlder = `{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"this server speaks only revisions with initialize; see data.supported",` +
	`"data":{"requested":"2026-07-28","supported":["2025-11-25","2025-06-18","2025-03-26","2024-11-05"]}}}`

func TestSharedEra(t *testing.T) {
	t.Parallel()
	const id = `{"jsonrpc":"2.0","id":"sallyport-discover",`
	for name, c := range map[string]struct {
		says   string // "" for nothing
		crash  bool
		modern bool
	}{
		"lists it":                      {says: id + `"result":{"supportedVersions":["2026-07-28"]}}`, modern: true},
		"lists a later one":             {says: id + `"result":{"supportedVersions":["2027-01-01"]}}`, modern: true},
		"lists older ones":              {says: id + `"result":{"supportedVersions":["2025-11-25"]}}`},
		"answers something else":        {says: id + `"result":{}}`},
		"wants another modern revision": {says: id + `"error":{"code":-32022,"message":"","data":{"supported":["2026-10-10"]}}}`, modern: true},
		"the same by its old code":      {says: id + `"error":{"code":-32004,"message":"","data":{"supported":["2026-10-10"]}}}`, modern: true},
		"wants an older revision":       {says: id + `"error":{"code":-32022,"message":"","data":{"supported":["2025-11-25"]}}}`},
		"wants a capability":            {says: id + `"error":{"code":-32021,"message":""}}`, modern: true},
		"does not know the method":      {says: id + `"error":{"code":-32601,"message":"Method not found"}}`},
		"wants initialize first":        {says: id + `"error":{"code":-32602,"message":""}}`},
		"says nothing":                  {},
		"dies of it":                    {crash: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				start := time.Now()
				answer := r.post("", modernCall("1"))
				l := r.link()
				if got := l.hear(t); !strings.Contains(got, `"server/discover"`) || !strings.Contains(got, meta[:60]) {
					t.Fatalf("server got %s", got)
				}
				switch {
				case c.crash:
					l.end("exit status 1")
				case c.says != "":
					l.say(c.says)
				}
				if c.modern {
					l.hears(t, modernCall("1"))
					l.say(toolResult("1"))
					r.json(answer, http.StatusOK, toolResult("1"))
					return
				}
				r.json(answer, http.StatusBadRequest, onlyOlder)
				if d := time.Since(start); d > probeTimeout {
					t.Errorf("took %v", d)
				}
				synctest.Wait()
				if !l.ended() {
					t.Error("the connection that nobody can use is still there")
				}
				// Remembered, also for discover itself, and then asked again.
				discover := strings.Replace(modernCall("1"), "tools/call", "server/discover", 1)
				r.json(r.post("", discover), http.StatusBadRequest, onlyOlder)
				if len(r.srv.links) != 0 {
					t.Error("asked again at once")
				}
				r.open() // initialize works
				time.Sleep(legacyMemory)
				answer = r.post("", modernCall("1"))
				l = r.modernLink()
				l.hear(t)
				l.say(toolResult("2"))
				r.json(answer, http.StatusOK, toolResult("1"))
			})
		})
	}
}

func TestSharedOverLegacyTransport(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		r.srv.legacy = true
		r.json(r.post("", modernCall("1")), http.StatusBadRequest, onlyOlder)
		if len(r.srv.links) != 0 {
			t.Error("a connection was opened to ask")
		}
	})
}

// After a crash the next request starts the server again, and asks again.
func TestSharedCrash(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.post("", modernCall("1"))
		l := r.modernLink()
		l.hear(t)
		l.end("exit status 1")
		r.failed(c, http.StatusBadGateway, backend.ReasonCrashed)
		c = r.post("", modernCall("1"))
		l = r.modernLink()
		l.hears(t, modernCall("2"))
		l.say(toolResult("2"))
		r.json(c, http.StatusOK, toolResult("1"))

		// Unused, it ends, and comes back when it is wanted.
		time.Sleep(defaultSessionIdle)
		synctest.Wait()
		if !l.ended() {
			t.Error("an unused connection is still there")
		}
		c = r.post("", modernCall("1"))
		l = r.modernLink()
		l.hear(t)
		l.say(toolResult("3"))
		r.json(c, http.StatusOK, toolResult("1"))
	})
}

// One client that does not read is nobody else's trouble.
func TestSharedSlowReader(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.post("", modernCall("1", `"progressToken":1`))
		l := r.modernLink()
		l.hear(t)
		start := time.Now()
		for range 6 {
			l.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"x":"` + strings.Repeat("x", 1<<20) + `"}}`)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("everybody waited %v", d)
		}
		got := r.answered(c)
		if got := l.hear(t); !strings.Contains(got, `"requestId":1`) {
			t.Errorf("server got %s", got)
		}
		_ = got.resp.Body.Close()
		c = r.post("", modernCall("1"))
		l.hear(t)
		l.say(toolResult("2"))
		r.json(c, http.StatusOK, toolResult("1"))
	})
}
