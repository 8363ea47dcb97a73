package bridge

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/bridge/wire"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// legacyStream is a modern server's answer as a legacy client's stream. Where the
// server needs to know something, the client is asked by the stream, and the request
// made again with its answers (MCP 2026-07-28 multi round-trip requests).
type legacyStream struct {
	wire.Pulled
	call   *legacyCall
	from   source // of the server; empty between two rounds
	asked  *round // that waits for answers; nil for none
	closed bool
}

// round is what a server needs to know before it goes on.
type round struct {
	state     []byte // raw requestState; nil for none
	questions []question
	pause     time.Duration // where there are none: the server wants to be left alone for a while
}

type question struct {
	key    string // of the server
	id     []byte // under which the client is asked
	answer chan message
}

func (s *legacyStream) Read(p []byte) (int, error) { return s.Pull(p, s.next) }

// next waits for answers, or reads one event of the server's.
func (s *legacyStream) next() {
	if s.asked != nil {
		s.goOn()
		return
	}
	raw, m, ok, err := s.from.Next()
	switch {
	case err != nil && context.Cause(s.call.ctx) == errCancelled:
		s.Finish(s.call.cancelled())
	case err != nil:
		s.Err = err
	case !ok:
	case m.Kind == mcp.KindResponse:
		s.take(m)
	case m.Kind == mcp.KindRequest && convert.IsQuestion(m.Method): // it would wait for ever
		s.Finish(s.call.refuse("the server asks by a request of its own, which there is not in its protocol revision"))
	case m.Kind == mcp.KindNotification && s.call.hears(m):
		s.Emit(raw)
	}
}

// hears reports whether a notification is one for the client: of log messages, those that
// it wants.
func (c *legacyCall) hears(m message) bool {
	if m.Method != "notifications/message" {
		return true
	}
	level := c.bridge.clients.level(c.client.id)
	return level == "" || convert.LevelRank(mcp.PathText(m.Params, "level")) >= convert.LevelRank(level)
}

// take takes the server's answer: the last one, or that it needs to know something.
func (s *legacyStream) take(m message) {
	_ = s.from.Close()
	if !s.call.asks(m) {
		s.Finish(s.call.final(m))
		return
	}
	if s.call.rounds++; s.call.rounds > maxRounds {
		s.Finish(s.call.refuse("the server asks again and again, and does not answer"))
		return
	}
	r := &round{state: mcp.Path(m.Result, "requestState")}
	unable := ""
	_ = mcp.Members(mcp.Path(m.Result, "inputRequests"), func(key, value []byte) bool {
		method, params := mcp.PathText(value, "method"), mcp.Path(value, "params")
		if !convert.IsQuestion(method) || !convert.Can(s.call.client.capabilities, method, params) || len(r.questions) == maxQuestions {
			unable = method
			return false
		}
		q := question{key: string(key), id: mcp.Quote(s.call.bridge.waiting.questionPrefix() + rand.Text()), answer: make(chan message, 1)}
		if mcp.PathText(params, "mode") == "url" && mcp.Path(params, "elicitationId") == nil {
			params = wire.With(params, wire.Field("elicitationId", mcp.Quote(rand.Text())))
		}
		r.questions = append(r.questions, q)
		s.Emit(request(q.id, method, params))
		return true
	})
	if unable != "" {
		s.Queue = nil
		s.Finish(s.call.refuse("the server needs something that this client cannot be asked for: " + unable))
		return
	}
	if len(r.questions) == 0 {
		if s.call.pauses++; s.call.pauses > maxPauses {
			s.Finish(s.call.refuse("the server wants to be asked again and again, and does not answer"))
			return
		}
		r.pause = 100 * time.Millisecond << s.call.pauses
	}
	if !s.expect(r) {
		s.Queue = nil
		s.Finish(s.call.refuse("too many questions wait for answers"))
		return
	}
	s.asked = r
}

// expect notes where the answers to a round's questions belong.
func (s *legacyStream) expect(r *round) bool {
	if len(r.questions) == 0 {
		return true
	}
	ok := false
	known := s.call.bridge.clients.change(s.call.client.id, func(st *clientState) {
		if ok = len(st.questions)+len(r.questions) <= maxQuestions; !ok {
			return
		}
		if st.questions == nil {
			st.questions = map[string]chan message{}
		}
		for _, q := range r.questions {
			st.questions[string(q.id)] = q.answer
		}
	})
	return known && ok
}

// forget takes back what expect noted.
func (s *legacyStream) forget(r *round) {
	s.call.bridge.clients.change(s.call.client.id, func(st *clientState) {
		for _, q := range r.questions {
			delete(st.questions, string(q.id))
		}
	})
}

// goOn waits for the answers, and makes the request again with them.
func (s *legacyStream) goOn() {
	r := s.asked
	s.asked = nil
	defer s.forget(r)
	answers, refused := s.await(r)
	if refused != nil || s.Err != nil {
		if refused != nil {
			s.Finish(refused)
		}
		return
	}
	m := s.call.req.Message
	var again []mcp.Field
	if r.state != nil {
		again = append(again, wire.Field("requestState", r.state))
	}
	if len(r.questions) > 0 {
		again = append(again, wire.Field("inputResponses", wire.With(nil, answers...)))
	}
	resp, err := s.call.send(wire.With(m.Bytes(m.Params), again...))
	if err != nil {
		s.Err = err
		return
	}
	if resp.Stream {
		s.from = s.call.bridge.source(resp)
		return
	}
	answer, err := s.call.bridge.answerTo(resp, nil)
	if err != nil {
		s.Err = err
		return
	}
	s.take(answer)
}

// await waits for the answers to a round. refused is the client's answer where one of
// them is that it cannot answer.
func (s *legacyStream) await(r *round) (answers []mcp.Field, refused []byte) {
	patience := time.NewTimer(s.call.bridge.Patience)
	defer patience.Stop()
	if r.pause > 0 {
		patience.Reset(r.pause)
	}
	for _, q := range r.questions {
		select {
		case <-s.call.ctx.Done():
			s.Err = context.Cause(s.call.ctx)
			if s.Err == errCancelled {
				return nil, s.call.cancelled()
			}
			return nil, nil
		case <-patience.C:
			return nil, s.call.refuse("nobody has answered what the server asks for")
		case a := <-q.answer:
			if a.Result == nil {
				return nil, s.call.refuse("this client could not answer what the server asks for")
			}
			answers = append(answers, wire.Field(q.key, a.Result))
		}
	}
	if r.pause > 0 {
		select {
		case <-s.call.ctx.Done():
			s.Err = context.Cause(s.call.ctx)
		case <-patience.C:
		}
	}
	return answers, nil
}

// Close ends the call at the server, if it has not ended.
func (s *legacyStream) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if s.asked != nil {
		s.forget(s.asked)
	}
	s.call.end()
	return s.from.Close()
}
