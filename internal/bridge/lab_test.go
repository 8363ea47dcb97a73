package bridge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/testkit/schema"
)

// This file has servers of each era that do as a table says, and clients that speak with
// them through a bridge.

// old is a server with sessions.
type old struct {
	revision string // "" for 2025-11-25
	caps     string // "" for everything
	// call answers requests; nil results in an empty result.
	call func(ctx context.Context, o *oldServer, req *backend.Request) (*backend.Response, error)
}

type oldServer struct {
	*scripted
	old

	mu      sync.Mutex
	opened  int
	lost    bool                // the session there was is unknown
	answers chan string         // what clients say to questions
	stream  chan *io.PipeWriter // listening streams that were opened
}

const everything = `{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true,"listChanged":true},"logging":{},"completions":{},"tasks":{"requests":{"tools":{"call":{}}}},"extensions":{"io.modelcontextprotocol/tasks":{},"com.example/x":{}}}`

func newOld(o old) *oldServer {
	if o.revision == "" {
		o.revision = "2025-11-25"
	}
	if o.caps == "" {
		o.caps = everything
	}
	s := &oldServer{old: o, answers: make(chan string, 128), stream: make(chan *io.PipeWriter, 16)}
	s.scripted = &scripted{do: s.answer}
	return s
}

// lose has the server forget its sessions, and end the streams of them.
func (s *oldServer) lose() {
	s.mu.Lock()
	s.lost = true
	s.mu.Unlock()
}

func (s *oldServer) session() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint("s", s.opened)
}

func (s *oldServer) answer(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	s.mu.Lock()
	lost := s.lost && req.Session.ID != "" || req.Session.ID != "" && req.Session.ID != fmt.Sprint("s", s.opened)
	s.mu.Unlock()
	switch {
	case lost:
		return &backend.Response{Status: http.StatusNotFound, Header: http.Header{}, Body: http.NoBody}, nil
	case req.Method == http.MethodGet && req.Header.Get(mcp.HeaderLastEventID) != "":
		return s.call(ctx, s, req)
	case req.Method == http.MethodGet:
		resp, w := answerStream(ctx)
		s.stream <- w
		return resp, nil
	case req.Method == http.MethodDelete || req.Message.Kind == mcp.KindNotification:
		return accepted(), nil
	case req.Message.Kind == mcp.KindResponse:
		s.answers <- string(req.Body)
		return accepted(), nil
	case req.Message.Meta.HasVersion:
		return failed(req, http.StatusBadRequest, mcp.CodeInvalidRequest, "no session"), nil
	case req.Message.Method == "initialize":
		s.mu.Lock()
		s.opened, s.lost = s.opened+1, false
		s.mu.Unlock()
		resp := result(req, fmt.Sprintf(`{"protocolVersion":%q,"capabilities":%s,"serverInfo":{"name":"s","version":"1"},"instructions":"be kind"}`, s.revision, s.caps))
		resp.Session = backend.Session{ID: s.session(), Origin: "o"}
		return resp, nil
	case s.call == nil && req.Message.Method == "tools/call":
		return result(req, `{"content":[]}`), nil
	case s.call == nil || strings.HasPrefix(req.Message.Method, "resources/s") || strings.HasPrefix(req.Message.Method, "resources/u") || req.Message.Method == "logging/setLevel" || req.Message.Method == "ping":
		return result(req, `{}`), nil
	}
	return s.call(ctx, s, req)
}

func accepted() *backend.Response {
	return &backend.Response{Status: http.StatusAccepted, Header: http.Header{}, Body: http.NoBody}
}

func result(req *backend.Request, raw string) *backend.Response {
	return answerJSON(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, req.Message.ID, raw))
}

func failed(req *backend.Request, status, code int, text string) *backend.Response {
	return fault(req, status, fmt.Sprintf(`{"code":%d,"message":%q}`, code, text))
}

func fault(req *backend.Request, status int, raw string) *backend.Response {
	resp := answerJSON(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":%s}`, req.Message.ID, raw))
	resp.Status = status
	return resp
}

// says answers by a stream, one event after the other. $id is the request's, $token its
// progress token. After a question it waits for the answer.
func says(events ...string) func(context.Context, *oldServer, *backend.Request) (*backend.Response, error) {
	return func(ctx context.Context, s *oldServer, req *backend.Request) (*backend.Response, error) {
		resp, w := answerStream(ctx)
		m := req.Message
		fill := strings.NewReplacer("$id", string(m.ID), "$token", string(m.Bytes(m.Meta.ProgressToken)))
		go func() {
			for _, e := range events {
				if !strings.HasPrefix(e, "data:") && !strings.HasPrefix(e, "id:") {
					e = string(event(e))
				}
				if _, err := io.WriteString(w, fill.Replace(e)); err != nil {
					return
				}
				if strings.Contains(e, `"method"`) && strings.Contains(e, `"id"`) {
					select {
					case <-s.answers:
					case <-ctx.Done():
						return
					}
				}
			}
			_ = w.Close()
		}()
		return resp, nil
	}
}

const done = `{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"done"}]}}`

// modern is a request of a modern client that can be asked everything.
func modern(id int, method, params string) string { return modernAs(id, method, params, ableAll, "") }

const ableAll = `{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}},"roots":{"listChanged":true},"extensions":{"io.modelcontextprotocol/tasks":{}}}`

func modernAs(id int, method, params, caps, meta string) string {
	if params != "" {
		params += ","
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":%s,"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}%s}}}`,
		id, method, params, caps, meta)
}

// tell sends what a modern client says, and returns all that comes back.
func tell(t *testing.T, b backend.Backend, raw string) string {
	t.Helper()
	resp, err := send(t.Context(), t, b, "alice", backend.Session{}, true, raw)
	if f, ok := errors.AsType[*backend.Failure](err); ok {
		return fmt.Sprintf("HTTP %d %s", f.Public.Status, f.Public.Append(nil, nil))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "broke: " + err.Error()
	}
	about := mcp.PathText([]byte(raw), "method")
	if !resp.Stream {
		valid(t, "2026-07-28", about, body)
	} else {
		for r := mcp.NewEventReader(bytes.NewReader(body), 1<<20); ; {
			ev, err := r.Next()
			if err != nil {
				break
			}
			valid(t, "2026-07-28", about, ev.Data)
		}
	}
	return string(body)
}

// valid checks a message of the gateway's by the schema of its revision.
func valid(t *testing.T, rev, about string, raw []byte) {
	t.Helper()
	if !schema.Have() || len(raw) == 0 {
		return
	}
	if err := schema.Load(t).Check(rev, about, raw); err != nil {
		t.Errorf("a message of revision %s is not valid: %v\n%s", rev, err, raw)
	}
}

// validate checks all that a server was sent, by the revision that it speaks. What is of
// the other era is the client's own: it went before the server was known.
func (s *scripted) validate(t *testing.T, rev string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, raw := range s.said {
		m, err := mcp.Parse([]byte(raw), mcp.DefaultLimits())
		if err != nil {
			t.Errorf("the server was sent %s: %v", raw, err)
		} else if m.Kind == mcp.KindResponse || m.Meta.HasVersion == mcp.Revision(rev).Modern() {
			valid(t, rev, "", []byte(raw))
		}
	}
}

// events reads a stream event by event.
type events struct {
	t    *testing.T
	resp *backend.Response
	r    *mcp.EventReader
}

func open2(ctx context.Context, t *testing.T, b backend.Backend, caller string, session backend.Session, modern bool, raw string) *events {
	t.Helper()
	resp, err := send(ctx, t, b, caller, session, modern, raw)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return &events{t, resp, mcp.NewEventReader(resp.Body, 1<<20)}
}

// next is the next event's data; "" at the end.
func (e *events) next() string {
	e.t.Helper()
	ev, err := e.r.Next()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			e.t.Logf("stream ends: %v", err)
		}
		return ""
	}
	return string(ev.Data)
}

// young is a server without sessions.
type young struct {
	caps string // "" for everything
	call func(ctx context.Context, y *youngServer, req *backend.Request) (*backend.Response, error)
}

type youngServer struct {
	*scripted
	young
	listens chan *listened
}

type listened struct {
	w   *io.PipeWriter
	ctx context.Context
	req string
}

func newYoung(y young) *youngServer {
	if y.caps == "" {
		y.caps = everything
	}
	s := &youngServer{young: y, listens: make(chan *listened, 16)}
	s.scripted = &scripted{do: s.answer}
	return s
}

func (s *youngServer) answer(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	switch m := req.Message; {
	case m.Kind != mcp.KindRequest:
		return accepted(), nil
	case !m.Meta.HasVersion || req.Header.Get(mcp.HeaderProtocolVersion) == "":
		return fault(req, http.StatusBadRequest, `{"code":-32022,"message":"no","data":{"supported":["2026-07-28"]}}`), nil
	case m.Method == "server/discover":
		return result(req, fmt.Sprintf(`{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":%s,"instructions":"be kind","ttlMs":5,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"y","version":"1"}}}`, s.caps)), nil
	case m.Method == "subscriptions/listen":
		resp, w := answerStream(ctx)
		s.listens <- &listened{w, ctx, string(req.Body)}
		return resp, nil
	}
	return s.call(ctx, s, req)
}

// acknowledge says what is told of.
func (l *listened) acknowledge(granted string) {
	l.say(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":` + granted + `,"_meta":{"io.modelcontextprotocol/subscriptionId":"listen"}}}`)
}

func (l *listened) say(raw string) { _, _ = l.w.Write(event(raw)) }

// ask is a legacy client's request, with what it answers to questions. It returns the last
// message, and the others.
func ask(t *testing.T, b backend.Backend, session backend.Session, raw string, answers ...string) (last string, before []string) {
	t.Helper()
	resp, err := send(t.Context(), t, b, "alice", session, false, raw)
	if f, ok := errors.AsType[*backend.Failure](err); ok {
		return fmt.Sprintf("HTTP %d %s", f.Public.Status, f.Public.Append(nil, nil)), nil
	}
	defer resp.Body.Close()
	if !resp.Stream {
		body, _ := io.ReadAll(resp.Body)
		if resp.Status != http.StatusOK {
			return fmt.Sprintf("HTTP %d %s", resp.Status, body), nil
		}
		valid(t, "2025-11-25", mcp.PathText([]byte(raw), "method"), body)
		return string(body), nil
	}
	r := mcp.NewEventReader(resp.Body, 1<<20)
	for {
		ev, err := r.Next()
		if err != nil {
			return last, before
		}
		if last != "" {
			before = append(before, last)
		}
		last = string(ev.Data)
		valid(t, "2025-11-25", mcp.PathText([]byte(raw), "method"), ev.Data)
		id := mcp.Path(ev.Data, "id")
		if mcp.Path(ev.Data, "method") == nil || id == nil {
			continue
		}
		if len(answers) == 0 {
			t.Fatalf("asked once more: %s", last)
		}
		answer := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,%s}`, id, answers[0])
		answers = answers[1:]
		if status, text := post(t, b, "alice", session, false, answer); status != http.StatusAccepted {
			t.Fatalf("the answer %s: %d %s", answer, status, text)
		}
	}
}

func legacy(id int, method, params string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{%s}}`, id, method, params)
}

// wants compares an answer with what has to be, and must not be, in it.
func wants(t *testing.T, what, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if not, ok := strings.CutPrefix(part, "!"); ok {
			if strings.Contains(got, not) {
				t.Errorf("%s: %s\nhas %s", what, got, not)
			}
		} else if !strings.Contains(got, part) {
			t.Errorf("%s: %s\nhas not %s", what, got, part)
		}
	}
}

// all is everything that a server was sent.
func (s *scripted) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.said, "\n")
}

// idsOf are the ids of the requests for a method.
func (s *scripted) idsOf(method string) (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, raw := range s.said {
		if string(mcp.Path([]byte(raw), "method")) == string(mcp.Quote(method)) {
			ids = append(ids, string(bytes.Clone(mcp.Path([]byte(raw), "id"))))
		}
	}
	return ids
}
