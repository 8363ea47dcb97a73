//go:build !race

// With the race detector a sync.Pool forgets. hack/lint.sh runs what is here without it.

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
)

// wire is one end of a connection of HTTP, which allocates nothing.
type wire struct {
	net.Conn
	buf [16 << 10]byte
}

// message reads one message: its head, and what its Content-Length says or its last chunk.
func (w *wire) message() ([]byte, error) {
	for n := 0; ; {
		k, err := w.Read(w.buf[n:])
		if err != nil {
			return nil, err
		}
		n += k
		head, body, ok := bytes.Cut(w.buf[:n], []byte("\r\n\r\n"))
		if !ok {
			continue
		}
		_, digits, ok := bytes.Cut(head, []byte("Content-Length: "))
		length := 0
		for len(digits) > 0 && digits[0] >= '0' && digits[0] <= '9' {
			length, digits = 10*length+int(digits[0]-'0'), digits[1:]
		}
		if ok && len(body) == length || !ok && bytes.HasSuffix(body, []byte("0\r\n\r\n")) {
			return w.buf[:n], nil
		}
	}
}

func post(header, body string) []byte {
	return fmt.Appendf(nil, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n%sContent-Length: %d\r\n\r\n%s", header, len(body), body)
}

func answer(header, body string) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\n%sDate: Fri, 21 Nov 2025 10:00:00 GMT\r\nContent-Length: %d\r\n\r\n%s", header, len(body), body)
}

// server answers initialize, and everything else with the same bytes. It is at a URL.
func server(tb testing.TB, same []byte) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = ln.Close() })
	begins := answer("Content-Type: application/json\r\nMcp-Session-Id: 0123456789abcdef\r\n",
		`{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}`)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := &wire{Conn: conn}
				for {
					m, err := in.message()
					if err != nil {
						return
					}
					say := same
					if bytes.Contains(m, []byte(`"initialize"`)) {
						say = begins
					}
					if _, err := conn.Write(say); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String() + "/mcp"
}

// serving is a gateway before a server, and a client's connection to it.
func serving(tb testing.TB, url string) *wire {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "main.yaml")
	text := "apiVersion: sallyport.dev/v1alpha1\nkind: MCPRemoteProxy\nmetadata: {name: a}\nspec: {remoteUrl: \"" + url + "\", allowPrivateEndpoint: true}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	opts := gateway.DefaultOptions()
	opts.HealthEvery, opts.Metrics = 0, telemetry.NewMetrics("test")
	ctx, end := context.WithCancel(context.Background())
	at, ended := make(chan net.Addr, 1), make(chan error, 1)
	go func() {
		ended <- gateway.Run(ctx, opts, gateway.Process{
			Listen:  "127.0.0.1:0",
			Serving: func(clients, _ net.Addr) { at <- clients },
			Load: func() (*manifest.Set, error) {
				set, err := manifest.Load([]string{path})
				if err != nil {
					return set, err
				}
				return set, set.Decode().Err()
			},
		})
	}()
	tb.Cleanup(func() {
		end()
		<-ended
	})
	var address net.Addr
	select {
	case address = <-at:
	case err := <-ended:
		tb.Fatal(err)
	}
	conn, err := net.Dial("tcp", address.String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return &wire{Conn: conn}
}

const (
	params = `"params":{"name":"echo","arguments":{"text":"0123456789012345678901234567890123456789"}`
	meta   = `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"b","version":"1"}}`
)

// calls are those that the budgets of bench/README.md are for. The budgets are what they
// allocated when this was written, and a few more.
func calls() []struct {
	name   string
	modern bool
	same   []byte
	budget float64
} {
	result := `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"` + strings.Repeat("x", 120) + `"}]}}`
	json := answer("Content-Type: application/json\r\n", result)
	event := "event: message\ndata: " + result + "\n\n"
	return []struct {
		name   string
		modern bool
		same   []byte
		budget float64
	}{
		{"small", false, json, 70},
		{"modern", true, json, 60},
		{"sse", false, fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(event), event), 76},
	}
}

// caller makes the same call again and again.
func caller(tb testing.TB, modern bool, same []byte) (call func() error) {
	tb.Helper()
	client := serving(tb, server(tb, same))
	send := func(request []byte) ([]byte, error) {
		if _, err := client.Write(request); err != nil {
			return nil, err
		}
		return client.message()
	}
	request := post("Mcp-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n", `{"jsonrpc":"2.0","id":1,"method":"tools/call",`+params+meta+`}}`)
	if !modern {
		m, err := send(post("", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"b","version":"1"}}}`))
		if err != nil {
			tb.Fatal(err)
		}
		_, rest, ok := strings.Cut(string(m), "Mcp-Session-Id: ")
		if !ok {
			tb.Fatalf("no session: %s", m)
		}
		id, _, _ := strings.Cut(rest, "\r\n")
		request = post("Mcp-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: "+id+"\r\n", `{"jsonrpc":"2.0","id":1,"method":"tools/call",`+params+`}}`)
	}
	return func() error {
		m, err := send(request)
		if err == nil && !bytes.Contains(m, []byte("xxxxxxxx")) {
			err = fmt.Errorf("answer: %s", m)
		}
		return err
	}
}

// A call through the whole gateway, both of its sockets included, keeps its budget. What
// the clock says of it is bench's business.
func TestCallAllocations(t *testing.T) {
	// Not parallel: AllocsPerRun counts the whole process.
	for _, tt := range calls() {
		call := caller(t, tt.modern, tt.same)
		if got := testing.AllocsPerRun(500, func() {
			if err := call(); err != nil {
				t.Error(err)
			}
		}); got > tt.budget {
			t.Errorf("%s: a call makes %.0f allocations, the budget is %.0f", tt.name, got, tt.budget)
		}
	}
}

func BenchmarkCall(b *testing.B) {
	for _, tt := range calls() {
		b.Run(tt.name, func(b *testing.B) {
			call := caller(b, tt.modern, tt.same)
			b.ReportAllocs()
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
