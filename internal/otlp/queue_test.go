package otlp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/otlp"
)

// receiver keeps bodies; answer says what becomes of each request, counted from 1.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
}

func newReceiver(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	c := &receiver{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		c.bodies = append(c.bodies, string(body))
		n := len(c.bodies)
		c.mu.Unlock()
		answer(n, w, r)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *receiver) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.bodies...)
}

type tally struct {
	mu         sync.Mutex
	sent, lost int
}

func (c *tally) add(sent, lost int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent += sent
	c.lost += lost
}

func (c *tally) want(t *testing.T, sent, lost int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sent != sent || c.lost != lost {
		t.Errorf("sent %d and lost %d, want %d and %d", c.sent, c.lost, sent, lost)
	}
}

func newQueue(t *testing.T, endpoint string, log io.Writer, told *tally) *otlp.Queue {
	t.Helper()
	sender, err := otlp.NewSender(otlp.Config{Endpoint: endpoint}, otlp.Traces)
	if err != nil {
		t.Fatal(err)
	}
	return otlp.NewQueue(sender, otlp.QueueOptions{
		Open: "[", Close: "]", Every: time.Hour, What: "spans", Sent: told.add, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
}

func TestQueueSendsWhatWaitsAtTheEnd(t *testing.T) {
	t.Parallel()
	c := newReceiver(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/traces" {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	var told tally
	var log bytes.Buffer
	q := newQueue(t, c.URL, &log, &told)
	q.Put([]byte("1"))
	q.Put([]byte("2"))
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	q.Put([]byte("3")) // late: lost
	if got := c.got(); len(got) != 1 || got[0] != "[1,2]" {
		t.Errorf("got %q", got)
	}
	told.want(t, 2, 1)
	if log.Len() > 0 {
		t.Error(log.String())
	}
}

func TestQueueTriesAgain(t *testing.T) {
	t.Parallel()
	c := newReceiver(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	var told tally
	var log bytes.Buffer
	q := newQueue(t, c.URL, &log, &told)
	q.Put([]byte("1"))
	if err := q.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.got(); len(got) != 3 || got[2] != "[1]" {
		t.Errorf("got %q", got)
	}
	told.want(t, 1, 0)
	if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "answers 503 for now") || !strings.Contains(got, "spans are sent again") {
		t.Error(got)
	}
}

func TestQueueLosesWhatIsRefused(t *testing.T) {
	t.Parallel()
	for answer, lost := range map[string]int{"400": 2, "307": 2, `{"partialSuccess":{"rejectedSpans":"1","errorMessage":"no"}}`: 1, "{}": 0, "": 0} {
		c := newReceiver(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
			var code int
			if n, _ := fmt.Sscan(answer, &code); n == 1 {
				w.Header().Set("Location", "/")
				w.WriteHeader(code)
				return
			}
			_, _ = io.WriteString(w, answer)
		})
		var told tally
		q := newQueue(t, c.URL, io.Discard, &told)
		q.Put([]byte("1"))
		q.Put([]byte("2"))
		if err := q.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		told.want(t, 2-lost, lost)
		if n := len(c.got()); n != 1 {
			t.Errorf("%s: sent %d times", answer, n)
		}
	}
}

// A receiver that hangs costs neither memory without bound nor time without end.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	hung := make(chan struct{}, 10)
	c := newReceiver(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		hung <- struct{}{}
		<-r.Context().Done()
	})
	var told tally
	q := newQueue(t, c.URL, io.Discard, &told)
	item := bytes.Repeat([]byte("x"), 64<<10)
	const items = 400 // 25 MiB
	for range items {
		q.Put(item)
	}
	<-hung
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := q.Close(ctx); err == nil || !strings.Contains(err.Error(), "send spans") {
		t.Errorf("closed with %v", err)
	}
	told.mu.Lock()
	defer told.mu.Unlock()
	if told.sent != 0 || told.lost != items {
		t.Errorf("sent %d, lost %d of %d", told.sent, told.lost, items)
	}
}

func TestSenderKeepsSecrets(t *testing.T) {
	t.Parallel()
	const canary = "canary-51ab"
	for _, endpoint := range []string{"", "localhost:4318", "ftp://x", "http://", "http://" + canary + "@x", "http://x\n" + canary, "%zz" + canary} {
		if _, err := otlp.NewSender(otlp.Config{Endpoint: endpoint}, otlp.Metrics); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
	s, err := otlp.NewSender(otlp.Config{Endpoint: "http://127.0.0.1:1/x?key=" + canary, Header: http.Header{"Api-Key": {canary}}}, otlp.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), []byte(canary)); err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("said %v", err)
	}
}

func TestUnder(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"http://c:4318":           "http://c:4318/v1/traces",
		"http://c:4318/":          "http://c:4318/v1/traces",
		"https://c/otlp":          "https://c/otlp/v1/traces",
		"https://c/otlp/?key=abc": "https://c/otlp/v1/traces?key=abc",
		"c:4318":                  "c:4318", // NewSender says what is wrong with it
	} {
		if got := otlp.Under(base, otlp.Traces); got != want {
			t.Errorf("%s: %s, want %s", base, got, want)
		}
	}
}
