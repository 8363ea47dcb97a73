package gateway_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener in memory, for time that passes at once.
type pipes struct {
	accept chan net.Conn
	done   chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.accept:
		return c, nil
	case <-p.done:
		return nil, errors.New("closed")
	}
}
func (p *pipes) Close() error   { return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

// dialPipe serves g over a pipe until the test ends and returns the client's end.
func dialPipe(t *testing.T, g http.Handler) net.Conn {
	t.Helper()
	p := &pipes{accept: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: g, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(p)
	}()
	client, conn := net.Pipe()
	p.accept <- conn
	t.Cleanup(func() {
		close(p.done)
		_ = client.Close()
		_ = server.Close()
		<-ended
	})
	return client
}

// REQ B-24: a body that does not come is given up after half a minute, and the client is told.
func TestSlowBody(t *testing.T) {
	b := newBackend(t, "b")
	synctest.Test(t, func(t *testing.T) {
		conn := dialPipe(t, newRig(t, proxy("docs", b.URL), nil))
		begun := time.Now()
		fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if took := time.Since(begun); resp.StatusCode != 400 && resp.StatusCode != 408 || took != 30*time.Second {
			t.Errorf("status %d after %v", resp.StatusCode, took)
		}
	})
	if len(b.taken()) != 0 {
		t.Error("the backend got something")
	}
}

// REQ B-24: after a message was refused for its size the gateway reads on for seconds, not for ever.
func TestLinger(t *testing.T) {
	b := newBackend(t, "b")
	synctest.Test(t, func(t *testing.T) {
		conn := dialPipe(t, newRig(t, proxy("docs", b.URL), nil))
		begun := time.Now()
		fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000000000\r\n\r\n")
		in := bufio.NewReader(conn)
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != 413 || time.Since(begun) != 0 {
			t.Fatalf("%v %v after %v", resp, err, time.Since(begun))
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
		drip := make(chan struct{})
		go func() { // a client that goes on, slowly
			defer close(drip)
			for {
				if _, err := io.WriteString(conn, strings.Repeat(" ", 100)); err != nil {
					return
				}
				<-time.After(100 * time.Millisecond) // the bubble's time
			}
		}()
		_, err = in.ReadByte()
		if took := time.Since(begun); err == nil || took > 10*time.Second {
			t.Errorf("the connection ended with %v after %v", err, took)
		}
		<-drip
	})
}

// REQ B-24: a client that waits to be asked for its body is not waited for.
func TestNoLingerForExpect(t *testing.T) {
	b := newBackend(t, "b")
	synctest.Test(t, func(t *testing.T) {
		conn := dialPipe(t, newRig(t, proxy("docs", b.URL), nil))
		begun := time.Now()
		fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 1000000000000\r\n\r\n")
		answer, _ := io.ReadAll(conn)
		if !strings.HasPrefix(string(answer), "HTTP/1.1 413 ") || strings.Contains(string(answer), "100 Continue") || time.Since(begun) > time.Second {
			t.Errorf("after %v: %s", time.Since(begun), answer)
		}
	})
}
