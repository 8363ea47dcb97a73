package duplex

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

func TestDuplexCrash(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		get := r.listen(id)
		const (
			level       = `{"jsonrpc":"2.0","id":10,"method":"logging/setLevel","params":{"level":"info"}}`
			level2      = `{"jsonrpc":"2.0","id":11,"method":"logging/setLevel","params":{"level":"error"}}`
			subscribe   = `{"jsonrpc":"2.0","id":12,"method":"resources/subscribe","params":{"uri":"a:b"}}`
			subscribe2  = `{"jsonrpc":"2.0","id":13,"method":"resources/subscribe","params":{"uri":"c:d"}}`
			unsubscribe = `{"jsonrpc":"2.0","id":14,"method":"resources/unsubscribe","params":{"uri":"c:d"}}`
			refused     = `{"jsonrpc":"2.0","id":15,"method":"resources/subscribe","params":{"uri":"e:f"}}`
		)
		for i, m := range []string{level, level2, subscribe, subscribe2, unsubscribe, refused} {
			c := r.post(id, m)
			l.hears(t, m)
			answer := `{"jsonrpc":"2.0","id":1` + string(rune('0'+i)) + `,"result":{}}`
			if m == refused {
				answer = `{"jsonrpc":"2.0","id":15,"error":{"code":-32602,"message":"no"}}`
			}
			l.say(answer)
			r.json(c, http.StatusOK, answer)
		}

		one, two := r.post(id, toolCall("1")), r.post(id, toolCall("2"))
		l.hear(t)
		l.hear(t)
		l.say(progress("2"))
		stream := r.answered(two)
		r.events(stream, progress("2"))
		l.end("exit status 3")
		f := r.failed(one, http.StatusBadGateway, backend.ReasonCrashed)
		if !strings.Contains(f.Public.Message, "docs") || !strings.Contains(f.Public.Message, "exit status 3") {
			t.Errorf("message is %q", f.Public.Message)
		}
		r.events(stream, `{"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"docs: the command ended (exit status 3)"}}`)
		r.over(stream, nil)

		// What concerns the server that is gone goes nowhere, and starts nothing.
		r.accepted(id, `{"jsonrpc":"2.0","id":1,"result":{}}`)
		r.accepted(id, `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`)
		synctest.Wait()
		if len(r.srv.links) != 0 {
			t.Error("a notification started a server")
		}

		start := time.Now()
		c := r.post(id, toolCall("3"))
		l = r.link()
		if d := time.Since(start); d < firstBackoff/2 || d > firstBackoff {
			t.Errorf("started again after %v", d)
		}
		l.hears(t, initialize)
		l.say(initResult)
		l.hears(t, initialized, subscribe)
		l.say(`{"jsonrpc":"2.0","id":12,"result":{}}`)
		l.hears(t, level2)
		l.say(`{"jsonrpc":"2.0","id":11,"result":{}}`)
		l.hears(t, toolCall("3"))
		l.say(listChanged)
		r.events(get, listChanged) // the listening stream has survived
		l.say(toolResult("3"))
		r.json(c, http.StatusOK, toolResult("3"))
		if n := r.logged("the session goes on"); n != 1 {
			t.Errorf("%d log lines about the restart, want 1", n)
		}
		_ = get.resp.Body.Close()
	})
}

func TestDuplexReplayFails(t *testing.T) {
	for name, fails := range map[string]func(l *fakeLink){
		"refused": func(l *fakeLink) { l.say(`{"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"no"}}`) },
		"crashes": func(l *fakeLink) { l.end("exit status 1") },
		"silent":  func(*fakeLink) {},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				id, l := r.open()
				get := r.listen(id)
				l.end("exit status 3")
				c := r.post(id, toolCall("1"))
				l = r.link()
				l.hears(t, initialize)
				fails(l)
				// The time of the one who waits may be over a moment before.
				if got := <-c; got.f == nil || got.f.Reason != backend.ReasonSession && (name != "silent" || got.f.Reason != backend.ReasonTimeout) {
					t.Errorf("failure is %v", got.f)
				}
				synctest.Wait()
				r.failed(r.post(id, toolCall("2")), http.StatusNotFound, backend.ReasonSession)
				r.over(get, nil)
				if !l.ended() {
					t.Error("the connection is still there")
				}
			})
		})
	}
}

func TestDuplexBackoff(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		revive := func() *fakeLink {
			l := r.link()
			l.hears(t, initialize)
			l.say(initResult)
			l.hears(t, initialized)
			return l
		}
		wait := firstBackoff
		for ; wait <= maxBackoffWait; wait *= 2 {
			l.end("exit status 1")
			start := time.Now()
			c := r.post(id, toolCall("1"))
			l = revive()
			if d := time.Since(start); d < wait/2 || d > wait {
				t.Errorf("waited for %v, want up to %v", d, wait)
			}
			l.hear(t)
			l.say(toolResult("1"))
			r.json(c, http.StatusOK, toolResult("1"))
		}
		// From now on it is longer than a request waits, most of the time: the
		// client is told when to come.
		var f *backend.Failure
		for f == nil {
			l.end("exit status 1")
			c := r.post(id, toolCall("1"))
			synctest.Wait()
			select {
			case got := <-c:
				f = got.f
			default:
				l = revive()
				l.hear(t)
				l.say(toolResult("1"))
				r.json(c, http.StatusOK, toolResult("1"))
			}
		}
		if f.Public.Status != http.StatusServiceUnavailable || f.RetryAfter <= maxBackoffWait || f.RetryAfter > maxBackoff {
			t.Errorf("%v, retry after %v", f, f.RetryAfter)
		}
		time.Sleep(f.RetryAfter)
		c := r.post(id, toolCall("1"))
		l = revive()
		l.hear(t)
		l.say(toolResult("1"))
		r.json(c, http.StatusOK, toolResult("1"))

		// Who has lived long begins anew.
		time.Sleep(settled)
		l.end("exit status 1")
		start := time.Now()
		c = r.post(id, toolCall("1"))
		l = revive()
		if d := time.Since(start); d > firstBackoff {
			t.Errorf("waited for %v after a long generation", d)
		}
		l.hear(t)
		l.say(toolResult("1"))
		r.json(c, http.StatusOK, toolResult("1"))
	})
}

func TestDuplexCannotStart(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		why := backend.Fail("docs", http.StatusBadGateway, backend.ReasonCrashed, nil, "the command x was not found")
		r.srv.fail(why)
		if f := r.failed(r.post("", initialize), http.StatusBadGateway, backend.ReasonCrashed); f != why {
			t.Errorf("failure is %v", f)
		}
		r.srv.fail(nil)
		id, l := r.open()
		l.end("exit status 1")
		r.srv.fail(why)
		r.failed(r.post(id, toolCall("1")), http.StatusBadGateway, backend.ReasonCrashed)
		r.srv.fail(nil)
		c := r.post(id, toolCall("1")) // the session is still there
		l = r.link()
		l.hears(t, initialize)
		l.say(initResult)
		l.hears(t, initialized, toolCall("1"))
		l.say(toolResult("1"))
		r.json(c, http.StatusOK, toolResult("1"))
	})
}

// Many requests at once start one server.
func TestDuplexOneRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		l.end("exit status 1")
		one, two := r.post(id, toolCall("1")), r.post(id, toolCall("2"))
		l = r.link()
		l.hears(t, initialize)
		l.say(initResult)
		l.hears(t, initialized)
		l.hear(t)
		l.hear(t)
		l.say(toolResult("1"), toolResult("2"))
		r.json(one, http.StatusOK, toolResult("1"))
		r.json(two, http.StatusOK, toolResult("2"))
		if len(r.srv.links) != 0 {
			t.Error("two servers were started")
		}
	})
}

// The server dies before it has answered initialize: there is no session to keep.
func TestDuplexCrashInInitialize(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		c := r.post("", initialize)
		l := r.link()
		l.hear(t)
		l.end("exit status 1")
		r.failed(c, http.StatusBadGateway, backend.ReasonCrashed)
		r.empty()

		// It has said something before, and so the answer is a stream already.
		c = r.post("", initialize)
		l = r.link()
		l.hear(t)
		l.say(logMessage)
		got := r.answered(c)
		r.events(got, logMessage)
		l.end("exit status 1")
		r.event(got)
		r.over(got, nil)
		r.empty()

		// Or the client goes before the answer.
		c = r.post("", initialize)
		l = r.link()
		l.hear(t)
		l.say(logMessage)
		got = r.answered(c)
		_ = got.resp.Body.Close()
		r.empty()
		l.silent(t, time.Minute)
	})
}

// The server ends by itself before it was sent anything. Whichever of the two is
// noticed first, the client hears that it ended, not of a session it never had.
func TestDuplexEndsAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		for range 200 {
			c := r.post("", initialize)
			r.link().end("exit status 0")
			r.failed(c, http.StatusBadGateway, backend.ReasonCrashed)
			r.empty()
		}
	})
}

// "Yes" to a question of the server that is gone is not the answer to one of its
// successor, though both have counted it as 7.
func TestDuplexQuestionsAfterRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		get := r.listen(id)
		l.say(elicit)
		r.events(get, elicit)
		_ = get.resp.Body.Close()
		l.say(elicit, logMessage)
		l.end("exit status 1")
		c := r.post(id, toolCall("1"))
		l = r.link()
		l.hears(t, initialize)
		l.say(initResult)
		l.hears(t, initialized, toolCall("1"))
		got := r.answered(c)
		r.events(got, logMessage) // who asked the waiting question does not wait any more

		const cancel = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`
		l.say(elicit, strings.Replace(elicit, "7", `"\"7"`, 1), cancel)
		r.events(got, strings.Replace(elicit, "7", `"start 2: 7"`, 1), strings.Replace(elicit, "7", `"start 2: \"\\\"7\""`, 1),
			strings.Replace(cancel, "7", `"start 2: 7"`, 1))
		for _, no := range []string{
			`7`, `"start 1: 7"`, `"start 2: "`, `"start 2: {}"`, `"start 2: null"`,
			`"start 2: 7,\"method\":\"tools/call\",\"params\":{\"name\":\"x\"}"`, // would be a request
		} {
			r.accepted(id, `{"jsonrpc":"2.0","id":`+no+`,"result":{"action":"accept"}}`)
		}
		r.accepted(id, `{"jsonrpc":"2.0","id":"start 2: 7","result":{"action":"accept"}}`)
		l.hears(t, `{"jsonrpc":"2.0","id":7,"result":{"action":"accept"}}`)
		r.accepted(id, `{"jsonrpc":"2.0","id":"start 2: \"\\\"7\"","result":{"action":"accept"}}`)
		l.hears(t, `{"jsonrpc":"2.0","id":"\"7","result":{"action":"accept"}}`)
		_ = got.resp.Body.Close()
	})
}
