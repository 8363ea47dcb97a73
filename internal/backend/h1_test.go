package backend_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

const rawOK = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 48\r\n\r\n" + okAnswer

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

func TestH1Reuse(t *testing.T) {
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
				ask(t, b, call())
			}
			s.expect(t, c.conns, 3)
		})
	}
}

func TestH1BodilessStatus(t *testing.T) {
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
				if resp, body := ask(t, b, notification()); resp.Status != 202 || body != "" {
					t.Errorf("answer = %d %q", resp.Status, body)
				}
			}
			s.expect(t, c.conns, 2)
		})
	}
}

// TestH1CloseEarly: a connection whose answer was not read to its end is not used
// again.
func TestH1CloseEarly(t *testing.T) {
	t.Parallel()
	s := serveRaw(t, func(c, _ int) (string, bool) {
		if c == 0 {
			return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("data: 1\n\n"), false
		}
		return rawOK, false
	})
	b := open(t, s.address)
	resp, err := b.Do(t.Context(), call())
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
	if _, body := ask(t, b, call()); body != okAnswer {
		t.Errorf("next answer = %q", body)
	}
	s.expect(t, 2, 2)
}

// TestH1Stale: the backend closes an unused connection, as all do in the end. The
// next request goes to a fresh one, once.
func TestH1Stale(t *testing.T) {
	t.Parallel()
	for _, req := range []func() *backend.Request{call, endSession} {
		t.Run(req().Method, func(t *testing.T) {
			t.Parallel()
			s := serveRaw(t, func(int, int) (string, bool) { return rawOK, true })
			b := open(t, s.address)
			for range 20 {
				ask(t, b, req())
			}
			s.expect(t, 20, 20)
		})
	}
}

// TestH1NotTwice: what the backend may have acted on is not sent again.
func TestH1NotTwice(t *testing.T) { // MCP 2026-07-28: a call whose stream broke is lost
	t.Parallel()
	for name, c := range map[string]struct {
		req      func() *backend.Request
		second   string // the second answer on the first connection, which then closes
		reason   backend.Reason
		requests int32
	}{
		"POST, nothing":  {req: call, reason: backend.ReasonUnreachable, requests: 2},
		"POST, a byte":   {req: call, second: "H", reason: backend.ReasonUnreachable, requests: 2},
		"GET, a byte":    {req: listen, second: "H", reason: backend.ReasonUnreachable, requests: 2},
		"DELETE, a half": {req: endSession, second: "HTTP/1.1 200 OK\r\n", reason: backend.ReasonUnreachable, requests: 2},
		"POST, a half":   {req: call, second: rawOK[:len(rawOK)-5], reason: backend.ReasonBadAnswer, requests: 2},
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
			ask(t, b, call())
			f := failure(t, b, c.req())
			if f.Reason != c.reason {
				t.Errorf("failure = %v (%s), want %s", f, f.Reason, c.reason)
			}
			s.expect(t, 1, c.requests)
			ask(t, b, call()) // and the next one is served
		})
	}
}

// TestH1AgainOnce: what does the same when done twice is sent again, but once.
func TestH1AgainOnce(t *testing.T) {
	t.Parallel()
	s := serveRaw(t, func(c, n int) (string, bool) {
		if c == 0 && n == 0 {
			return rawOK, false
		}
		return "", true
	})
	b := open(t, s.address)
	ask(t, b, endSession())
	if f := failure(t, b, endSession()); f.Reason != backend.ReasonUnreachable {
		t.Errorf("failure = %v (%s)", f, f.Reason)
	}
	s.expect(t, 2, 3)
}

func TestH1OneWrite(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	address := rawServer(t, func(_ int, conn net.Conn, _ *bufio.Reader) {
		buf := make([]byte, 128<<10)
		n, _ := conn.Read(buf)
		got <- string(buf[:n])
		_, _ = io.WriteString(conn, rawOK)
	})
	req := call()
	req.Body = []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"x":"` + strings.Repeat("y", 20<<10) + `"}}`)
	ask(t, open(t, address), req)
	if first := <-got; !strings.HasSuffix(first, string(req.Body)) || !strings.HasPrefix(first, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:") {
		t.Errorf("the first read of the backend got %d bytes, not the whole request", len(first))
	}
}

func TestH1LargeRequest(t *testing.T) {
	t.Parallel()
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	large := func() *backend.Request {
		req := call()
		req.Body = body
		return req
	}
	t.Run("read", func(t *testing.T) {
		t.Parallel()
		r := record(t, answerJSON)
		b := open(t, r.URL)
		for range 2 {
			ask(t, b, large())
		}
		for _, s := range r.requests() {
			if s.Body != string(body) {
				t.Errorf("backend got %d bytes, want %d", len(s.Body), len(body))
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
		if resp, _ := ask(t, open(t, address), large()); resp.Status != 413 {
			t.Errorf("status = %d, want 413", resp.Status)
		}
	})
}

// TestH1Concurrent: every exchange gets its own answer, over shared connections.
func TestH1Concurrent(t *testing.T) {
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
				req := call()
				req.Body = fmt.Appendf(nil, `{"jsonrpc":"2.0","id":"%d-%d","pad":"%s"}`, w, n, strings.Repeat("x", w*n))
				resp, err := b.Do(t.Context(), req)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || !bytes.Equal(got, req.Body) {
					t.Errorf("answer = %.60q, %v; want %.60q", got, err, req.Body)
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
func TestH1StreamMemory(t *testing.T) {
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
	before := heap()
	for range streams {
		resp, err := b.Do(t.Context(), listen())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
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
	_ = b.Close()
	wg.Wait()
}
