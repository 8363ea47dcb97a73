package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// A call on which nothing comes for long gets an event stream of the gateway's, which no hop on the way takes for dead;
// whatever comes of the call is the stream's last event.
//
// FINDING F9; REQ G-9
func TestSilentCall(t *testing.T) {
	t.Parallel()
	const answer, failed = `{"jsonrpc":"2.0","id":7,"result":{"ok":true}}`, `{"jsonrpc":"2.0","id":7,"error":{"code":-32010,"message":"no"}}`
	release := make(chan struct{})
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		await(r, release)
		kind, text := "application/json", answer
		switch how := r.Header.Get("Mcp-Param-How"); how {
		case "lines":
			text = "{\"jsonrpc\":\"2.0\",\r\n\"id\":7,\n\"result\":{\"ok\":true}}\n"
		case "large":
			text = strings.Replace(answer, "true", `"`+strings.Repeat("x", 200_000)+`"`, 1)
		case "error":
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(http.StatusBadRequest)
			text = failed
		case "words":
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(http.StatusForbidden)
			text = "no"
		case "hangs up":
			panic(http.ErrAbortHandler)
		case "stream":
			kind, text = "text/event-stream", "\ufeffdata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n\ndata: "+answer+"\n\n"
		}
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, text)
	})
	g := serve(t, remote("docs", backend.URL, audited)+remote("short", backend.URL, "callTimeout: 3s"), "--heartbeat", "200ms")
	for how, want := range map[string]string{
		"json":     answer,
		"lines":    `{"jsonrpc":"2.0",  "id":7, "result":{"ok":true}} `,
		"large":    strings.Replace(answer, "true", `"`+strings.Repeat("x", 200_000)+`"`, 1),
		"error":    failed,
		"words":    `{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"docs: `,
		"hangs up": `{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"docs: `,
		"stream":   answer,
		"in time":  `{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"short: the backend did not answer in time`,
	} {
		t.Run(how, func(t *testing.T) {
			r := modern(at(g, "docs"), "tools/call", "a", "").with("Mcp-Param-How", how)
			if how == "in time" {
				r = modern(at(g, "short"), "tools/call", "a", "")
			}
			resp := r.open(t.Context(), t)
			defer resp.Body.Close()
			in := readEvents(resp.Body)
			if line, err := in.r.ReadString('\n'); resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" || line != ": keep-alive\n" {
				t.Fatalf("%d %v, %q, %v", resp.StatusCode, resp.Header, line, err)
			}
			if how != "in time" {
				give(t, release)
			}
			if how == "stream" {
				in.want(t, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"}\n")
			}
			got, err := in.next()
			if got = strings.TrimPrefix(strings.TrimPrefix(got, "event: message\n"), "data: "); err != nil || !strings.HasPrefix(got, want) {
				t.Errorf("%.300q, %v; want %.300q", got, err, want)
			}
			in.wantEnd(t, true)
		})
	}
	// Who takes no stream, and who begins a session, waits for the head.
	for name, r := range map[string]request{
		"takes none": call(at(g, "short"), "a", "").without("Accept").with("Accept", "application/json"), "begins": initialization(at(g, "short")),
	} {
		if got := r.do(t); got.Status != http.StatusGatewayTimeout || got.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v", name, got.Status, got.Header)
		}
	}
}
