package duplex_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// eventServer speaks HTTP+SSE of 2024-11-05, one stream per GET.
type eventServer struct {
	*httptest.Server
	endpoint string                                                  // what the endpoint event says; %d becomes the stream's number
	answer   func(s *eventServer, stream *stream, m rpc, raw string) // to a POST
	status   func(m rpc) int                                         // of a POST; nil: 202

	mu      sync.Mutex
	streams []*stream
	posts   []*http.Request
}

// stream is one GET.
type stream struct {
	request *http.Request
	events  chan string // raw
	end     chan struct{}
	ended   chan struct{}
}

func (s *stream) say(message string) { s.events <- "event: message\ndata: " + message + "\n\n" }

// echo answers initialize, and everything else with the request.
func echo(_ *eventServer, st *stream, m rpc, raw string) {
	switch {
	case m.Method == "initialize":
		st.say(`{"jsonrpc":"2.0","id":` + string(m.ID) + `,"result":{"protocolVersion":"2024-11-05"}}`)
	case m.ID != nil && m.Method != "":
		text, _ := json.Marshal(raw)
		st.say(`{"jsonrpc":"2.0","id":` + string(m.ID) + `,"result":` + string(text) + `}`)
	}
}

func serveEvents(t *testing.T, change ...func(*eventServer)) *eventServer {
	t.Helper()
	s := &eventServer{endpoint: "/messages/%d?sessionid=secret-session", answer: echo}
	for _, c := range change {
		c(s)
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *eventServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		s.get(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	var m rpc
	_ = json.Unmarshal(body, &m)
	var n int
	_, _ = fmt.Sscanf(r.URL.Path, "/messages/%d", &n)
	s.mu.Lock()
	s.posts = append(s.posts, r)
	st := s.streams[n]
	s.mu.Unlock()
	status := http.StatusAccepted
	if s.status != nil {
		status = s.status(m)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "Accepted")
	if status < 300 {
		s.answer(s, st, m, string(body))
	}
}

func (s *eventServer) get(w http.ResponseWriter, r *http.Request) {
	st := &stream{request: r, events: make(chan string, 100), end: make(chan struct{}), ended: make(chan struct{})}
	defer close(st.ended)
	s.mu.Lock()
	n := len(s.streams)
	s.streams = append(s.streams, st)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	if s.endpoint != "" {
		fmt.Fprintf(w, "event: endpoint\r\ndata: %s\r\n\r\n", strings.ReplaceAll(s.endpoint, "%d", fmt.Sprint(n)))
	}
	_ = http.NewResponseController(w).Flush()
	for {
		select {
		case ev := <-st.events:
			_, _ = io.WriteString(w, ev)
			_ = http.NewResponseController(w).Flush()
		case <-st.end:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (s *eventServer) stream(n int) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[n]
}

// posted are the headers of the POSTs so far.
func (s *eventServer) posted() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.posts...)
}

// peerOf makes a client of an HTTP+SSE server.
func peerOf(t *testing.T, address string, change ...func(*backend.HTTPConfig)) *peer {
	t.Helper()
	p := &peer{t: t, logs: &logs{}}
	p.Duplex = sse(t, address, append([]func(*backend.HTTPConfig){p.logs.into}, change...)...)
	return p
}

const initializeBody = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`

// REQ F-1
func TestSSE(t *testing.T) {
	t.Parallel()
	s := serveEvents(t)
	p := peerOf(t, s.URL+"/sse?tenant=x")
	p.initialize()
	const call = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","n":9007199254740993}}`
	resp := p.do(t.Context(), call)
	body, _ := io.ReadAll(resp.Body)
	want, _ := json.Marshal(strings.Replace(call, `"id":7`, `"id":2`, 1)) // an id of the gateway's own
	diff(t, "answer", `{"jsonrpc":"2.0","id":7,"result":`+string(want)+`}`, string(body))

	get := s.stream(0).request
	if get.RequestURI != "/sse?tenant=x" || get.Header.Get("Accept") != "text/event-stream" {
		t.Errorf("GET %s, Accept %q", get.RequestURI, get.Header.Get("Accept"))
	}
	post := s.posted()[0]
	if post.RequestURI != "/messages/0?sessionid=secret-session" || post.Header.Get("Content-Type") != "application/json" {
		t.Errorf("POST %s, Content-Type %q", post.RequestURI, post.Header.Get("Content-Type"))
	}
	// The endpoint is as good as a session id.
	if log := p.logs.String(); strings.Contains(log, "secret-session") || strings.Contains(log, "/messages/") {
		t.Errorf("the endpoint is in the log:\n%s", log)
	}

	// Each session has a stream, and its end ends that.
	o := p.other()
	if resp := o.do(t.Context(), call); resp.Status != http.StatusOK {
		t.Errorf("status is %d", resp.Status)
	}
	if r, err := p.Do(t.Context(), &backend.Request{Method: http.MethodDelete, Session: p.session}); err != nil || r.Status != http.StatusNoContent {
		t.Errorf("DELETE: %v", err)
	}
	<-s.stream(0).ended
	if resp := o.do(t.Context(), call); resp.Status != http.StatusOK {
		t.Errorf("status is %d", resp.Status)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	<-s.stream(1).ended
}

// What the session's first request carried opens the stream; each POST has its own.
func TestSSEHeaders(t *testing.T) {
	t.Parallel()
	s := serveEvents(t)
	p := peerOf(t, s.URL)
	send := func(body, tenant string) {
		req := p.request(body)
		req.Private = http.Header{"X-Tenant": {tenant}}
		resp, err := p.Do(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.Session.ID != "" {
			p.session = resp.Session
		}
	}
	send(initializeBody, "canary-first")
	send(`{"jsonrpc":"2.0","id":2,"method":"ping"}`, "canary-second")
	diff(t, "X-Tenant of GET", "canary-first", s.stream(0).request.Header.Get("X-Tenant"))
	posts := s.posted()
	diff(t, "X-Tenant of POST 1", "canary-first", posts[0].Header.Get("X-Tenant"))
	diff(t, "X-Tenant of POST 2", "canary-second", posts[1].Header.Get("X-Tenant"))

	// The stream that is opened again has the session's.
	close(s.stream(0).end)
	<-s.stream(0).ended
	testkit.Eventually(t, "the break is noticed", func() bool { return strings.Contains(p.logs.String(), "event stream of backend ended") })
	send(`{"jsonrpc":"2.0","id":3,"method":"ping"}`, "canary-third")
	diff(t, "X-Tenant of the second GET", "canary-first", s.stream(1).request.Header.Get("X-Tenant"))
	posts = s.posted()
	diff(t, "X-Tenant of the replay", "canary-first", posts[2].Header.Get("X-Tenant"))
	diff(t, "X-Tenant of POST 3", "canary-third", posts[3].Header.Get("X-Tenant"))
	if strings.Contains(p.logs.String(), "canary") {
		t.Error("a private header is in the log")
	}
}

func TestSSEEndpoint(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	elsewhere := serve(t, func(w http.ResponseWriter, r *http.Request) { arrived.Add(1); answerJSON(w, r) })
	for name, c := range map[string]struct {
		endpoint string
		want     string // in the failure; "" for none
	}{
		"absolute, same origin": {"SELF/messages/0", ""},
		"relative":              {"messages/0", ""},
		"other port":            {elsewhere.URL + "/messages/0", "another origin"},
		"other host":            {"http://localhost.example/messages/0", "another origin"},
		"without scheme":        {"//localhost.example/messages/0", "another origin"},
		"user info":             {"http://canary:pw@127.0.0.1/messages/0", "not a plain http"},
		"other scheme":          {"file:///etc/passwd", "not a plain http"},
		"no URL":                {"http://[::1/canary", "not a plain http"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveEvents(t, func(s *eventServer) { s.endpoint = c.endpoint })
			s.mu.Lock()
			s.endpoint = strings.ReplaceAll(c.endpoint, "SELF", s.URL)
			s.mu.Unlock()
			p := peerOf(t, s.URL+"/sse")
			if c.want == "" {
				p.initialize()
				return
			}
			f := p.fails(initializeBody)
			if f.Public.Status != http.StatusBadGateway || f.Reason != backend.ReasonBadAnswer || !strings.Contains(f.Public.Message, c.want) {
				t.Errorf("failure is %d %s: %v", f.Public.Status, f.Reason, f)
			}
			if strings.Contains(f.Error()+p.logs.String(), "canary") {
				t.Errorf("the endpoint was quoted: %v", f)
			}
			<-s.stream(0).ended
		})
	}
	t.Cleanup(func() {
		if n := arrived.Load(); n > 0 {
			t.Errorf("%d requests went to another origin", n)
		}
	})
}

// An endpoint on another host is used where redirects may lead there, and gets no
// credential.
func TestSSEEndpointElsewhere(t *testing.T) { // FINDING F11
	t.Parallel()
	s := serveEvents(t)
	s.mu.Lock()
	s.endpoint = onLocalhost(t, s.URL) + "/messages/%d"
	s.mu.Unlock()
	p := peerOf(t, s.URL+"/sse", func(cfg *backend.HTTPConfig) { cfg.Redirects.AllowedHosts = []string{"localhost"} })
	req := p.request(initializeBody)
	req.Private = http.Header{"X-Tenant": {"canary"}}
	resp, err := p.Do(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	diff(t, "X-Tenant of the GET", "canary", s.stream(0).request.Header.Get("X-Tenant"))
	diff(t, "X-Tenant of the POST", "", s.posted()[0].Header.Get("X-Tenant"))
}

func TestSSECannotOpen(t *testing.T) {
	t.Parallel()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		status  int
		reason  backend.Reason
	}{
		"refuses the credential": {status(http.StatusUnauthorized), http.StatusBadGateway, backend.ReasonCredential},
		"not there":              {status(http.StatusNotFound), http.StatusBadGateway, backend.ReasonBadAnswer},
		"no stream":              {answerJSON, http.StatusBadGateway, backend.ReasonBadAnswer},
		"redirects elsewhere":    {redirectTo("http://localhost.example/", http.StatusTemporaryRedirect), http.StatusBadGateway, backend.ReasonRedirect},
		"begins with a message": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: {}\n\n")
		}, http.StatusBadGateway, backend.ReasonBadAnswer},
		"ends at once": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
		}, http.StatusBadGateway, backend.ReasonBadAnswer},
		"never names its endpoint": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, ": hello\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, http.StatusGatewayTimeout, backend.ReasonTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.handler)
			p := peerOf(t, s.URL+"/sse", func(cfg *backend.HTTPConfig) {
				if c.reason == backend.ReasonTimeout {
					cfg.Limits.AnswerTimeout = 500 * time.Millisecond
				}
			})
			if f := p.fails(initializeBody); f.Public.Status != c.status || f.Reason != c.reason {
				t.Errorf("failure is %d %s: %v", f.Public.Status, f.Reason, f)
			}
		})
	}
	t.Run("private address", func(t *testing.T) {
		t.Parallel()
		s := serveEvents(t)
		p := peerOf(t, s.URL, func(cfg *backend.HTTPConfig) { cfg.AllowPrivate = false })
		if f := p.fails(initializeBody); f.Reason != backend.ReasonRefusedAddress {
			t.Errorf("failure is %v", f)
		}
	})
}

// The stream's GET may be redirected like any other; credentials stay behind when
// the origin changes, for the POSTs too (REQ A-5).
func TestSSERedirect(t *testing.T) {
	t.Parallel()
	s := serveEvents(t)
	first := make(chan http.Header, 10)
	r := serve(t, func(w http.ResponseWriter, req *http.Request) {
		first <- req.Header
		redirectTo(onLocalhost(t, s.URL)+"/sse", http.StatusTemporaryRedirect)(w, req)
	})
	p := peerOf(t, r.URL, func(cfg *backend.HTTPConfig) { cfg.Redirects.AllowedHosts = []string{"localhost"} })
	req := p.request(initializeBody)
	req.Private = http.Header{"X-Tenant": {"canary"}}
	resp, err := p.Do(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	diff(t, "requests to the first", 1, len(first))
	diff(t, "X-Tenant at the first", "canary", (<-first).Get("X-Tenant"))
	diff(t, "X-Tenant of the GET", "", s.stream(0).request.Header.Get("X-Tenant"))
	diff(t, "X-Tenant of the POST", "", s.posted()[0].Header.Get("X-Tenant"))
}

func TestSSEBreaks(t *testing.T) {
	t.Parallel()
	silent := func(s *eventServer, st *stream, m rpc, raw string) {
		if m.Method != "tools/call" {
			echo(s, st, m, raw)
		}
	}
	s := serveEvents(t, func(s *eventServer) { s.answer = silent })
	p := peerOf(t, s.URL, func(cfg *backend.HTTPConfig) { cfg.Limits.MaxEventBytes = 10_000 })
	p.initialize()
	failed := make(chan *backend.Failure, 1)
	call := func() {
		n := len(s.posted())
		go func() {
			resp, err := p.Do(t.Context(), p.request(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}`))
			failed <- asFailure(t, resp, err)
		}()
		testkit.Eventually(t, "the call has arrived", func() bool { return len(s.posted()) > n })
	}
	call()
	close(s.stream(0).end)
	if f := <-failed; f.Public.Status != http.StatusBadGateway || f.Reason != backend.ReasonUnreachable {
		t.Errorf("failure is %d %s: %v", f.Public.Status, f.Reason, f)
	}
	// The session goes on over another stream.
	resp := p.do(t.Context(), `{"jsonrpc":"2.0","id":3,"method":"ping"}`)
	if resp.Status != http.StatusOK || len(s.streams) != 2 {
		t.Errorf("status is %d, %d streams", resp.Status, len(s.streams))
	}
	resp.Body.Close()
	if !strings.Contains(p.logs.String(), "the session goes on") {
		t.Error("the log does not say so")
	}

	// What is no message is dropped, what is not for us too.
	st := s.stream(1)
	st.events <- "event: message\ndata: hello canary\n\nevent: other\ndata: {}\n\nevent: endpoint\ndata: /elsewhere\n\n"
	call()
	st.say(`{"jsonrpc":"2.0","id":2,"result":"` + strings.Repeat("x", 20_000) + `"}`)
	if f := <-failed; f.Reason != backend.ReasonTooLarge {
		t.Errorf("failure is %s: %v", f.Reason, f)
	}
	if log := p.logs.String(); strings.Contains(log, "canary") || !strings.Contains(log, "is no message") {
		t.Errorf("log is %s", log)
	}
	<-st.ended
}

func TestSSEPostRefused(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	refuse := 0
	s := serveEvents(t, func(s *eventServer) {
		s.status = func(rpc) int {
			mu.Lock()
			defer mu.Unlock()
			if refuse != 0 {
				code := refuse
				refuse = 0
				return code
			}
			return http.StatusAccepted
		}
	})
	p := peerOf(t, s.URL)
	p.initialize()
	const ping = `{"jsonrpc":"2.0","id":3,"method":"ping"}`
	for _, c := range []struct {
		status  int
		reason  backend.Reason
		streams int // afterwards
	}{
		{http.StatusInternalServerError, backend.ReasonBadAnswer, 1},
		{http.StatusUnauthorized, backend.ReasonCredential, 1},
		{http.StatusNotFound, backend.ReasonUnreachable, 2}, // the server has forgotten the stream
	} {
		if c.streams == 1 {
			mu.Lock()
			refuse = c.status
			mu.Unlock()
			if f := p.fails(`{"jsonrpc":"2.0","method":"notifications/x"}`); f.Reason != c.reason {
				t.Errorf("%d to a notification becomes %v", c.status, f)
			}
		}
		mu.Lock()
		refuse = c.status
		mu.Unlock()
		if f := p.fails(ping); f.Public.Status != http.StatusBadGateway || f.Reason != c.reason {
			t.Errorf("%d becomes %d %s: %v", c.status, f.Public.Status, f.Reason, f)
		}
		resp := p.do(t.Context(), ping)
		resp.Body.Close()
		s.mu.Lock()
		if len(s.streams) != c.streams {
			t.Errorf("%d streams after a %d, want %d", len(s.streams), c.status, c.streams)
		}
		s.mu.Unlock()
	}
}

// The revision without sessions is not spoken over this transport.
func TestSSEModern(t *testing.T) {
	t.Parallel()
	s := serveEvents(t)
	p := peerOf(t, s.URL)
	resp := p.do(t.Context(), `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`)
	body, _ := io.ReadAll(resp.Body)
	if resp.Status != http.StatusBadRequest || !strings.Contains(string(body), fmt.Sprint(mcp.CodeUnsupportedVersion)) {
		t.Errorf("answer is %d %s", resp.Status, body)
	}
	if len(s.streams) != 0 {
		t.Error("a stream was opened")
	}
}

// A server of HTTP+SSE challenges, too, when its stream is opened.
func TestSSEChallenge(t *testing.T) {
	t.Parallel()
	s := serveEvents(t)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Bearer scope="read"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(refusing.Close)
	p := peerOf(t, refusing.URL)
	f := p.fails(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{}}}`)
	if f.Challenge == nil || f.Challenge.Params["scope"] != "read" {
		t.Errorf("%+v", f)
	}
}
