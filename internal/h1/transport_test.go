package h1_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/h1"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

const (
	okAnswer = `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`
	rawOK    = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 48\r\n\r\n" + okAnswer
)

// peer is a transport, and the address that it is tried on.
type peer struct {
	*h1.Transport
	url string
}

func open(t *testing.T, address string) *peer {
	t.Helper()
	p := &peer{url: address, Transport: h1.New(h1.Config{
		Dial: new(net.Dialer).DialContext, HeadTimeout: time.Minute, BodyTimeout: time.Minute,
	})}
	t.Cleanup(p.Close)
	return p
}

// request makes a request of a method and, for a POST, a body.
func (p *peer) request(method, body string) *http.Request {
	req, err := http.NewRequest(method, p.url, http.NoBody)
	if err != nil {
		panic(err) // the test server's own address
	}
	req.Body = nil
	if body != "" {
		req.Body = io.NopCloser(strings.NewReader(body))
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	return req
}

func (p *peer) post() *http.Request { return p.request(http.MethodPost, "{}") }

// ask sends a request and returns the answer with its whole body.
func ask(t *testing.T, p *peer, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := p.RoundTrip(req)
	if err != nil {
		t.Fatalf("RoundTrip: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read body: %v", err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Errorf("close body: %v", err)
	}
	return resp, string(body)
}

// chunk is text as one chunk.
func chunk(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

// counted is a raw server that counts connections and requests.
type counted struct {
	address         string
	conns, requests atomic.Int32
}

// serveRaw answers the n-th request (from 0) of the c-th connection with
// answer(c, n); when it says to close, the connection is closed after that.
func serveRaw(t *testing.T, answer func(c, n int) (text string, closes bool)) *counted {
	t.Helper()
	s := new(counted)
	s.address = rawServer(t, func(c int, conn net.Conn, br *bufio.Reader) {
		s.conns.Add(1)
		for n := 0; ; n++ {
			if _, ok := readRequest(br); !ok {
				return
			}
			s.requests.Add(1)
			text, closes := answer(c, n)
			_, _ = io.WriteString(conn, text)
			if closes {
				return
			}
		}
	})
	return s
}

func (s *counted) expect(t *testing.T, conns, requests int32) {
	t.Helper()
	if c, r := s.conns.Load(), s.requests.Load(); c != conns || r != requests {
		t.Errorf("backend saw %d connections and %d requests, want %d and %d", c, r, conns, requests)
	}
}

func TestReuse(t *testing.T) {
	t.Parallel()
	const ct = "Content-Type: application/json\r\n"
	for name, c := range map[string]struct {
		answer string
		closes bool
		conns  int32 // for three requests
	}{
		"by length":           {answer: rawOK, conns: 1},
		"by chunks":           {answer: "HTTP/1.1 200 OK\r\n" + ct + "Transfer-Encoding: chunked\r\n\r\n" + chunk(okAnswer) + "0\r\nX-Trailer: 1\r\n\r\n", conns: 1},
		"interim":             {answer: "HTTP/1.1 103 Early Hints\r\n\r\n" + rawOK, conns: 1},
		"empty 400":           {answer: "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n", conns: 1},
		"says close":          {answer: strings.Replace(rawOK, ct, ct+"Connection: x, Close\r\n", 1), conns: 3},
		"http/1.0":            {answer: strings.Replace(rawOK, "HTTP/1.1", "HTTP/1.0", 1), conns: 3},
		"until close":         {answer: "HTTP/1.1 200 OK\r\n" + ct + "\r\n" + okAnswer, closes: true, conns: 3},
		"more than asked for": {answer: rawOK + rawOK, conns: 3},
		"something behind":    {answer: rawOK + "\r\n", conns: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, func(int, int) (string, bool) { return c.answer, c.closes })
			b := open(t, s.address)
			for range 3 {
				ask(t, b, b.post())
			}
			s.expect(t, c.conns, 3)
		})
	}
}

func TestBodilessStatus(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		head  string
		conns int32
	}{
		"no length":   {"", 1},
		"length 0":    {"Content-Length: 0\r\n", 1},
		"with length": {"Content-Length: 5\r\n", 2},
		"chunked":     {"Transfer-Encoding: chunked\r\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, func(int, int) (string, bool) { return "HTTP/1.1 204 No Content\r\n" + c.head + "\r\n", false })
			b := open(t, s.address)
			for range 2 {
				if resp, body := ask(t, b, b.post()); resp.StatusCode != 204 || body != "" {
					t.Errorf("answer = %d %q", resp.StatusCode, body)
				}
			}
			s.expect(t, c.conns, 2)
		})
	}
}

// TestH1CloseEarly: a connection whose answer was not read to its end is not used
// again.
func TestCloseEarly(t *testing.T) {
	t.Parallel()
	s := serveRaw(t, func(c, _ int) (string, bool) {
		if c == 0 {
			return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("data: 1\n\n"), false
		}
		return rawOK, false
	})
	b := open(t, s.address)
	resp, err := b.RoundTrip(b.post())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := resp.Body.Read(make([]byte, 4)); err != nil {
		t.Error(err)
	}
	_ = resp.Body.Close()
	if n, err := resp.Body.Read(make([]byte, 4)); n != 0 || err == nil || err == io.EOF {
		t.Errorf("Read after Close = %d, %v", n, err)
	}
	if _, body := ask(t, b, b.post()); body != okAnswer {
		t.Errorf("next answer = %q", body)
	}
	s.expect(t, 2, 2)
}

// TestH1Stale: the backend closes an unused connection, as all do in the end. The
// next request goes to a fresh one, once.
func TestStale(t *testing.T) {
	t.Parallel()
	for _, method := range []string{http.MethodPost, http.MethodDelete} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			answered, closed := make(chan net.Conn), make(chan struct{})
			var requests atomic.Int32
			b := open(t, rawServer(t, func(_ int, conn net.Conn, br *bufio.Reader) {
				if _, ok := readRequest(br); ok {
					requests.Add(1)
					_, _ = io.WriteString(conn, rawOK)
					answered <- conn
					<-closed
				}
			}))
			for range 20 {
				ask(t, b, b.request(method, "{}"))
				testkit.CloseSeen(t, <-answered) // before the next request: after that, a POST is lost
				closed <- struct{}{}
			}
			if n := requests.Load(); n != 20 {
				t.Errorf("backend saw %d requests, want 20", n)
			}
		})
	}
}

// TestNotTwice: what the backend may have acted on is not sent again.
func TestNotTwice(t *testing.T) { // REQ G-13
	t.Parallel()
	for name, c := range map[string]struct {
		method   string
		again    bool   // an empty Idempotency-Key
		second   string // the second answer on the first connection, which then closes
		inBody   bool   // where the failure shows
		requests int32
	}{
		"POST, nothing":           {method: http.MethodPost, requests: 2},
		"POST, a byte":            {method: http.MethodPost, second: "H", requests: 2},
		"GET, a byte":             {method: http.MethodGet, second: "H", requests: 2},
		"DELETE, a half":          {method: http.MethodDelete, second: "HTTP/1.1 200 OK\r\n", requests: 2},
		"POST, a half":            {method: http.MethodPost, second: rawOK[:len(rawOK)-5], inBody: true, requests: 2},
		"repeatable POST, a byte": {method: http.MethodPost, again: true, second: "H", requests: 2},
		"repeatable POST, a half": {method: http.MethodPost, again: true, second: rawOK[:len(rawOK)-5], inBody: true, requests: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, func(_, n int) (string, bool) {
				if n == 1 {
					return c.second, true
				}
				return rawOK, false
			})
			b := open(t, s.address)
			ask(t, b, b.post())
			req := b.request(c.method, "{}")
			if c.again {
				req.Header["Idempotency-Key"] = nil
			}
			resp, err := b.RoundTrip(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if !c.inBody {
					t.Error("it was answered")
				}
			}
			if err == nil {
				t.Error("nothing failed")
			}
			s.expect(t, 1, c.requests)
			ask(t, b, b.post()) // and the next one is served
		})
	}
}

// TestAgainOnce: what does the same when done twice is sent again, but once, and only
// where the connection was a kept one.
func TestAgainOnce(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*http.Request){
		http.MethodDelete: func(r *http.Request) { r.Method = http.MethodDelete },
		"repeatable POST": func(r *http.Request) { r.Header["Idempotency-Key"] = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, func(c, n int) (string, bool) {
				if c == 0 && n == 0 {
					return rawOK, false
				}
				return "", true
			})
			b := open(t, s.address)
			ask(t, b, b.post())
			req := b.post()
			prepare(req)
			if resp, err := b.RoundTrip(req); err == nil {
				t.Errorf("status = %d, want a failure", resp.StatusCode)
			}
			s.expect(t, 2, 3)
		})
	}
}

// A connection is not used for longer than the server says, less a little for the way.
func TestKeepAliveTimeout(t *testing.T) { // FINDING F12
	t.Parallel()
	for said, conns := range map[string]int32{"timeout=0": 3, "timeout=1000": 1, "max=5, timeout=1000": 1, "Timeout=0": 3, "timeout=x": 1, "timeout": 1} {
		t.Run(said, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, func(int, int) (string, bool) {
				return strings.Replace(rawOK, "Content-Type", "Keep-Alive: "+said+"\r\nContent-Type", 1), false
			})
			b := open(t, s.address)
			for range 3 {
				ask(t, b, b.post())
			}
			s.expect(t, conns, 3)
		})
	}
}

func TestOneWrite(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	address := rawServer(t, func(_ int, conn net.Conn, _ *bufio.Reader) {
		buf := make([]byte, 128<<10)
		n, _ := conn.Read(buf)
		got <- string(buf[:n])
		_, _ = io.WriteString(conn, rawOK)
	})
	b := open(t, address)
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"x":"` + strings.Repeat("y", 20<<10) + `"}}`
	ask(t, b, b.request(http.MethodPost, body))
	if first := <-got; !strings.HasSuffix(first, body) || !strings.HasPrefix(first, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:") {
		t.Errorf("the first read of the backend got %d bytes, not the whole request", len(first))
	}
}

func TestLargeRequest(t *testing.T) {
	t.Parallel()
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	t.Run("read", func(t *testing.T) {
		t.Parallel()
		got := make(chan []byte, 2)
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			all, _ := io.ReadAll(r.Body)
			got <- all
		}))
		t.Cleanup(server.Close)
		b := open(t, server.URL)
		ask(t, b, b.request(http.MethodPost, string(body)))
		other := b.post()
		other.Body = io.NopCloser(bytes.NewReader(body)) // any reader will do
		ask(t, b, other)
		for range 2 {
			if all := <-got; !bytes.Equal(all, body) {
				t.Errorf("backend got %d bytes, want %d", len(all), len(body))
			}
		}
	})
	t.Run("answered before it was read", func(t *testing.T) {
		t.Parallel()
		address := rawServer(t, func(_ int, conn net.Conn, br *bufio.Reader) {
			if _, err := http.ReadRequest(br); err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.CopyN(io.Discard, br, 1<<20) // some, but not all
		})
		b := open(t, address)
		if resp, _ := ask(t, b, b.request(http.MethodPost, string(body))); resp.StatusCode != 413 {
			t.Errorf("status = %d, want 413", resp.StatusCode)
		}
	})
}

// TestH1Concurrent: every exchange gets its own answer, over shared connections.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	const workers, rounds = 32, 40
	s := new(counted)
	s.address = rawServer(t, func(_ int, conn net.Conn, br *bufio.Reader) {
		s.conns.Add(1)
		for {
			req, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			body, err := io.ReadAll(req.Body)
			if err != nil {
				return
			}
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n", chunk(string(body)))
		}
	})
	b := open(t, s.address)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for n := range rounds {
				want := fmt.Sprintf(`{"jsonrpc":"2.0","id":"%d-%d","pad":"%s"}`, w, n, strings.Repeat("x", w*n))
				resp, err := b.RoundTrip(b.request(http.MethodPost, want))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || string(got) != want {
					t.Errorf("answer = %.60q, %v; want %.60q", got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := s.conns.Load(); n > workers {
		t.Errorf("%d connections for %d workers", n, workers)
	}
}

// TestH1StreamMemory: what an open, silent stream holds on to.
func TestStreamMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("opens many connections")
	}
	const streams, budget = 400, 10 << 10
	address := rawServer(t, func(_ int, conn net.Conn, br *bufio.Reader) {
		for range 2 { // the head, and an event that the client has read
			if _, err := br.ReadSlice('\n'); err != nil {
				return
			}
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nMcp-Session-Id: 0123456789abcdef\r\nTransfer-Encoding: chunked\r\n\r\n"+chunk("data: {}\n\n"))
		_, _ = io.Copy(io.Discard, br)
	})
	b := open(t, address)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // the pools of what is not used
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var wg sync.WaitGroup
	var bodies []io.Closer
	before := heap()
	for range streams {
		resp, err := b.RoundTrip(b.request(http.MethodGet, ""))
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, resp.Body)
		first := make([]byte, 10)
		if _, err := io.ReadFull(resp.Body, first); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() { _, _ = resp.Body.Read(first) })
	}
	runtime.Gosched()
	per := (heap() - before) / streams
	t.Logf("%d bytes of heap per open stream, the test server's side included", per)
	if per > budget+4<<10 { // 4 KiB are the test server's reader
		t.Errorf("%d bytes of heap per open stream, want at most %d", per, budget+4<<10)
	}
	for _, body := range bodies {
		_ = body.Close()
	}
	wg.Wait()
}

// rawServer takes connections and leaves all the rest to serve, which is told how
// many came before.
func rawServer(t *testing.T, serve func(n int, conn net.Conn, br *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	wg.Go(func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			wg.Go(func() {
				defer conn.Close()
				serve(n, conn, bufio.NewReader(conn))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return "http://" + l.Addr().String() + "/mcp"
}

// readRequest reads one whole request off a raw connection.
func readRequest(br *bufio.Reader) (*http.Request, bool) {
	req, err := http.ReadRequest(br)
	if err != nil {
		return nil, false
	}
	_, err = io.Copy(io.Discard, req.Body)
	return req, err == nil
}
