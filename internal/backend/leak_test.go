package backend_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/testkit/leaks"
)

// misbehave is a backend that does what the path says.
func misbehave(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // or net/http would not see the client go away
	switch r.URL.Path {
	case "/abort":
		panic(http.ErrAbortHandler)
	case "/abort-body":
		w.Header().Set("Content-Length", "1000")
		with(200, "application/json", okAnswer)(w, r)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case "/abort-chunks":
		flushed("application/json", strings.Repeat(" ", 40<<10))(w, r)
		panic(http.ErrAbortHandler)
	case "/abort-stream":
		flushed("text/event-stream", "data: {}\n\n")(w, r)
		panic(http.ErrAbortHandler)
	case "/hang":
		<-r.Context().Done()
	case "/hang-body":
		flushed("application/json", "{")(w, r)
		<-r.Context().Done()
	case "/stream":
		openStream(w, r)
	case "/loop":
		redirectTo("/loop", 307)(w, r)
	case "/redirect":
		redirectTo("/ok?x=1", 307)(w, r)
	case "/html":
		with(200, "text/html", "<p>")(w, r)
	case "/500":
		with(500, "text/html", "<p>")(w, r)
	case "/401":
		challenge(401)(w, r)
	case "/large":
		announced(1<<40)(w, r)
	default:
		answerJSON(w, r)
	}
}

var misbehaviours = []string{
	"/ok", "/abort", "/abort-body", "/abort-chunks", "/abort-stream", "/hang", "/hang-body", "/stream", "/loop",
	"/redirect", "/html", "/500", "/401", "/large",
}

// TestNoLeaks does everything that can go wrong and looks what is left. It is not
// parallel, since other tests' goroutines would look like its own.
func TestNoLeaks(t *testing.T) {
	look := leaks.Watch(t)
	plain := httptest.NewServer(http.HandlerFunc(misbehave))
	secure := httptest.NewUnstartedServer(http.HandlerFunc(misbehave))
	secure.EnableHTTP2 = true
	secure.StartTLS()
	var closers []func()
	for _, server := range []*httptest.Server{plain, secure} {
		for _, path := range misbehaviours {
			b := open(t, server.URL+path, trust(&recorder{Server: server}), func(c *backend.HTTPConfig) {
				c.Limits.AnswerTimeout, c.Limits.BodyTimeout = 100*time.Millisecond, 100*time.Millisecond
			})
			for _, req := range []*backend.Request{call(), notification(), listen(), endSession()} {
				for _, patience := range []time.Duration{time.Minute, 10 * time.Millisecond} {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					if resp, err := b.Do(ctx, req); err == nil {
						if !resp.Stream {
							_, _ = io.Copy(io.Discard, resp.Body) // its errors are other tests' business
						}
						_ = resp.Body.Close()
					}
					cancel()
				}
			}
			closers = append(closers, func() { _ = b.Close() })
		}
	}
	for _, c := range closers {
		c()
	}
	plain.Close()
	secure.Close()
	look()
}

// TestBrokenIsNeverAnEnd: on every transport, what a backend breaks off is an
// error where it is read.
func TestBrokenIsNeverAnEnd(t *testing.T) {
	t.Parallel()
	servers := map[string]*httptest.Server{}
	for _, kind := range []string{"http", "https", "https, http/1.1"} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(misbehave))
		if kind == "http" {
			s.Start()
		} else {
			s.EnableHTTP2 = kind == "https"
			s.StartTLS()
		}
		t.Cleanup(s.Close)
		servers[kind] = s
	}
	for kind, s := range servers {
		for path, inBody := range map[string]bool{"/abort": false, "/abort-body": false, "/abort-chunks": true, "/abort-stream": true} {
			t.Run(kind+" "+path, func(t *testing.T) {
				t.Parallel()
				resp, err := open(t, s.URL+path, trust(&recorder{Server: s})).Do(t.Context(), call())
				if !inBody {
					asFailure(t, resp, err)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if _, err := io.ReadAll(resp.Body); err == nil {
					t.Error("the body ended as if it were whole")
				}
			})
		}
	}
}

func TestHTTP2(t *testing.T) {
	t.Parallel()
	r := recordTLS(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", r.Proto)
		answerJSON(w, r)
	})
	if resp, body := ask(t, open(t, r.URL, trust(r)), call()); resp.Header.Get("X-Request-Id") != "HTTP/2.0" || body != okAnswer {
		t.Errorf("answer by %s: %q", resp.Header.Get("X-Request-Id"), body)
	}
	if got := r.requests()[0]; got.Host != strings.TrimPrefix(r.URL, "https://") || got.Body != callBody || got.Header.Get("Accept-Encoding") != "identity" {
		t.Errorf("backend got %+v", got)
	}
}

// TestCanaries drives every kind of exchange, well-behaved and not, and looks for
// what is private in all that leaves the gateway but to the configured origin.
func TestCanaries(t *testing.T) { // REQ, E-5
	t.Parallel()
	for scheme, start := range map[string]func(*testing.T, http.HandlerFunc) *recorder{"http": record, "https": recordTLS} {
		for _, path := range misbehaviours {
			t.Run(scheme+path, func(t *testing.T) {
				t.Parallel()
				away := start(t, misbehave)
				echo := func(w http.ResponseWriter, r *http.Request) {
					for name, v := range r.Header { // under the names they came by
						w.Header()[name] = v
					}
					w.Header().Del("Content-Type")
					w.Header().Del("Content-Length")
				}
				home := start(t, func(w http.ResponseWriter, r *http.Request) {
					echo(w, r)
					if r.URL.Path == "/away" {
						redirectTo(away.URL+path+"?canary-of-theirs", 307)(w, r)
						return
					}
					misbehave(w, r)
				})
				for _, from := range []string{path, "/away"} {
					var log logs
					b := open(t, home.URL+from+"?key=canary-query", trust(home, away), log.into, func(c *backend.HTTPConfig) {
						c.Limits.AnswerTimeout, c.Limits.BodyTimeout = 100*time.Millisecond, 100*time.Millisecond
					})
					for _, req := range []*backend.Request{call(), notification(), listen(), endSession()} {
						resp, err := b.Do(t.Context(), withPrivate(req, home.URL))
						if err != nil {
							f := asFailure(t, resp, err)
							if text := fmt.Sprint(f.Error(), f.Public, f.Cause); strings.Contains(text, "canary") {
								t.Errorf("%s %s: failure holds a canary: %s", req.Method, from, text)
							}
							continue
						}
						if !resp.Stream {
							_, _ = io.Copy(io.Discard, resp.Body)
						}
						_ = resp.Body.Close()
						if strings.Contains(fmt.Sprint(resp.Header), "canary") {
							t.Errorf("%s %s: the client is shown a canary: %v", req.Method, from, resp.Header)
						}
					}
					if strings.Contains(log.String(), "canary") {
						t.Errorf("%s: log holds a canary:\n%s", from, log.String())
					}
				}
				for _, s := range away.requests() {
					if s.URI = ""; holdsCanary(s) {
						t.Errorf("the redirect's target got a canary: %+v", s)
					}
				}
			})
		}
	}
}

// TestRawTLSNoise: what speaks before or instead of TLS is a clear failure.
func TestRawTLSNoise(t *testing.T) {
	t.Parallel()
	address := rawServer(t, func(_ int, conn net.Conn, _ *bufio.Reader) {
		_, _ = io.WriteString(conn, "220 mail.example ESMTP canary\r\n")
	})
	f := failure(t, open(t, strings.Replace(address, "http:", "https:", 1)), call())
	if f.Reason != backend.ReasonUnreachable || strings.Contains(f.Error(), "canary") {
		t.Errorf("failure = %v (%s)", f, f.Reason)
	}
}

// TestMalformedOverTLS: net/http quotes what it cannot read, and that may be a
// credential which the backend was shown.
func TestMalformedOverTLS(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 canary-status "+r.Header.Get("Authorization")+"\r\n\r\n")
	}))
	s.StartTLS()
	t.Cleanup(s.Close)
	f := failure(t, open(t, s.URL, trust(&recorder{Server: s})), withPrivate(call(), s.URL))
	if f.Public.Status != http.StatusBadGateway || strings.Contains(f.Error(), "canary") {
		t.Errorf("failure = %v (%s)", f, f.Reason)
	}
}
