package backend_test

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

// acted is a server that reads each request whole, counts its nonce, and breaks the
// connection of those with a header X-Break: hard, by a reset, or in order.
type acted struct {
	mu    sync.Mutex
	times map[string]int
}

func (a *acted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	a.mu.Lock()
	a.times[r.Header.Get("Mcp-Param-Nonce")]++
	a.mu.Unlock()
	how := r.Header.Get("X-Break")
	if how == "" {
		answerJSON(w, r)
		return
	}
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	inner := conn
	if t, ok := conn.(*tls.Conn); ok {
		inner = t.NetConn()
	}
	if how == "reset" {
		_ = inner.(*net.TCPConn).SetLinger(0)
	}
	_ = inner.Close()
}

// A call that a server acted upon is not sent again, however the connection ends.
func TestExecutedOnce(t *testing.T) { // FINDING R1; REQ G-13
	t.Parallel()
	for name, start := range map[string]func(*httptest.Server){"http": (*httptest.Server).Start, "https": (*httptest.Server).StartTLS} {
		for _, how := range []string{"reset", "close"} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				a := &acted{times: map[string]int{}}
				s := httptest.NewUnstartedServer(a)
				s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
				start(s)
				t.Cleanup(s.Close)
				b := open(t, s.URL, trust(&recorder{Server: s}))
				const rounds = 200
				for i := range rounds {
					good := call()
					good.Header.Set("Mcp-Param-Nonce", "good "+strconv.Itoa(i))
					ask(t, b, good)
					bad := call()
					bad.Header.Set("Mcp-Param-Nonce", strconv.Itoa(i))
					// By the second, net/http's own transport takes a POST for repeatable.
					bad.Private = http.Header{"X-Break": {how}, "Idempotency-Key": {strconv.Itoa(i)}}
					if f := failure(t, b, bad); f.Reason != backend.ReasonUnreachable {
						t.Fatalf("failure = %v (%s)", f, f.Reason)
					}
				}
				a.mu.Lock()
				defer a.mu.Unlock()
				if len(a.times) != 2*rounds {
					t.Errorf("%d requests arrived, want %d", len(a.times), 2*rounds)
				}
				for nonce, n := range a.times {
					if n != 1 {
						t.Errorf("request %s was executed %d times", nonce, n)
					}
				}
			})
		}
	}
}

// What changes nothing is sent again, once, where a kept connection ends without an
// answer; and nothing else is.
func TestRepeatable(t *testing.T) { // FINDING F12; REQ G-13
	t.Parallel()
	method := func(name string) func() *backend.Request {
		return func() *backend.Request {
			req := call()
			req.Message.Method = name
			return req
		}
	}
	hinted := func() *backend.Request {
		req := call()
		req.Repeatable = true
		return req
	}
	for name, start := range map[string]func(*httptest.Server){"http": (*httptest.Server).Start, "https": (*httptest.Server).StartTLS} {
		for what, c := range map[string]struct {
			req   func() *backend.Request
			again bool
		}{
			"list": {method("tools/list"), true}, "ping": {method("ping"), true}, "read": {method("resources/read"), true},
			"tool with hints": {hinted, true}, "tool": {call, false}, "initialize": {method("initialize"), false},
			"task": {method("tasks/cancel"), false}, "notification": {notification, false}, "unknown": {method("x/list"), false},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				t.Parallel()
				var n atomic.Int32
				s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					if r.Header.Get("Idempotency-Key") != "" {
						t.Error("the backend sees how it is told apart")
					}
					if n.Add(1) == 2 {
						panic(http.ErrAbortHandler)
					}
					answerJSON(w, r)
				}))
				s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
				start(s)
				t.Cleanup(s.Close)
				b := open(t, s.URL, trust(&recorder{Server: s}))
				ask(t, b, call())
				resp, err := b.Do(t.Context(), c.req())
				if err == nil {
					_ = resp.Body.Close()
				}
				if again := err == nil && n.Load() == 3; again != c.again || !again && n.Load() != 2 {
					t.Errorf("%d requests, %v; want it sent again: %v", n.Load(), err, c.again)
				}
			})
		}
	}
}
