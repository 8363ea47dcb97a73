package mcp_test

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

func TestCheckAnswer(t *testing.T) {
	t.Parallel()
	good := []string{
		`{}`, `[]`, ` {"jsonrpc":"2.0","id":1,"result":{"x":[1,"a\"b",null,true,-1.5e3]}} ` + "\n",
		`[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":2,"result":{}}]`,
		`{"a":1,"a":2}`, "{\"a\":\"\xff\"}", `{"a":"\ud800"}`, // REQ F-4: not nice, but the backend's own
	}
	for _, s := range good {
		if err := mcp.CheckAnswer([]byte(s), true); err != nil {
			t.Errorf("CheckAnswer(%s) = %v", s, err)
		}
		for i := range len(s) { // every beginning of it is the beginning of an answer
			if err := mcp.CheckAnswer([]byte(s[:i]), false); err != nil {
				t.Errorf("CheckAnswer(%s…) = %v", s[:i], err)
			}
			if err := mcp.CheckAnswer([]byte(s[:i]), true); err == nil && strings.TrimSpace(s[i:]) != "" {
				t.Errorf("CheckAnswer(%s) accepts half an answer", s[:i])
			}
		}
	}
	for _, s := range []string{
		`<html>`, `null`, `"text"`, `1`, `true`, `hello`, `{} {}`, `{}x`, `{"a"}`, `{"a":1,}`, `[1 2]`, `{'a':1}`,
		"\ufeff{}", "\x1f\x8b\x08", `}`, `{]`,
	} {
		for _, complete := range []bool{true, false} {
			err := mcp.CheckAnswer([]byte(s), complete)
			if err == nil {
				t.Errorf("CheckAnswer(%s, %v) accepts it", s, complete)
			} else if strings.Contains(err.Error(), "hello") || strings.Contains(err.Error(), "html") {
				t.Errorf("the error repeats the text: %v", err)
			}
		}
	}
	for _, s := range []string{"", " \n"} {
		if err := mcp.CheckAnswer([]byte(s), true); err == nil {
			t.Errorf("CheckAnswer(%q) accepts nothing as an answer", s)
		}
	}
}

func TestPeekResponse(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]bool{
		`{"jsonrpc":"2.0","id":1,"result":{}}`:                                     true,
		`{"jsonrpc":"2.0","id":1,"error":{"code":1}}`:                              true,
		`{"result":{"x":"` + strings.Repeat("y", 100):                              true,
		` { "id" : {"a":[1]} , "result" : `:                                        true,
		`{"jsonrpc":"2.0","id":1,"method":"x","result":{}}`:                        false,
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"result":1}}`: false,
		`{"jsonrpc":"2.0","params":{"result":1,"error":2},"method":"x"}`:           false,
		`{"jsonrpc":"2.0","x":"\"result\"","id":1}`:                                false,
		`{"jsonrpc":"2.0","params":{"result":"` + strings.Repeat("y", 10):          false,
		``: false, `"result"`: false, `["result"]`: false, `{"result"`: true, `{"a"b"result":1}`: false,
	} {
		if got := mcp.PeekResponse([]byte(s)); got != want {
			t.Errorf("PeekResponse(%s) = %v", s, got)
		}
	}
}

// A batch of 2025-03-26 holds an answer if one of its messages is one.
func TestPeekResponseBatch(t *testing.T) { // FINDING F14
	t.Parallel()
	const note, answer, ask = `{"jsonrpc":"2.0","method":"notifications/x","params":{"result":1}}`, `{"jsonrpc":"2.0","id":1,"result":{}}`, `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"error":0}}`
	for batch, want := range map[string]bool{
		`[` + answer + `]`:                    true,
		` [ ` + note + ` , ` + answer + ` ] `: true,
		`[` + note + `,` + ask + `]`:          false,
		`["result"]`:                          false,
		`[` + note + `,` + ask[:30]:           true, // cut: it may be further on
	} {
		if got := mcp.PeekResponse([]byte(batch)); got != want {
			t.Errorf("PeekResponse(%s) = %v", batch, got)
		}
	}
	var tracker mcp.Tracker
	_, _ = tracker.Write([]byte("data: [" + strings.Repeat(`{"jsonrpc":"2.0","method":"notifications/x"},`, 20) + answer + "]\n\n"))
	if !tracker.Answered() {
		t.Error("a stream whose answer is far on in a batch counts as unanswered")
	}
}
