package duplex

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// fakeServer opens links that the test itself is the other end of.
type fakeServer struct {
	links chan *fakeLink
	rig   *rig

	mu     sync.Mutex
	legacy bool             // the transport cannot carry modern messages
	broken *backend.Failure // what open says instead
}

func (s *fakeServer) modern() bool { return !s.legacy }

func (s *fakeServer) open(_ context.Context, first outbound, to receiver) (link, *backend.Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, s.broken
	}
	l := &fakeLink{rig: s.rig, to: to, first: first, sent: make(chan outbound, 100), gone: make(chan struct{})}
	s.links <- l
	return l, nil
}

func (s *fakeServer) fail(f *backend.Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = f
}

// fakeLink is one link, from both ends.
type fakeLink struct {
	rig   *rig
	to    receiver
	first outbound
	sent  chan outbound
	gone  chan struct{}
	once  sync.Once
	full  atomic.Bool // nothing more goes in
}

func (l *fakeLink) send(ctx context.Context, out outbound) error {
	if l.full.Load() {
		<-ctx.Done()
		return errUnsent
	}
	select {
	case <-l.gone:
		return errUnsent
	default:
	}
	out.body = bytes.Clone(out.body)
	l.sent <- out
	return nil
}

func (l *fakeLink) close() { l.end("closed") }

// end ends the link from either side.
func (l *fakeLink) end(why string) {
	l.once.Do(func() {
		close(l.gone)
		l.to.ended(backend.Fail("docs", http.StatusBadGateway, backend.ReasonCrashed, nil, "the command ended ("+why+")"))
	})
}

func (l *fakeLink) ended() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// hear returns the next message to the server. In a session it has the id that the
// client gave it, for tests that are not about ids on the wire.
func (l *fakeLink) hear(t *testing.T) string {
	t.Helper()
	return l.rig.named(l.hearWire(t))
}

// hearWire returns the next message as it is on the wire.
func (l *fakeLink) hearWire(t *testing.T) string {
	t.Helper()
	select {
	case out := <-l.sent:
		return string(out.body)
	case <-time.After(time.Minute): // of the bubble's time
		t.Fatal("nothing was sent to the server")
		return ""
	}
}

// hears fails unless the next messages to the server are these.
func (l *fakeLink) hears(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		if got := l.hear(t); got != w {
			t.Fatalf("server got  %s\nwant        %s", got, w)
		}
	}
}

// silent fails if the server gets anything within the time given.
func (l *fakeLink) silent(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case out := <-l.sent:
		t.Errorf("server got %s, want nothing", out.body)
	case <-time.After(d):
	}
}

func (l *fakeLink) say(messages ...string) {
	for _, m := range messages {
		l.to.received([]byte(l.rig.wired(m)))
	}
}

// sayWire is say without putting ids on the wire in place of the clients'.
func (l *fakeLink) sayWire(messages ...string) {
	for _, m := range messages {
		l.to.received([]byte(m))
	}
}

// named puts into a message to a session's server the id that its client knows.
func (r *rig) named(raw string) string {
	m, ok := readMessage([]byte(raw))
	at := m.id
	if m.method == "notifications/cancelled" {
		at = member(m.raw, m.params, "requestId")
	}
	if !ok || m.kind == mcp.KindResponse || !at.Present() {
		return raw
	}
	key := idKey(m.bytes(at))
	r.mu.Lock()
	sessions := slices.Collect(maps.Values(r.sessions))
	r.mu.Unlock()
	for _, s := range sessions {
		s.connection.mu.Lock()
		if c := s.calls[key]; c != nil && !c.own && m.kind == mcp.KindRequest && bytes.Contains(m.raw, []byte(c.method)) {
			r.names[key], r.wires[idKey(c.id)] = string(c.id), string(c.wireID)
		}
		s.connection.mu.Unlock()
	}
	if name, ok := r.names[key]; ok {
		return string(mcp.Splice(m.raw, mcp.Edit{Span: at, New: []byte(name)}))
	}
	return raw
}

// wired is the reverse, for answers.
func (r *rig) wired(raw string) string {
	if m, ok := readMessage([]byte(raw)); ok && m.kind == mcp.KindResponse && m.id.Present() {
		if wire, ok := r.wires[idKey(m.bytes(m.id))]; ok {
			return string(mcp.Splice(m.raw, mcp.Edit{Span: m.id, New: []byte(wire)}))
		}
	}
	return raw
}

// rig is a Duplex over fake links, in a synctest bubble.
type rig struct {
	*Duplex
	srv  *fakeServer
	logs *bytes.Buffer
	t    *testing.T

	names, wires map[string]string // id on the wire → the client's, and back
}

func newRig(t *testing.T, change ...func(*config)) *rig {
	t.Helper()
	r := &rig{t: t, names: map[string]string{}, wires: map[string]string{}, srv: &fakeServer{links: make(chan *fakeLink, 100)}, logs: &bytes.Buffer{}}
	r.srv.rig = r
	cfg := config{name: "docs", origin: "fake:", opener: r.srv}
	for _, c := range change {
		c(&cfg)
	}
	r.Duplex = newDuplex(cfg, slog.New(slog.NewTextHandler(&lockedWriter{w: r.logs}, &slog.HandlerOptions{Level: slog.LevelDebug})))
	return r
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}

// link waits for the next link that is opened.
func (r *rig) link() *fakeLink {
	r.t.Helper()
	select {
	case l := <-r.srv.links:
		return l
	case <-time.After(time.Hour):
		r.t.Fatal("no link was opened")
		return nil
	}
}

// modernLink waits for a link and answers the question for its revisions.
func (r *rig) modernLink() *fakeLink {
	r.t.Helper()
	l := r.link()
	if got := l.hear(r.t); !strings.Contains(got, `"server/discover"`) {
		r.t.Fatalf("first message on a shared link is %s", got)
	}
	l.say(`{"jsonrpc":"2.0","id":"sallyport-discover","result":{"supportedVersions":["2026-07-28","2025-11-25"]}}`)
	return l
}

func (r *rig) logged(want string) int {
	synctestWait()
	return strings.Count(r.logs.String(), want)
}

// result is what Do brought.
type result struct {
	resp *backend.Response
	f    *backend.Failure
	body *bufio.Reader
}

// do starts an exchange.
func (r *rig) do(ctx context.Context, req *backend.Request) <-chan result {
	c := make(chan result, 1)
	go func() {
		resp, err := r.Do(ctx, req)
		out := result{resp: resp}
		if err != nil && !errors.As(err, &out.f) {
			r.t.Errorf("Do: error is a %T", err)
		}
		if resp != nil {
			out.body = bufio.NewReader(resp.Body)
		}
		c <- out
	}()
	return c
}

func (r *rig) post(session, body string) <-chan result {
	return r.do(r.t.Context(), r.request(session, body))
}

// request is a POST as the gateway hands it over.
func (r *rig) request(session, body string) *backend.Request {
	r.t.Helper()
	e, err := mcp.Parse([]byte(body), mcp.DefaultLimits())
	if err != nil {
		r.t.Fatalf("%s: %v", body, err)
	}
	req := &backend.Request{Method: http.MethodPost, Header: http.Header{}, Caller: "alice", Body: e.Raw, Message: &e}
	if session != "" {
		req.Session = backend.Session{ID: session, Origin: "fake:"}
	}
	if e.Meta.HasVersion {
		req.Header.Set(mcp.HeaderProtocolVersion, e.Meta.ProtocolVersion)
	}
	return req
}

func (r *rig) listen(session string) result {
	r.t.Helper()
	return r.answered(r.do(r.t.Context(), &backend.Request{Method: http.MethodGet, Session: backend.Session{ID: session, Origin: "fake:"}}))
}

// answered waits for an answer that is no failure.
func (r *rig) answered(c <-chan result) result {
	r.t.Helper()
	got := <-c
	if got.f != nil {
		r.t.Fatalf("failure: %v", got.f)
	}
	return got
}

// failed waits for a failure.
func (r *rig) failed(c <-chan result, status int, reason backend.Reason) *backend.Failure {
	r.t.Helper()
	got := <-c
	if got.f == nil {
		r.t.Fatalf("status %d, want a failure", got.resp.Status)
	}
	if got.f.Public.Status != status || got.f.Reason != reason {
		r.t.Fatalf("failure is %d %s (%v), want %d %s", got.f.Public.Status, got.f.Reason, got.f, status, reason)
	}
	return got.f
}

// json waits for a JSON answer and compares it.
func (r *rig) json(c <-chan result, status int, want string) {
	r.t.Helper()
	got := r.answered(c)
	body, err := io.ReadAll(got.body)
	if err != nil || got.resp.Stream || got.resp.Status != status || string(body) != want || got.resp.ContentLength != int64(len(body)) {
		r.t.Fatalf("answer is %d stream=%v %s (%v)\nwant %d %s", got.resp.Status, got.resp.Stream, body, err, status, want)
	}
	_ = got.resp.Body.Close()
}

// events reads the next events of a stream.
func (r *rig) events(from result, want ...string) {
	r.t.Helper()
	if !from.resp.Stream {
		r.t.Fatalf("answer is no stream")
	}
	for _, w := range want {
		got := r.event(from)
		if got != w {
			r.t.Fatalf("event is %s\nwant     %s", got, w)
		}
	}
}

func (r *rig) event(from result) string {
	r.t.Helper()
	var data string
	for {
		line, err := from.body.ReadString('\n')
		if err != nil {
			r.t.Fatalf("stream ended: %v", err)
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			return data
		}
		if d, ok := strings.CutPrefix(line, "data:"); ok {
			data += strings.TrimPrefix(d, " ")
		}
	}
}

// over fails unless a stream ends here, and closes it.
func (r *rig) over(from result, want error) {
	r.t.Helper()
	rest, err := io.ReadAll(from.body)
	if len(rest) > 0 || !errors.Is(err, want) {
		r.t.Fatalf("rest of stream is %q, %v, want %v", rest, err, want)
	}
	_ = from.resp.Body.Close()
}

const (
	initialize  = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	initResult  = `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25"}}`
)

// open begins a session and returns its id.
func (r *rig) open() (string, *fakeLink) {
	r.t.Helper()
	c := r.post("", initialize)
	l := r.link()
	l.hears(r.t, initialize)
	l.say(initResult)
	got := r.answered(c)
	if got.resp.Session.ID == "" || got.resp.Session.Origin != "fake:" {
		r.t.Fatalf("session is %+v", got.resp.Session)
	}
	_ = got.resp.Body.Close()
	id := got.resp.Session.ID
	r.accepted(id, initialized)
	l.hears(r.t, initialized)
	return id, l
}

// empty fails unless there are no sessions.
func (r *rig) empty() {
	r.t.Helper()
	synctestWait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.sessions) != 0 || r.live != 0 {
		r.t.Errorf("%d sessions, %d live, want none", len(r.sessions), r.live)
	}
}

// accepted posts what has no answer.
func (r *rig) accepted(session, body string) {
	r.t.Helper()
	got := r.answered(r.post(session, body))
	if got.resp.Status != http.StatusAccepted {
		r.t.Fatalf("status is %d, want 202", got.resp.Status)
	}
}

// token is the progress token of a toolCall.
func token(id string) string { return `"p` + strings.Trim(id, `"`) + `"` }

// toolCall is a tools/call with a progress token.
func toolCall(id string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":` + token(id) + `}}}`
}

func toolResult(id string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"result":{"content":[],"x":9007199254740993}}`
}

func progress(id string) string {
	return `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":` + token(id) + `,"progress":1}}`
}
