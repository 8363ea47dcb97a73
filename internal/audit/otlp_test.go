package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/otlp"
)

// otlpRequest is a request as the protocol's definition has it.
type otlpRequest struct {
	ResourceLogs []struct {
		Resource  struct{ Attributes []otlpAttribute }
		ScopeLogs []struct {
			Scope      struct{ Name string }
			LogRecords []otlpRecord
		}
	}
}

type otlpRecord struct {
	TimeUnixNano, ObservedTimeUnixNano string
	SeverityNumber                     int
	SeverityText, EventName            string
	Body                               otlpValue
	Attributes                         []otlpAttribute
}

type otlpAttribute struct {
	Key   string
	Value otlpValue
}

type otlpValue struct {
	StringValue, IntValue *string
	DoubleValue           *float64
}

func (v otlpValue) String() string {
	switch {
	case v.StringValue != nil:
		return *v.StringValue
	case v.IntValue != nil:
		return "int " + *v.IntValue
	case v.DoubleValue != nil:
		return fmt.Sprint("double ", *v.DoubleValue)
	}
	return ""
}

func flat(attributes []otlpAttribute) map[string]string {
	m := map[string]string{}
	for _, a := range attributes {
		m[a.Key] = a.Value.String()
	}
	return m
}

// collector receives requests; answer says what becomes of each.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	requests []otlpRequest
	headers  []http.Header
}

func newCollector(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var req otlpRequest
		in := json.NewDecoder(r.Body)
		in.DisallowUnknownFields()
		if err := in.Decode(&req); err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/logs" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s (%s): %v", r.Method, r.URL, r.Header.Get("Content-Type"), err)
		}
		c.mu.Lock()
		c.requests = append(c.requests, req)
		c.headers = append(c.headers, r.Header)
		n := len(c.requests)
		c.mu.Unlock()
		if answer != nil {
			answer(n, w, r)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

// records are those of one request.
func (c *collector) records(t *testing.T, request int) []otlpRecord {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.requests) <= request {
		t.Fatalf("%d requests, want at least %d", len(c.requests), request+1)
	}
	r := c.requests[request].ResourceLogs
	if len(r) != 1 || len(r[0].ScopeLogs) != 1 || r[0].ScopeLogs[0].Scope.Name != "sallyport.audit" {
		t.Fatalf("request %+v", r)
	}
	return r[0].ScopeLogs[0].LogRecords
}

func (c *collector) ids(t *testing.T, request int) string {
	t.Helper()
	var all []string
	for _, r := range c.records(t, request) {
		a := flat(r.Attributes)
		all = append(all, a["sallyport.audit.id"]+a["sallyport.audit.lost"])
	}
	return strings.Join(all, " ")
}

// counts adds up what a Writer tells.
type counts struct {
	mu            sync.Mutex
	written, lost int
	told          chan struct{} // when set, gets something for every batch
}

func (c *counts) add(written, lost int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written += written
	c.lost += lost
	if c.told != nil {
		c.told <- struct{}{}
	}
}

func (c *counts) want(t *testing.T, written, lost int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.written != written || c.lost != lost {
		t.Errorf("written %d, lost %d; want %d and %d", c.written, c.lost, written, lost)
	}
}

func record(o *OTLP, ids ...string) {
	for _, id := range ids {
		o.Record(&Event{Time: at("2026-09-01T10:00:00Z"), ID: id, Method: "ping", Outcome: Success})
	}
}

// REQ B-22
func TestOTLP(t *testing.T) {
	t.Parallel()
	c := newCollector(t, nil)
	var told counts
	o, err := NewOTLP(otlp.Config{
		Endpoint: c.URL,
		Header:   http.Header{"Authorization": {"Bearer x"}}, Resource: map[string]string{"service.version": "1", "service.name": "sally\"port"},
	}, WriterOptions{Flushed: told.add})
	if err != nil {
		t.Fatal(err)
	}
	o.Record(&Event{
		Time: at("2026-09-01T10:00:00.042Z"), ID: "a1", Server: "docs", HTTPMethod: "POST", Method: "tools/call", Target: "se\x00a\"rch\xff",
		Subject: "alice", Source: "jwt", Revision: "2026-07-28", Outcome: Denied, Status: 403, Reason: "authorize",
		Duration: 12345 * time.Microsecond, Client: "::1",
	})
	o.Record(&Event{ID: "a2", HTTPMethod: "GET", Outcome: Error, Status: 502})
	o.Record(&Event{ID: "a3", Method: "ping", Outcome: Success, Target: strings.Repeat("x", 5000)})
	if err := o.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	told.want(t, 3, 0)
	got := c.records(t, 0)
	if len(got) != 3 || len(c.requests) != 1 {
		t.Fatalf("%d requests, %d records in the first", len(c.requests), len(got))
	}
	first := got[0]
	want := map[string]string{
		"sallyport.audit.schema": "sallyport.audit/v1", "sallyport.audit.id": "a1", "sallyport.audit.server": "docs",
		"sallyport.audit.method": "tools/call", "sallyport.audit.tool": "se\x00a\"rch\ufffd", "sallyport.audit.target": "se\x00a\"rch\ufffd",
		"sallyport.audit.subject": "alice", "sallyport.audit.source": "jwt", "sallyport.audit.outcome": "denied", "sallyport.audit.reason": "authorize",
		"sallyport.audit.client": "::1", "sallyport.audit.protocol_version": "2026-07-28",
		"sallyport.audit.status": "int 403", "sallyport.audit.duration_ms": "double 12.345",
	}
	if diff := cmp.Diff(want, flat(first.Attributes)); diff != "" {
		t.Error(diff)
	}
	first.Attributes = nil
	if diff := cmp.Diff(otlpRecord{
		TimeUnixNano: "1788256800042000000", ObservedTimeUnixNano: "1788256800054345000", SeverityNumber: 13, SeverityText: "WARN",
		EventName: "sallyport.audit", Body: otlpValue{StringValue: new("tools/call se\x00a\"rch\ufffd: denied (authorize)")},
	}, first); diff != "" {
		t.Error(diff)
	}
	if s, e := got[2].SeverityNumber, got[1].SeverityNumber; s != 9 || e != 17 || got[1].TimeUnixNano != "0" {
		t.Errorf("severities %d and %d, time %s", s, e, got[1].TimeUnixNano)
	}
	if n := len(flat(got[2].Attributes)["sallyport.audit.target"]); n > maxText+10 {
		t.Errorf("a text of %d bytes", n)
	}
	if diff := cmp.Diff(map[string]string{"service.name": `sally"port`, "service.version": "1"}, flat(c.requests[0].ResourceLogs[0].Resource.Attributes)); diff != "" {
		t.Error(diff)
	}
	if c.headers[0].Get("Authorization") != "Bearer x" {
		t.Errorf("header %v", c.headers[0])
	}
}

// What the receiver will take later is sent again; nothing is lost, doubled or told twice.
//
// REQ B-22
func TestOTLPTriesAgain(t *testing.T) {
	t.Parallel()
	codes := []int{503, 429, 502, 504, 200}
	c := newCollector(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.Header().Set("Retry-After", "1")
		}
		if n == 2 { // no answer at all
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(codes[n-1])
	})
	c.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	var told counts
	var log bytes.Buffer
	o, err := NewOTLP(otlp.Config{Endpoint: c.URL + "/"}, WriterOptions{Flushed: told.add, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	record(o, "1", "2")
	if err := o.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	told.want(t, 2, 0)
	for i := range codes {
		if got := c.ids(t, i); got != "1 2" {
			t.Errorf("request %d has %s", i, got)
		}
	}
	if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "answers 503 for now") || !strings.Contains(got, "written again") {
		t.Errorf("log %s", got)
	}
}

// What gathered while the receiver was away goes out in requests that it can be done
// with in time.
//
// REQ B-22
func TestOTLPSendsInParts(t *testing.T) {
	t.Parallel()
	const events, most = 500, 512<<10 + 4<<10
	recorded := make(chan struct{})
	var mu sync.Mutex
	var sizes []int
	c := newCollector(t, func(int, http.ResponseWriter, *http.Request) { <-recorded })
	inner := c.Config.Handler
	c.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		sizes = append(sizes, len(body))
		mu.Unlock()
		r.Body = io.NopCloser(bytes.NewReader(body))
		inner.ServeHTTP(w, r)
	})
	var told counts
	o, err := NewOTLP(otlp.Config{Endpoint: c.URL}, WriterOptions{Flushed: told.add})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range events {
		id := fmt.Sprint(i)
		want = append(want, id)
		o.Record(&Event{Time: time.Unix(0, 1), ID: id, Target: strings.Repeat("x", 6<<10)})
	}
	close(recorded)
	if err := o.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	told.want(t, events, 0)
	var got []string
	for i, size := range sizes {
		if size > most {
			t.Errorf("request %d has %d bytes, more than %d", i, size, most)
		}
		got = append(got, strings.Fields(c.ids(t, i))...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// REQ B-22
func TestOTLPRefusals(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		answer func(w http.ResponseWriter)
		lost   int
		log    string
	}{
		{"bad request", func(w http.ResponseWriter) { w.WriteHeader(400) }, 2, "answers 400"},
		{"unauthorized", func(w http.ResponseWriter) { w.WriteHeader(401) }, 2, "answers 401"},
		{"server error", func(w http.ResponseWriter) { w.WriteHeader(500) }, 2, "answers 500"},
		{"redirect", func(w http.ResponseWriter) { w.Header().Set("Location", "/v1/logs"); w.WriteHeader(307) }, 2, "answers 307"},
		{"partial", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too \u001bold"}}`)
		}, 1, `all but 1: too \x1bold`},
		{"partial, as a number", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"partialSuccess":{"rejectedLogRecords":7}}`)
		}, 2, "all but 7"},
		{"a warning alone", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"partialSuccess":{"rejectedLogRecords":"0","errorMessage":"soon"}}`)
		}, 0, ""},
		{"nonsense", func(w http.ResponseWriter) { _, _ = io.WriteString(w, "\x0a\x00<html>") }, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newCollector(t, func(n int, w http.ResponseWriter, _ *http.Request) {
				if n == 1 {
					tc.answer(w)
				}
			})
			told := counts{told: make(chan struct{}, 10)}
			var log bytes.Buffer
			o, err := NewOTLP(otlp.Config{Endpoint: c.URL}, WriterOptions{Flushed: told.add, Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			record(o, "1", "2")
			signal(o.full) // do not wait for the second to pass
			<-told.told
			record(o, "3")
			if err := o.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			told.want(t, 3-tc.lost, tc.lost)
			want := "3"
			if tc.lost > 0 {
				want = fmt.Sprintf("int %d 3", tc.lost)
			}
			if got := c.ids(t, 1); got != want || len(c.requests) != 2 {
				t.Errorf("second of %d requests has %s, want %s", len(c.requests), got, want)
			}
			if got := log.String(); !strings.Contains(got, tc.log) || tc.lost == 0 && got != "" {
				t.Errorf("log %s, want %s", got, tc.log)
			}
		})
	}
}

// Whoever shuts down waits no longer than he said, even for a receiver that hangs.
func TestOTLPCloseEndsRequests(t *testing.T) {
	t.Parallel()
	hung := make(chan struct{})
	c := newCollector(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		close(hung)
		<-r.Context().Done()
	})
	var told counts
	o, err := NewOTLP(otlp.Config{Endpoint: c.URL}, WriterOptions{Flushed: told.add})
	if err != nil {
		t.Fatal(err)
	}
	record(o, "1", "2")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-hung
		cancel()
	}()
	if err := o.Close(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "2 events still unwritten") {
		t.Errorf("got %v", err)
	}
	<-o.done
	told.want(t, 0, 2)
}

// Neither the header nor the URL's query is told to anybody but the receiver.
func TestOTLPKeepsSecrets(t *testing.T) {
	t.Parallel()
	const canary = "canary-7c41"
	for _, endpoint := range []string{"http://127.0.0.1:1/v1/logs?key=" + canary, newCollector(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }).URL + "?key=" + canary} {
		var log bytes.Buffer
		o, err := NewOTLP(otlp.Config{Endpoint: endpoint, Header: http.Header{"Api-Key": {canary}}}, WriterOptions{Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		record(o, "1")
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		err = o.Close(ctx)
		cancel()
		<-o.done
		if text := log.String() + fmt.Sprint(err); strings.Contains(text, canary) || !strings.Contains(text, "send audit events") {
			t.Errorf("said %s", text)
		}
	}
	for _, endpoint := range []string{"", "localhost:4318", "ftp://x", "http://", "http://" + canary + "@x", "http://x\n" + canary, "unix:///" + canary, "%zz" + canary} {
		if _, err := NewOTLP(otlp.Config{Endpoint: endpoint}, WriterOptions{}); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

// A record is JSON, whatever the texts hold, and one line.
func FuzzRecord(f *testing.F) {
	f.Add("search", "alice", "no\nway", int64(12345), 200)
	f.Add("\xff\xfe", "\x00\x1f\u2028\u009b\u007f", strings.Repeat("🚪x", 500), int64(-1), -7)
	f.Fuzz(func(t *testing.T, target, subject, reason string, us int64, status int) {
		line := appendRecord(nil, &Event{
			Time: at("2026-09-01T10:00:00Z"), Method: "tools/call", Target: target, Subject: subject, Reason: reason,
			Status: status, Duration: time.Duration(us%1e12) * time.Microsecond,
		})
		var r otlpRecord
		if err := json.Unmarshal(line, &r); err != nil || bytes.Count(line, []byte{'\n'}) != 1 {
			t.Fatalf("%v: %q", err, line)
		}
		a := flat(r.Attributes)
		for _, pair := range [][2]string{{target, a["sallyport.audit.target"]}, {subject, a["sallyport.audit.subject"]}, {reason, a["sallyport.audit.reason"]}} {
			if want := reference(t, pair[0]); pair[1] != want {
				t.Errorf("read back %q, want %q", pair[1], want)
			}
		}
	})
}

func TestOTLPRecordAllocatesNothing(t *testing.T) {
	e := &Event{Time: time.Now(), ID: "a1", Method: "tools/call", Target: "search", Subject: "alice", Outcome: Success, Status: 200}
	b := appendRecord(nil, e)
	if n := testing.AllocsPerRun(100, func() { b = appendRecord(b[:0], e) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkOTLPRecord(b *testing.B) {
	e := &Event{
		Time: time.Now(), ID: "0123456789abcdef0123456789", Server: "docs", HTTPMethod: "POST", Method: "tools/call", Target: "search",
		Subject: "alice@example.com", Source: "jwt", Outcome: Success, Status: 200, Duration: 12 * time.Millisecond, Client: "127.0.0.1", Revision: "2026-07-28",
	}
	w := newWriter(io.Discard, WriterOptions{}, form{event: appendRecord, lost: appendLostRecord, after: time.Second, size: 256 << 10, limit: 4 << 20})
	b.ReportAllocs()
	for b.Loop() {
		w.Record(e)
	}
	if err := w.Close(b.Context()); err != nil {
		b.Error(err)
	}
}
