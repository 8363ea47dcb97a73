package backend_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

const (
	callBody = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}`
	okAnswer = `{"jsonrpc":"2.0","id":1,"result":{"content":[]}}`
)

// call is a tools/call as the gateway hands it over.
func call() *backend.Request {
	return &backend.Request{
		Method: http.MethodPost,
		Header: http.Header{
			"Accept":       {"application/json, text/event-stream"},
			"Content-Type": {"application/json"},
			"Mcp-Method":   {"tools/call"},
		},
		Body:    []byte(callBody),
		Message: &mcp.Envelope{Raw: []byte(callBody), Kind: mcp.KindRequest, ID: []byte("1"), Method: "tools/call"},
	}
}

func notification() *backend.Request {
	req := call()
	req.Body = []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	req.Message = &mcp.Envelope{Raw: req.Body, Kind: mcp.KindNotification, Method: "notifications/initialized"}
	return req
}

func listen() *backend.Request {
	return &backend.Request{Method: http.MethodGet, Header: http.Header{"Accept": {"text/event-stream"}}}
}

func endSession() *backend.Request {
	return &backend.Request{Method: http.MethodDelete, Header: http.Header{}}
}

// open makes a backend for a test server's address.
func open(t *testing.T, address string, change ...func(*backend.HTTPConfig)) *backend.HTTP {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	cfg := backend.HTTPConfig{Name: "docs", URL: u, AllowPrivate: true, UserAgent: "sallyport/test"}
	for _, c := range change {
		c(&cfg)
	}
	b, err := backend.NewHTTP(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// ask sends a request and returns the answer with its whole body.
func ask(t *testing.T, b *backend.HTTP, req *backend.Request) (*backend.Response, string) {
	t.Helper()
	resp, err := b.Do(t.Context(), req)
	if err != nil {
		t.Fatalf("Do: %v", err)
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

// failure sends a request that must fail.
func failure(t *testing.T, b *backend.HTTP, req *backend.Request) *backend.Failure {
	t.Helper()
	resp, err := b.Do(t.Context(), req)
	return asFailure(t, resp, err)
}

func asFailure(t *testing.T, resp *backend.Response, err error) *backend.Failure {
	t.Helper()
	if err == nil {
		_ = resp.Body.Close()
		t.Fatalf("Do: got an answer with status %d, want a failure", resp.Status)
	}
	f, ok := errors.AsType[*backend.Failure](err)
	if !ok {
		t.Fatalf("Do: error is a %T, want *backend.Failure", err)
	}
	return f
}

// seen is one request as a backend got it.
type seen struct {
	Method, URI, Host, Body string
	Header                  http.Header
}

// recorder is an HTTP server that keeps what it got and answers as told.
type recorder struct {
	*httptest.Server
	mu   sync.Mutex
	reqs []seen
}

func record(t *testing.T, answer http.HandlerFunc) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(r.handler(answer))
	t.Cleanup(r.Close)
	return r
}

func recordTLS(t *testing.T, answer http.HandlerFunc) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewUnstartedServer(r.handler(answer))
	r.EnableHTTP2 = true
	r.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

func (r *recorder) handler(answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.reqs = append(r.reqs, seen{req.Method, req.RequestURI, req.Host, string(body), req.Header.Clone()})
		r.mu.Unlock()
		answer(w, req)
	})
}

func (r *recorder) requests() []seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]seen(nil), r.reqs...)
}

// port and hostPort name a server by another host name: same machine, other host.
func onLocalhost(t *testing.T, address string) string {
	t.Helper()
	if _, err := net.LookupHost("localhost"); err != nil {
		t.Skip("no localhost here")
	}
	return strings.Replace(address, "127.0.0.1", "localhost", 1)
}

func answerJSON(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, okAnswer)
}

func redirectTo(location string, status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(status)
	}
}

// logs is a log at debug level that a test can read.
type logs struct{ testkit.Output }

func (l *logs) into(cfg *backend.HTTPConfig) {
	cfg.Log = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
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

// say answers every connection's first request with these bytes, and closes.
func say(t *testing.T, answer string) string {
	t.Helper()
	return rawServer(t, func(_ int, conn net.Conn, br *bufio.Reader) {
		if _, ok := readRequest(br); ok {
			_, _ = io.WriteString(conn, answer)
		}
	})
}

// within fails the test when f takes longer than a test should wait.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(testkit.Patience):
		t.Fatalf("%s: still waiting after %s", what, testkit.Patience)
	}
}

func TestHTTPSendsRequestAsItIs(t *testing.T) { // REQ A-6
	t.Parallel()
	r := record(t, answerJSON)
	b := open(t, r.URL+"/a%2Fb/mcp?tenant=x%20y&z")
	req := call()
	req.Private = http.Header{"X-Api-Key": {"k1", "k2"}, "Authorization": {"Bearer inner"}}
	resp, body := ask(t, b, req)
	if resp.Status != http.StatusOK || body != okAnswer || resp.ContentLength != int64(len(okAnswer)) || resp.Stream {
		t.Errorf("answer = %+v with %q", resp, body)
	}
	got := r.requests()
	if len(got) != 1 {
		t.Fatalf("backend got %d requests, want 1", len(got))
	}
	g := got[0]
	if g.Method != "POST" || g.URI != "/a%2Fb/mcp?tenant=x%20y&z" || g.Host != strings.TrimPrefix(r.URL, "http://") || g.Body != callBody {
		t.Errorf("backend got %s %s, Host %s, body %q", g.Method, g.URI, g.Host, g.Body)
	}
	want := http.Header{
		"Accept":          {"application/json, text/event-stream"},
		"Accept-Encoding": {"identity"},
		"Authorization":   {"Bearer inner"},
		"Content-Length":  {"71"},
		"Content-Type":    {"application/json"},
		"Mcp-Method":      {"tools/call"},
		"User-Agent":      {"sallyport/test"},
		"X-Api-Key":       {"k1", "k2"},
	}
	diff(t, "headers at the backend", want, g.Header)
}

func TestHTTPNeverSends(t *testing.T) { // REQ A-6
	t.Parallel()
	tls := recordTLS(t, answerJSON)
	plain := record(t, answerJSON)
	for name, r := range map[string]*recorder{"http": plain, "https": tls} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, r.URL, trust(r))
			req := call()
			bad := []string{
				"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Anything", "Forwarded", "Via", "X-Real-Ip",
				"Connection", "Keep-Alive", "Te", "Trailer", "Upgrade", "Proxy-Authorization", "Proxy-Connection", "Host", "Expect",
			}
			req.Private = http.Header{"X-Fine": {"1"}}
			for _, name := range bad {
				req.Header[name] = []string{"evil"}
				req.Private[strings.ToLower(name)] = []string{"evil"}
			}
			for _, name := range []string{"Authorization", "Cookie", "X-Client", "Mcp-Session-Id", "Mcp-User", "Mcp-Role"} { // FINDING S7
				req.Header[name] = []string{"evil"} // what is not the protocol's does not belong there
				bad = append(bad, name)
			}
			req.Header["Transfer-Encoding"] = []string{"chunked"}
			req.Header["Content-Length"] = []string{"1"}
			ask(t, b, req)
			got := r.requests()[0]
			for _, name := range bad {
				if v := got.Header.Values(name); len(v) > 0 {
					t.Errorf("backend got %s: %q", name, v)
				}
			}
			if got.Header.Get("X-Fine") != "1" || got.Body != callBody || got.Host == "evil" {
				t.Errorf("backend got %+v", got)
			}
		})
	}
}

func TestHTTPRefusesHeaderInjection(t *testing.T) { // REQ F-5
	t.Parallel()
	tls := recordTLS(t, answerJSON)
	plain := record(t, answerJSON)
	for scheme, r := range map[string]*recorder{"http": plain, "https": tls} {
		b := open(t, r.URL, trust(r))
		for name, bad := range map[string]http.Header{
			"cr lf":        {"X-Key": {"canary-value\r\nX-Evil: 1"}},
			"lf":           {"X-Key": {"canary-value\n"}},
			"cr":           {"X-Key": {"canary-value\r"}},
			"nul":          {"X-Key": {"canary-value\x00"}},
			"name":         {"X-Key: a\r\nX-Evil": {"canary-value"}},
			"name's blank": {"X Key": {"canary-value"}},
			"no name":      {"": {"canary-value"}},
		} {
			t.Run(scheme+" "+name, func(t *testing.T) {
				t.Parallel()
				req := call()
				req.Private = bad
				f := failure(t, b, req)
				if f.Reason != backend.ReasonBadHeader || f.Public.Status != http.StatusBadGateway {
					t.Errorf("failure = %s %d", f.Reason, f.Public.Status)
				}
				if strings.Contains(f.Error(), "canary") {
					t.Errorf("the error quotes the value: %v", f)
				}
			})
		}
		t.Cleanup(func() {
			if n := len(r.requests()); n != 0 {
				t.Errorf("%s backend got %d requests, want none", scheme, n)
			}
		})
	}
}

func TestNewHTTPRefusesURL(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"ftp://example.com/mcp", "//example.com/mcp", "http:///mcp", "http://user:canary@example.com/mcp", "http:opaque",
		"https://münchen.example/mcp", "http://example.com:0/", "http://[fe80::1%25eth0]/", "http://a,b/",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Errorf("%s: not even a URL: %v", address, err)
			continue
		}
		_, err = backend.NewHTTP(backend.HTTPConfig{Name: "docs", URL: u})
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("NewHTTP(%s) = %v, want an error without the password", address, err)
		}
	}
	if _, err := backend.NewHTTP(backend.HTTPConfig{Name: "docs"}); err == nil {
		t.Error("NewHTTP without a URL: want an error")
	}
}

func TestHTTPCloseEndsStreams(t *testing.T) {
	t.Parallel()
	tls := recordTLS(t, openStream)
	plain := record(t, openStream)
	for name, r := range map[string]*recorder{"http": plain, "https": tls} {
		b := open(t, r.URL, trust(r))
		resp, err := b.Do(t.Context(), listen())
		if err != nil {
			t.Fatal(err)
		}
		_ = b.Close()
		within(t, name+" stream after Close", func() {
			if _, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("%s: the stream ended cleanly, want an error", name)
			}
		})
		_ = resp.Body.Close()
		if f := failure(t, b, call()); f.Reason != backend.ReasonUnreachable {
			t.Errorf("%s: after Close: %v", name, f)
		}
	}
}

// openStream sends the head of an event stream and leaves it open.
func openStream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func TestHTTPCancellation(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(http.ResponseWriter){
		"before the head": func(http.ResponseWriter) {},
		"in a stream": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: {}\n\n")
			_ = http.NewResponseController(w).Flush()
		},
		"in a JSON body": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":`)
			_ = http.NewResponseController(w).Flush()
		},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				began, ended := make(chan struct{}, 1), make(chan struct{}, 1)
				handler := func(w http.ResponseWriter, r *http.Request) {
					answer(w)
					began <- struct{}{}
					<-r.Context().Done()
					ended <- struct{}{}
				}
				start := record
				if secure {
					start = recordTLS
				}
				r := start(t, handler)
				b := open(t, r.URL, trust(r))
				ctx, cancel := context.WithCancel(t.Context())
				go func() { <-began; cancel() }()
				within(t, "the exchange", func() {
					resp, err := b.Do(ctx, call())
					if err == nil {
						_, err = io.ReadAll(resp.Body)
						_ = resp.Body.Close()
						if err == nil {
							t.Error("the body ended cleanly")
						}
						return
					}
					if f := asFailure(t, resp, err); f.Reason != backend.ReasonCanceled {
						t.Errorf("failure = %v", f)
					}
				})
				within(t, "the backend's context", func() { <-ended })
			})
		}
	}
}

// TestHTTPCloseBodyCancels: closing a stream early is how a modern client's
// going away reaches the backend (MCP 2026-07-28 cancellation).
func TestHTTPCloseBodyCancels(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, http.HandlerFunc) *recorder{"http": record, "https": recordTLS} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan struct{})
			r := start(t, func(w http.ResponseWriter, r *http.Request) {
				openStream(w, r)
				close(ended)
			})
			b := open(t, r.URL, trust(r))
			resp, err := b.Do(t.Context(), call())
			if err != nil {
				t.Fatal(err)
			}
			readEnded := make(chan error, 1)
			go func() { _, err := resp.Body.Read(make([]byte, 100)); readEnded <- err }()
			_ = resp.Body.Close() // from another goroutine than the reader's
			within(t, "the reader", func() {
				if err := <-readEnded; err == nil || err == io.EOF {
					t.Errorf("Read after Close = %v, want an error", err)
				}
			})
			within(t, "the backend's context", func() { <-ended })
			if err := resp.Body.Close(); err != nil {
				t.Errorf("second Close: %v", err)
			}
		})
	}
}
