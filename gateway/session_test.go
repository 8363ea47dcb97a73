package gateway_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/gateway"
)

// open opens a session at an endpoint and returns its id.
func (r *rig) open(t testing.TB, path string, headers ...string) string {
	t.Helper()
	w := r.send(post(path, initialize, headers...))
	id := w.Header().Get("Mcp-Session-Id")
	if w.Code != 200 || id == "" {
		t.Fatalf("initialize: status %d, %s", w.Code, w.Body)
	}
	return id
}

// in sends a call in a session and returns its status.
func (r *rig) in(id, path string) int { return r.send(post(path, toolCall, "Mcp-Session-Id", id)).Code }

// REQ B-18, REQ F-1: a changed byte anywhere makes an id unknown, and it says nothing of what it holds.
func TestSealedSession(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "session-of-the-backend")
	g := newRig(t, proxy("docs", b.URL, "passthroughHeaders: [X-Tenant]"), nil)
	id := g.open(t, "/mcp", "X-Tenant", "acme-corporation")
	b.taken()
	if g.in(id, "/mcp") != 200 {
		t.Fatal("the session is not known")
	}
	if h := b.taken()[0]; h.Get("Mcp-Session-Id") != "session-of-the-backend" || h.Get("X-Tenant") != "acme-corporation" {
		t.Errorf("the backend got %v", h)
	}
	for i := range id {
		changed := []byte(id)
		changed[i] ^= 1
		if got := g.in(string(changed), "/mcp"); got != 404 {
			t.Errorf("with byte %d changed: status %d", i, got)
		}
	}
	for n := 1; n < len(id); n++ {
		if g.in(id[:n], "/mcp") == 200 {
			t.Errorf("%d bytes of it are enough", n)
		}
	}
	if len(b.taken()) != 0 {
		t.Error("the backend got something")
	}
	if bytes.Contains([]byte(id), []byte("acme")) || bytes.Contains([]byte(id), []byte("session")) {
		t.Errorf("the id can be read: %s", id)
	}
}

// REQ B-18, REQ F-1: an id is good for the endpoint and the backend it was made for, through every reload.
func TestSessionBelongs(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	docs := proxy("docs", a.URL)
	g := newRig(t, docs+proxy("twin", a.URL), nil)
	id := g.open(t, "/servers/docs/mcp")
	for _, tt := range []struct {
		name, docs, path string
		status           int
	}{
		{"at once", docs + proxy("twin", a.URL), "/servers/docs/mcp", 200},
		{"at another endpoint", docs + proxy("twin", a.URL), "/servers/twin/mcp", 404},
		{"at the only endpoint", docs, "/mcp", 200},
		{"after its headers changed", proxy("docs", a.URL, "headerForward: {addPlaintextHeaders: {X-A: b}}"), "/mcp", 200},
		{"after its backend changed", proxy("docs", b.URL), "/mcp", 404},
		{"after its path changed", proxy("docs", a.URL+"/v2"), "/mcp", 404},
		{"after it was renamed", proxy("other", a.URL), "/mcp", 404},
		{"after all came back", docs, "/mcp", 200},
	} {
		if err := g.Apply(load(t, tt.docs)); err != nil {
			t.Fatal(err)
		}
		if got := g.in(id, tt.path); got != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, got, tt.status)
		}
	}
	if len(b.taken()) != 0 {
		t.Error("another backend got something")
	}
}

// REQ B-18: an id ends with its time, whatever uses it.
func TestSessionExpires(t *testing.T) {
	b := newBackend(t, "b") // outside the bubble: its clock is the world's
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, proxy("docs", b.URL), nil)
		id := g.open(t, "/mcp")
		<-time.After(7*24*time.Hour - time.Minute) // the bubble's time
		if got := g.in(id, "/mcp"); got != 200 {
			t.Errorf("within its time: status %d", got)
		}
		<-time.After(2 * time.Minute)
		if got := g.in(id, "/mcp"); got != 404 {
			t.Errorf("after its time: status %d, want 404", got)
		}
	})
}

// REQ B-18: keys of the wrong size are refused, and the first key seals.
func TestSessionKeys(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	keys := func(k ...byte) func(*gateway.Options) {
		return func(o *gateway.Options) {
			for _, c := range k {
				o.SessionKeys = append(o.SessionKeys, bytes.Repeat([]byte{c}, 32))
			}
		}
	}
	old := newRig(t, proxy("docs", b.URL), keys(1))
	both := newRig(t, proxy("docs", b.URL), keys(2, 1))
	fresh := newRig(t, proxy("docs", b.URL), keys(2))
	before, after := old.open(t, "/mcp"), both.open(t, "/mcp")
	for _, tt := range []struct {
		g      *rig
		id     string
		status int
	}{{both, before, 200}, {fresh, before, 404}, {fresh, after, 200}, {old, after, 404}} {
		if got := tt.g.in(tt.id, "/mcp"); got != tt.status {
			t.Errorf("status %d, want %d", got, tt.status)
		}
	}
	opts := gateway.DefaultOptions()
	opts.SessionKeys = [][]byte{[]byte("short")}
	if _, err := gateway.NewServer(opts); err == nil {
		t.Error("a short key was taken")
	}
}

// REQ E-4: what a client sends later does not change its session; http.Header is the client's, not the session's.
func TestSessionCapture(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	g := newRig(t, proxy("docs", b.URL, "passthroughHeaders: [X-Tenant, X-Empty, X-None]"), nil)
	id := g.open(t, "/mcp", "X-Tenant", "one", "X-Tenant", "two", "X-Empty", "")
	b.taken()
	g.send(post("/mcp", toolCall, "Mcp-Session-Id", id, "X-Tenant", "three", "X-None", "four"))
	h := b.taken()[0]
	if got := h["X-Tenant"]; len(got) != 2 || got[0] != "one" || got[1] != "two" {
		t.Errorf("X-Tenant %q", got)
	}
	if _, ok := h["X-Empty"]; !ok || h.Get("X-None") != "" {
		t.Errorf("header %v", h)
	}
}

// REQ E-3, REQ E-4: a header that the manifest lets through no more leaves the sessions
// that began with it, so that no client's value stands in place of the operator's own.
func TestSessionCaptureEnds(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	g := newRig(t, proxy("docs", b.URL, "passthroughHeaders: [X-Tenant, X-Team]"), nil)
	id := g.open(t, "/mcp", "X-Tenant", "forged", "X-Team", "red")
	if err := g.Apply(load(t, proxy("docs", b.URL, "passthroughHeaders: [X-Team]", "headerForward: {addPlaintextHeaders: {X-Tenant: acme}}"))); err != nil {
		t.Fatal(err)
	}
	b.taken()
	g.send(post("/mcp", toolCall, "Mcp-Session-Id", id))
	if h := b.taken()[0]; h.Get("X-Tenant") != "acme" || h.Get("X-Team") != "red" {
		t.Errorf("header %v", h)
	}
}

// FINDING F2; REQ G-9: a request that begins a session is not judged by the one that its
// client leaves, and an empty id is none.
func TestSessionBeginsAnew(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	g := newRig(t, proxy("docs", b.URL), nil)
	old := g.open(t, "/mcp")
	for name, id := range map[string][]string{"its own": {old}, "made up": {"made-up"}, "empty": {""}, "two": {"a", "b"}} {
		b.taken()
		r := post("/mcp", initialize)
		r.Header["Mcp-Session-Id"] = id
		w := g.send(r)
		fresh := w.Header().Get("Mcp-Session-Id")
		if w.Code != 200 || fresh == "" || fresh == old || g.in(fresh, "/mcp") != 200 {
			t.Errorf("initialize with an id that is %s: %d %q", name, w.Code, fresh)
		}
		if h := b.taken(); len(h) != 2 || h[0].Get("Mcp-Session-Id") != "" {
			t.Errorf("initialize with an id that is %s: the backend got %v", name, h)
		}
	}
	if got := g.in("", "/mcp"); got != 200 {
		t.Errorf("a call with an empty id: %d", got)
	}
	if got := g.in("made-up", "/mcp"); got != 404 {
		t.Errorf("a call with an id that was made up: %d", got)
	}
	without := newRig(t, proxy("docs", newBackend(t, "").URL), nil)
	if w := without.send(post("/mcp", initialize)); w.Code != 200 {
		t.Errorf("a backend with an empty id: %d %s", w.Code, w.Body)
	}
}
