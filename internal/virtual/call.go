package virtual

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
	"github.com/sallyport-dev/sallyport/internal/virtual/names"
)

// call has a member answer a request.
func (t *Target) call(ctx context.Context, c *upstream.Call, i int) (*upstream.Answer, error) {
	m, b := &t.members[i], &t.breakers[i]
	if err := b.admit(t, m); err != nil {
		return nil, err
	}
	limit := newLimit(ctx, m.Timeout)
	a, s, err := t.send(limit.ctx, c, m)
	if err != nil {
		b.failed(t, m, err)
		err = limit.failure(m, err)
		limit.stop()
		return nil, err
	}
	b.worked()
	out := &memberAnswer{target: t, call: c, member: i, session: s, limit: limit}
	return a, out.pass(a)
}

// send sends a request to a member: in the client's own session there, or as it is
// where clients have none.
func (t *Target) send(ctx context.Context, c *upstream.Call, m *Member) (*upstream.Answer, *clientSession, error) {
	if c.Revision.Modern() {
		a, err := m.Upstream.Do(ctx, c)
		return a, nil, err
	}
	of := sessionOf(c.State)
	if of.id == "" {
		return nil, nil, noSession(t.Name)
	}
	s := t.Memory.session(of)
	for attempt := 0; ; attempt++ {
		ms, err := s.at(ctx, m, whose(c))
		if err != nil {
			return nil, s, err
		}
		c.Session = ms.at
		ms.setVersion(c)
		s.sends(c.Message.ID, ms)
		a, err := m.Upstream.Do(ctx, c)
		if !isLost(a, err) || attempt > 0 {
			if err == nil && isLost(a, nil) { // the client's session goes on, whatever this member knows
				a.End(string(backend.ReasonSession))
				return nil, s, m.bad("does not take a session that it has just opened")
			}
			return a, s, err
		}
		if a != nil {
			a.End(string(backend.ReasonSession))
		}
		s.lost(ms)
	}
}

func noSession(name string) *backend.Failure {
	return &backend.Failure{
		Public: mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest, "%s: the Mcp-Session-Id header is missing; initialize first, then send the id that came with the answer", name),
		Reason: backend.ReasonSession,
	}
}

// limit ends a call to a member that says nothing for too long.
type limit struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer // nil for no limit
	after  time.Duration
}

var errSilent = errors.New("the server said nothing within its time limit")

func newLimit(ctx context.Context, after time.Duration) *limit {
	if after <= 0 {
		return &limit{ctx: ctx, cancel: func(error) {}}
	}
	l := &limit{after: after}
	l.ctx, l.cancel = context.WithCancelCause(ctx)
	l.timer = time.AfterFunc(after, func() { l.cancel(errSilent) })
	return l
}

// heard begins the time anew.
func (l *limit) heard() {
	if l.timer != nil {
		l.timer.Reset(l.after)
	}
}

// wait stops the time: it is somebody else's turn.
func (l *limit) wait() {
	if l.timer != nil {
		l.timer.Stop()
	}
}

func (l *limit) stop() {
	l.wait()
	l.cancel(nil)
}

// failure is what a client hears of a call that failed.
func (l *limit) failure(m *Member, err error) error {
	if context.Cause(l.ctx) != errSilent {
		return err
	}
	return &backend.Failure{
		Public: mcp.Errorf(http.StatusGatewayTimeout, mcp.CodeInternal, "%s: the server did not answer within %s; the operator can allow more in config.operational.timeouts", m.Upstream.Name, l.after),
		Reason: backend.ReasonTimeout, Cause: errSilent,
	}
}

// memberAnswer is a member's answer on its way to the client.
type memberAnswer struct {
	target  *Target
	call    *upstream.Call
	member  int
	session *clientSession // nil for a client without sessions
	limit   *limit

	events *mcp.EventReader
	body   io.ReadCloser
	buf    []byte
	rest   []byte
	end    error
	once   sync.Once
}

// mayName reports whether the answer to a method may have URIs in it, or the id of a task.
func mayName(method string) bool {
	return method == "resources/read" || method == "tools/call" || method == "prompts/get" || isTask(method)
}

// isTask reports the requests that are about a task.
func isTask(method string) bool {
	return method == "tasks/get" || method == "tasks/update" || method == "tasks/cancel"
}

// smallAnswer is how large an answer may be that is looked at for URIs that stand in no
// list; what is larger passes unread.
const smallAnswer = 64 << 10

// pass prepares the answer. One that needs nothing passes as it is.
func (o *memberAnswer) pass(a *upstream.Answer) error {
	a.Session = backend.Session{}
	a.State = o.call.State
	if a.Stream {
		o.events, o.body = mcp.NewEventReader(a.Body, o.target.MaxEventBytes), a.Body
		a.Body = o
		return nil
	}
	method := o.call.Message.Method
	unnamed := int64(len(a.Ahead)) == a.ContentLength && !mayHaveName(a.Ahead) && o.isAnswer(a.Ahead)
	if !mayName(method) || unnamed || a.ContentLength < 0 || a.ContentLength > smallAnswer && method != "resources/read" && !isTask(method) {
		a.Body = &ending{a.Body, o.limit.stop}
		return nil
	}
	defer o.limit.stop()
	raw, err := io.ReadAll(io.LimitReader(a.Body, int64(o.target.MaxEventBytes)+1))
	_ = a.Body.Close()
	if err != nil || len(raw) > o.target.MaxEventBytes {
		return o.limit.failure(&o.target.members[o.member], o.target.members[o.member].bad("breaks off its answer, or says too much"))
	}
	if !o.isAnswer(raw) {
		return o.target.members[o.member].bad("answers another request")
	}
	raw = o.public(raw)
	a.Body, a.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
	return nil
}

// mayHaveName reports whether there may be a key "uri" or "taskId" in an answer; escaped,
// if need be.
func mayHaveName(raw []byte) bool {
	return bytes.Contains(raw, []byte(`"uri"`)) || bytes.Contains(raw, []byte(`"taskId"`)) || bytes.Contains(raw, []byte(`\u`))
}

// isAnswer reports whether a response is to this call. One to another may be somebody
// else's.
func (o *memberAnswer) isAnswer(raw []byte) bool {
	id, err := mcp.Member(raw, "id")
	return err != nil || id == nil || string(id) == "null" || bytes.Equal(id, o.call.Message.ID)
}

// ending is a body that has something end with it.
type ending struct {
	io.ReadCloser
	end func()
}

func (e *ending) Close() error {
	e.end()
	return e.ReadCloser.Close()
}

// Read reads the stream, message by message.
func (o *memberAnswer) Read(p []byte) (int, error) {
	for len(o.rest) == 0 {
		if o.end != nil {
			return 0, o.end
		}
		o.next()
	}
	n := copy(p, o.rest)
	o.rest = o.rest[n:]
	return n, nil
}

func (o *memberAnswer) next() {
	ev, err := o.events.Next()
	if err != nil {
		o.end = err
		if f, ok := errors.AsType[*backend.Failure](o.limit.failure(&o.target.members[o.member], err)); ok {
			o.emit(mcp.Event{Data: f.Public.Append(nil, o.call.Message.ID)})
			o.end = io.EOF
		}
		return
	}
	o.limit.heard()
	switch {
	case len(ev.Data) == 0:
	case mcp.PeekResponse(ev.Data):
		if !o.isAnswer(ev.Data) {
			return // nobody has asked
		}
		if mayName(o.call.Message.Method) {
			ev.Data = o.public(ev.Data)
		}
	default:
		if ev.Data = o.target.fromMember(o.session, o.member, o.call, ev.Data, o.limit); ev.Data == nil {
			return
		}
	}
	o.emit(ev)
}

func (o *memberAnswer) emit(ev mcp.Event) {
	o.buf = mcp.AppendEvent(o.buf[:0], ev)
	o.rest = o.buf
}

func (o *memberAnswer) Close() error {
	o.once.Do(o.limit.stop)
	return o.body.Close()
}

// public has an answer name resources and tasks as clients know them.
func (o *memberAnswer) public(raw []byte) []byte {
	if !mayHaveName(raw) {
		return raw
	}
	value, err := mcp.Member(raw, "result")
	if err != nil || value == nil {
		return raw
	}
	r := renaming{target: o.target, view: o.target.view(o.limit.ctx, whose(o.call)), member: o.member, client: client(o.call)}
	changed := r.result(value)
	if isTask(o.call.Message.Method) || mcp.PathText(value, "resultType") == "task" {
		changed, r.changed = r.task(changed), true
	}
	if !r.changed {
		return raw
	}
	return mcp.Merge(raw, []mcp.Field{{Name: "result", Value: changed}})
}

// fromMember is what a client hears of a message of a member's that is no answer; nil
// for nothing.
func (t *Target) fromMember(s *clientSession, member int, c *upstream.Call, raw []byte, l *limit) []byte {
	m, err := mcp.Parse(raw, mcp.DefaultLimits())
	if err != nil {
		return raw // as a server without names would have it
	}
	name := t.members[member].Upstream.Name
	switch {
	case m.Kind == mcp.KindRequest:
		if s == nil {
			return raw
		}
		id, ok := s.ask(question{name, append([]byte(nil), m.ID...)})
		if !ok {
			return nil
		}
		if l != nil {
			l.wait()
		}
		return withID(m.Raw, id)
	case m.Method == "notifications/resources/updated":
		value, _ := mcp.Member(m.Bytes(m.Params), "uri")
		own, _ := mcp.Text(value)
		uri, _ := t.view(context.Background(), whose(c)).uris.Public(Own{Member: member, Name: own})
		return withParam(&m, "uri", mcp.Quote(uri))
	case m.Method == "notifications/message":
		logger, _ := mcp.Member(m.Bytes(m.Params), "logger")
		text, _ := mcp.Text(logger)
		if text != "" {
			name += "." + text
		}
		return withParam(&m, "logger", mcp.Quote(name))
	}
	if params := m.Bytes(m.Params); mcp.Path(params, "taskId") != nil {
		return mcp.Merge(m.Raw, []mcp.Field{{Name: "params", Value: names.Tasks{Ring: t.Ring}.Rename(client(c), t.members[member].Upstream.Name, params)}})
	}
	if listChanged(m.Method) {
		t.watch.changed(member, whose(c))
		return nil
	}
	return raw
}

// ask notes a question, and gives the id under which the client hears it: two members
// may ask under one.
func (s *clientSession) ask(q question) (id []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.questions) >= maxQuestions {
		return nil, false
	}
	if s.questions == nil {
		s.questions = map[string]question{}
	}
	id = mcp.Quote(q.member + "-" + strconv.Itoa(len(s.questions)) + "-" + rand.Text())
	s.questions[string(id)] = q
	return id, true
}

// answered takes a client's answer to the member that has asked.
func (t *Target) answered(ctx context.Context, c *upstream.Call) (*upstream.Answer, error) {
	of := sessionOf(c.State)
	if of.id == "" {
		return nil, noSession(t.Name)
	}
	s := t.Memory.session(of)
	s.mu.Lock()
	q, ok := s.questions[string(c.Message.ID)]
	delete(s.questions, string(c.Message.ID))
	s.mu.Unlock()
	i := t.member(q.member)
	if !ok || i < 0 {
		return c.Answered(backend.Refusal(nil, mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest,
			"nobody waits for this answer: nothing was asked by this id, or it has been answered"))), nil
	}
	ms, err := s.at(ctx, &t.members[i], whose(c))
	if err != nil {
		return nil, err
	}
	if err := ms.tell(ctx, whose(c), withID(c.Body, q.id)); err != nil {
		return nil, err
	}
	return c.Answered(backend.StatusResponse(http.StatusAccepted)), nil
}

// notified takes a client's notification to the members it is about.
func (t *Target) notified(ctx context.Context, c *upstream.Call) (*upstream.Answer, error) {
	of := sessionOf(c.State)
	if c.Revision.Modern() || of.id == "" || c.Message.Method == "notifications/initialized" {
		return c.Answered(backend.StatusResponse(http.StatusAccepted)), nil
	}
	s := t.Memory.session(of)
	to := s.all()
	if c.Message.Method == "notifications/cancelled" { // of a request, which is one member's
		to = nil
		if ms := s.went(mcp.Path(c.Message.Bytes(c.Message.Params), "requestId")); ms != nil {
			to = append(to, ms)
		}
	}
	for _, ms := range to {
		_ = ms.tell(ctx, whose(c), c.Body) // nobody hears of a member that does not take it
	}
	return c.Answered(backend.StatusResponse(http.StatusAccepted)), nil
}

// setLevel keeps which log messages a session wants, and tells its members.
func (t *Target) setLevel(ctx context.Context, c *upstream.Call) (*upstream.Answer, error) {
	of := sessionOf(c.State)
	if of.id == "" {
		return nil, noSession(t.Name)
	}
	s := t.Memory.session(of)
	params := bytes.Clone(c.Message.Bytes(c.Message.Params))
	s.mu.Lock()
	s.level = params
	s.mu.Unlock()
	var telling sync.WaitGroup
	for _, ms := range s.all() {
		telling.Go(func() { ms.setLevel(ctx, whose(c), params) })
	}
	telling.Wait()
	return c.Answered(result(c.Message.ID, []byte("{}"))), nil
}

// withID is a message under another id.
func withID(raw, id []byte) []byte {
	return mcp.Merge(raw, []mcp.Field{{Name: "id", Value: id}})
}

// withParam is a message with one of its params changed.
func withParam(m *mcp.Envelope, name string, value []byte) []byte {
	params := mcp.Merge(m.Bytes(m.Params), []mcp.Field{{Name: name, Value: value}})
	return mcp.Merge(m.Raw, []mcp.Field{{Name: "params", Value: params}})
}
