package composite

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/composite/template"
	"github.com/sallyport-dev/sallyport/internal/composite/workflow"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// failure is why a step has failed.
type failure struct {
	text   string // for the caller, with the step
	denied error  // the caller has to sign in again
	fault  []byte // the server's error, where the client has to see that itself
	again  bool   // it is known that the call may be made again
	maybe  bool   // it may have been carried out
}

// limit is the time that a step has. It stands still while the person is asked.
type limit struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	after  time.Duration
}

func newLimit(ctx context.Context, after time.Duration) *limit {
	l := &limit{after: after}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.timer = time.AfterFunc(after, func() { l.cancel(errTooLong) })
	return l
}

func (l *limit) stop() {
	l.timer.Stop()
	l.cancel(nil)
}

// step runs a step to its end.
func (r *run) step(data *workflow.Data, i int) (o outcome) {
	s := r.tool.Steps[i]
	defer func() {
		if o.failed != nil {
			o.failed.text = "step " + s.ID + ": " + o.failed.text
			o.result = workflow.Result{Status: workflow.Failed, Output: s.Defaults, Error: o.failed.text}
		}
	}()
	if s.Condition != nil {
		yes, err := data.True(s.Condition)
		if err != nil {
			return outcome{failed: &failure{text: "condition: " + err.Error()}}
		}
		if !yes {
			return outcome{result: workflow.Result{Status: workflow.Skipped, Output: s.Defaults}}
		}
	}
	l := newLimit(r.steps, s.Timeout)
	defer l.stop()
	switch s.Kind {
	case workflow.Ask:
		return r.question(l, data, s)
	case workflow.ForEach:
		return r.forEach(l, data, s)
	}
	raw, failed := r.callTool(l, data, s.ID, &s.Call, nil)
	if failed != nil {
		return outcome{failed: failed}
	}
	return outcome{raw: raw, result: made(raw)}
}

// made is what came of a tool, as templates know it.
func made(raw []byte) workflow.Result {
	result := workflow.Result{Status: workflow.Completed, Content: contents(mcp.Path(raw, "content"))}
	result.Output = result.Content
	if structured := mcp.Path(raw, "structuredContent"); structured != nil {
		if v, err := template.Decode(structured); err == nil {
			if object, ok := v.(map[string]any); ok {
				result.Output = object
			}
		}
	}
	return result
}

// forEach calls a tool with each element of a list.
func (r *run) forEach(l *limit, data *workflow.Data, s *workflow.Step) outcome {
	elements, err := data.Elements(s)
	if err != nil {
		return outcome{failed: &failure{text: "collection: " + err.Error()}}
	}
	results := make([]workflow.Result, len(elements))
	next := make(chan int)
	var mu sync.Mutex
	var first *failure
	var working sync.WaitGroup
	r.work(-1) // the workers are at work instead
	inner, stop := context.WithCancel(l.ctx)
	defer stop()
	for range min(s.AtOnce, len(elements)) {
		r.work(1)
		working.Go(func() {
			defer r.work(-1)
			for i := range next {
				raw, failed := r.callTool(&limit{ctx: inner, timer: l.timer, after: l.after}, data, s.ID, &s.Call, map[string]any{s.ItemVar: elements[i], "index": number(i)})
				if failed == nil {
					results[i] = made(raw)
					continue
				}
				results[i] = workflow.Result{Status: workflow.Failed, Error: failed.text}
				if !s.Continue {
					mu.Lock()
					if first == nil {
						failed.text = fmt.Sprintf("element %d: %s", i, failed.text)
						first = failed
					}
					mu.Unlock()
					stop()
				}
			}
		})
	}
feed:
	for i := range elements {
		select {
		case next <- i:
		case <-inner.Done():
			break feed
		}
	}
	close(next)
	working.Wait()
	r.work(1)
	if first == nil && l.ctx.Err() != nil {
		first = r.gone(l)
	}
	if first != nil {
		return outcome{failed: first}
	}
	return outcome{result: workflow.Result{Status: workflow.Completed, Output: iterations(elements, results)}}
}

// iterations are the output of a step that went through a list.
func iterations(elements []any, results []workflow.Result) map[string]any {
	all, failed := make([]any, len(elements)), 0
	for i, result := range results {
		one := map[string]any{"index": number(i), "item": elements[i], "status": string(result.Status), "output": result.Output}
		if result.Status == workflow.Failed {
			failed++
			one["error"] = result.Error
		}
		all[i] = one
	}
	return map[string]any{"iterations": all, "count": number(len(all)), "completed": number(len(all) - failed), "failed": number(failed)}
}

// gone is why a step ends whose context has.
func (r *run) gone(l *limit) *failure {
	if context.Cause(l.ctx) == errTooLong && r.ctx.Err() == nil {
		return &failure{text: fmt.Sprintf("it took longer than %s; the operator can allow more in its timeout", l.after), maybe: true}
	}
	return &failure{text: "it was stopped", maybe: true}
}

// callTool calls a tool, and again where the step says so and it does no harm.
func (r *run) callTool(l *limit, data *workflow.Data, step string, call *workflow.Call, forEach map[string]any) (result []byte, failed *failure) {
	v := r.visit()
	if v == nil {
		return nil, r.gone(l)
	}
	found, ok := r.target.Find(l.ctx, v.call, call.Tool)
	if !ok {
		return nil, &failure{text: fmt.Sprintf("there is no tool %s among those of the members now", call.Tool)}
	}
	arguments, err := data.Arguments(call, found.Schema, forEach)
	if err != nil {
		return nil, &failure{text: "arguments: " + err.Error()}
	}
	for retry := 1; ; retry++ {
		result, failed = r.once(l, step, found.Public, found.Resolution, found.Schema, arguments)
		if failed == nil {
			return result, nil
		}
		failed.text = call.Tool + ": " + failed.text
		known := failed.again || failed.maybe && (call.RetryUnknown || found.Hints.Repeatable())
		if retry > call.Retries || !known || l.ctx.Err() != nil {
			return nil, failed
		}
		pause := time.NewTimer(call.PauseBefore(retry))
		select {
		case <-pause.C:
		case <-l.ctx.Done():
			pause.Stop()
			return nil, failed
		}
	}
}

// maxRounds is how often a tool may want to know something before it answers.
const maxRounds = 10

// once makes one call of a tool, as if the caller had made it.
func (r *run) once(l *limit, step, public string, to upstream.Resolution, schema, arguments []byte) ([]byte, *failure) {
	var more []mcp.Field
	for range maxRounds {
		v := r.visit()
		if v == nil {
			return nil, r.gone(l)
		}
		id, body := r.message(v.call, to.Name, arguments, more)
		c, done, err := v.call.Part(l.ctx, upstream.Part{Name: step, Body: body, Public: public, To: to})
		if err != nil {
			return nil, &failure{text: err.Error()}
		}
		if r.modern {
			convert.SetParamHeaders(c.Header, schema, arguments)
		}
		a, err := r.target.Target.Do(l.ctx, c)
		if err != nil {
			done(nil, err)
			r.tellCancelled(l, v.call, id)
			return nil, r.why(l, err)
		}
		raw, err := r.read(a)
		streamed := a.Stream
		done(a, err)
		if err != nil {
			r.tellCancelled(l, v.call, id)
			return nil, r.why(l, err)
		}
		if fault := mcp.Path(raw, "error"); fault != nil {
			return nil, said(fault, streamed)
		}
		result := mcp.Path(raw, "result")
		switch {
		case result == nil:
			return nil, &failure{text: "its answer has no result", maybe: true}
		case mcp.PathText(result, "resultType") == "input_required" && r.modern:
			answers, failed := r.ask(l, step, mcp.Path(result, "inputRequests"))
			if failed != nil {
				return nil, failed
			}
			if more = answers; mcp.Path(result, "requestState") != nil {
				more = append(more, mcp.Field{Name: "requestState", Value: mcp.Path(result, "requestState")})
			}
			continue
		case string(mcp.Path(result, "isError")) == "true":
			return nil, &failure{text: errorText(result), again: true}
		}
		return result, nil
	}
	return nil, &failure{text: "it asks again and again"}
}

// message is a call of a tool under an id of its own.
func (r *run) message(c *upstream.Call, name string, arguments []byte, more []mcp.Field) (id, raw []byte) {
	r.mu.Lock()
	r.calls++
	id = mcp.Quote(fmt.Sprintf("composite-%s-%d", r.id, r.calls))
	r.mu.Unlock()
	params := append([]mcp.Field{{Name: "name", Value: mcp.Quote(name)}, {Name: "arguments", Value: arguments}}, more...)
	if c.Message.Meta.Span.Present() {
		meta := mcp.Without(c.Message.Bytes(c.Message.Meta.Span), func(key string) bool { return key == "progressToken" })
		if able := mcp.Path(meta, convert.MetaCapabilities); able != nil { // a step is done when it is answered: there are no tasks
			meta = mcp.Merge(meta, []mcp.Field{{Name: convert.MetaCapabilities, Value: convert.CommonCapabilities(able)}})
		}
		params = append(params, mcp.Field{Name: "_meta", Value: meta})
	}
	return id, mcp.Merge([]byte(`{"jsonrpc":"2.0","method":"tools/call"}`), []mcp.Field{{Name: "id", Value: id}, {Name: "params", Value: mcp.Merge(nil, params)}})
}

// tellCancelled tells a member of a call that nobody waits for any more: where there are
// sessions, going away says nothing (MCP 2025-11-25 cancellation).
func (r *run) tellCancelled(l *limit, of *upstream.Call, id []byte) {
	if r.modern || l.ctx.Err() == nil {
		return
	}
	raw := []byte(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + string(id) + `}}`)
	m, refused := mcp.Parse(raw, mcp.DefaultLimits())
	if refused != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), tellTimeout)
	defer cancel()
	a, err := r.target.Target.Do(ctx, &upstream.Call{
		Caller: of.Caller, Token: of.Token, Sharer: of.Sharer, Captured: of.Captured, State: of.State, Revision: of.Revision,
		Method: http.MethodPost, Header: http.Header{}, Body: raw, Message: &m,
	})
	if err == nil { // else it has ended anyway
		a.End("")
	}
}

const tellTimeout = 5 * time.Second

// why is what a call failed for that brought no answer.
func (r *run) why(l *limit, err error) *failure {
	if l.ctx.Err() != nil {
		return r.gone(l)
	}
	if d, ok := errors.AsType[*upstream.Denied](err); ok {
		if d.Public == nil {
			return &failure{text: "the caller has to sign in again", denied: err}
		}
		return &failure{text: d.Public.Message}
	}
	f, ok := errors.AsType[*backend.Failure](err)
	if !ok {
		return &failure{text: "internal error, see the gateway's log", maybe: true}
	}
	never := false
	switch f.Reason {
	case backend.ReasonOpenFiles, backend.ReasonRefusedAddress, backend.ReasonBadHeader, backend.ReasonBadRequest, backend.ReasonCredential,
		backend.ReasonBusy, backend.ReasonRefused, backend.ReasonSession:
		never = true // it was not sent, or refused before it was carried out
	case backend.ReasonUnreachable:
		op, dialled := errors.AsType[*net.OpError](f.Cause)
		never = dialled && op.Op == "dial"
	}
	return &failure{text: f.Public.Message, again: never, maybe: !never}
}

// said is the failure of a call that was answered with an error.
func said(fault []byte, streamed bool) *failure {
	code := string(mcp.Path(fault, "code"))
	f := &failure{text: mcp.PathText(fault, "message"), again: true}
	switch code {
	case number(mcp.CodeURLElicitationRequired).String():
		f.fault, f.again = fault, false
	case number(mcp.CodeInternal).String():
		if streamed { // the gateway says so, too, of a member that fell silent
			f.again, f.maybe = false, true
		}
	}
	return f
}

// errorText is what a tool says of its failure.
func errorText(result []byte) string {
	text, _ := contents(mcp.Path(result, "content"))["text"].(string)
	if text == "" {
		return "the tool says that it has failed"
	}
	return text
}
