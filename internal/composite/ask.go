package composite

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"slices"
	"strconv"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/composite/workflow"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// question is what the client has to come back for: requests by key, of one step.
type question struct {
	prefix   string // that tells its keys from others'
	requests []byte
	answers  chan []byte // all of them, as an object
}

// question asks the person what a step says.
func (r *run) question(l *limit, data *workflow.Data, s *workflow.Step) outcome {
	message, err := data.Text(s.Message)
	if err != nil {
		return outcome{failed: &failure{text: "message: " + err.Error()}}
	}
	if !r.canAsk() {
		return outcome{failed: &failure{text: cannotAsk}}
	}
	params := []mcp.Field{{Name: "message", Value: mcp.Quote(message)}, {Name: "requestedSchema", Value: s.Schema}}
	var answer []byte
	var failed *failure
	if r.modern {
		params = append(params, mcp.Field{Name: "mode", Value: []byte(`"form"`)})
		request := mcp.Merge(nil, []mcp.Field{{Name: "method", Value: []byte(`"elicitation/create"`)}, {Name: "params", Value: mcp.Merge(nil, params)}})
		answer, failed = r.await(l, s.ID, mcp.Merge(nil, []mcp.Field{{Name: s.ID, Value: request}}))
		answer = mcp.Path(answer, s.ID)
	} else {
		answer, failed = r.askSession(l, mcp.Merge(nil, params))
	}
	if failed != nil && context.Cause(l.ctx) == errTooLong && r.ctx.Err() == nil { // who does not answer has cancelled
		answer, failed = []byte(`{"action":"cancel"}`), nil
	}
	if failed != nil {
		return outcome{failed: failed}
	}
	return answered(s, answer)
}

// answered is what comes of a person's answer.
func answered(s *workflow.Step, answer []byte) outcome {
	action := mcp.PathText(answer, "action")
	output := map[string]any{"action": action, "content": map[string]any{}}
	o := outcome{result: workflow.Result{Status: workflow.Completed, Output: output}}
	var then workflow.Response
	var what string
	switch action {
	case "accept":
		content, err := s.Answer(mcp.Path(answer, "content"))
		if err != nil {
			return outcome{failed: &failure{text: err.Error()}}
		}
		output["content"], o.result.Content = content, content
		return o
	case "decline":
		then, what = s.OnDecline, "the person has declined"
	case "cancel":
		then, what = s.OnCancel, "the person has not answered"
	default:
		return outcome{failed: &failure{text: "the client's answer says neither accept nor decline nor cancel"}}
	}
	if then == workflow.Abort {
		return outcome{failed: &failure{text: what}}
	}
	o.halt = then == workflow.SkipRemaining
	return o
}

// askSession asks a client that has a session, by the stream of its request. It answers
// with a message of its own.
func (r *run) askSession(l *limit, params []byte) ([]byte, *failure) {
	id := mcp.Quote("composite-" + rand.Text())
	answer, ok := r.target.Memory.ask(r.client, id)
	if !ok {
		return nil, &failure{text: "too many questions wait for answers; try again later"}
	}
	defer r.target.Memory.forget(r.client, id)
	r.emit([]byte(`{"jsonrpc":"2.0","id":` + string(id) + `,"method":"elicitation/create","params":` + string(params) + `}`))
	select {
	case raw := <-answer:
		if result := mcp.Path(raw, "result"); result != nil {
			return result, nil
		}
		return nil, &failure{text: "the client cannot ask the person: " + mcp.PathText(raw, "error", "message")}
	case <-l.ctx.Done():
		r.emit([]byte(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + string(id) + `}}`))
		return nil, r.gone(l)
	}
}

// ask asks the client what a tool wants to know, and returns its answers as the tool
// takes them.
func (r *run) ask(l *limit, step string, requests []byte) ([]mcp.Field, *failure) {
	r.mu.Lock()
	prefix := step + "." + strconv.Itoa(r.calls) + "."
	r.mu.Unlock()
	var named []mcp.Field
	_ = mcp.Members(requests, func(key, value []byte) bool {
		named = append(named, mcp.Field{Name: prefix + string(key), Value: value})
		return true
	})
	if named == nil { // it only wants to be asked again
		return nil, nil
	}
	l.timer.Stop()
	answers, failed := r.await(l, prefix, mcp.Merge(nil, named))
	if failed != nil {
		return nil, failed
	}
	l.timer.Reset(l.after)
	var own []mcp.Field
	_ = mcp.Members(answers, func(key, value []byte) bool {
		if name, ok := bytes.CutPrefix(key, []byte(prefix)); ok {
			own = append(own, mcp.Field{Name: string(name), Value: value})
		}
		return true
	})
	return []mcp.Field{{Name: "inputResponses", Value: mcp.Merge(nil, own)}}, nil
}

// await waits for the client to come back with answers.
func (r *run) await(l *limit, prefix string, requests []byte) ([]byte, *failure) {
	q := &question{prefix: prefix, requests: requests, answers: make(chan []byte, 1)}
	r.mu.Lock()
	r.waiting = append(r.waiting, q)
	r.busy--
	r.mu.Unlock()
	r.look()
	select {
	case answers := <-q.answers:
		return answers, nil
	case <-l.ctx.Done():
		r.mu.Lock()
		if i := slices.Index(r.waiting, q); i >= 0 {
			r.waiting = slices.Delete(r.waiting, i, i+1)
			r.busy++
		}
		r.mu.Unlock()
		return nil, r.gone(l)
	}
}

// park has the client come back, where nothing can go on without it.
func (r *run) park() {
	r.mu.Lock()
	v := r.at
	if v == nil || r.busy > 0 || len(r.waiting) == 0 || r.ctx.Err() != nil {
		r.mu.Unlock()
		return
	}
	var requests []mcp.Field
	for _, q := range r.waiting {
		_ = mcp.Members(q.requests, func(key, value []byte) bool {
			requests = append(requests, mcp.Field{Name: string(key), Value: value})
			return true
		})
	}
	r.at, r.state, r.expected = nil, "composite."+rand.Text(), requests
	r.mu.Unlock()
	v.unlink()
	if r.target.life.Err() != nil || !r.target.Memory.park(r.state, r) {
		v.say(output{last: true, raw: toolError(v.call, "the call cannot wait for an answer now: too many do, or the server's configuration has changed; try again")})
		r.cancel(errLeft)
		return
	}
	result := mcp.Merge(nil, []mcp.Field{
		{Name: "resultType", Value: []byte(`"input_required"`)}, {Name: "inputRequests", Value: mcp.Merge(nil, requests)}, {Name: "requestState", Value: mcp.Quote(r.state)},
	})
	v.say(output{last: true, raw: mcp.Merge([]byte(`{"jsonrpc":"2.0"}`), []mcp.Field{{Name: "id", Value: v.call.Message.ID}, {Name: "result", Value: result}})})
}

// back goes on with the answers that the client has come back with.
func (r *run) back(v *visit) {
	r.mu.Lock()
	waiting := r.waiting
	r.at, r.waiting = v, nil
	r.busy += len(waiting)
	r.mu.Unlock()
	for _, q := range waiting {
		q.answers <- v.answers
	}
}

// resume takes a client's answers to the call that waits for them.
func (t *Target) resume(ctx context.Context, c *upstream.Call, tool *workflow.Tool, state string) (*upstream.Answer, error) {
	refuse := func(format string, args ...any) (*upstream.Answer, error) {
		return c.Answered(backend.Refusal(c.Message.ID, mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidParams, format, args...))), nil
	}
	r := t.Memory.waits(state, owner(c))
	if r == nil || r.tool.Name != tool.Name {
		return refuse("no call of %s waits with this requestState: it has had its answers, its time is over, or it waits at another replica; call the tool anew, without requestState", tool.Name)
	}
	answers := mcp.Path(c.Message.Bytes(c.Message.Params), "inputResponses")
	r.mu.Lock()
	expected := r.expected
	r.mu.Unlock()
	for _, q := range expected {
		if !mcp.HasObject(answers, q.Name) {
			return refuse("inputResponses has no answer to %q", q.Name)
		}
	}
	if !t.Memory.take(state) {
		return refuse("this requestState has been used; call the tool anew, without it")
	}
	v := r.visited(ctx, c)
	v.answers = bytes.Clone(answers)
	r.resumed <- v
	return v.answer(r)
}

// read reads the response out of a member's answer. What else comes goes to the client.
func (r *run) read(a *upstream.Answer) (raw []byte, err error) {
	limit := r.target.MaxBytes
	if !a.Stream {
		raw, err = io.ReadAll(io.LimitReader(a.Body, int64(limit)+1))
	} else {
		for events := mcp.NewEventReader(a.Body, limit); err == nil; {
			var ev mcp.Event
			if ev, err = events.Next(); err != nil || len(ev.Data) == 0 {
				continue
			}
			if mcp.PeekResponse(ev.Data) {
				raw = bytes.Clone(ev.Data)
				break
			}
			r.emit(bytes.Clone(ev.Data))
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
	}
	if err != nil {
		return nil, &backend.Failure{Public: mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "the server's answer broke off"), Reason: backend.ReasonBadAnswer, Cause: err}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.size += len(raw); r.size > limit {
		return nil, &backend.Failure{
			Public: mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "the results of the steps are larger than %d bytes together", limit), Reason: backend.ReasonTooLarge,
		}
	}
	return raw, nil
}
