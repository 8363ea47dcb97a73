package duplex

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

// Requests of one session have ids of the gateway's on the wire, and their clients get
// their own back: byte by byte, and even where several have the same.
func TestWireIDs(t *testing.T) { // FINDING F5
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open() // takes 1
		one := r.post(id, toolCall("7"))
		if got := l.hearWire(t); got != strings.Replace(toolCall("7"), `"id":7`, `"id":2`, 1) {
			t.Errorf("server got %s", got)
		}
		two := r.post(id, toolCall("7"))
		l.hearWire(t)
		three := r.post(id, toolCall(`"\u0061"`))
		l.hearWire(t)
		l.sayWire(`{"jsonrpc":"2.0","id":3,"result":"two"}`, `{"id":4,"jsonrpc":"2.0","result":{"id":4}}`, `{"jsonrpc":"2.0","id":2,"result":"one"}`)
		r.json(one, http.StatusOK, `{"jsonrpc":"2.0","id":7,"result":"one"}`)
		r.json(two, http.StatusOK, `{"jsonrpc":"2.0","id":7,"result":"two"}`)
		r.json(three, http.StatusOK, `{"id":"\u0061","jsonrpc":"2.0","result":{"id":4}}`)
	})
}

// A cancellation reaches the request that its client means, and nothing else does.
func TestWireIDsCancelled(t *testing.T) { // FINDING F6
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		const cancel = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7,"reason":"x"}}`
		r.accepted(id, cancel) // nobody's
		first := r.post(id, toolCall("7"))
		l.hearWire(t)
		second := r.post(id, toolCall("7"))
		l.hearWire(t)
		r.accepted(id, cancel)
		if got := l.hearWire(t); got != strings.Replace(cancel, ":7", ":3", 1) {
			t.Errorf("server got %s", got)
		}
		r.json(second, http.StatusOK, `{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"docs: the request was cancelled"}}`)
		// Its answer comes all the same, and is not taken for that to a later request.
		third := r.post(id, toolCall("7"))
		l.hearWire(t)
		l.sayWire(`{"jsonrpc":"2.0","id":3,"result":"second"}`, `{"jsonrpc":"2.0","id":4,"result":"third"}`, `{"jsonrpc":"2.0","id":2,"result":"first"}`)
		r.json(third, http.StatusOK, `{"jsonrpc":"2.0","id":7,"result":"third"}`)
		r.json(first, http.StatusOK, `{"jsonrpc":"2.0","id":7,"result":"first"}`)
		if r.logged("level=WARN") != 0 {
			t.Errorf("a late answer is warned of: %s", r.logs)
		}
	})
}

// A server that answers what it was never asked is told of, once.
func TestAnswerToNoRequest(t *testing.T) { // FINDING F6
	inBubble(t, func(t *testing.T, r *rig) {
		counted := &drops{}
		r.metrics = counted
		id, l := r.open()
		c := r.post(id, toolCall("1"))
		l.hear(t)
		l.sayWire(`{"jsonrpc":"2.0","id":99,"result":{}}`, `{"jsonrpc":"2.0","id":"x","result":{}}`)
		l.say(toolResult("1"))
		r.json(c, http.StatusOK, toolResult("1"))
		if r.logged("answer of server is for no request in flight") != 2 || r.logged("level=WARN") != 1 || counted.of(droppedStale) != 2 {
			t.Errorf("dropped = %v, log:\n%s", counted.all, r.logs)
		}
	})
}

// An error without an id is about the one request that is in flight.
func TestErrorWithoutID(t *testing.T) { // FINDING F17
	t.Parallel()
	for name, said := range map[string]string{
		"null": `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}`,
		"none": `{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				id, l := r.open()
				l.sayWire(said) // about nothing
				c := r.post(id, toolCall(`"me"`))
				l.hear(t)
				l.sayWire(said)
				r.json(c, http.StatusOK, `{"jsonrpc":"2.0","id":"me","error":{"code":-32700,"message":"Parse error"}}`)

				// Of two it could be either.
				one, two := r.post(id, toolCall("1")), r.post(id, toolCall("2"))
				l.hear(t)
				l.hear(t)
				l.sayWire(said)
				l.say(toolResult("1"), toolResult("2"))
				r.json(one, http.StatusOK, toolResult("1"))
				r.json(two, http.StatusOK, toolResult("2"))
				if r.logged("error of server names no request and was dropped") != 2 {
					t.Errorf("log:\n%s", r.logs)
				}
			})
		})
	}
}

// Its text is somebody's where several callers use the process.
func TestErrorWithoutIDShared(t *testing.T) { // REQ G-1
	inBubble(t, func(t *testing.T, r *rig) {
		alice := r.post("", modernCall("1"))
		l := r.modernLink()
		l.hear(t)
		l.say(toolResult("1"))
		r.json(alice, http.StatusOK, toolResult("1"))
		req := r.request("", modernCall("1"))
		req.Caller = "bob"
		bob := r.do(t.Context(), req)
		l.hear(t)
		l.say(`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"alice's secret"}}`)
		if f := r.failed(bob, http.StatusBadGateway, backend.ReasonBadAnswer); strings.Contains(f.Error(), "secret") {
			t.Errorf("failure = %v", f)
		}
	})
}

// What some servers write without need costs no session.
func TestLenientReading(t *testing.T) { // FINDING F8; REQ G-8
	inBubble(t, func(t *testing.T, r *rig) {
		id, l := r.open()
		c := r.post(id, toolCall("1"))
		l.hear(t)
		l.sayWire("\ufeff" + `{"jsonrpc":"2.0","id":2,"result":{},"error":null}`)
		r.json(c, http.StatusOK, `{"jsonrpc":"2.0","id":1,"result":{},"error":null}`)
		get := r.listen(id)
		l.sayWire(`{"jsonrpc":"2.0","id":null,"method":"notifications/message","params":{"level":"info","data":1}}`)
		r.events(get, `{"jsonrpc":"2.0","id":null,"method":"notifications/message","params":{"level":"info","data":1}}`)
		_ = get.resp.Body.Close()
	})
}
