package e2e_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// REQ F-1, REQ B-18: a session id is the gateway's own; every id that it did not make for this endpoint is unknown.
func TestSessionIDs(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, sessionBackend("backend-session"))
	g := serve(t, remote("docs", backend.URL)+remote("twin", backend.URL)+remote("other", backend.URL+"/other"))
	url := at(g, "docs")
	id := initialize(t, url)
	if strings.Contains(id, "backend-session") || len(id) > 4096 || strings.ContainsFunc(id, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		t.Errorf("session id %q", id)
	}
	if again := initialize(t, url); again == id {
		t.Error("two sessions have the same id")
	}
	legacy(url, "tools/list", "").with("Mcp-Session-Id", id).do(t).wantResult(t, `{"ok":true}`)

	backend.Reset()
	tampered := []byte(id)
	tampered[len(tampered)/2] ^= 1
	for name, tt := range map[string]struct{ url, id string }{
		"the backend's own":     {url, "backend-session"},
		"made up":               {url, "made-up"},
		"another encoding":      {url, base64.StdEncoding.EncodeToString([]byte(id))},
		"tampered":              {url, string(tampered)},
		"shortened":             {url, id[:len(id)-1]},
		"lengthened":            {url, id + "A"},
		"of another endpoint":   {at(g, "twin"), id},
		"of another backend":    {at(g, "other"), id},
		"very long":             {url, strings.Repeat("A", 40<<10)},
		"with a space":          {url, id[:10] + " " + id[10:]},
		"twice in one":          {url, id + ", " + id},
		"of nobody, all zeroes": {url, strings.Repeat("A", len(id))},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []request{
				legacy(tt.url, "tools/list", ""),
				message(tt.url, `{"jsonrpc":"2.0","method":"notifications/initialized"}`),
				message(tt.url, `{"jsonrpc":"2.0","id":1,"result":{}}`),
				listen(tt.url),
				{method: http.MethodDelete, url: tt.url},
			} {
				if got := r.with("Mcp-Session-Id", tt.id).do(t); got.Status != 404 {
					t.Errorf("%s %s: status %d, want 404", r.method, r.body, got.Status)
				}
			}
		})
	}
	if n := len(backend.Requests()); n != 0 {
		t.Errorf("the backend got %d requests", n)
	}

	// A missing id is the backend's business, and an empty one is none; a modern request
	// has no session.
	legacy(url, "tools/list", "").do(t).wantResult(t, `{"ok":true}`)
	legacy(url, "tools/list", "").with("Mcp-Session-Id", "").do(t).wantResult(t, `{"ok":true}`)
	call(url, "tool", "").with("Mcp-Session-Id", "whatever").do(t).wantResult(t, `{"ok":true}`)
	for _, r := range backend.Requests() {
		if v := r.Header.Get("Mcp-Session-Id"); v != "" {
			t.Errorf("the backend got session %q", v)
		}
	}
}

// REQ F-1: the backend's own 404 for a session that it ended reaches the client, and so do its 400s.
func TestSessionEnds(t *testing.T) {
	t.Parallel()
	backend := testkit.StartBackend(t, testkit.Sessions)
	g := serve(t, remote("docs", backend.URL))
	session := []string{"Mcp-Session-Id", initialize(t, g.MCP()), "Mcp-Protocol-Version", "2025-11-25"}
	list := message(g.MCP(), `{"jsonrpc":"2.0","id":7,"method":"tools/list"}`).with(session...)
	message(g.MCP(), `{"jsonrpc":"2.0","method":"notifications/initialized"}`).with(session...).do(t)
	if got := list.do(t); got.Status != 200 || !strings.Contains(got.Body, "echo") {
		t.Errorf("status %d, %s", got.Status, got.Body)
	}
	if got := (request{method: http.MethodDelete, url: g.MCP()}).with(session...).do(t); got.Status/100 != 2 {
		t.Errorf("DELETE: status %d", got.Status)
	}
	if got := list.do(t); got.Status != 404 {
		t.Errorf("after the end: status %d, want 404", got.Status)
	}
}

// keyFile has keys for sealing, one a line.
func keyFile(t *testing.T, keys ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func newKey(t *testing.T) string {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

// REQ B-18: any replica with the key carries a session on, and keys can be rotated; without the key nobody can.
func TestSessionsOnReplicas(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, sessionBackend("s"))
	docs := remote("docs", backend.URL, "passthroughHeaders: [X-Tenant]")
	old, fresh := newKey(t), newKey(t)
	first := serve(t, docs, "--session-key-file", keyFile(t, old))
	id := initialize(t, first.MCP(), "X-Tenant", "acme")
	if err := first.Stop(); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct {
		name   string
		flags  []string
		status int
	}{
		{"same key", []string{"--session-key-file", keyFile(t, old)}, 200},
		{"rotated", []string{"--session-key-file", keyFile(t, fresh, "", old)}, 200},
		{"other key", []string{"--session-key-file", keyFile(t, fresh)}, 404},
		{"no key", nil, 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := serve(t, docs, tt.flags...)
			backend.Reset()
			if got := legacy(g.MCP(), "tools/list", "").with("Mcp-Session-Id", id).do(t); got.Status != tt.status {
				t.Errorf("status %d, want %d", got.Status, tt.status)
			}
			var got []string
			for _, r := range backend.Requests() {
				got = append(got, r.Header.Get("Mcp-Session-Id")+" "+r.Header.Get("X-Tenant"))
			}
			want := []string{"s acme"}
			if tt.status != 200 {
				want = nil
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("at the backend (-want +got):\n%s", diff)
			}
		})
	}
}

// REQ E-5, REQ B-18: a key file that is wrong ends the start with exit code 2 and is not quoted.
func TestBadKeyFile(t *testing.T) {
	t.Parallel()
	folder := manifests(t, remote("docs", "https://mcp.example.com/mcp"))
	for name, text := range map[string]string{"short": "c2hvcnQ=", "no base64": "correct horse battery staple", "empty": ""} {
		got := testkit.Run(t, "serve", "-f", folder, "--listen", "127.0.0.1:0", "--session-key-file", keyFile(t, text))
		if got.Code != 2 || text != "" && strings.Contains(got.Stderr, text) {
			t.Errorf("%s: exit code %d, %s", name, got.Code, got.Stderr)
		}
	}
}

// REQ F-1, REQ B-18: sessions outlive a reload of the same backend; with another backend they are unknown, so that
// no id of one server is shown to another.
func TestSessionsAndReload(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, sessionBackend("s"))
	other := testkit.Record(t, sessionBackend("s"))
	doc := func(url string, lines ...string) string { return remote("docs", url, lines...) }
	folder := manifests(t, doc(backend.URL))
	g := testkit.Start(t, "serve", "-f", folder)
	id := initialize(t, g.MCP())
	reloaded := 0
	for _, tt := range []struct {
		doc    string
		status int
	}{
		{doc(backend.URL, "headerForward: {addPlaintextHeaders: {X-New: a}}"), 200},
		{doc(other.URL), 404},
		{doc(backend.URL), 200},
	} {
		writeManifests(t, folder, tt.doc)
		reloaded++
		wantLines(t, g, reloaded, "configuration reloaded")
		if got := legacy(g.MCP(), "tools/list", "").with("Mcp-Session-Id", id).do(t); got.Status != tt.status {
			t.Errorf("status %d, want %d, with\n%s", got.Status, tt.status, tt.doc)
		}
	}
	if n := len(other.Requests()); n != 0 {
		t.Errorf("another backend got %d requests", n)
	}
}

// REQ F-1: a hundred sessions at once stay apart.
func TestManySessions(t *testing.T) {
	t.Parallel()
	issued := make(chan string, 100)
	for i := range cap(issued) {
		issued <- fmt.Sprintf("s%d", i)
	}
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if bodyOf(r).Method == "initialize" {
			sessionBackend(<-issued)(w, r)
			return
		}
		answer(w, r, fmt.Sprintf("%q", r.Header.Get("Mcp-Session-Id")))
	})
	g := serve(t, remote("docs", backend.URL))
	ids := map[string]string{} // the gateway's → the backend's
	for range cap(issued) {
		id := initialize(t, g.MCP())
		ids[id] = legacy(g.MCP(), "tools/list", "").with("Mcp-Session-Id", id).do(t).Body
	}
	seen := map[string]bool{}
	for id, want := range ids {
		if got := legacy(g.MCP(), "tools/list", "").with("Mcp-Session-Id", id).do(t).Body; got != want || seen[got] {
			t.Errorf("a session became another: %s, then %s", want, got)
		}
		seen[want] = true
	}
	if len(ids) != cap(issued) || g.Metric(t, "sallyport_sessions_opened_total") != float64(cap(issued)) {
		t.Errorf("%d sessions, %v counted", len(ids), g.Metric(t, "sallyport_sessions_opened_total"))
	}
}
