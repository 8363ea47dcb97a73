package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// dial opens a WebSocket, after change has had the handshake's headers.
func dial(t *testing.T, g *rig, path string, change func(r *http.Request)) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if change != nil {
		change(r)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, s.URL+path, &websocket.DialOptions{HTTPHeader: r.Header, HTTPClient: &http.Client{Transport: transport}})
	if err == nil {
		t.Cleanup(func() { _ = conn.CloseNow() })
	}
	return conn, resp, err
}

// read returns the next message, or the code and reason of the end.
func read(t *testing.T, conn *websocket.Conn) (string, websocket.CloseError) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	_, message, err := conn.Read(ctx)
	closed, ok := errors.AsType[websocket.CloseError](err)
	if err != nil && !ok {
		t.Fatal(err)
	}
	return string(message), closed
}

// TestOrderOfStepsBySocket is TestOrderOfSteps for the handshake of a WebSocket, and for its messages.
//
// REQ B-24, REQ C-6, REQ B-22.
func TestOrderOfStepsBySocket(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	full := newRig(t, proxy("docs", b.URL), func(o *gateway.Options) { o.MaxInFlight = 0 })
	for first, want := range faults {
		if want.step == "parse" || want.step == "session" { // there is nothing to look at
			continue
		}
		conn, resp, err := dial(t, full, "/servers/docs/ws", func(r *http.Request) {
			for _, f := range faults[first:] {
				if f.put != nil && f.step != "parse" {
					f.put(r)
				}
			}
		})
		switch {
		case want.step == "identify":
			if err != nil {
				t.Fatal(err)
			}
			if _, closed := read(t, conn); closed.Code != websocket.StatusPolicyViolation || closed.Reason == "" {
				t.Errorf("%s: closed with %v", want.step, closed)
			}
		case resp == nil || resp.StatusCode != want.status:
			t.Errorf("%s: %v, want status %d", want.step, err, want.status)
		}
		testkit.Eventually(t, want.step+" is audited", func() bool {
			got := full.events.take()
			if len(got) > 0 {
				if diff := cmp.Diff([]string{want.reason}, reasons(got)); diff != "" || got[0].Status != want.status {
					t.Errorf("audit, status %d (-want +got):\n%s", got[0].Status, diff)
				}
			}
			return len(got) > 0
		})
	}

	// Of a connection that has the last place, the messages find none.
	tight := newRig(t, proxy("docs", b.URL), func(o *gateway.Options) { o.MaxInFlight, o.MaxBodyBytes = 1, 200 })
	conn, _, err := dial(t, tight, "/servers/docs/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ message, want, reason string }{
		{strings.Replace(toolCall, `"id":1`, `"id":1,"ID":2`, 1), `"id":1,"error":{"code":-32600`, "parse"},
		{toolCall, `"id":1,"error":{"code":-32603`, "limit"},
	} {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(tt.message)); err != nil {
			t.Fatal(err)
		}
		if got, _ := read(t, conn); !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %s", tt.reason, got)
		}
		testkit.Eventually(t, tt.reason+" is audited", func() bool {
			got := tight.events.take()
			if len(got) > 0 && got[0].Reason != tt.reason {
				t.Errorf("audited as %s, want %s", got[0].Reason, tt.reason)
			}
			return len(got) > 0
		})
	}
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(toolCall+strings.Repeat(" ", 200))); err != nil {
		t.Fatal(err)
	}
	if _, closed := read(t, conn); closed.Code != websocket.StatusMessageTooBig {
		t.Errorf("closed with %v", closed)
	}
	if len(b.taken()) != 0 {
		t.Error("the backend got something")
	}
}

// heldSink keeps whoever records an event waiting.
type heldSink struct {
	sink
	came, goOn chan struct{}
}

func (s *heldSink) Record(e *audit.Event) {
	close(s.came)
	<-s.goOn
	s.sink.Record(e)
}

// A drain waits for a connection that was refused until the audit has it: net/http knows nothing of it any more.
func TestDrainWaitsForRefusedSockets(t *testing.T) {
	t.Parallel()
	held := &heldSink{came: make(chan struct{}), goOn: make(chan struct{})}
	g := newRig(t, proxy("docs", newBackend(t, "b").URL, ofIssuer(testkit.NewIssuer(t))), func(o *gateway.Options) { o.Audit = held })
	conn, _, err := dial(t, g, "/servers/docs/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, closed := read(t, conn); closed.Code != websocket.StatusPolicyViolation {
		t.Errorf("closed with %v", closed)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	await := func(what string, c <-chan struct{}) {
		t.Helper()
		select {
		case <-c:
		case <-ctx.Done():
			t.Errorf("%s: it did not come to that", what)
		}
	}
	await("the refusal is recorded", held.came)
	gone := g.BeginDrain()
	select {
	case <-gone:
		t.Error("the drain is over before the audit has what was refused")
	default:
	}
	close(held.goOn)
	await("the drain is over", gone)
	if got := reasons(held.take()); len(got) != 1 {
		t.Errorf("audited: %q", got)
	}
}
