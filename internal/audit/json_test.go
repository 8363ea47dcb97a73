package audit

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t
}

// REQ B-22
func TestLine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		ev   Event
		want string
	}{
		{
			"tool call",
			Event{
				Time: at("2026-09-01T12:00:00.0425+02:00"), ID: "a1", Server: "docs", HTTPMethod: "POST", Method: "tools/call",
				Target: "search", Subject: "alice", Source: "token", Revision: "2026-07-28", Outcome: Success, Status: 200,
				Duration: 12345678 * time.Nanosecond, Client: "::1",
			},
			`{"schema":"sallyport.audit/v1","time":"2026-09-01T10:00:00.042Z","id":"a1","server":"docs","method":"tools/call",` +
				`"tool":"search","target":"search","subject":"alice","source":"token","outcome":"success","status":200,` +
				`"duration_ms":12.345,"client":"::1","protocol_version":"2026-07-28"}`,
		},
		{
			"denied resource",
			Event{
				Time: at("2026-09-01T10:00:00Z"), ID: "a2", Server: "docs", HTTPMethod: "POST", Method: "resources/read",
				Target: "file:///x", Subject: "anonymous", Source: "anonymous", Outcome: Denied, Status: 403, Reason: "no policy permits it",
				Duration: -time.Second,
			},
			`{"schema":"sallyport.audit/v1","time":"2026-09-01T10:00:00.000Z","id":"a2","server":"docs","method":"resources/read",` +
				`"target":"file:///x","subject":"anonymous","source":"anonymous","outcome":"denied","status":403,` +
				`"reason":"no policy permits it","duration_ms":0.000}`,
		},
		{
			"member of a virtual server",
			Event{
				Time: at("2026-09-01T10:00:00Z"), ID: "a4", Server: "team", Member: "docs", HTTPMethod: "POST", Method: "prompts/get",
				Target: "p", Subject: "alice", Source: "jwt", Outcome: Success, Status: 200,
			},
			`{"schema":"sallyport.audit/v1","time":"2026-09-01T10:00:00.000Z","id":"a4","server":"team","member":"docs","method":"prompts/get",` +
				`"target":"p","subject":"alice","source":"jwt","outcome":"success","status":200,"duration_ms":0.000}`,
		},
		{
			"stream",
			Event{Time: at("2026-09-01T10:00:00Z"), ID: "a3", HTTPMethod: "GET", Outcome: Error, Status: 502, Duration: 90 * time.Second},
			`{"schema":"sallyport.audit/v1","time":"2026-09-01T10:00:00.000Z","id":"a3","server":"","method":"GET",` +
				`"subject":"","source":"","outcome":"error","status":502,"duration_ms":90000.000}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want+"\n", string(appendLine(nil, &tc.ev))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain":                         "plain",
		`"\`:                            `\"\\`,
		"a\nb\r\t\x00\x1b[2J":           `a\u000ab\u000d\u0009\u0000\u001b[2J`,
		"del\x7f":                       `del\u007f`,
		"csi\u009b1m":                   `csi\u009b1m`,
		"ls\u2028ps\u2029":              `ls\u2028ps\u2029`,
		"umlaut ü, nbsp\u00a0, emoji 🚪": "umlaut ü, nbsp\u00a0, emoji 🚪",
		"bad\xffutf\xc3":                `bad\ufffdutf\ufffd`,
		"\ufffd":                        "\ufffd",
	} {
		if got := string(appendEscaped(nil, in)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestLongTextIsCut(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, want string }{
		{strings.Repeat("a", maxText), strings.Repeat("a", maxText)},
		{strings.Repeat("a", maxText+1), strings.Repeat("a", maxText) + "…"},
		{strings.Repeat("a", maxText-1) + "üü", strings.Repeat("a", maxText-1) + "…"},
		{strings.Repeat("🚪", maxText), strings.Repeat("🚪", maxText/4) + "…"},
	} {
		var got struct{ Target string }
		if err := json.Unmarshal(appendLine(nil, &Event{Target: tc.in}), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, got.Target); diff != "" {
			t.Error(diff)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("search", "alice", "no\nway", int64(12345), 200)
	f.Add("\xff\xfe", "\x00\x1f\u2028\u009b\u007f", strings.Repeat("🚪x", 500), int64(-1), -7)
	f.Fuzz(func(t *testing.T, target, subject, reason string, us int64, status int) {
		line := appendLine(nil, &Event{
			Time: at("2026-09-01T10:00:00Z"), Method: "tools/call", Target: target, Subject: subject, Reason: reason,
			Status: status, Duration: time.Duration(us%1e12) * time.Microsecond,
		})
		if n := strings.Count(string(line), "\n"); n != 1 || line[len(line)-1] != '\n' {
			t.Fatalf("%d line ends in %q", n, line)
		}
		for _, r := range string(line[:len(line)-1]) {
			if r < ' ' || (r >= 0x7f && r < 0xa0) || r == 0x2028 || r == 0x2029 {
				t.Fatalf("%U stands bare in %q", r, line)
			}
		}
		var got struct {
			Tool, Target, Subject, Reason string
			Status                        int
			Duration                      float64 `json:"duration_ms"`
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		for _, pair := range [][2]string{{target, got.Target}, {target, got.Tool}, {subject, got.Subject}, {reason, got.Reason}} {
			if want := reference(t, pair[0]); pair[1] != want {
				t.Errorf("read back %q, want %q", pair[1], want)
			}
		}
		if got.Status != status {
			t.Errorf("status %d, want %d", got.Status, status)
		}
		if want := float64(max(0, us%1e12)) / 1000; got.Duration != want {
			t.Errorf("duration %v, want %v", got.Duration, want)
		}
	})
}

// reference is what encoding/json makes of s, cut as a line cuts it.
func reference(t *testing.T, s string) string {
	t.Helper()
	tail := ""
	if len(s) > maxText {
		s, tail = cut(s), "…"
		if len(s) > maxText || len(s) < maxText-utf8.UTFMax {
			t.Errorf("cut to %d bytes", len(s))
		}
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var out string
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out + tail
}
