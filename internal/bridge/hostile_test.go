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
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// scripted is a server that does what a test says.
type scripted struct {
	do func(ctx context.Context, req *backend.Request) (*backend.Response, error)

	mu   sync.Mutex
	seen []string // methods, of HTTP where there is no message
	said []string // bodies
}

func (s *scripted) Do(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	s.mu.Lock()
	if req.Message != nil {
		s.seen = append(s.seen, req.Message.Method)
		s.said = append(s.said, string(req.Body))
	} else {
		s.seen = append(s.seen, req.Method)
	}
	s.mu.Unlock()
	return s.do(ctx, req)
}

func (s *scripted) Close() error { return nil }

func (s *scripted) count(method string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.seen {
		if m == method {
			n++
		}
	}
	return n
}

func (s *scripted) heard(part string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(strings.Join(s.said, "\n"), part)
}

func bridged(t *testing.T, s *scripted, change func(*bridge.Config)) *bridge.Bridge {
	t.Helper()
	ring, err := seal.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	cfg := bridge.Config{Name: "b", Next: s, Ring: ring, MaxBytes: 1 << 20, Limits: mcp.DefaultLimits(), Patience: time.Minute}
	if change != nil {
		change(&cfg)
	}
	b := bridge.New(cfg)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func answerJSON(raw string) *backend.Response {
	return &backend.Response{Status: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(raw)), ContentLength: int64(len(raw))}
}

// answerStream is a stream whose events the test writes.
func answerStream(ctx context.Context) (*backend.Response, *io.PipeWriter) {
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { _ = w.CloseWithError(ctx.Err()) })
	return &backend.Response{Status: http.StatusOK, Header: http.Header{}, Body: r, ContentLength: -1, Stream: true}, w
}

func event(raw string) []byte { return []byte("data: " + raw + "\n\n") }

// post sends a message through a bridge, and returns all that comes back.
func post(t *testing.T, b backend.Backend, caller string, session backend.Session, modern bool, raw string) (status int, answer string) {
	t.Helper()
	resp, err := send(t.Context(), t, b, caller, session, modern, raw)
	if f, ok := errors.AsType[*backend.Failure](err); ok {
		return f.Public.Status, f.Public.Message
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.Status, "broke: " + err.Error()
	}
	return resp.Status, string(body)
}

func send(ctx context.Context, t *testing.T, b backend.Backend, caller string, session backend.Session, modern bool, raw string) (*backend.Response, error) {
	t.Helper()
	m, refused := mcp.Parse([]byte(raw), mcp.DefaultLimits())
	if refused != nil {
		t.Fatal(refused)
	}
	req := &backend.Request{Method: http.MethodPost, Header: http.Header{}, Caller: caller, Session: session, Body: []byte(raw), Message: &m}
	if modern {
		req.Header[mcp.HeaderProtocolVersion] = []string{string(mcp.Rev20260728)}
	}
	return b.Do(ctx, req)
}

const modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}`

// legacyServer answers initialize, and calls by what the test says.
func legacyServer(call func(ctx context.Context, req *backend.Request) (*backend.Response, error)) *scripted {
	return &scripted{do: func(ctx context.Context, req *backend.Request) (*backend.Response, error) {
		switch {
		case req.Method == http.MethodGet:
			return &backend.Response{Status: http.StatusMethodNotAllowed, Header: http.Header{}, Body: http.NoBody}, nil
		case req.Method == http.MethodDelete || req.Message.Kind == mcp.KindNotification:
			return &backend.Response{Status: http.StatusAccepted, Header: http.Header{}, Body: http.NoBody}, nil
		case req.Message.Kind == mcp.KindResponse:
			return call(ctx, req)
		case req.Message.Method == "initialize":
			resp := answerJSON(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"s","version":"1"}}}`, req.Message.ID))
			resp.Session = backend.Session{ID: "s1", Origin: "o"}
			return resp, nil
		case req.Message.Meta.HasVersion: // of the other era
			resp := answerJSON(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32600,"message":"no session"}}`, req.Message.ID))
			resp.Status = http.StatusBadRequest
			return resp, nil
		}
		return call(ctx, req)
	}}
}

// asking is a legacy server whose calls ask something and wait for the answer.
func asking(t *testing.T) *scripted {
	t.Helper()
	var mu sync.Mutex
	var waits *io.PipeWriter
	var id string
	return legacyServer(func(ctx context.Context, req *backend.Request) (*backend.Response, error) {
		mu.Lock()
		defer mu.Unlock()
		if req.Message.Kind == mcp.KindResponse {
			w, callID := waits, id
			go func() {
				_, _ = w.Write(event(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"content":[]}}`, callID)))
			}()
			return &backend.Response{Status: http.StatusAccepted, Header: http.Header{}, Body: http.NoBody}, nil
		}
		resp, w := answerStream(ctx)
		waits, id = w, string(req.Message.ID)
		go func() {
			_, _ = w.Write(event(`{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"?","requestedSchema":{}}}`))
		}()
		return resp, nil
	})
}

func stateOf(t *testing.T, answer string) string {
	t.Helper()
	_, rest, ok := strings.Cut(answer, `"requestState":"`)
	state, _, _ := strings.Cut(rest, `"`)
	if !ok || state == "" {
		t.Fatalf("the answer has no requestState: %s", answer)
	}
	return state
}

// What a client brings back is good for its caller, its request, once, and for a time.
func TestRequestState(t *testing.T) {
	t.Parallel()
	s := asking(t)
	b := bridged(t, s, nil)
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t",` + modernMeta + `}}`
	again := func(tool, state, answers string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":%q,"requestState":%q,"inputResponses":%s,%s}}`, tool, state, answers, modernMeta)
	}
	const yes = `{"question":{"action":"accept","content":{}}}`
	_, answer := post(t, b, "alice", backend.Session{}, true, call)
	if !strings.Contains(answer, `"input_required"`) || !strings.Contains(answer, `"elicitation/create"`) {
		t.Fatalf("the question does not reach the client: %s", answer)
	}
	state := stateOf(t, answer)
	for _, tt := range []struct{ name, caller, message string }{
		{"forged", "alice", again("t", "forged", yes)},
		{"of another person", "bob", again("t", state, yes)},
		{"of another tool", "alice", again("other", state, yes)},
		{"without answers", "alice", again("t", state, `{}`)},
		{"with answers that are none", "alice", again("t", state, `[1]`)},
	} {
		if status, answer := post(t, b, tt.caller, backend.Session{}, true, tt.message); status != http.StatusBadRequest || !strings.Contains(answer, "-32602") {
			t.Errorf("state %s: %d %s", tt.name, status, answer)
		}
	}
	if _, answer := post(t, b, "alice", backend.Session{}, true, again("t", state, yes)); !strings.Contains(answer, `"resultType":"complete"`) {
		t.Errorf("the answer to the question: %s", answer)
	}
	if status, answer := post(t, b, "alice", backend.Session{}, true, again("t", state, yes)); status != http.StatusBadRequest {
		t.Errorf("the same answer once more: %d %s", status, answer)
	}
	if n := s.count("tools/call"); n != 2 { // and the first was refused, as of the other era
		t.Errorf("the call was made %d times", n)
	}
	other := bridged(t, legacyServer(nil), nil)
	if status, answer := post(t, other, "alice", backend.Session{}, true, again("t", state, yes)); status != http.StatusBadRequest {
		t.Errorf("at a gateway with other keys: %d %s", status, answer)
	}
}

// A replica with the same keys says where an answer belongs.
func TestRequestStateOfAnotherReplica(t *testing.T) {
	t.Parallel()
	ring, _ := seal.NewRing(bytes.Repeat([]byte{1}, seal.KeySize))
	share := func(c *bridge.Config) { c.Ring = ring }
	one, two := bridged(t, asking(t), share), bridged(t, legacyServer(nil), share)
	_, answer := post(t, one, "alice", backend.Session{}, true, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t",`+modernMeta+`}}`)
	_, answer = post(t, two, "alice", backend.Session{}, true, fmt.Sprintf(
		`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"t","requestState":%q,"inputResponses":{"question":{"action":"accept"}},%s}}`, stateOf(t, answer), modernMeta))
	if !strings.Contains(answer, "another replica") {
		t.Errorf("the other replica says %s", answer)
	}
}

// A client that does not come back: the server hears that the call is cancelled.
func TestClientVanishes(t *testing.T) {
	t.Parallel()
	s := asking(t)
	b := bridged(t, s, func(c *bridge.Config) { c.Patience = 10 * time.Millisecond })
	post(t, b, "alice", backend.Session{}, true, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t",`+modernMeta+`}}`)
	testkit.Eventually(t, "the cancellation", func() bool { return s.count("notifications/cancelled") == 1 })
}

// Questions that a client cannot be asked are answered to the server.
func TestQuestionsThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, method, meta string }{
		{"sampling, which the client has not", "sampling/createMessage", modernMeta},
		{"an unknown request", "who/knows", modernMeta},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := legacyServer(nil)
			ready := make(chan *io.PipeWriter, 1)
			s2 := legacyServer(func(ctx context.Context, req *backend.Request) (*backend.Response, error) {
				if req.Message.Kind == mcp.KindResponse {
					w := <-ready
					go func() { _, _ = w.Write(event(`{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}`)) }()
					return &backend.Response{Status: http.StatusAccepted, Header: http.Header{}, Body: http.NoBody}, nil
				}
				resp, w := answerStream(ctx)
				ready <- w
				go func() { _, _ = w.Write(event(`{"jsonrpc":"2.0","id":"q","method":"` + tt.method + `","params":{}}`)) }()
				return resp, nil
			})
			*s = scripted{do: s2.do}
			b := bridged(t, s, nil)
			if _, answer := post(t, b, "a", backend.Session{}, true, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t",`+tt.meta+`}}`); !strings.Contains(answer, `"isError":true`) {
				t.Errorf("the client hears %s", answer)
			}
			if !s.heard(`"code":-32601`) {
				t.Error("the server does not hear that nobody can be asked")
			}
		})
	}
}

// modernServer is a server without sessions.
func modernServer(call func(req *backend.Request) string) *scripted {
	return &scripted{do: func(_ context.Context, req *backend.Request) (*backend.Response, error) {
		switch {
		case req.Message.Kind != mcp.KindRequest:
			return &backend.Response{Status: http.StatusAccepted, Header: http.Header{}, Body: http.NoBody}, nil
		case req.Message.Method == "server/discover":
			return answerJSON(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}}`, req.Message.ID)), nil
		case req.Message.Method == "initialize":
			resp := answerJSON(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}`, req.Message.ID))
			resp.Status = http.StatusNotFound
			return resp, nil
		}
		return answerJSON(call(req)), nil
	}}
}

func open(t *testing.T, b backend.Backend, revision, capabilities string) backend.Session {
	t.Helper()
	resp, err := send(t.Context(), t, b, "alice", backend.Session{}, false,
		fmt.Sprintf(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":%q,"capabilities":%s,"clientInfo":{"name":"c","version":"1"}}}`, revision, capabilities))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.Session
}

// A legacy client's answers go to the questions that it was asked, once.
func TestAnswersOfLegacyClients(t *testing.T) {
	t.Parallel()
	s := modernServer(func(req *backend.Request) string {
		if bytes.Contains(req.Body, []byte("inputResponses")) {
			return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","content":[{"type":"text","text":"thanks"}]}}`, req.Message.ID)
		}
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"resultType":"input_required","requestState":"s","inputRequests":{"k":{"method":"elicitation/create","params":{"message":"?"}}}}}`, req.Message.ID)
	})
	b := bridged(t, s, nil)
	session, others := open(t, b, "2025-11-25", `{"elicitation":{}}`), open(t, b, "2025-11-25", `{"elicitation":{}}`)
	if status, answer := post(t, b, "alice", session, false, `{"jsonrpc":"2.0","id":"nothing","result":{}}`); status != http.StatusBadRequest || !strings.Contains(answer, "nobody waits") {
		t.Errorf("an answer to no question: %d %s", status, answer)
	}
	resp, err := send(t.Context(), t, b, "alice", session, false, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}`)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events := mcp.NewEventReader(resp.Body, 1<<20)
	ev, err := events.Next()
	if err != nil || !bytes.Contains(ev.Data, []byte(`"elicitation/create"`)) {
		t.Fatalf("the client hears %s, %v", ev.Data, err)
	}
	id, _ := mcp.Member(ev.Data, "id")
	answer := fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"action":"accept","content":{}}}`, id)
	if status, text := post(t, b, "alice", others, false, answer); status != http.StatusBadRequest {
		t.Errorf("the answer by another session: %d %s", status, text)
	}
	if status, text := post(t, b, "alice", session, false, answer); status != http.StatusAccepted {
		t.Errorf("the answer: %d %s", status, text)
	}
	if status, _ := post(t, b, "alice", session, false, answer); status != http.StatusBadRequest {
		t.Errorf("the answer once more: %d", status)
	}
	if ev, err := events.Next(); err != nil || !bytes.Contains(ev.Data, []byte("thanks")) || bytes.Contains(ev.Data, []byte("resultType")) {
		t.Errorf("in the end the client hears %s, %v", ev.Data, err)
	}
}

// What cannot be had across the bridge is said, to each side by its own rules.
func TestWhatCannotBeBridged(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, revision, capabilities, result, want string }{
		{"a question that the client cannot be asked", "2025-11-25", `{}`, `{"resultType":"input_required","inputRequests":{"k":{"method":"elicitation/create","params":{}}}}`, `"isError":true`},
		{"a question in a revision that has none", "2025-03-26", `{"elicitation":{}}`, `{"resultType":"input_required","inputRequests":{"k":{"method":"elicitation/create","params":{}}}}`, `"isError":true`},
		{"a page to visit, in a revision that has none", "2025-06-18", `{"elicitation":{}}`, `{"resultType":"input_required","inputRequests":{"k":{"method":"elicitation/create","params":{"mode":"url","url":"https://x.example"}}}}`, `"isError":true`},
		{"a server that asks for ever", "2025-11-25", `{}`, `{"resultType":"input_required","requestState":"s"}`, "again and again"},
		{"a task", "2025-11-25", `{}`, `{"resultType":"task","taskId":"1"}`, `"isError":true`},
		{"a result of an unknown kind", "2025-11-25", `{}`, `{"resultType":"whatever"}`, `"isError":true`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := bridged(t, modernServer(func(req *backend.Request) string {
					return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, req.Message.ID, tt.result)
				}), nil)
				session := open(t, b, tt.revision, tt.capabilities)
				if status, answer := post(t, b, "alice", session, false, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}`); status != http.StatusOK || !strings.Contains(answer, tt.want) {
					t.Errorf("%d %s, want %s", status, answer, tt.want)
				}
			})
		})
	}
}

// A client that listens a thousand times has its share and no more.
func TestManyListens(t *testing.T) {
	t.Parallel()
	s := legacyServer(nil)
	do := s.do
	s.do = func(ctx context.Context, req *backend.Request) (*backend.Response, error) {
		if req.Method == http.MethodGet {
			resp, _ := answerStream(ctx)
			return resp, nil
		}
		return do(ctx, req)
	}
	b := bridged(t, s, nil)
	ctx, end := context.WithCancel(t.Context())
	defer end()
	refused := 0
	for i := range 1000 {
		resp, err := send(ctx, t, b, "alice", backend.Session{}, true, fmt.Sprintf(
			`{"jsonrpc":"2.0","id":%d,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},%s}}`, i, modernMeta))
		if err != nil {
			refused++
			continue
		}
		defer resp.Body.Close()
	}
	if refused < 900 {
		t.Errorf("%d of 1,000 were refused", refused)
	}
	if n := s.count("GET"); n != 1 {
		t.Errorf("the server has %d streams for them", n)
	}
}

// A server that has lost its sessions is initialized again, and the client does not notice.
func TestLostSession(t *testing.T) {
	t.Parallel()
	lost := false
	s := legacyServer(func(_ context.Context, req *backend.Request) (*backend.Response, error) {
		if lost = !lost; lost {
			return &backend.Response{Status: http.StatusNotFound, Header: http.Header{}, Body: http.NoBody}, nil
		}
		return answerJSON(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"content":[]}}`, req.Message.ID)), nil
	})
	b := bridged(t, s, nil)
	if status, answer := post(t, b, "a", backend.Session{}, true, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t",`+modernMeta+`}}`); status != http.StatusOK || !strings.Contains(answer, `"id":7`) {
		t.Errorf("%d %s", status, answer)
	}
	if n := s.count("initialize"); n != 2 {
		t.Errorf("initialized %d times", n)
	}
}
