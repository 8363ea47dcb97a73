package bridge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/seal"
)

// This file has those vanish, die, or never come to an end, with whom a conversation is
// under way. The bubbles of synctest see that nothing is left of it: each goroutine has to
// end before its test does.

const toolCall = `"name":"t","arguments":{}`

// again is a call once more, with the answer to its question.
func again(call, state, answer string) string {
	return strings.Replace(call, `"params":{`, fmt.Sprintf(`"params":{"inputResponses":{"question":%s},"requestState":%q,`, answer, state), 1)
}

// A newer client does not come back with its answer: the server hears that nobody waits,
// and its stream ends.
func TestModernClientVanishesInQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newOld(old{call: says(question, done)})
		b := bridged(t, s.scripted, nil)
		call := modern(1, "tools/call", toolCall)
		state := stateOf(t, tell(t, b, call))
		<-time.After(2 * time.Minute) // longer than the bridge waits for anybody
		synctest.Wait()
		if n := s.count("notifications/cancelled"); n != 1 {
			t.Errorf("the server was told %d times", n)
		}
		wants(t, "a late answer", tell(t, b, again(call, state, `{"action":"accept"}`)), "-32602", "time is over")
		_ = b.Close()
	})
}

// An older client vanishes while it is asked: the call ends with its exchange.
func TestLegacyClientVanishesInQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		y := newYoung(young{call: func(_ context.Context, _ *youngServer, req *backend.Request) (*backend.Response, error) {
			return result(req, `{"resultType":"input_required","requestState":"s","inputRequests":{"k":{"method":"roots/list"}}}`), nil
		}})
		b := bridged(t, y.scripted, nil)
		session := open(t, b, "2025-11-25", ableOld)
		ctx, leave := context.WithCancel(t.Context())
		e := open2(ctx, t, b, "alice", session, false, legacy(1, "tools/call", toolCall))
		asked := e.next()
		wants(t, "the client", asked, "roots/list")
		rest := make(chan error)
		go func() { // the gateway waits on
			_, err := io.Copy(io.Discard, e.resp.Body)
			rest <- err
		}()
		synctest.Wait()
		leave()
		if err := <-rest; !errors.Is(err, context.Canceled) {
			t.Errorf("the stream ends with %v", err)
		}
		_ = e.resp.Body.Close()
		answer := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"roots":[]}}`, mcp.Path([]byte(asked), "id"))
		if status, _ := post(t, b, "alice", session, false, answer); status != http.StatusBadRequest {
			t.Errorf("an answer that comes after all: %d", status)
		}
		_ = b.Close()
	})
}

// An older client that says nothing at all: the call ends when it has had its time.
func TestLegacyClientNeverAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		y := newYoung(young{call: func(_ context.Context, _ *youngServer, req *backend.Request) (*backend.Response, error) {
			return result(req, `{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}}}`), nil
		}})
		b := bridged(t, y.scripted, nil)
		e := open2(t.Context(), t, b, "alice", open(t, b, "2025-11-25", ableOld), false, legacy(1, "tools/call", toolCall))
		e.next()
		wants(t, "the client", e.next(), `"isError":true`, "nobody has answered")
		_ = e.resp.Body.Close()
		_ = b.Close()
	})
}

// A server dies while its question waits for an answer: the stream breaks, or it takes no
// answer any more. Either is an error for whoever comes back.
func TestServerDiesInQuestion(t *testing.T) {
	t.Parallel()
	for _, takes := range []bool{true, false} {
		t.Run(fmt.Sprintf("takes the answer %v", takes), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var stream *io.PipeWriter
				s := newOld(old{call: func(ctx context.Context, _ *oldServer, _ *backend.Request) (*backend.Response, error) {
					resp, w := answerStream(ctx)
					stream = w
					go func() { _, _ = w.Write(event(question)) }()
					return resp, nil
				}})
				do := s.do
				s.do = func(ctx context.Context, req *backend.Request) (*backend.Response, error) {
					if req.Message != nil && req.Message.Kind == mcp.KindResponse && !takes {
						return nil, backend.Fail("b", http.StatusBadGateway, backend.ReasonUnreachable, nil, "the backend refused the connection")
					}
					return do(ctx, req)
				}
				b := bridged(t, s.scripted, nil)
				call := modern(1, "tools/call", toolCall)
				state := stateOf(t, tell(t, b, call))
				_ = stream.CloseWithError(io.ErrUnexpectedEOF)
				got := tell(t, b, again(call, state, `{"action":"accept"}`))
				if takes {
					wants(t, "the client", got, "broke") // which its transport makes an error of
				} else {
					wants(t, "the client", got, "HTTP 502", "-32603")
				}
				_ = b.Close()
			})
		})
	}
}

// The server's resource is changed while a question waits: the call is cancelled, and who
// comes back hears why.
func TestReloadInQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ring, _ := seal.NewRing(bytes.Repeat([]byte{1}, seal.KeySize))
		share := func(c *bridge.Config) { c.Ring = ring }
		s := newOld(old{call: says(question, done)})
		before := bridged(t, s.scripted, share)
		call := modern(1, "tools/call", toolCall)
		state := stateOf(t, tell(t, before, call))
		_ = before.Close()
		if s.count("notifications/cancelled") != 1 || s.count("DELETE") != 1 {
			t.Error("the server was not told that the call and the session have ended")
		}
		after := bridged(t, newOld(old{call: says(done)}).scripted, share)
		wants(t, "the answer", tell(t, after, again(call, state, `{"action":"accept"}`)), "-32603", "configured anew")
		wants(t, "the call anew", tell(t, after, call), `"done"`)
		_ = after.Close()
	})
}

// An older client's answer that comes to another replica than the one that asked.
func TestAnswerAtAnotherReplica(t *testing.T) {
	t.Parallel()
	y := newYoung(young{call: func(_ context.Context, _ *youngServer, req *backend.Request) (*backend.Response, error) {
		return result(req, `{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}}}`), nil
	}})
	one, two := bridged(t, y.scripted, nil), bridged(t, newYoung(young{}).scripted, nil)
	session := open(t, one, "2025-11-25", ableOld)
	asked := open2(t.Context(), t, one, "alice", session, false, legacy(1, "tools/call", toolCall)).next()
	got, _ := ask(t, two, session, fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"roots":[]}}`, mcp.Path([]byte(asked), "id")))
	wants(t, "the answer", got, "HTTP 400", "another replica")
}

// A server that asks for ever, of a client that answers and of one that cannot.
func TestServerAsksForEver(t *testing.T) {
	t.Parallel()
	forever := func(ctx context.Context, s *oldServer, req *backend.Request) (*backend.Response, error) {
		events := make([]string, 200)
		for i := range events {
			events[i] = question
		}
		return says(events...)(ctx, s, req)
	}
	for _, caps := range []string{ableAll, `{}`} {
		synctest.Test(t, func(t *testing.T) {
			s := newOld(old{call: forever})
			b := bridged(t, s.scripted, nil)
			call := modernAs(1, "tools/call", toolCall, caps, "")
			rounds, got := 0, tell(t, b, call)
			for strings.Contains(got, "input_required") && rounds < 100 {
				rounds++
				got = tell(t, b, again(call, stateOf(t, got), `{"action":"accept","content":{}}`))
			}
			wants(t, "in the end", got, "-32603", "again and again")
			if rounds > 32 {
				t.Errorf("the client was asked %d times", rounds)
			}
			if s.count("notifications/cancelled") != 1 {
				t.Error("the server was not told that nobody waits")
			}
			_ = b.Close()
		})
	}
}

// A server that never takes the answer to its question does not hold its client for ever.
func TestServerNeverReadsAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newOld(old{call: says(question, done)})
		do := s.do
		s.do = func(ctx context.Context, req *backend.Request) (*backend.Response, error) {
			if req.Message != nil && req.Message.Kind == mcp.KindResponse {
				<-ctx.Done()
				return nil, backend.Ended(ctx, "b")
			}
			return do(ctx, req)
		}
		b := bridged(t, s.scripted, nil)
		call := modern(1, "tools/call", toolCall)
		state := stateOf(t, tell(t, b, call))
		began := time.Now()
		wants(t, "the client", tell(t, b, again(call, state, `{"action":"accept"}`)), "HTTP 504", "did not answer in time")
		if waited := time.Since(began); waited > time.Minute {
			t.Errorf("it waited for %v", waited)
		}
		_ = b.Close()
	})
}

// Questions of one caller, and listens and subscriptions of one session, have bounds.
func TestBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newOld(old{call: func(ctx context.Context, _ *oldServer, req *backend.Request) (*backend.Response, error) {
			resp, w := answerStream(ctx)
			go func() { _, _ = w.Write(event(question)) }()
			time.AfterFunc(time.Second, func() { _, _ = w.Write(event(strings.ReplaceAll(done, "$id", string(req.Message.ID)))) })
			return resp, nil
		}})
		b := bridged(t, s.scripted, nil)
		waiting := 0
		for i := range 40 {
			if strings.Contains(tell(t, b, modern(i, "tools/call", toolCall)), "input_required") {
				waiting++
			}
		}
		if waiting != 16 {
			t.Errorf("%d calls of one caller wait for answers", waiting)
		}
		_ = b.Close()
	})
	y := newYoung(young{})
	b := bridged(t, y.scripted, nil)
	session := open(t, b, "2025-11-25", `{}`)
	for i := range 257 {
		got, _ := ask(t, b, session, legacy(i, "resources/subscribe", fmt.Sprintf(`"uri":"mem://%d"`, i)))
		if refused := strings.Contains(got, "at most 256"); refused != (i == 256) {
			t.Fatalf("subscription %d: %s", i, got)
		}
	}
}
