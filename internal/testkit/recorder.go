package testkit

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Recorder is an HTTP backend that answers as its handler says and keeps what
// reached it: each request parsed, and every byte of every connection.
type Recorder struct {
	URL    string // scheme, host and port
	Server *httptest.Server

	mu       sync.Mutex
	wire     bytes.Buffer
	requests []Recorded
}

// Recorded is one request that reached a [Recorder].
type Recorded struct {
	Method, Target, Host string
	Header               http.Header // with the names in canonical form; the bytes are in Wire
	Body                 []byte
}

// Record starts a recorder on loopback. The handler gets the request with its
// body still to be read.
func Record(t testing.TB, handler http.HandlerFunc) *Recorder {
	t.Helper()
	r := &Recorder{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		r.mu.Lock()
		r.requests = append(r.requests, Recorded{req.Method, req.RequestURI, req.Host, req.Header.Clone(), body})
		r.mu.Unlock()
		if err != nil {
			return // the sender went away in the middle of the body
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		handler(w, req)
	}))
	r.Server.Listener = tapListener{r.Server.Listener, r}
	r.Server.Start()
	r.URL = r.Server.URL
	t.Cleanup(func() {
		r.Server.CloseClientConnections() // a stream that is still open would keep Close waiting
		r.Server.Close()
	})
	return r
}

// Requests returns the requests so far, in the order in which they were read.
func (r *Recorder) Requests() []Recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Recorded(nil), r.requests...)
}

// Wire returns every byte that was received so far, all connections after each
// other as the bytes came: what to look for canaries in.
func (r *Recorder) Wire() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wire.String()
}

// Reset forgets what was recorded.
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wire.Reset()
	r.requests = nil
}

type tapListener struct {
	net.Listener
	r *Recorder
}

func (l tapListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tapConn{conn, l.r}, nil
}

type tapConn struct {
	net.Conn
	r *Recorder
}

// NetConn is the connection itself.
func (c tapConn) NetConn() net.Conn { return c.Conn }

func (c tapConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.r.mu.Lock()
	c.r.wire.Write(p[:n])
	c.r.mu.Unlock()
	return n, err
}
