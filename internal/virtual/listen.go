package virtual

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// This file has the streams by which clients hear of what they have not asked for.

var errNotRead = errors.New("the client does not read")

// listened is a stream as its client reads it.
type listened struct {
	*stream
	gone func()
	end  []byte // the last message, where the stream ends in order; nil for none

	buf, rest []byte
	over      error
	closed    bool
}

func (l *listened) emit(raw []byte) {
	l.buf = mcp.AppendEvent(l.buf[:0], mcp.Event{Name: "message", Data: raw})
	l.rest = l.buf
}

func (l *listened) Read(p []byte) (int, error) {
	for len(l.rest) == 0 {
		if l.over != nil {
			return 0, l.over
		}
		select {
		case raw := <-l.arrived:
			l.emit(raw)
		case <-l.broken:
			l.over = errNotRead
		case <-l.ctx.Done():
			if l.over = context.Cause(l.ctx); l.over == context.Canceled {
				l.over = io.EOF
			}
			if l.end != nil && l.over == io.EOF {
				l.emit(l.end)
			}
		}
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

func (l *listened) Close() error {
	if !l.closed {
		l.closed = true
		l.target.watch.remove(l.stream)
		l.cancel()
		if l.gone != nil {
			l.gone()
		}
	}
	return nil
}

// listen serves subscriptions/listen.
func (t *Target) listen(ctx context.Context, c *upstream.Call) (*upstream.Answer, error) {
	m := c.Message
	asked, err := mcp.Member(m.Bytes(m.Params), "notifications")
	if err != nil || asked == nil {
		return c.Answered(backend.Refusal(m.ID, mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidParams, "params.notifications is missing"))), nil
	}
	st := t.newStream(ctx, c)
	id := slices.Clone(m.ID)
	st.meta = mcp.Merge(nil, []mcp.Field{{Name: "io.modelcontextprotocol/subscriptionId", Value: id}})
	v := t.view(ctx, st.of)
	var granted []mcp.Field
	grant := func(name string, capability string, which ...kind) {
		value, _ := mcp.Member(asked, name)
		if string(value) != "true" || !mcp.HasObject(v.capabilities, capability) {
			return
		}
		for _, k := range which {
			st.wants[k] = true
		}
		granted = append(granted, mcp.Field{Name: name, Value: value})
	}
	grant("toolsListChanged", "tools", tools)
	grant("promptsListChanged", "prompts", prompts)
	grant("resourcesListChanged", "resources", resources, templates)
	if uris := st.subscribe(c, v, asked); uris != nil {
		granted = append(granted, mcp.Field{Name: "resourceSubscriptions", Value: uris})
	}
	l := &listened{stream: st, end: mcp.Merge([]byte(`{"jsonrpc":"2.0"}`), []mcp.Field{
		{Name: "id", Value: id}, {Name: "result", Value: mcp.Merge([]byte(`{"resultType":"complete"}`), []mcp.Field{{Name: "_meta", Value: st.meta}})},
	})}
	l.emit(st.note("notifications/subscriptions/acknowledged", mcp.Merge(nil, []mcp.Field{{Name: "notifications", Value: mcp.Merge(nil, granted)}})))
	t.watch.add(st)
	st.own()
	st.look(ctx)
	return c.Answered(backend.StreamResponse(l)), nil
}

// subscribe listens at the members that have the resources a client wants to hear of.
// It gives those that there are, raw.
func (st *stream) subscribe(c *upstream.Call, v *view, asked []byte) (granted []byte) {
	value, _ := mcp.Member(asked, "resourceSubscriptions")
	uris, _ := mcp.Texts(value)
	byMember := map[int][]string{}
	var list []byte
	for _, uri := range uris {
		own, ok := st.target.linked(c, v)(uri)
		if !ok {
			continue
		}
		byMember[own.Member] = append(byMember[own.Member], own.Name)
		if list != nil {
			list = append(list, ',')
		}
		list = mcp.AppendQuote(list, uri)
	}
	var settling sync.WaitGroup
	for member, own := range byMember {
		settling.Add(1)
		go st.target.attend(st.ctx, member, ear{of: st.of, params: listenParams(false, own), settled: settling.Done, opened: func(again bool) {
			for i := 0; again && i < len(own); i++ {
				st.updated(member, own[i])
			}
		}, take: func(m *mcp.Envelope) {
			value, _ := mcp.Member(m.Bytes(m.Params), "uri")
			if uri, ok := mcp.Text(value); ok && m.Method == resourceUpdated {
				st.updated(member, uri)
			}
		}})
	}
	settling.Wait() // a client that has just subscribed expects to hear of what its next call changes
	if list == nil {
		return nil
	}
	return append(append([]byte{'['}, list...), ']')
}

// settleTime is how long is waited until members have said that they will tell.
const settleTime = 2 * time.Second

// within waits for do to return, or for as long as that may take.
func within(limit time.Duration, do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// sessionStream is the listening stream of a client's session: what the members of the
// session say by theirs, and what changes.
type sessionStream struct {
	*stream
	session *clientSession
}

// listenLegacy serves the GET of a session. A newer one takes over.
func (t *Target) listenLegacy(ctx context.Context, c *upstream.Call) (*upstream.Answer, error) {
	of := sessionOf(c.State)
	if of.id == "" {
		return nil, noSession(t.Name)
	}
	s := t.Memory.session(of)
	ss := &sessionStream{stream: t.newStream(ctx, c), session: s}
	for k := range kinds {
		ss.wants[k] = true
	}
	s.mu.Lock()
	before := s.stream
	s.stream = ss
	s.mu.Unlock()
	if before != nil {
		before.stop()
	}
	for _, ms := range s.all() {
		if ms.isOpen() {
			ss.follow(ms)
		}
	}
	t.watch.add(ss.stream)
	ss.own()
	ss.look(ctx)
	l := &listened{stream: ss.stream, gone: func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.stream == ss {
			s.stream = nil
		}
	}}
	a := c.Answered(backend.StreamResponse(l))
	a.State = c.State
	return a, nil
}

func (ss *sessionStream) stop() { ss.cancel() }

// follow passes on what a member says by its listening stream, while there is one. It
// returns when the stream is open, as far as that can be known soon.
func (ss *sessionStream) follow(ms *memberSession) {
	opened := make(chan struct{})
	settle := sync.OnceFunc(func() { close(opened) })
	defer within(settleTime/4, func() { <-opened })
	go func() {
		defer settle()
		for wait := reopenFirst; ss.ctx.Err() == nil; wait = min(2*wait, reopenLast) {
			if ss.followOnce(ms, settle) {
				return
			}
			select {
			case <-ss.ctx.Done():
			case <-time.After(wait):
			}
		}
	}()
}

// followOnce does that once; done says that it is not worth trying again.
func (ss *sessionStream) followOnce(ms *memberSession, settle func()) (done bool) {
	c := ss.of.call()
	c.Method, c.Session, c.Revision = http.MethodGet, ms.at, ms.revision
	c.Header["Accept"] = []string{"text/event-stream"}
	ms.setVersion(c)
	a, err := ms.member.Load().Upstream.Do(ss.ctx, c)
	settle()
	if err != nil {
		f, ok := errors.AsType[*backend.Failure](err)
		return !ok || f.Reason == backend.ReasonSession || f.Reason == backend.ReasonBadAnswer
	}
	defer a.End("")
	if !a.Stream {
		return true // it has no such stream
	}
	member := ss.target.member(ms.member.Load().Upstream.Name)
	events := mcp.NewEventReader(a.Body, ss.target.MaxEventBytes)
	for {
		ev, err := events.Next()
		if err != nil {
			return false
		}
		if len(ev.Data) == 0 || mcp.PeekResponse(ev.Data) {
			continue
		}
		if raw := ss.target.fromMember(ss.session, member, c, slices.Clone(ev.Data), nil); raw != nil {
			ss.send(raw)
		}
	}
}
