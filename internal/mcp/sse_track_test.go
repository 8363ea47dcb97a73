package mcp_test

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

func TestTracker(t *testing.T) {
	t.Parallel()
	const (
		answer   = `{"jsonrpc":"2.0","id":1,"result":{}}`
		progress = `{"jsonrpc":"2.0","method":"notifications/progress","params":{}}`
	)
	long := strings.Repeat("x", 2000)
	tests := map[string]struct {
		in                         string
		boundary, seenID, answered bool
		size                       int
	}{
		"nothing":            {"", true, false, false, 0},
		"half an answer":     {"data: " + answer, false, false, false, 5 + len(answer)},
		"answer, line ended": {"data: " + answer + "\n", false, false, false, 6 + len(answer)},
		"answer":             {"data: " + answer + "\n\n", true, false, true, 0},
		"answer, CRLF":       {"data: " + answer + "\r\n\r\n", true, false, true, 0},
		"answer, CR":         {"data: " + answer + "\r\r", true, false, true, 0},
		"answer of lines":    {"data: {\"id\":1,\ndata: \"result\":\ndata: {}}\n\n", true, false, true, 0},
		"message":            {"event: message\ndata: " + answer + "\n\n", true, false, true, 0},
		"another event":      {"event: messages\ndata: " + answer + "\n\n", true, false, false, 0},
		"renamed event":      {"event: ping\nevent: message\ndata: " + answer + "\n\n", true, false, true, 0},
		"broken off":         {"data: " + answer + "\n\nevent: incomplete\n\n", true, false, true, 0},
		"progress":           {"data: " + progress + "\n\n", true, false, false, 0},
		"progress, answer":   {"data: " + progress + "\n\ndata: " + answer + "\n\n", true, false, true, 0},
		"answer, progress":   {"data: " + answer + "\n\ndata: " + progress + "\n\ndata: x", false, false, true, 6},
		"long answer":        {`data: {"jsonrpc":"2.0","id":1,"result":"` + long + "\"}\n\n", true, false, true, 0},
		"error":              {`data: {"jsonrpc":"2.0","id":1,"error":{}}` + "\n\n", true, false, true, 0},
		"id":                 {"id: 1\ndata: x\n\n", true, true, false, 0},
		"id without data":    {"id: 1\n\n", true, true, false, 0},
		"id in progress":     {"id: 1\ndata: x\n", false, false, false, 3 + 1 + 1 + 5 + 1 + 1},
		"empty id":           {"id: 1\n\nid:\n\n", true, false, false, 0},
		"id with NUL":        {"id: 1\x002\n\n", true, false, false, 0},
		"good id, then NUL":  {"id: 1\nid: 2\x00\n\n", true, true, false, 0},
		"comment":            {": x\n", true, false, false, 0},
		"half a comment":     {"data: x\n\n: " + long, false, false, false, 0},
		"comment inside":     {"data: x\n: " + long + "\n", false, false, false, 7},
		"unknown field":      {"x: y\n", true, false, false, 0},
		"retry":              {"retry: 10\n", false, false, false, 9},
		"byte order mark":    {"\ufeffdata: " + answer + "\n\n", true, false, true, 0},
	}
	for name, tt := range tests {
		for _, step := range []int{1, 2, 3, 7, 1 << 20} {
			var tr mcp.Tracker
			for p := []byte(tt.in); len(p) > 0; {
				n := min(step, len(p))
				if w, err := tr.Write(p[:n]); w != n || err != nil {
					t.Fatalf("%s: Write = %d, %v", name, w, err)
				}
				p = p[n:]
			}
			if tr.AtBoundary() != tt.boundary || tr.SeenID() != tt.seenID || tr.Answered() != tt.answered || tr.EventBytes() != tt.size {
				t.Errorf("%s by %d: boundary %v, id %v, answered %v, %d bytes", name, step, tr.AtBoundary(), tr.SeenID(), tr.Answered(), tr.EventBytes())
			}
		}
	}
}

func TestTrackerSeesRetry(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]bool{
		"retry: 10\n\n":           true,
		"retry:10\r\rdata: x\r\r": true,
		"data: retry: 10\n\n":     false,
		": retry: 10\n\n":         false,
		"":                        false,
	} {
		var tr mcp.Tracker
		_, _ = tr.Write([]byte(in))
		if tr.SeenRetry() != want {
			t.Errorf("after %q: retry seen: %v", in, tr.SeenRetry())
		}
	}
}
