package composite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/composite/workflow"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
	"github.com/sallyport-dev/sallyport/internal/virtual"
)

// run is one call of a composite tool, from its beginning to its end. A client of
// 2026-07-28 comes and goes while it lasts: each of its requests is a visit.
type run struct {
	target *Target
	tool   *workflow.Tool
	id     string
	owner  string // whose it is
	client string
	modern bool
	asks   []byte // what the client can be asked: its capabilities
	began  time.Time

	ctx    context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc // of the steps
	steps  context.Context

	ended   chan outcome  // of steps
	changed chan struct{} // something is to be looked at
	resumed chan *visit   // the client has come back
	over    chan struct{} // closed when it has ended
	halted  bool          // no further step begins
	failed  *failure      // why the tool fails; nil while it does not
	results map[string]workflow.Result
	raw     map[string][]byte // results of tools, by step

	mu       sync.Mutex
	at       *visit
	busy     int         // what is at work for steps
	waiting  []*question // that the client has to come back for
	state    string      // that it comes back with; "" before the first time
	expected []mcp.Field // what it has to answer, by key
	size     int         // of all results
	calls    int
	params   map[string]any
}

// visit is a request of the client's in which a run goes on.
type visit struct {
	call    *upstream.Call
	answers []byte // to what was asked before, by key
	out     chan output
	gone    chan struct{}
	leave   sync.Once
	unlink  func() bool
}

// output is a message to the client.
type output struct {
	raw  []byte
	last bool
	err  error // in place of a last message
}

// outcome is how a step ended.
type outcome struct {
	step   int
	result workflow.Result
	raw    []byte // of a tool; nil for none
	failed *failure
	halt   bool // no further step is to begin
}

var (
	errLeft      = errors.New("the client did not come back in time")
	errGone      = errors.New("the client is gone")
	errCancelled = errors.New("the client cancelled the request")
	errEnding    = errors.New("the server's configuration has changed, or the gateway ends")
	errTooLong   = errors.New("it took longer than its timeout")
)

// call begins a call of a composite tool, or goes on with one.
func (t *Target) call(ctx context.Context, c *upstream.Call, tool *workflow.Tool) (*upstream.Answer, error) {
	m := c.Message
	params := m.Bytes(m.Params)
	if state := mcp.PathText(params, "requestState"); state != "" && c.Revision.Modern() {
		return t.resume(ctx, c, tool, state)
	}
	given, err := tool.Params(mcp.Path(params, "arguments"))
	if err != nil {
		return c.Answered(backend.JSONResponse(http.StatusOK, toolError(c, "arguments: "+err.Error()))), nil
	}
	r := &run{
		target: t, tool: tool, id: rand.Text(), owner: owner(c), client: virtual.Client(c), modern: c.Revision.Modern(), began: time.Now(),
		ended: make(chan outcome), changed: make(chan struct{}, 1), resumed: make(chan *visit, 1), over: make(chan struct{}),
		results: map[string]workflow.Result{}, raw: map[string][]byte{}, params: given,
	}
	if r.asks = mcp.Path(m.Bytes(m.Meta.Span), convert.MetaCapabilities); !r.modern {
		r.asks = convert.ClientCapabilities(virtual.Declared(c))
	}
	r.asks = append([]byte(nil), r.asks...)
	for _, s := range tool.Steps { // nothing is begun that cannot be ended
		if s.Kind == workflow.Ask && s.Condition == nil && !s.Continue && !r.canAsk() {
			return c.Answered(backend.JSONResponse(http.StatusOK, toolError(c, "step "+s.ID+": "+cannotAsk))), nil
		}
	}
	r.ctx, r.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	r.steps, r.stop = context.WithCancel(r.ctx)
	v := r.visited(ctx, c)
	r.at = v
	end := func() {}
	if !r.modern {
		end = t.Memory.begin(r.client, m.ID, r)
	}
	go func() {
		defer end()
		r.loop()
	}()
	return v.answer(r)
}

const cannotAsk = "the person has to be asked, and this client cannot do that: it has not declared the capability elicitation"

func (r *run) canAsk() bool {
	return convert.Can(r.asks, "elicitation/create", []byte(`{"mode":"form"}`))
}

// owner is whose calls are one person's.
func owner(c *upstream.Call) string { return c.Caller.Key() + "\x00" + c.Sharer }

// visited begins a visit. The run ends with the client.
func (r *run) visited(ctx context.Context, c *upstream.Call) *visit {
	return &visit{
		call: c, out: make(chan output), gone: make(chan struct{}),
		unlink: context.AfterFunc(ctx, func() { r.cancel(errGone) }),
	}
}

// visit is the client's request of now; nil while it has none.
func (r *run) visit() *visit {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at
}

// loop runs the steps.
func (r *run) loop() {
	timer := time.AfterFunc(r.tool.Timeout, func() { r.cancel(errTooLong) })
	detach := context.AfterFunc(r.target.life, func() {
		if r.visit() == nil { // others end on what they have begun with
			r.cancel(errEnding)
		}
	})
	defer func() {
		timer.Stop()
		detach()
		r.cancel(nil)
		r.target.Memory.take(r.state)
		close(r.over)
	}()
	open := map[int]bool{} // steps that run
	begun := make([]bool, len(r.tool.Steps))
	for {
		for i := range r.tool.Steps {
			if !begun[i] && len(open) < workflow.AtOnce && r.goesOn() && r.ready(i) {
				begun[i], open[i] = true, true
				r.begin(i)
			}
		}
		if len(open) == 0 {
			break
		}
		if r.modern {
			r.park()
		}
		select {
		case v := <-r.resumed:
			r.back(v)
		case o := <-r.ended:
			delete(open, o.step)
			r.take(o)
		case <-r.changed:
		}
	}
	r.finish()
}

// goesOn reports whether another step may begin.
func (r *run) goesOn() bool { return !r.halted && r.ctx.Err() == nil && r.visit() != nil }

// ready reports whether all that a step waits for has ended.
func (r *run) ready(i int) bool {
	for _, d := range r.tool.Steps[i].After {
		if _, ended := r.results[r.tool.Steps[d].ID]; !ended {
			return false
		}
	}
	return true
}

// begin has a step run.
func (r *run) begin(i int) {
	data := r.data()
	r.work(1)
	go func() {
		o := r.step(data, i)
		o.step = i
		r.ended <- o
	}()
}

// data is what templates read now.
func (r *run) data() *workflow.Data {
	return &workflow.Data{Params: r.params, Results: maps.Clone(r.results), Workflow: map[string]any{
		"id": r.id, "status": "running", "step_count": number(len(r.tool.Steps)),
		"start_time": r.began.UTC().Format(time.RFC3339), "duration_ms": number(int(time.Since(r.began).Milliseconds())),
	}}
}

// work counts what is at work.
func (r *run) work(n int) {
	r.mu.Lock()
	r.busy += n
	r.mu.Unlock()
	r.look()
}

func (r *run) look() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// take takes down how a step ended.
func (r *run) take(o outcome) {
	r.work(-1)
	s := r.tool.Steps[o.step]
	r.results[s.ID] = o.result
	if o.raw != nil {
		r.raw[s.ID] = o.raw
	}
	r.halted = r.halted || o.halt
	if o.failed != nil && !s.Continue {
		r.halted = true
		if r.failed == nil {
			r.failed = o.failed
			r.stop() // nobody needs what the others do
		}
	}
	r.mu.Lock()
	v, asked := r.at, len(r.waiting) > 0
	r.mu.Unlock()
	if v == nil {
		if !asked { // the step has ended for want of an answer
			r.cancel(errLeft)
		}
		return
	}
	if token := v.call.Message.Bytes(v.call.Message.Meta.ProgressToken); len(token) > 0 && len(r.results) < len(r.tool.Steps) {
		params := mcp.Merge(nil, []mcp.Field{
			{Name: "progressToken", Value: token},
			{Name: "progress", Value: strconv.AppendInt(nil, int64(len(r.results)), 10)},
			{Name: "total", Value: strconv.AppendInt(nil, int64(len(r.tool.Steps)), 10)},
			{Name: "message", Value: mcp.Quote("step " + s.ID + ": " + string(o.result.Status))},
		})
		r.emit([]byte(`{"jsonrpc":"2.0","method":"notifications/progress","params":` + string(params) + `}`))
	}
}

// emit brings the client a message.
func (r *run) emit(raw []byte) {
	if v := r.visit(); v != nil {
		v.say(output{raw: raw})
	}
}

func (v *visit) say(o output) {
	select {
	case v.out <- o:
	case <-v.gone:
	}
}

// finish answers the client.
func (r *run) finish() {
	v := r.visit()
	if v == nil {
		return
	}
	v.unlink()
	o := output{last: true}
	switch why := context.Cause(r.ctx); {
	case r.ctx.Err() != nil && why == errTooLong:
		o.raw = toolError(v.call, fmt.Sprintf("the steps of %s took longer than %s; the operator can allow more in timeout", r.tool.Name, r.tool.Timeout))
	case r.ctx.Err() != nil:
		o.raw = mcp.Errorf(0, mcp.CodeInternal, "%s: %v", r.tool.Name, why).Append(nil, v.call.Message.ID)
	case r.failed != nil && r.failed.denied != nil:
		o.err = r.failed.denied
		o.raw = toolError(v.call, r.failed.text)
	case r.failed != nil && r.failed.fault != nil:
		o.raw = mcp.Merge([]byte(`{"jsonrpc":"2.0"}`), []mcp.Field{{Name: "id", Value: v.call.Message.ID}, {Name: "error", Value: r.failed.fault}})
	case r.failed != nil:
		o.raw = toolError(v.call, r.failed.text)
	default:
		o.raw = r.result(v.call)
	}
	v.say(o)
}
