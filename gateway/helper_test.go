package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/leaks"
)

func TestMain(m *testing.M) { leaks.Main(m) }

// load reads manifests as serve does.
func load(t testing.TB, docs ...string) *manifest.Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "main.yaml")
	if err := os.WriteFile(path, []byte(strings.Join(docs, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := manifest.Load([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	if problems := strict.Validate(set); len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}

// object is a document of ours; the lines are those of its spec.
func object(kind, name string, spec ...string) string {
	text := "---\napiVersion: sallyport.dev/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec:\n"
	for _, line := range spec {
		text += "  " + line + "\n"
	}
	return text
}

// proxy is a remote proxy on loopback, audited.
func proxy(name, url string, spec ...string) string {
	return object("MCPRemoteProxy", name, append([]string{"remoteUrl: " + url, "allowPrivateEndpoint: true", "audit: {enabled: true}"}, spec...)...)
}

// check is what is wrong with manifests.
func check(t testing.TB, docs ...string) manifest.Problems {
	t.Helper()
	_, problems := compile.Check(load(t, docs...))
	return problems
}

// secret is a v1/Secret with pairs of keys and values.
func secret(name string, pairs ...string) string {
	text := "---\napiVersion: v1\nkind: Secret\nmetadata: {name: " + name + "}\nstringData:\n"
	for i := 0; i < len(pairs); i += 2 {
		text += fmt.Sprintf("  %s: %q\n", pairs[i], pairs[i+1])
	}
	return text
}

func bearer(name, secret string) string {
	return object("MCPExternalAuthConfig", name, "type: bearerToken", "bearerToken: {tokenSecretRef: {name: "+secret+", key: k}}")
}

// rig is a gateway in this process, with what it audited.
type rig struct {
	*gateway.Server
	events sink
}

// newRig serves the manifests. The options are the usual ones, after change.
func newRig(t testing.TB, docs string, change func(*gateway.Options)) *rig {
	t.Helper()
	r := &rig{}
	opts := gateway.DefaultOptions()
	opts.Heartbeat = 0
	opts.Audit = &r.events
	opts.Metrics = telemetry.NewMetrics("test")
	if change != nil {
		change(&opts)
	}
	var err error
	if r.Server, err = gateway.NewServer(opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() }) // some tests close it themselves
	if err := r.Apply(load(t, docs)); err != nil {
		t.Fatal(err)
	}
	return r
}

// send has the gateway serve one request.
func (r *rig) send(req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w
}

// sink keeps audit events.
type sink struct {
	mu     sync.Mutex
	events []audit.Event
}

func (s *sink) Reserve(context.Context) error { return nil }

func (s *sink) Record(e *audit.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, *e)
}

func (s *sink) Close(context.Context) error { return nil }

// take returns the events since the last take.
func (s *sink) take() []audit.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

// backend counts what reaches it, and answers every request as a server of
// 2025-11-25 whose session id is its name.
type backend struct {
	URL  string
	name string

	before func() // of the first answer; set it before anything is sent

	mu    sync.Mutex
	calls []http.Header
	conns int // open ones
}

func (b *backend) open() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.conns
}

func newBackend(t testing.TB, name string) *backend {
	t.Helper()
	b := &backend{name: name}
	s := httptest.NewUnstartedServer(b)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch state {
		case http.StateNew:
			b.conns++
		case http.StateClosed, http.StateHijacked:
			b.conns--
		}
	}
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	b.URL = s.URL
	return b
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m struct {
		ID     json.RawMessage
		Method string
	}
	body, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(body, &m)
	b.mu.Lock()
	b.calls = append(b.calls, r.Header)
	before := b.before
	b.before = nil
	b.mu.Unlock()
	if before != nil {
		before()
	}
	switch {
	case r.Method == http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case m.ID == nil || m.Method == "":
		w.WriteHeader(http.StatusAccepted)
		return
	case m.Method == "initialize":
		w.Header().Set("Mcp-Session-Id", b.name)
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"from":%q}}`, m.ID, b.name)
}

// taken returns the headers of the requests since the last time.
func (b *backend) taken() []http.Header {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls := b.calls
	b.calls = nil
	return calls
}

const (
	initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`
	toolCall   = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}`
)

// post is a message as a client sends it. Headers are names and values in turn.
func post(path, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// lockedLog keeps log lines.
type lockedLog struct{ testkit.Output }

func (l *lockedLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// count is how many lines hold all the words.
func (l *lockedLog) count(words ...string) (n int) {
	for line := range strings.Lines(l.String()) {
		if hasAll(line, words) {
			n++
		}
	}
	return n
}

func hasAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}
