package e2e_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// wrong is a way in which a backend can fail before the client has seen any of its answer.
type wrong struct {
	name   string
	answer func(w http.ResponseWriter, r *http.Request)
	status int
}

// plainly answers with a status, a content type and a body.
func plainly(status int, contentType, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// rawly answers with bytes and closes the connection.
func rawly(raw string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { hijack(w, raw).Close() }
}

// silent keeps the connection open after some bytes, until the gateway gives up.
func silent(raw string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn := hijack(w, raw)
		defer conn.Close()
		_, _ = io.Copy(io.Discard, conn)
	}
}

const (
	jsonHead = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	jsonBody = `{"jsonrpc":"2.0","id":7,"result":{}}`
	page     = "<!DOCTYPE html><html><body>Sign in</body></html>"
)

var wrongs = []wrong{
	{"closes", rawly(""), 502},
	{"closes in the head", rawly("HTTP/1.1 200 OK\r\nContent-Type: appli"), 502},
	{"hangs", silent(""), 504},
	{"hangs in the head", silent("HTTP/1.1 200 OK\r\nContent-Type: appli"), 504},
	{"speaks no HTTP", rawly("SSH-2.0-OpenSSH_9.9\r\n"), 502},
	{"HTML", plainly(200, "text/html", page), 502},
	{"HTML as JSON", plainly(200, "application/json", page), 502},
	{"HTML without a type", plainly(200, "", page), 502},
	{"HTML with 404", plainly(404, "text/html", page), 502},
	{"HTML with 403", plainly(403, "text/html; charset=utf-8", page), 403},
	{"HTML with 413", plainly(413, "text/html", page), 413},
	{"HTML with 429", plainly(429, "text/html", page), 429},
	{"text", plainly(200, "text/plain", "hello"), 502},
	{"garbage", plainly(200, "application/json", `{"jsonrpc":"2.0",,,}`), 502},
	{"unfinished JSON", plainly(200, "application/json", `{"jsonrpc":"2.0","id":7,"result":{`), 502},
	{"two values", plainly(200, "application/json", jsonBody+jsonBody), 502},
	{"no object", plainly(200, "application/json", `"done"`), 502},
	{"empty 200", plainly(200, "application/json", ""), 502},
	{"blank 200", plainly(200, "application/json", " \n"), 502},
	{"empty 200 without a type", plainly(200, "", ""), 502},
	{"202 to a request", plainly(202, "", ""), 502},
	{"204 to a request", plainly(204, "", ""), 502},
	{"500", plainly(500, "text/plain", "stack trace"), 502},
	{"500 with HTML", plainly(500, "text/html", page), 502},
	{"500 with other JSON", plainly(500, "application/json", `{"error":"boom"}`), 502},
	{"empty 500", plainly(500, "", ""), 502},
	{"503", plainly(503, "text/plain", "busy"), 503},
	{"504", plainly(504, "text/html", page), 504},
	{"401", plainly(401, "application/json", `{"error":"invalid_token"}`), 502},
	{"407", plainly(407, "text/plain", "proxy"), 502},
	{"short body", rawly(jsonHead + "Content-Length: 100\r\n\r\n" + jsonBody), 502},
	{"broken chunk", rawly(jsonHead + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + jsonBody), 502},
	{"no last chunk", rawly(jsonHead + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(jsonBody), jsonBody)), 502},
	{"two lengths", rawly(jsonHead + fmt.Sprintf("Content-Length: %d\r\nContent-Length: 5\r\n\r\n%s", len(jsonBody), jsonBody)), 502},
	{"length and chunks", rawly(jsonHead + fmt.Sprintf("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(jsonBody), jsonBody)), 502},
	{"huge head", rawly(jsonHead + "X-Large: " + strings.Repeat("x", 1<<20) + "\r\n\r\n"), 502},
	{"endless head", func(w http.ResponseWriter, _ *http.Request) {
		conn := hijack(w, jsonHead)
		defer conn.Close()
		for {
			if _, err := io.WriteString(conn, "X-More: x\r\n"); err != nil {
				return
			}
		}
	}, 502},
	{"switching protocols", rawly("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), 502},
	{"compressed", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, jsonBody)
		_ = z.Close()
	}, 502},
	{"100 MB announced", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(100<<20))
		_, _ = io.CopyN(w, endless{}, 100<<20)
	}, 502},
}

// TestWrongAnswers has a backend fail in every way before its answer has begun.
//
// REQ F-3, REQ F-4: the client gets a JSON-RPC error for its id with the right status in time; the log one line; the next request is served.
func TestWrongAnswers(t *testing.T) {
	t.Parallel()
	docs := ""
	for i, tt := range wrongs {
		var healthy atomic.Bool
		backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
			if healthy.Swap(true) { // it fails once
				ok(w, r)
				return
			}
			tt.answer(w, r)
		})
		docs += remote(fmt.Sprintf("w%02d", i), backend.URL)
	}
	g := serve(t, docs+remote("down", "http://127.0.0.1:1"), "--call-timeout", "5s") // of those that hang, side by side
	base := g.Metric(t, "go_goroutines")
	t.Run("all", func(t *testing.T) {
		for i, tt := range wrongs {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				name := fmt.Sprintf("w%02d", i)
				message := call(at(g, name), "tool", "").do(t).wantError(t, tt.status, internalFailure, "7")
				if !strings.Contains(message, name) || strings.Contains(message, "127.0.0.1") {
					t.Errorf("message %q should name the server and not where it is", message)
				}
				wantLines(t, g, 1, "WARN", "request failed", "server="+name)
				call(at(g, name), "tool", "").do(t).wantResult(t, `{"ok":true}`)
				wantLines(t, g, 1, "WARN", "request failed", "server="+name)
			})
		}
		t.Run("down", func(t *testing.T) {
			t.Parallel()
			url := at(g, "down")
			legacyID := legacy(url, "tools/list", "")
			legacyID.body = strings.Replace(legacyID.body, `"id":7`, `"id":"a-1"`, 1)
			call(url, "tool", "").do(t).wantError(t, 502, internalFailure, "7")
			legacyID.do(t).wantError(t, 502, internalFailure, `"a-1"`)
			message(url, `{"jsonrpc":"2.0","method":"notifications/initialized"}`).do(t).wantError(t, 502, internalFailure, "null")
			listen(url).do(t).wantError(t, 502, internalFailure, "null")
			request{method: "DELETE", url: url}.do(t).wantError(t, 502, internalFailure, "null")
			wantLines(t, g, 5, "WARN", "request failed", "server=down")
			if g.Metric(t, "sallyport_backend_up", `server="down"`) != 0 || g.Metric(t, "sallyport_backend_failures_total", `server="down"`) != 5 {
				t.Error("the metrics do not say that the backend is down")
			}
		})
	})
	g.SettlesAt(t, base, 10)
	for _, line := range lines(g.Stderr.String(), "level=ERROR") {
		t.Errorf("the log has %s", line)
	}
}

// REQ F-4: a backend's own JSON-RPC errors pass as they are, status included.
func TestBackendErrorsPass(t *testing.T) {
	t.Parallel()
	const body = ` {"jsonrpc":"2.0","id":7,"error":{"code":-32099,"message":"no","data":{"x":[1.0]}},"vendor":1}`
	for _, status := range []int{200, 400, 403, 404, 409, 422, 429, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			backend := testkit.Record(t, plainly(status, "application/json", body))
			g := serve(t, remote("docs", backend.URL))
			for _, r := range []request{call(g.MCP(), "tool", ""), legacy(g.MCP(), "tools/list", "")} {
				if got := r.do(t); got.Status != status || got.Body != body {
					t.Errorf("got status %d, %s", got.Status, got.Body)
				}
			}
		})
	}
}

// REQ F-4: what HTTP/1.1 allows before and around an answer is understood, and does not reach the client.
func TestUnusualFraming(t *testing.T) {
	t.Parallel()
	length := fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(jsonBody), jsonBody)
	half := len(jsonBody) / 2
	for name, raw := range map[string]string{
		"early hints":     "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nSet-Cookie: early=1\r\n\r\n" + jsonHead + length,
		"go on, unasked":  "HTTP/1.1 100 Continue\r\n\r\n" + jsonHead + length,
		"until the end":   jsonHead + "Connection: close\r\n\r\n" + jsonBody,
		"HTTP/1.0":        strings.Replace(jsonHead, "1.1", "1.0", 1) + "\r\n" + jsonBody,
		"chunk extension": jsonHead + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x;x=\"y\"\r\n%s\r\n0\r\n\r\n", len(jsonBody), jsonBody),
		"trailers":        jsonHead + fmt.Sprintf("Trailer: Set-Cookie\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\nSet-Cookie: late=1\r\n\r\n", len(jsonBody), jsonBody),
		"small chunks":    jsonHead + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%X\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", half, jsonBody[:half], len(jsonBody)-half, jsonBody[half:]),
		"no reason":       strings.Replace(jsonHead, "200 OK", "200 ", 1) + length,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend := testkit.Record(t, rawly(raw))
			g := serve(t, remote("docs", backend.URL))
			got := call(g.MCP(), "tool", "").do(t)
			got.wantResult(t, "{}")
			if got.Header.Get("Set-Cookie")+got.Header.Get("Link")+got.Header.Get("Trailer") != "" {
				t.Errorf("header %v", got.Header)
			}
		})
	}
}

// REQ F-4: an answer that goes wrong after it has begun never looks whole.
func TestAnswerBreaksLate(t *testing.T) {
	t.Parallel()
	large := `{"jsonrpc":"2.0","id":7,"result":{"text":"` + strings.Repeat("x", 200<<10)
	for _, tt := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request)
		reason string
	}{
		{"short of its length", rawly(jsonHead + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 2*len(large), large)), "truncated"},
		{"no last chunk", rawly(jsonHead + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(large), large)), "truncated"},
		{"broken chunk", rawly(jsonHead + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\nzz\r\n", len(large), large)), "truncated"},
		{"100 MB in chunks", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":7,"result":"`+strings.Repeat("x", 64<<10)+`"`)
			_, _ = io.CopyN(w, endless{}, 100<<20)
			_, _ = io.WriteString(w, "}")
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			backend := testkit.Record(t, tt.answer)
			g := serve(t, remote("docs", backend.URL))
			resp := call(g.MCP(), "tool", "").open(t.Context(), t)
			n, err := io.Copy(io.Discard, resp.Body)
			if err == nil {
				t.Errorf("an answer of %d bytes that broke off looks whole", n)
			}
			if n > 80<<20 {
				t.Errorf("%d bytes of an answer passed", n)
			}
			wantLines(t, g, 1, "WARN", "request failed", "reason="+tt.reason)
			if rss := g.Metric(t, "go_memstats_sys_bytes"); rss > 300<<20 {
				t.Errorf("the process holds %v bytes", rss)
			}
		})
	}
}

// REQ F-4: an event of 100 MB ends the stream with an error for the request, broken, and is not held in memory.
func TestHugeEvent(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if bodyOf(r).Params.Name == "fine" {
			ok(w, r)
			return
		}
		send := events(w)
		send("data: ")
		_, _ = io.CopyN(w, endless{}, 100<<20)
		send("\n\n")
	})
	g := serve(t, remote("docs", backend.URL))
	resp := call(g.MCP(), "tool", "").open(t.Context(), t)
	tail := &lastBytes{keep: 1000}
	n, err := io.Copy(tail, resp.Body)
	if err == nil || n > 20<<20 {
		t.Errorf("%d bytes came, and the stream ended with %v", n, err)
	}
	if !strings.Contains(tail.String(), `"id":7,"error":{"code":-32603`) {
		t.Errorf("the client was not told; the stream ended with %q", tail)
	}
	wantLines(t, g, 1, "WARN", "request failed", "reason=too_large")
	if rss := g.Metric(t, "go_memstats_sys_bytes"); rss > 300<<20 {
		t.Errorf("the process holds %v bytes", rss)
	}
	call(g.MCP(), "fine", "").do(t).wantResult(t, `{"ok":true}`)
}

type lastBytes struct {
	keep int
	b    []byte
}

func (l *lastBytes) Write(p []byte) (int, error) {
	l.b = append(l.b, p...)
	l.b = l.b[max(0, len(l.b)-l.keep):]
	return len(p), nil
}

func (l *lastBytes) String() string { return string(l.b) }

// REQ F-4: what a backend may have begun is not sent again, even on a connection that was used before.
func TestCallsAreNotRepeated(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if bodyOf(r).Params.Name == "crash" {
			calls.Add(1)
			panic(http.ErrAbortHandler)
		}
		ok(w, r)
	})
	g := serve(t, remote("docs", backend.URL))
	for i := range 5 {
		call(g.MCP(), "tool", "").do(t).wantResult(t, `{"ok":true}`) // leaves a connection to be used again
		call(g.MCP(), "crash", "").do(t).wantError(t, 502, internalFailure, "7")
		if n := calls.Load(); n != int32(i+1) {
			t.Fatalf("%d calls reached the backend, want %d", n, i+1)
		}
	}
}

// REQ F-4: a backend that closes its idle connections without a word costs no request.
func TestIdleConnectionsClose(t *testing.T) {
	t.Parallel()
	answered := make(chan net.Conn, 1)
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		body := rpcResult(r, `{"ok":true}`)
		answered <- hijack(w, jsonHead+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body))
	})
	g := serve(t, remote("docs", backend.URL))
	for range 50 {
		call(g.MCP(), "tool", "").do(t).wantResult(t, `{"ok":true}`)
		testkit.CloseSeen(t, receive(t, answered, "the backend answers")) // the connection is idle only now
	}
	if n := len(backend.Requests()); n != 50 {
		t.Errorf("%d requests reached the backend, want 50", n)
	}
}

// REQ A-5 (address guard): private and metadata addresses are not dialled unless the manifest says so, metadata never.
func TestAddressGuard(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	dialled := make(chan struct{}, 10)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			dialled <- struct{}{}
			conn.Close()
		}
	}()
	private := func(name, url string) string {
		return object("MCPRemoteProxy", name, "remoteUrl: "+url)
	}
	g := serve(t, private("loopback", fmt.Sprintf("https://127.0.0.1:%d/mcp", port))+
		private("name", fmt.Sprintf("https://localhost:%d/mcp", port))+
		private("mapped", fmt.Sprintf("https://[::ffff:127.0.0.1]:%d/mcp", port))+
		remote("metadata", "http://169.254.169.254/latest/meta-data")+
		remote("metadata6", "http://[fd00:ec2::254]/latest")+
		remote("metadata-mapped", "http://[::ffff:169.254.169.254]/latest"))
	for _, name := range []string{"loopback", "name", "mapped", "metadata", "metadata6", "metadata-mapped"} {
		message := call(at(g, name), "tool", "").do(t).wantError(t, 502, internalFailure, "7")
		// The setting is named where it helps.
		if strings.Contains(message, "allowPrivateEndpoint") == strings.HasPrefix(name, "metadata") {
			t.Errorf("%s: message %q", name, message)
		}
	}
	if len(dialled) != 0 {
		t.Error("a refused address was dialled")
	}
}

// A proxy in the environment makes the connections, as a tunnel: it sees no message, and NO_PROXY and loopback go past
// it. What the guard refuses it never hears of.
func TestProxyFromEnvironment(t *testing.T) {
	t.Parallel()
	proxy := testkit.Record(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	direct := testkit.Record(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	backend := testkit.Record(t, ok)
	env := []string{"HTTP_PROXY=" + proxy.URL, "https_proxy=" + proxy.URL, "NO_PROXY=past.invalid"}
	g := testkit.StartWith(t, testkit.Options{Env: env}, "serve", "-f", manifests(t, remote("docs", strings.Replace(backend.URL, "127.0.0.1", "localhost", 1))+
		remote("tls", "https://name.invalid/mcp")+remote("past", "https://past.invalid/mcp")+remote("metadata", "https://169.254.169.254/mcp")+
		remote("own", "https://own.invalid/mcp", "proxyUrl: "+direct.URL)+remote("none", "https://none.invalid/mcp", "proxyUrl: direct")))
	call(at(g, "docs"), "tool", "").do(t).wantResult(t, `{"ok":true}`)
	for _, name := range []string{"tls", "past", "metadata", "own", "none"} {
		if got := call(at(g, name), "tool", "").do(t); got.Status < 500 {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	for name, tt := range map[string]struct {
		at   *testkit.Recorder
		want string
	}{"the proxy of the environment": {proxy, "CONNECT name.invalid:443"}, "the remote's own": {direct, "CONNECT own.invalid:443"}} {
		for _, r := range tt.at.Requests() {
			if got := r.Method + " " + r.Host; got != tt.want || len(r.Body) > 0 {
				t.Errorf("%s got %s, %q", name, got, r.Body)
			}
		}
		if len(tt.at.Requests()) == 0 {
			t.Errorf("%s got nothing", name)
		}
	}
}
