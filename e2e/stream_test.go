package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// REQ F-4: JSON passes byte for byte in both directions: order, spacing, escapes, large numbers, unknown fields.
func TestJSONPassesUntouched(t *testing.T) {
	t.Parallel()
	const sent = "{ \"params\":{\"arguments\":{\"n\":9007199254740993,\"x\":1.0e+2,\"s\":\"\\u00e9\\/\\ud83d\\ude00é😀\\u2028\"},\"name\":\"a\", \"vendor\":[null,{}]},\n\t\"id\":7,\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"trace\":true}\n"
	answers := []string{
		"\n {\"result\":{\"z\":18446744073709551617,\"a\":1.000,\"s\":\"\\u0041\\u2028\",\"structuredContent\":[1e400]},\"extra\":{\"x\":[]},\"id\":7,\"jsonrpc\":\"2.0\"} \n",
		`{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"hologram","data":"` + strings.Repeat("é😀", 100_000) + `"}]}}`,
	}
	next := make(chan string, 2)
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, await(r, next))
	})
	g := serve(t, remote("docs", backend.URL))
	for _, want := range answers {
		backend.Reset()
		next <- want
		got := message(g.MCP(), sent).do(t)
		if got.Status != 200 || got.Body != want || got.Err != nil {
			t.Errorf("the client got status %d (%v), %.200q\nwant %.200q", got.Status, got.Err, got.Body, want)
		}
		if ct := got.Header.Get("Content-Type"); ct != "application/json; charset=utf-8" {
			t.Errorf("Content-Type %q", ct)
		}
		if b := string(backend.Requests()[0].Body); b != sent {
			t.Errorf("the backend got %q, want %q", b, sent)
		}
	}
}

// rawStream is an event stream with everything in it that the format knows, and some more.
const rawStream = ": welcome\n\nid: a-1\nretry: 1500\ndata:\n\n" +
	"event: message\r\nid: a-2\r\ndata: {\"jsonrpc\":\"2.0\",\r\ndata:  \"method\":\"notifications/progress\"}\r\n\r\n" +
	"vendor: x\nevent: other\ndata: {\"not\": \"json-rpc\n\n" +
	"data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"n\":9007199254740993}}\n\n" +
	": the end\n"

// REQ F-4: an event stream passes byte for byte, comments, ids, retry and odd line ends included, however it is cut.
func TestStreamPassesUntouched(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 3, 17, len(rawStream)} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
				send := events(w)
				for rest := rawStream; rest != ""; rest = rest[min(size, len(rest)):] {
					send(rest[:min(size, len(rest))])
				}
			})
			g := serve(t, remote("docs", backend.URL))
			for _, r := range []request{call(g.MCP(), "a", ""), legacy(g.MCP(), "tools/call", `"name":"a"`), listen(g.MCP())} {
				got := r.do(t)
				if r.method == http.MethodGet { // FINDING F9: a byte at once, for hops that pass no head on without one
					got.Body = strings.TrimPrefix(got.Body, opened)
				}
				if got.Status != 200 || got.Body != rawStream || got.Err != nil {
					t.Errorf("the client got status %d (%v)\n%q, want\n%q", got.Status, got.Err, got.Body, rawStream)
				}
				if got.Header.Get("Content-Type") != "text/event-stream" || got.Header.Get("X-Accel-Buffering") != "no" {
					t.Errorf("header %v", got.Header)
				}
			}
		})
	}
}

// REQ F-4: each event is passed on when it comes, not when the next one does.
func TestStreamIsNotHeldBack(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		send := events(w)
		for i := range 3 {
			send(fmt.Sprintf("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progress\":%d}}\n\n", i))
			await(r, next)
		}
		send("data: " + rpcResult(r, "{}") + "\n\n")
	})
	g := serve(t, remote("docs", backend.URL))
	for _, r := range []request{call(g.MCP(), "a", ""), legacy(g.MCP(), "tools/call", `"name":"a"`)} {
		resp := r.open(t.Context(), t)
		in := readEvents(resp.Body)
		for i := range 3 {
			in.want(t, fmt.Sprintf("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progress\":%d}}\n", i))
			give(t, next)
		}
		in.want(t, `data: {"jsonrpc":"2.0","id":7,"result":{}}`+"\n")
		in.wantEnd(t, true)
	}
}

// REQ F-1: the listening stream, its resumption and the end of a session reach the backend; what it says to them reaches the client.
func TestGetAndDelete(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet && r.Header.Get("Last-Event-Id") != "":
			events(w)("data: {\"resumed\":" + r.Header.Get("Last-Event-Id") + "}\n\n")
		case r.Method == http.MethodGet && r.Header.Get("Mcp-Session-Id") == "s":
			events(w)("id: 5\ndata: {}\n\n")
		case r.Method == http.MethodGet:
			w.Header().Set("Allow", "POST")
			w.WriteHeader(http.StatusMethodNotAllowed)
		case r.Method == http.MethodDelete && r.Header.Get("Mcp-Session-Id") == "s":
			w.WriteHeader(http.StatusNoContent)
		case r.Method == http.MethodDelete:
			http.Error(w, "no sessions here", http.StatusMethodNotAllowed)
		default:
			sessionBackend("s")(w, r)
		}
	})
	g := serve(t, remote("docs", backend.URL))
	session := []string{"Mcp-Session-Id", initialize(t, g.MCP())}
	if got := listen(g.MCP()).do(t); got.Status != 405 {
		t.Errorf("GET: status %d, want the backend's 405", got.Status)
	}
	id, rest, _ := strings.Cut(strings.TrimPrefix(listen(g.MCP()).with(session...).do(t).Body, opened+"id: "), "\n")
	if id == "" || id == "5" || rest != "data: {}\n\n" {
		t.Errorf("GET: id %q, then %q; want a sealed id", id, rest)
	}
	if got := listen(g.MCP()).with("Last-Event-Id", id).with(session...).do(t); got.Body != opened+"data: {\"resumed\":5}\n\n" {
		t.Errorf("resumed GET: status %d, %q", got.Status, got.Body)
	}
	// FINDING S19: an id is good in the session that it came in, and nowhere else.
	other := []string{"Mcp-Session-Id", initialize(t, g.MCP())}
	for _, strange := range []string{"5", id + "x"} {
		if got := listen(g.MCP()).with("Last-Event-Id", strange).with(other...).do(t); strings.Contains(got.Body, "resumed") {
			t.Errorf("GET with a strange id: status %d, %q", got.Status, got.Body)
		}
	}
	wantLines(t, g, 0, "WARN", "request failed") // FINDING N24: a GET without a stream is nobody's fault
	end := request{method: http.MethodDelete, url: g.MCP()}
	if got := end.with(session...).do(t); got.Status != 204 && got.Status != 200 || got.Body != "" {
		t.Errorf("DELETE: status %d, %q", got.Status, got.Body)
	}
	if got := end.do(t); got.Status != 405 {
		t.Errorf("DELETE without a session: status %d, want the backend's 405", got.Status)
	}
	if got := message(g.MCP(), `{"jsonrpc":"2.0","method":"notifications/initialized"}`).do(t); got.Status != 202 || got.Body != "" {
		t.Errorf("notification: status %d, %q", got.Status, got.Body)
	}
	if got := message(g.MCP(), `{"jsonrpc":"2.0","id":"of-the-server","result":{}}`).do(t); got.Status != 202 || got.Body != "" {
		t.Errorf("response: status %d, %q", got.Status, got.Body)
	}
}

// REQ F-4: an idle stream gets comments, between events and never inside one, and they change nothing else.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		send := events(w)
		await(r, next)
		send("data: {\"half\"")
		await(r, next)
		send(":1}\n")
		await(r, next)
		send("\n")
		await(r, next)
	})
	idle := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		events(w)
		<-r.Context().Done()
	})
	g := serve(t, remote("docs", backend.URL)+remote("idle", idle.URL), "--heartbeat", "20ms")
	clock := readEvents(listen(at(g, "idle")).open(t.Context(), t).Body)
	comment := func(in eventReader) {
		t.Helper()
		for _, want := range []string{":", "\n"} {
			if got, err := in.r.ReadString('\n'); err != nil || !strings.HasPrefix(got, want) {
				t.Fatalf("got %q (%v) instead of a comment", got, err)
			}
		}
	}
	inside := func(in eventReader, want string) { // for the time of five heartbeats nothing may come but want
		t.Helper()
		for range 5 {
			comment(clock)
		}
		give(t, next)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(in.r, got); err != nil || string(got) != want {
			t.Fatalf("inside an event came %q (%v), want %q", got, err, want)
		}
	}
	for _, r := range []request{listen(at(g, "docs")), call(at(g, "docs"), "a", "")} {
		in := readEvents(r.open(t.Context(), t).Body)
		comment(in)
		comment(in)
		give(t, next)
		for begun := ""; !strings.HasSuffix(begun, `data: {"half"`); { // comments may still come before it
			c, err := in.r.ReadByte()
			if err != nil {
				t.Fatal(err)
			}
			begun += string(c)
		}
		for range 100 { // those that came meanwhile are not the clock's time from now on
			if clock.r.Buffered() == 0 {
				break
			}
			comment(clock)
		}
		inside(in, ":1}\n")
		inside(in, "\n")
		comment(in)
		give(t, next)
	}
}

// REQ F-4: a stream that breaks never ends as if all were said; who waits for an answer and cannot resume is told.
func TestBrokenStreams(t *testing.T) {
	t.Parallel()
	progress := "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n"
	final := "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n\n"
	for _, tt := range []struct {
		name string
		sent string
		told bool // an error for the request comes as the last event
	}{
		{"before an event", ": hello\n\n", true},
		{"after an event", progress, true},
		{"inside an event", progress + "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"resu", true},
		{"inside a line end", progress + "data: {}\r", true},
		{"after an event with an id", "id: 1\n" + progress, false}, // Last-Event-ID brings the rest
		{"after the answer", progress + final, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
				events(w)(tt.sent)
				panic(http.ErrAbortHandler)
			})
			g := serve(t, remote("docs", backend.URL))
			for _, r := range []request{call(g.MCP(), "a", ""), legacy(g.MCP(), "tools/call", `"name":"a"`)} {
				got := r.do(t)
				if got.Err == nil {
					t.Errorf("the stream looks whole: %q", got.Body)
				}
				rest, ok := strings.CutPrefix(got.Body, tt.sent)
				if !ok {
					t.Fatalf("the stream began with %q", got.Body)
				}
				if told := strings.Contains(rest, `"id":7,"error":{"code":-32603`); told != tt.told || !tt.told && rest != "" {
					t.Errorf("told %v, want %v: %q", told, tt.told, rest)
				}
				if tt.told {
					checkLastEvent(t, got.Body)
				}
			}
			wantLines(t, g, 2, "WARN", "request failed", "reason=truncated")
		})
	}
	t.Run("listening", func(t *testing.T) {
		t.Parallel()
		backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
			events(w)(progress)
			panic(http.ErrAbortHandler)
		})
		g := serve(t, remote("docs", backend.URL))
		if got := listen(g.MCP()).do(t); got.Err == nil || got.Body != opened+progress {
			t.Errorf("the client got %q (%v)", got.Body, got.Err)
		}
	})
}

// checkLastEvent fails the test unless a reader by the book takes the error as a
// message of its own, and takes no half event for a message.
func checkLastEvent(t *testing.T, stream string) {
	t.Helper()
	var name, data string
	var messages []string
	for line := range strings.Lines(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream)) {
		line = strings.TrimSuffix(line, "\n")
		switch value, isData := strings.CutPrefix(line, "data:"); {
		case line == "" && data != "" && (name == "" || name == "message"):
			messages = append(messages, data)
			fallthrough
		case line == "":
			name, data = "", ""
		case isData:
			data += strings.TrimPrefix(value, " ")
		case strings.HasPrefix(line, "event:"):
			name = strings.TrimSpace(line[len("event:"):])
		}
	}
	if len(messages) == 0 || !strings.HasPrefix(messages[len(messages)-1], `{"jsonrpc":"2.0","id":7,"error":`) {
		t.Errorf("the last message is no error: %q", messages)
	}
	for _, m := range messages {
		if strings.HasSuffix(m, "resu") {
			t.Errorf("half an event was made a message: %q", m)
		}
	}
}

// REQ F-4, CONTRACT of an empty 200: a stream that ends before the answer is an error for the request, not silence.
func TestStreamWithoutAnswer(t *testing.T) {
	t.Parallel()
	for _, sent := range []string{"", ": nothing\n\n", "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n"} {
		backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) { events(w)(sent) })
		g := serve(t, remote("docs", backend.URL))
		for _, r := range []request{call(g.MCP(), "a", ""), legacy(g.MCP(), "tools/call", `"name":"a"`)} {
			if got := r.do(t); !strings.Contains(got.Body, `"id":7,"error":{"code":-32603`) {
				t.Errorf("after %q the client got status %d, %q", sent, got.Status, got.Body)
			}
		}
		wantLines(t, g, 2, "WARN", "request failed")
	}
}

// TestCancellation has a client leave while the backend works.
//
// REQ F-1: leaving cancels in 2026-07-28, and does not in older revisions (transports).
func TestCancellation(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{false, true} {
		t.Run(fmt.Sprintf("stream %v", stream), func(t *testing.T) {
			t.Parallel()
			working, cancelled, finished := make(chan string, 10), make(chan string, 10), make(chan string, 10)
			finish := make(chan struct{})
			backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
				name := bodyOf(r).Params.Name
				text := rpcResult(r, "{}")
				if stream {
					events(w)("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n")
					text = "data: " + text + "\n\n"
				} else {
					w.Header().Set("Content-Type", "application/json")
				}
				working <- name
				select {
				case <-r.Context().Done():
					cancelled <- name
				case <-finish:
					_, err := io.WriteString(w, text)
					finished <- name + errText(err)
				}
			})
			g := serve(t, remote("docs", backend.URL))
			base := g.Metric(t, "go_goroutines")
			call(g.MCP(), "first", "").leave(t, working)
			if got := receive(t, cancelled, "leaving cancels"); got != "first" {
				t.Errorf("%s was cancelled", got)
			}
			legacy(g.MCP(), "tools/call", `"name":"legacy"`).leave(t, working)
			// When the next one's leaving has come through, so would this one's have.
			call(g.MCP(), "last", "").leave(t, working)
			if got := receive(t, cancelled, "leaving cancels"); got != "last" {
				t.Errorf("%s was cancelled", got)
			}
			half := dial(t, g.URL) // FINDING R12: who closes one side counts as gone, as the docs say
			r := call("", "half", "")
			fmt.Fprintf(half, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n", len(r.body))
			_ = r.header.Write(half)
			fmt.Fprint(half, "\r\n"+r.body)
			receive(t, working, "the call of who closes one side")
			_ = half.(*net.TCPConn).CloseWrite()
			if got := receive(t, cancelled, "closing one side cancels"); got != "half" {
				t.Errorf("%s was cancelled", got)
			}
			close(finish)
			if got := receive(t, finished, "the legacy call goes on"); got != "legacy" {
				t.Errorf("%q was finished", got)
			}
			g.SettlesAt(t, base, 4)
			if got := lines(g.Stderr.String(), "WARN", "request failed"); len(got) != 0 {
				t.Errorf("that a client left is a warning: %s", got[0])
			}
		})
	}
}

// A client that has its answer may go before the stream ends: its call was a success.
//
// REQ B-22
func TestAnsweredClientLeaves(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{}, 1)
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		events(w)("data: " + rpcResult(r, "{}") + "\n\n")
		<-r.Context().Done()
		gone <- struct{}{}
	})
	g := serve(t, remote("docs", backend.URL, "audit: {enabled: true}"))
	resp := call(g.MCP(), "search", "").open(t.Context(), t)
	if _, err := bufio.NewReader(resp.Body).ReadString('}'); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	receive(t, gone, "the backend's stream ends")
	if err := g.Stop(); err != nil { // now all audit events are written
		t.Error(err)
	}
	if got := lines(g.Stdout.String(), `"method":"tools/call"`); len(got) != 1 || !strings.Contains(got[0], `"outcome":"success"`) {
		t.Errorf("audit: %q", got)
	}
}

// leave sends the request and goes away when the backend works on it.
func (r request) leave(t *testing.T, working <-chan string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if resp, err := r.start(ctx); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}()
	receive(t, working, "the backend gets the call")
	cancel()
	<-done
}

// receive takes the next value.
func receive[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	return testkit.Receive(t, what, ch)
}

// give has a handler that awaits go on.
func give(t *testing.T, ch chan<- struct{}) {
	t.Helper()
	select {
	case ch <- struct{}{}:
	case <-time.After(testkit.Patience):
		t.Fatal("the backend does not wait for the test")
	}
}

// REQ F-1: a client that leaves its listening stream leaves the backend's, in every revision.
func TestListenerLeaves(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{}, 100)
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		events(w)(": open\n\n")
		<-r.Context().Done()
		gone <- struct{}{}
	})
	g := serve(t, remote("docs", backend.URL))
	listen(g.MCP()).open(t.Context(), t).Body.Close()
	receive(t, gone, "the first stream ends")
	base := g.Metric(t, "go_goroutines")
	for range 50 {
		resp := listen(g.MCP()).open(t.Context(), t)
		if _, err := resp.Body.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if n := g.Metric(t, "sallyport_streams", `server="docs"`); n != 1 {
			t.Fatalf("%v streams are open, want 1", n)
		}
		resp.Body.Close()
		receive(t, gone, "a stream ends")
		testkit.Eventually(t, "the gateway counts the stream out", func() bool { return g.Metric(t, "sallyport_streams") == 0 })
	}
	g.SettlesAt(t, base, 4)
	if got := lines(g.Stderr.String(), "request failed"); len(got) != 0 {
		t.Errorf("that a listener left is logged as a failure: %s", got[0])
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
