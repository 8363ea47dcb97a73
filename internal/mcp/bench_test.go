package mcp_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// legacyCall and modernCall are tools/call as SDKs send them.
const (
	legacyCall = `{"jsonrpc":"2.0","id":42,"method":"tools/call","params":{"name":"search_documents","arguments":{"query":"quarterly report of the northern region","limit":25,"offset":0,"filters":{"author":"somebody","tags":["a","b","c"],"archived":false},"score":0.75},"_meta":{"progressToken":"6f0c3a1e-42"}}}`
	modernCall = `{"jsonrpc":"2.0","id":42,"method":"tools/call","params":{"name":"search","arguments":{"query":"quarterly report","limit":25},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"example","version":"1.0"},"io.modelcontextprotocol/clientCapabilities":{}}}}`
)

func BenchmarkParse(b *testing.B) {
	for name, body := range map[string]string{
		"legacy": legacyCall,
		"modern": modernCall,
		"ping":   `{"jsonrpc":"2.0","id":1,"method":"ping"}`,
		"1MB":    call(`{"name":"a","arguments":{"text":"` + strings.Repeat("some text, ", 100_000) + `"}}`),
	} {
		b.Run(name, func(b *testing.B) {
			raw := []byte(body)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := mcp.Parse(raw, mcp.DefaultLimits()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckHeaders(b *testing.B) {
	e, err := mcp.Parse([]byte(modernCall), mcp.DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	h := http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"search"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := mcp.Era(h, &e); err != nil {
			b.Fatal(err)
		}
		if err := mcp.CheckHeaders(h, &e); err != nil {
			b.Fatal(err)
		}
	}
}

func streams() map[string][]byte {
	return map[string][]byte{
		"small": bytes.Repeat([]byte("event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progress\":1}}\n\n"), 300),
		"big":   []byte("event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"text\":\"" + strings.Repeat("text ", 200_000) + "\"}}\n\n"),
		"cr":    bytes.Repeat([]byte("data: x\r"), 4000),
	}
}

func BenchmarkTracker(b *testing.B) {
	for name, s := range streams() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(s)))
			b.ReportAllocs()
			for b.Loop() {
				var tr mcp.Tracker
				for p := s; len(p) > 0; {
					n := min(len(p), 32<<10)
					_, _ = tr.Write(p[:n])
					p = p[n:]
				}
			}
		})
	}
}

func BenchmarkEventReader(b *testing.B) {
	for name, s := range streams() {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(s)))
			b.ReportAllocs()
			for b.Loop() {
				r := mcp.NewEventReader(bytes.NewReader(s), 16<<20)
				for {
					if _, err := r.Next(); err != nil {
						if err != io.EOF && err != io.ErrUnexpectedEOF {
							b.Fatal(err)
						}
						break
					}
				}
			}
		})
	}
}

func BenchmarkCheckAnswer(b *testing.B) {
	body := []byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"` + strings.Repeat("some text ", 20) + `"}],"isError":false}}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := mcp.CheckAnswer(body, true); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChangeIDs(b *testing.B) {
	for name, event := range map[string]string{
		"small": "event: message\nid: 1\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n",
		"big":   "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"text\":\"" + strings.Repeat("x", 100<<10) + "\"}}\n\n",
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(event)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := io.Copy(io.Discard, mcp.ChangeIDs(strings.NewReader(event), strings.ToUpper)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
