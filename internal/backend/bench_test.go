//go:build unix

package backend

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/netguard"
)

// benchServer answers each POST with the same bytes, at next to no cost.
func benchServer(b testing.TB, answer string) *target {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	text := []byte(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Fri, 21 Nov 2025 10:00:00 GMT\r\nContent-Length: %d\r\n\r\n%s", len(answer), answer))
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				br := bufio.NewReader(conn)
				for {
					for { // requests have no body that looks like an empty line
						line, err := br.ReadSlice('\n')
						if err != nil {
							return
						}
						if len(line) == 2 {
							break
						}
					}
					if _, err := br.Discard(len(benchBody)); err != nil {
						return
					}
					if _, err := conn.Write(text); err != nil {
						return
					}
				}
			}()
		}
	}()
	u, err := url.Parse("http://" + l.Addr().String() + "/mcp")
	if err != nil {
		b.Fatal(err)
	}
	t, err := newTarget(u)
	if err != nil {
		b.Fatal(err)
	}
	return t
}

const benchBody = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"0123456789012345678901234567890123456789"}}}`

func benchRequest() *Request {
	return &Request{
		Method: http.MethodPost,
		Header: http.Header{
			"Accept": {"application/json, text/event-stream"}, "Content-Type": {"application/json"},
			"Mcp-Protocol-Version": {"2025-11-25"},
		},
		Private: http.Header{"Authorization": {"Bearer 0123456789"}},
		Session: Session{ID: "0123456789abcdef0123456789abcdef", Origin: ""},
		Body:    []byte(benchBody),
		Message: &mcp.Envelope{Kind: mcp.KindRequest, Method: "tools/call"},
	}
}

// cpu reports the processor time per operation, the bench server's share included:
// on a machine that does other things too, the time by the clock says little.
func cpu(b *testing.B) (report func()) {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkSend compares what h1 and net/http's transport cost per exchange.
func BenchmarkSend(b *testing.B) {
	small := `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"` + strings.Repeat("x", 120) + `"}]}}`
	large := `{"jsonrpc":"2.0","id":1,"result":"` + strings.Repeat("x", 256<<10) + `"}`
	limits := Limits{}.WithDefaults()
	for _, size := range []struct{ name, answer string }{{"200B", small}, {"256KiB", large}} {
		for _, kind := range []string{"h1", "transport"} {
			b.Run(size.name+"/"+kind, func(b *testing.B) {
				to := benchServer(b, size.answer)
				d := newDialer(netguard.Policy{AllowPrivate: true}.Dialer(time.Second))
				b.Cleanup(d.close)
				by := &HTTP{plain: newPlain(d, limits), log: slog.New(slog.DiscardHandler)}
				send := func(h *hop) (*http.Response, error) { return by.send(b.Context(), h) }
				if kind == "transport" {
					secure := newSecure(d, nil, limits) // which takes http too
					send = func(h *hop) (*http.Response, error) { return secure.RoundTrip(h.request(b.Context())) }
				}
				req := benchRequest()
				b.ReportAllocs()
				buf := make([]byte, 32<<10)
				defer cpu(b)()
				for b.Loop() {
					h := &hop{method: req.Method, to: to, agent: "sallyport", public: req.Header, private: req.Private, body: req.Body}
					resp, err := send(h)
					if err != nil {
						b.Fatal(err)
					}
					if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, buf); err != nil {
						b.Fatal(err)
					}
					_ = resp.Body.Close()
				}
			})
		}
	}
}

// TestDoAllocations keeps the budget of a small call; what the clock says of it is
// the benchmarks' business.
func TestDoAllocations(t *testing.T) {
	const budget = 14
	to := benchServer(t, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	u, err := url.Parse(to.origin + to.uri)
	if err != nil {
		t.Fatal(err)
	}
	back, err := NewHTTP(HTTPConfig{Name: "bench", URL: u, AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	req := benchRequest()
	got := testing.AllocsPerRun(200, func() {
		resp, err := back.Do(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	})
	if got > budget {
		t.Errorf("a small call makes %.0f allocations, the budget is %d", got, budget)
	}
}

// BenchmarkDo is a whole exchange: headers, checks and all.
func BenchmarkDo(b *testing.B) {
	for _, size := range []int{120, 256 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			to := benchServer(b, `{"jsonrpc":"2.0","id":1,"result":"`+strings.Repeat("x", size)+`"}`)
			u, _ := url.Parse(to.origin + to.uri)
			back, err := NewHTTP(HTTPConfig{Name: "bench", URL: u, AllowPrivate: true})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = back.Close() })
			req := benchRequest()
			req.Session.Origin = to.origin
			buf := make([]byte, 32<<10)
			b.ReportAllocs()
			defer cpu(b)()
			for b.Loop() {
				resp, err := back.Do(b.Context(), req)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, buf); err != nil {
					b.Fatal(err)
				}
				_ = resp.Body.Close()
			}
		})
	}
}
