package h1

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// scripted is a connection that has just these bytes to read, and takes them in
// steps of at most step.
type scripted struct {
	net.Conn
	in   *bytes.Reader
	step int
}

func (s *scripted) Read(p []byte) (int, error) { return s.in.Read(p[:min(len(p), s.step)]) }

func (s *scripted) Close() error                    { return nil }
func (s *scripted) SetDeadline(time.Time) error     { return nil }
func (s *scripted) SetReadDeadline(time.Time) error { return nil }

// readScript reads one answer off a connection that says data: its head, its whole
// body, and what is left on the connection behind it when that goes on.
func readScript(data []byte, step int) (resp *http.Response, body, rest []byte, kept bool, err error) {
	script := &scripted{in: bytes.NewReader(data), step: step}
	owner := New(Config{BodyTimeout: time.Minute})
	owner.closed = true // nothing is kept: what is left stays where it can be seen
	c := &conn{owner: owner, outer: script, tcp: script, in: reader{conn: script}}
	var behind []byte
	stop := func() bool { behind = bytes.Clone(c.in.buf[c.in.r:c.in.w]); return true }
	resp, err = c.answer(context.Background(), stop, http.MethodPost)
	if err != nil {
		return nil, nil, nil, false, err
	}
	body, err = io.ReadAll(resp.Body)
	kept = c.keep
	unread, _ := io.ReadAll(script.in)
	_ = resp.Body.Close()
	return resp, body, append(behind, unread...), kept, err
}

// reference reads the same with net/http, which both must agree with.
func reference(data []byte) (resp *http.Response, body, rest []byte, err error) {
	br := bufio.NewReaderSize(bytes.NewReader(data), len(data)+16)
	for range maxInterim {
		resp, err = http.ReadResponse(br, &http.Request{Method: http.MethodPost})
		if err != nil {
			return nil, nil, nil, err
		}
		if resp.StatusCode >= 200 {
			break
		}
	}
	if body, err = io.ReadAll(resp.Body); err != nil {
		return nil, nil, nil, err
	}
	rest, err = io.ReadAll(br)
	return resp, body, rest, err
}

// FuzzAnswer: reading never panics, does not depend on how the bytes are cut
// into reads, and ends the body where net/http ends it.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a=b\r\n!\r\n0\r\nX: y\r\n\r\nmore",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nX: a\r\nX: b\r\n\r\nmore",
		"HTTP/1.0 200 OK\r\n\r\nuntil close",
		"HTTP/1.1 304 Not Modified\nContent-Length: 5\n\nhello",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
	} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		if len(data) > 1<<20 {
			return
		}
		step = 1 + max(step, -step)&0xfff
		resp, body, rest, kept, err := readScript(data, 1<<20)
		resp2, body2, rest2, kept2, err2 := readScript(data, step)
		if (err == nil) != (err2 == nil) || err == nil && (resp.StatusCode != resp2.StatusCode || !bytes.Equal(body, body2) || !bytes.Equal(rest, rest2) || kept != kept2) {
			t.Fatalf("reads of %d bytes change the answer: %q %q %v, %q %q %v", step, body, rest, err, body2, rest2, err2)
		}
		if err != nil {
			return
		}
		ref, refBody, refRest, refErr := reference(data)
		if refErr != nil {
			return // stricter than we are: in what, the tables of odd answers say
		}
		if resp.StatusCode != ref.StatusCode || !bytes.Equal(body, refBody) {
			t.Fatalf("answer = %d %q, net/http reads %d %q", resp.StatusCode, body, ref.StatusCode, refBody)
		}
		if kept && !bytes.Equal(rest, refRest) {
			t.Fatalf("rest = %q, net/http leaves %q", rest, refRest)
		}
		for name, values := range resp.Header {
			if got := ref.Header[name]; strings.Join(got, "\n") != strings.Join(values, "\n") && name != "Connection" && name != "Trailer" {
				t.Fatalf("header %s = %q, net/http reads %q", name, values, got)
			}
		}
	})
}

// pair is a connection of a Transport and the other end of it.
func pair(t *testing.T) (*Transport, *conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pool := New(Config{Dial: new(net.Dialer).DialContext, IdleTimeout: time.Hour}) // no timer of its own
	c, err := pool.dial(t.Context(), l.Addr().String(), time.Now().Add(testkit.Patience))
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close(); c.close() })
	return pool, c, peer
}

func testMessage(t *testing.T, method string) *message {
	t.Helper()
	req, err := http.NewRequest(method, "http://h/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r, err := requestOf(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.appendHead(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &message{method: method, repeatable: r.repeatable(), text: text}
}

// firstExchange does one exchange, so that what comes next is on a used connection.
func firstExchange(t *testing.T, c *conn, peer net.Conn) {
	t.Helper()
	go func() {
		if _, err := http.ReadRequest(bufio.NewReader(peer)); err == nil {
			_, _ = io.WriteString(peer, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	}()
	if _, _, err := c.exchange(t.Context(), testMessage(t, http.MethodPost)); err != nil {
		t.Fatal(err)
	}
}

// TestH1UnprocessedByProof: of a request on a connection that turned out to be
// closed, it is known whether the backend can have seen it.
func TestUnprocessedByProof(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method string
		closes func(net.Conn)
		want   func(linux bool) bool
	}{
		"POST, closed before":  {http.MethodPost, func(p net.Conn) { testkit.CloseSeen(t, p) }, func(linux bool) bool { return linux }},
		"POST, reset before":   {http.MethodPost, func(p net.Conn) { _ = p.(*net.TCPConn).SetLinger(0); _ = p.Close() }, func(bool) bool { return true }},
		"POST, closed after":   {http.MethodPost, readThenClose, func(bool) bool { return false }},
		"DELETE, closed after": {http.MethodDelete, readThenClose, func(bool) bool { return true }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, conn, peer := pair(t)
			firstExchange(t, conn, peer)
			if pool.take(conn.addr, time.Now().Add(testkit.Patience)) != conn {
				t.Fatal("the connection was not kept")
			}
			if strings.HasSuffix(name, "before") {
				c.closes(peer)
			} else {
				go c.closes(peer)
			}
			_, unprocessed, err := conn.exchange(t.Context(), testMessage(t, c.method))
			if err == nil || unprocessed != c.want(canProve) {
				t.Errorf("unprocessed = %v, %v", unprocessed, err)
			}
		})
	}
}

func readThenClose(p net.Conn) {
	_, _ = http.ReadRequest(bufio.NewReader(p))
	_ = p.Close()
}

func TestQuietSeesTheEnd(t *testing.T) {
	t.Parallel()
	for name, disturb := range map[string]func(net.Conn){
		"end":   func(p net.Conn) { _ = p.Close() },
		"reset": func(p net.Conn) { _ = p.(*net.TCPConn).SetLinger(0); _ = p.Close() },
		"bytes": func(p net.Conn) { _, _ = io.WriteString(p, "HTTP/1.1 408 Request Timeout\r\n\r\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, c, peer := pair(t)
			firstExchange(t, c, peer)
			addr := c.addr
			if got := pool.take(addr, time.Now().Add(testkit.Patience)); got != c {
				t.Fatalf("take = %v, want the connection", got)
			}
			pool.put(c)
			disturb(peer)
			for deadline := time.Now().Add(testkit.Patience); c.quiet(); {
				if time.Now().After(deadline) {
					t.Fatal("the connection still looks quiet")
				}
			}
			if got := pool.take(addr, time.Now().Add(testkit.Patience)); got != nil {
				t.Error("take gave a connection that has ended")
			}
		})
	}
}

func TestReap(t *testing.T) {
	t.Parallel()
	pool, c, peer := pair(t)
	firstExchange(t, c, peer)
	if pool.reaper == nil {
		t.Fatal("nobody will close the unused connection")
	}
	pool.reap() // too early
	if len(pool.idle[c.addr]) != 1 {
		t.Fatal("a connection was closed before its time")
	}
	c.idleSince = time.Now().Add(-pool.cfg.IdleTimeout)
	pool.reap()
	if len(pool.idle) != 0 || pool.reaper != nil {
		t.Errorf("after its time: idle %v, reaper %v", pool.idle, pool.reaper)
	}
	if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the backend reads %v, want the end", err)
	}
}

func BenchmarkParseHead(b *testing.B) {
	text := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Fri, 21 Nov 2025 10:00:00 GMT\r\nContent-Length: 200\r\nMcp-Session-Id: 0123456789abcdef\r\n\r\n"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseHead(string(bytes.Clone([]byte(text)))); err != nil {
			b.Fatal(err)
		}
	}
}
