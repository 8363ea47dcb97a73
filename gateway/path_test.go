package gateway_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/audit"
)

// fault is one thing that can be wrong with a request, and the step that has to notice it.
type fault struct {
	step   string
	reason string // what the audit says
	status int
	put    func(r *http.Request)
}

// faults are in the order of the steps: of several in one request, the first one speaks.
var faults = []fault{
	{"receive", "receive", 403, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }},
	{"identify", "there is more than one Authorization header", 400, func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer a", "Bearer b"} }},
	{"parse", "parse", 400, func(r *http.Request) { body(r, strings.Replace(toolCall, `"id":1`, `"id":1,"ID":2`, 1)) }},
	{"limit", "limit", 503, nil}, // the gateway's places are taken
	{"session", "session", 404, func(r *http.Request) { r.Header.Set("Mcp-Session-Id", "made-up") }},
}

func body(r *http.Request, text string) {
	if r.Method == http.MethodPost {
		filled := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(text))
		r.Body, r.ContentLength = filled.Body, filled.ContentLength
	}
}

// TestOrderOfSteps puts every fault into one request and mends them one by one, on every surface and for every method.
//
// REQ B-24: the order is fixed, and no path, method or content type goes round it. REQ B-22: each has one audit event.
func TestOrderOfSteps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, method, path string
		skips              string // steps that have nothing to look at there
		status             int    // when nothing is wrong
	}{
		{"POST", "POST", "/servers/docs/mcp", "", 200},
		{"POST to the only one", "POST", "/mcp", "", 200},
		{"GET", "GET", "/servers/docs/mcp", "parse", 405},
		{"GET of the only one", "GET", "/mcp", "parse", 405},
		{"DELETE", "DELETE", "/servers/docs/mcp", "parse", 202},
		{"message of 2024-11-05", "POST", "/servers/docs/messages?session=made-up", "", 404},
		{"message to the only one", "POST", "/messages?session=made-up", "", 404},
		{"stream of 2024-11-05", "GET", "/servers/docs/sse", "parse session", 200},
		{"stream of the only one", "GET", "/sse", "parse session", 200},
		{"list", "GET", "/servers/docs/tools", "parse session", 200},
		{"list of all", "GET", "/resources", "parse session", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t, "b")
			full := newRig(t, proxy("docs", b.URL), func(o *gateway.Options) { o.MaxInFlight = 0 })
			free := newRig(t, proxy("docs", b.URL), nil)
			for first, want := range faults {
				if strings.Contains(tt.skips, want.step) {
					continue
				}
				g := full
				if first > 3 { // the places are there again
					g = free
				}
				r := request(t, tt.method, tt.path)
				for _, f := range faults[first:] {
					if f.put != nil {
						f.put(r)
					}
				}
				w := g.send(r)
				if w.Code != want.status {
					t.Errorf("%s: status %d, want %d: %s", want.step, w.Code, want.status, w.Body)
				}
				if diff := cmp.Diff([]string{want.reason}, reasons(g.events.take())); diff != "" {
					t.Errorf("audit (-want +got):\n%s", diff)
				}
				if got := b.taken(); len(got) != 0 {
					t.Errorf("%s: the backend got something", want.step)
				}
			}
			if w := free.send(request(t, tt.method, tt.path)); w.Code != tt.status {
				t.Errorf("in order: status %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if n := len(free.events.take()); n != 1 {
				t.Errorf("%d audit events, want 1", n)
			}
		})
	}
}

// request is one with nothing wrong. A stream's client has left already, so that it ends.
func request(t *testing.T, method, path string) *http.Request {
	t.Helper()
	r := post(path, toolCall)
	r.Method = method
	if method != http.MethodPost {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	if strings.HasSuffix(path, "/sse") {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r = r.WithContext(ctx)
	}
	return r
}

func reasons(events []audit.Event) (found []string) {
	for _, e := range events {
		found = append(found, e.Reason)
	}
	return found
}

// REQ B-24: what receive looks at, it looks at on every surface, before it keeps anything of the body.
func TestReceiveOnEverySurface(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	g := newRig(t, proxy("docs", b.URL), func(o *gateway.Options) { o.MaxBodyBytes = 1000 })
	loopback := context.WithValue(t.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80})
	for name, tt := range map[string]struct {
		only   string // method it is about; "" for all
		status int
		put    func(r *http.Request) *http.Request
	}{
		"foreign origin": {"", 403, func(r *http.Request) *http.Request { r.Header.Set("Origin", "https://evil.example"); return r }},
		"null origin":    {"", 403, func(r *http.Request) *http.Request { r.Header.Set("Origin", "null"); return r }},
		"empty origin":   {"", 403, func(r *http.Request) *http.Request { r.Header["Origin"] = []string{""}; return r }},
		"rebound name":   {"", 403, func(r *http.Request) *http.Request { r.Host = "evil.example"; return r.WithContext(loopback) }},
		"wrong type":     {"POST", 415, func(r *http.Request) *http.Request { r.Header.Set("Content-Type", "text/plain"); return r }},
		"no type":        {"POST", 415, func(r *http.Request) *http.Request { r.Header.Del("Content-Type"); return r }},
		"too large":      {"POST", 413, func(r *http.Request) *http.Request { body(r, strings.Repeat(" ", 1001)); return r }},
		"too large, in chunks": {"POST", 413, func(r *http.Request) *http.Request {
			body(r, strings.Repeat(" ", 1001))
			r.ContentLength = -1
			return r
		}},
		"shorter than it said": {"POST", 400, func(r *http.Request) *http.Request { r.ContentLength += 10; return r }},
	} {
		for path, methods := range map[string]string{
			"/mcp": "POST GET DELETE", "/servers/docs/mcp": "POST GET DELETE",
			"/ws": "GET", "/servers/docs/ws": "GET", "/servers": "GET", "/prompts": "GET", "/servers/docs/tools": "GET",
			"/sse": "GET", "/servers/docs/sse": "GET", "/messages?session=x": "POST", "/servers/docs/messages?session=x": "POST",
		} {
			for method := range strings.SplitSeq(methods, " ") {
				if tt.only != "" && tt.only != method {
					continue
				}
				if w := g.send(tt.put(request(t, method, path))); w.Code != tt.status {
					t.Errorf("%s, %s %s: status %d, want %d", name, method, path, w.Code, tt.status)
				}
				if got := reasons(g.events.take()); len(got) != 1 || got[0] != "receive" {
					t.Errorf("%s, %s %s: audited as %v", name, method, path, got)
				}
			}
		}
	}
	if len(b.taken()) != 0 {
		t.Error("the backend got something")
	}
}

// REQ F-1, REQ B-24: a revision that nobody knows is refused for every method, and so are two.
func TestRevisionOnEveryMethod(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	g := newRig(t, proxy("docs", b.URL), nil)
	for _, method := range []string{"POST", "GET", "DELETE"} {
		for _, versions := range [][]string{{"1999-01-01"}, {"latest"}, {""}, {"2025-11-25", "2025-06-18"}, {"2025-11-25", "2025-11-25"}} {
			r := request(t, method, "/mcp")
			r.Header["Mcp-Protocol-Version"] = versions
			if w := g.send(r); w.Code != 400 || !strings.Contains(w.Body.String(), `"code":-3202`) {
				t.Errorf("%s with %q: status %d, %s", method, versions, w.Code, w.Body)
			}
		}
	}
	if len(b.taken()) != 0 {
		t.Error("the backend got something")
	}
}

// Each path leads to one endpoint and one surface; what is not a path of ours leads nowhere.
func TestRoutes(t *testing.T) {
	t.Parallel()
	a, b := newBackend(t, "a"), newBackend(t, "b")
	one := newRig(t, proxy("a", a.URL), nil)
	two := newRig(t, proxy("a", a.URL)+proxy("b", b.URL)+object("MCPGroup", "g")+
		object("MCPServerEntry", "c", "remoteUrl: "+b.URL, "transport: sse", "allowPrivateEndpoint: true", "groupRef: {name: g}"), nil)
	for path, want := range map[string][2]string{ // what one and two answer
		"/servers/a/mcp":            {"a", "a"},
		"/servers/b/mcp":            {"", "b"},
		"/servers/c/mcp":            {"", ""}, // an entry has no endpoint of its own
		"/mcp":                      {"a", ""},
		"/":                         {"", ""},
		"/mcp/":                     {"a", ""}, // one slash more is the same address
		"/servers/b/mcp/":           {"", "b"},
		"/servers/b/mcp//":          {"", ""},
		"//mcp":                     {"", ""},
		"/MCP":                      {"", ""},
		"/servers/A/mcp":            {"", ""},
		"/servers/a":                {"", ""},
		"/servers/a/":               {"", ""},
		"/servers/a/mcp/x":          {"", ""},
		"/servers//mcp":             {"", ""},
		"/servers/a/b/mcp":          {"", ""},
		"/servers/a/%2e%2e/b/mcp":   {"", ""},
		"/servers/x/../a/mcp":       {"", ""},
		"/servers/a/mcp%00":         {"", ""},
		"/servers/a/mcp;x=1":        {"", ""},
		"/servers/a/mcp?x=/sse":     {"a", "a"},
		"/api/servers/a/mcp":        {"", ""},
		"/servers/a/mcp/../../../x": {"", ""},
	} {
		for i, g := range []*rig{one, two} {
			w := g.send(post(path, toolCall))
			if want[i] == "" && w.Code != 404 || want[i] != "" && !strings.Contains(w.Body.String(), `"from":"`+want[i]+`"`) {
				t.Errorf("%s with %d resources: status %d, %s; want %q", path, i+1, w.Code, w.Body, want[i])
			}
		}
	}
}

// REQ B-24: after a drain has begun nothing new is taken, on any path.
func TestDraining(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	g := newRig(t, proxy("docs", b.URL), nil)
	if !g.Ready() {
		t.Error("not ready")
	}
	g.BeginDrain()
	for _, r := range []*http.Request{post("/mcp", toolCall), request(t, "GET", "/mcp"), request(t, "DELETE", "/mcp"), request(t, "GET", "/sse"), request(t, "GET", "/ws"), request(t, "GET", "/tools"), post("/x", "")} {
		if w := g.send(r); w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s %s: status %d", r.Method, r.URL.Path, w.Code)
		}
	}
	if g.Ready() || len(b.taken()) != 0 {
		t.Error("a draining gateway took something")
	}
}
