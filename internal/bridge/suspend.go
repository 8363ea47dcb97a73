package bridge

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/bridge/wire"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// waiting keeps the calls of modern clients that a legacy server has asked something
// in the middle of (MCP 2026-07-28 multi round-trip requests). The server's stream
// stays open, and the call is not made again: the client comes back with answers, and
// the sealed requestState says to which call.
type waiting struct {
	bridge  *Bridge
	replica string // this process, in the state that clients hold

	mu    sync.Mutex
	calls map[string]*suspended
}

// suspended is a call that waits for its client.
type suspended struct {
	call     *modernCall
	question message
	expiry   *time.Timer
}

const (
	maxSuspended       = 1024 // of one server
	maxSuspendedCaller = 16   // of one caller

	statePurpose = "mcp-bridge-state"
	stateVersion = 1

	questionKey = "question"
)

// The kinds of state.
const (
	stateWaits byte = iota + 1 // a call waits at the replica that the state names
	stateAgain                 // the call is made again once its person has been somewhere
)

var errTooManyQuestions = errors.New("too many questions wait for answers")

// questionPrefix begins the ids of questions to legacy clients. Those asked by this process
// have its own.
const questionPrefix = "sallyport-ask-"

func (w *waiting) questionPrefix() string { return questionPrefix + w.replica + "-" }

func (w *waiting) init(b *Bridge) {
	w.bridge, w.replica, w.calls = b, rand.Text(), map[string]*suspended{}
}

// suspend keeps the call for its client's answer, and makes the result that asks for
// it.
func (c *modernCall) suspend(question message) ([]byte, error) {
	id := rand.Text()
	w := &c.bridge.waiting
	s := &suspended{call: c, question: question}
	w.mu.Lock()
	own := 0
	for _, other := range w.calls {
		if other.call.req.Caller == c.req.Caller {
			own++
		}
	}
	if len(w.calls) >= maxSuspended || own >= maxSuspendedCaller {
		w.mu.Unlock()
		return nil, errTooManyQuestions
	}
	w.calls[id] = s
	s.expiry = time.AfterFunc(c.bridge.Patience, func() {
		if w.take(id) != nil {
			s.abandon()
		}
	})
	w.mu.Unlock()
	c.unlink() // the client's request ends now, and the call goes on
	return c.needs(c.state(stateWaits, id), input(questionKey, question.Method, question.Params)), nil
}

// needs is the result that asks a client something: inputs by their keys.
func (c *modernCall) needs(state string, inputs ...mcp.Field) []byte {
	return response(c.req.Message.ID, wire.With(nil,
		wire.Field("resultType", []byte(`"input_required"`)),
		wire.Field("inputRequests", wire.With(nil, inputs...)),
		wire.Field("requestState", mcp.Quote(state))))
}

// input is one thing that a client is asked.
func input(key, method string, params []byte) mcp.Field {
	one := []mcp.Field{wire.Field("method", mcp.Quote(method))}
	if params != nil {
		one = append(one, wire.Field("params", mcp.Without(params, func(k string) bool { return k == "elicitationId" || k == "_meta" })))
	}
	return wire.Field(key, wire.With(nil, one...))
}

// state is what the client brings back. It is good for its caller and for the same
// request, and until nobody waits any more.
func (c *modernCall) state(kind byte, id string) string {
	b := []byte{stateVersion, kind}
	b = binary.AppendVarint(b, time.Now().Add(c.bridge.Patience).Unix())
	for _, f := range []string{c.req.Caller, c.req.Message.Method, c.req.Message.Target, c.bridge.waiting.replica, id} {
		b = append(binary.AppendUvarint(b, uint64(len(f))), f...)
	}
	return c.bridge.Ring.Seal(statePurpose, b)
}

// state is what a client has brought back.
type state struct {
	kind    byte
	replica string
	id      string
}

// openState reads what a client has brought back with a request.
func (b *Bridge) openState(req *backend.Request, sealed string) (state, bool) {
	plain, ok := b.Ring.Open(statePurpose, sealed)
	if !ok || len(plain) < 2 || plain[0] != stateVersion {
		return state{}, false
	}
	s := state{kind: plain[1]}
	expiry, n := binary.Varint(plain[2:])
	if n <= 0 || time.Now().Unix() >= expiry {
		return state{}, false
	}
	var fields [5]string
	rest := plain[2+n:]
	for i := range fields {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > uint64(len(rest)-n) {
			return state{}, false
		}
		fields[i], rest = string(rest[n:n+int(size)]), rest[n+int(size):]
	}
	if fields[0] != req.Caller || fields[1] != req.Message.Method || fields[2] != req.Message.Target {
		return state{}, false
	}
	s.replica, s.id = fields[3], fields[4]
	return s, true
}

// resume goes on with a call whose client has come back.
func (b *Bridge) resume(ctx context.Context, req *backend.Request, sealed string) (*backend.Response, error) {
	m := req.Message
	st, ok := b.openState(req, sealed)
	if !ok {
		return backend.Refusal(m.ID, mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidParams,
			"requestState is not one that this server made for this request, or its time is over; make the request anew, without it")), nil
	}
	answers := mcp.Path(m.Bytes(m.Params), "inputResponses")
	if !mcp.HasObject(answers) {
		return backend.Refusal(m.ID, mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidParams, "requestState comes without inputResponses")), nil
	}
	if st.kind == stateAgain {
		if action := convert.RefusedAction(answers); action != "" {
			return backend.JSONResponse(http.StatusOK, declined(m, action)), nil
		}
		return b.callLegacy(ctx, req)
	}
	answer := mcp.Path(answers, questionKey)
	if !mcp.HasObject(answer) {
		return backend.Refusal(m.ID, mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidParams, "inputResponses has no answer to %q", questionKey)), nil
	}
	s := b.waiting.take(st.id)
	switch {
	case s == nil && st.replica != b.waiting.replica:
		return backend.Refusal(m.ID, mcp.Errorf(http.StatusOK, mcp.CodeInternal,
			"this answer belongs to a call that waits at another replica of the gateway, or waited before it was started or configured anew; make the request anew, without requestState")), nil
	case s == nil:
		return backend.Refusal(m.ID, mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidParams,
			"the call that this answer belongs to has ended, or has had its answer; make the request anew, without requestState")), nil
	}
	return s.goOn(ctx, req, answer)
}

// goOn gives the server its answer, and reads on.
func (s *suspended) goOn(ctx context.Context, req *backend.Request, answer []byte) (*backend.Response, error) {
	c := s.call
	c.link(ctx)
	c.req = req
	c.session.use(req)
	c.session.leave() // what it shows from now on is what this request shows
	if m := req.Message; m.Meta.ProgressToken.Present() {
		c.token = m.Bytes(m.Meta.ProgressToken)
	}
	wait, cancel := context.WithTimeout(c.ctx, openTimeout)
	defer cancel()
	answer = mcp.Without(answer, func(key string) bool { return key == "resultType" })
	if err := c.at.say(wait, response(s.question.ID, answer)); err != nil {
		s.abandon()
		return nil, err
	}
	return backend.StreamResponse(&modernStream{call: c}), nil
}

// abandon ends a call whose client has not come back.
func (s *suspended) abandon() {
	_ = s.call.from.Close()
	s.call.tellCancelled()
	s.call.done()
}

// take takes a call out; nil when it is not there.
func (w *waiting) take(id string) *suspended {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.calls[id]
	delete(w.calls, id)
	if s != nil {
		s.expiry.Stop()
	}
	return s
}

func (w *waiting) close() {
	w.mu.Lock()
	all := w.calls
	w.calls = map[string]*suspended{}
	w.mu.Unlock()
	for _, s := range all {
		s.expiry.Stop()
		s.abandon()
	}
}

// visit makes of the error that a person has to go somewhere first (MCP 2025-11-25
// URL elicitation) the result that says so. The call is made again after that.
func (c *modernCall) visit(fault []byte) (raw []byte, status int) {
	var pages []mcp.Field
	_ = mcp.Elements(mcp.Path(fault, "data", "elicitations"), func(value []byte) bool {
		key := questionKey + strconv.Itoa(len(pages)+1)
		pages = append(pages, input(key, "elicitation/create", wire.With(value, wire.Field("mode", []byte(`"url"`)))))
		return len(pages) < maxQuestions
	})
	if !convert.Can(c.capabilities(), "elicitation/create", []byte(`{"mode":"url"}`)) || !convert.Asks(c.req.Message.Method) || pages == nil {
		e := mcp.Errorf(http.StatusBadRequest, mcp.CodeMissingCapability, "the server wants the person to open a page first, and this client cannot be told which")
		e.Data = []byte(`{"requiredCapabilities":{"elicitation":{"url":{}}}}`)
		return e.Append(nil, c.req.Message.ID), e.Status
	}
	return c.needs(c.state(stateAgain, ""), pages...), http.StatusOK
}

// declined is the answer to a call whose person did not agree.
func declined(m *mcp.Envelope, action string) []byte {
	text := "the person has " + action + " what the server asks for"
	if m.Method != "tools/call" {
		return mcp.Errorf(0, mcp.CodeInvalidParams, "%s", text).Append(nil, m.ID)
	}
	return response(m.ID, wire.With(convert.ToolError(text), wire.Field("resultType", []byte(`"complete"`))))
}
