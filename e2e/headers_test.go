package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// REQ A-1: without incoming authentication anybody is served, nothing is shown to the backend, and it is said once, at WARN.
func TestAnonymous(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	docs := remote("docs", backend.URL+"/mcp")
	folder := manifests(t, docs)
	g := testkit.Start(t, "serve", "-f", folder)
	call(g.MCP(), "tool", "").do(t).wantResult(t, `{"ok":true}`)
	call(at(g, "docs"), "tool", "").with("Authorization", "Bearer mine").do(t).wantResult(t, `{"ok":true}`)
	for _, r := range backend.Requests() {
		if v, ok := r.Header["Authorization"]; ok {
			t.Errorf("the backend got Authorization %q", v)
		}
	}
	wantLines(t, g, 1, "WARN", "anonymous", "docs")
	writeManifests(t, folder, docs+"# changed\n")
	g.Stderr.WaitFor(t, "configuration reloaded")
	wantLines(t, g, 1, "WARN", "anonymous", "docs")
}

// REQ A-3, REQ A-6, REQ E-1: on every path the backend gets the protocol's headers, what the manifest lists and sets, and nothing else.
func TestBackendHeaders(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, sessionBackend("backend-session"))
	g := serve(t, credentialObjects+remote("docs", backend.URL+"/mcp?key=of-the-url", credentials))
	dirt := []string{
		"Authorization", "Bearer mine", "Cookie", "a=b", "X-Forwarded-For", "1.2.3.4", "Forwarded", "for=1.2.3.4",
		"X-Forwarded-Proto", "https", "Via", "1.1 x", "X-Real-Ip", "1.2.3.4", "X-Authenticated-User", "root",
		"X-Unlisted", "1", "User-Agent", "spy/1", "X-Secret", "forged", "X-Plain", "forged", "Te", "trailers",
		"X-Tenant", " acme, one ", "X-Tenant", "two\tthree",
	}
	clean := http.Header{
		"Accept": {"application/json, text/event-stream"}, "Accept-Encoding": {"identity"},
		"Authorization": {"Bearer bearer"}, "X-Plain": {"plain"}, "X-Secret": {"secret"},
		"X-Tenant":             {"acme, one", "two\tthree"}, // RFC 9110 §5.5: the space around a value is not part of it
		"Mcp-Protocol-Version": {"2025-11-25"},
	}
	session := []string{"Mcp-Session-Id", initialize(t, g.MCP(), dirt...)}
	for _, tt := range []struct {
		name    string
		request request
		want    http.Header
	}{
		{"modern POST", call(g.MCP()+"?access_token=x", "tool", "").with("Mcp-Param-Region", "eu"), http.Header{
			"Content-Type": {"application/json"}, "Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"},
			"Mcp-Name": {"tool"}, "Mcp-Param-Region": {"eu"},
		}},
		{"POST in a session", legacy(g.MCP(), "tools/list", "").with(session...), http.Header{
			"Content-Type": {"application/json"}, "Mcp-Session-Id": {"backend-session"},
		}},
		{"notification", message(g.MCP(), `{"jsonrpc":"2.0","method":"notifications/initialized"}`).
			with("Mcp-Protocol-Version", "2025-11-25").with(session...), http.Header{
			"Content-Type": {"application/json"}, "Mcp-Session-Id": {"backend-session"},
		}},
		{"GET", listen(g.MCP()).with("Last-Event-Id", "e5"), http.Header{
			"Accept": {"text/event-stream"}, "Last-Event-Id": {"e5"},
		}},
		{"GET in a session", listen(g.MCP()).with("Last-Event-Id", "not sealed for it").with(session...), http.Header{
			"Accept": {"text/event-stream"}, "Mcp-Session-Id": {"backend-session"},
		}},
		{"DELETE", request{method: http.MethodDelete, url: g.MCP()}.
			with("Mcp-Protocol-Version", "2025-11-25", "Accept", "*/*").with(session...), http.Header{
			"Accept": {"*/*"}, "Mcp-Session-Id": {"backend-session"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			backend.Reset()
			resp := tt.request.with(dirt...).open(t.Context(), t)
			resp.Body.Close()
			got := backend.Requests()[0]
			want := clean.Clone()
			for name, values := range tt.want {
				want[name] = values
			}
			got.Header.Del("Content-Length")
			if ua := got.Header.Get("User-Agent"); !strings.HasPrefix(ua, "sallyport") {
				t.Errorf("User-Agent %q", ua)
			}
			got.Header.Del("User-Agent")
			if diff := cmp.Diff(want, got.Header); diff != "" {
				t.Errorf("headers at the backend (-want +got):\n%s", diff)
			}
			if got.Target != "/mcp?key=of-the-url" || got.Host != strings.TrimPrefix(backend.URL, "http://") {
				t.Errorf("the backend got %s at Host %s", got.Target, got.Host)
			}
		})
	}
}

// REQ A-3: what belongs to the inner door, to the connection or to a browser's trust in an origin does not reach the client.
func TestAnswerHeaders(t *testing.T) {
	t.Parallel()
	sent := map[string]string{
		"Set-Cookie": "a=b", "Www-Authenticate": "Bearer", "Proxy-Authenticate": "Basic", "Authentication-Info": "x", "Alt-Svc": "h3=\":443\"",
		"Strict-Transport-Security": "max-age=1", "Server": "backend/1", "Via": "1.1 b", "Access-Control-Allow-Origin": "*",
		"Clear-Site-Data": "*", "Refresh": "0", "Location": "/x", "Keep-Alive": "timeout=5", "X-Hop": "1", "Connection": "X-Hop",
		"X-Secret": "secret", "Authorization": "Bearer bearer", "X-Plain": "plain", "X-Tenant": "acme", "Mcp-Session-Id": "raw",
	}
	sent["X-Vendor"] = "v"
	pass := map[string]string{"X-Request-Id": "v", "Retry-After": "3", "Mcp-Vendor": "m", "Cache-Control": "max-age=5", "Content-Language": "de"}
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		for name, value := range sent {
			w.Header().Set(name, value)
		}
		for name, value := range pass {
			w.Header().Set(name, value)
		}
		if bodyOf(r).Params.Name == "stream" {
			events(w)("data: " + rpcResult(r, `{}`) + "\n\n")
			return
		}
		ok(w, r)
	})
	g := serve(t, credentialObjects+remote("docs", backend.URL, credentials))
	for _, tool := range []string{"plain", "stream"} {
		got := call(g.MCP(), tool, "").with("X-Tenant", "acme").do(t)
		for name, value := range sent {
			if v := got.Header.Get(name); v != "" && (name != "Connection" || v == value) {
				t.Errorf("%s: the client got %s: %s", tool, name, v)
			}
		}
		for name, value := range pass {
			if v := got.Header.Get(name); v != value {
				t.Errorf("%s: the client got %s: %q, want %q", tool, name, v, value)
			}
		}
	}
}

// REQ A-7: the debug log has the outbound headers, credentials redacted, and the backend's status; other levels have neither.
func TestDebugLog(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		ok(w, r)
	})
	docs := credentialObjects + remote("docs", backend.URL+"/mcp?key=of-the-url", credentials)
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			g := serve(t, docs, "--log-level", "debug", "--log-format", format)
			call(g.MCP(), "tool", "").with("X-Tenant", "acme", "Mcp-Param-Key", "param").do(t)
			g.Stderr.WaitFor(t, "418")
			line := strings.Join(lines(g.Stderr.String(), "request to backend"), "")
			for _, want := range []string{"X-Secret", "X-Plain", "X-Tenant", "Authorization", "Mcp-Param-Key", "Mcp-Method", "tools/call"} {
				if !strings.Contains(line, want) {
					t.Errorf("%s is not in the debug line %s", want, line)
				}
			}
			if n := strings.Count(line, "[redacted]"); n != 5 {
				t.Errorf("%d values are redacted, want 5: %s", n, line)
			}
			for _, secret := range []string{"bearer\"", "Bearer", "secret\"", "acme", "param\"", "of-the-url"} {
				if strings.Contains(line, secret) {
					t.Errorf("%s is in the debug line %s", secret, line)
				}
			}
		})
	}
	t.Run("info", func(t *testing.T) {
		t.Parallel()
		g := serve(t, docs)
		call(g.MCP(), "tool", "").do(t)
		if strings.Contains(g.Stderr.String(), "X-Secret") {
			t.Error("headers are in the log without --log-level debug")
		}
	})
}

// restricted are the names that E-2 keeps for others.
var restricted = []string{
	"Host", "Authorization", "Cookie", "X-Forwarded-For", "X-Forwarded-Anything", "x-forwarded-proto", "Forwarded",
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Mcp-Session-Id", "mcp-protocol-version", "Mcp-Method", "MCP-NAME", "Mcp-Param-X", "Last-Event-Id",
	"X-Authenticated-User", "X-Auth-Request-User", "Remote-User", "Cf-Access-Jwt-Assertion", "X-Amzn-Oidc-Data", "X-Goog-Iap-Jwt-Assertion",
	"Content-Length", "Content-Type", "Accept",
}

// REQ E-2: restricted names are refused at load, by name and place, wherever a manifest can put a header name.
func TestRestrictedHeaders(t *testing.T) {
	t.Parallel()
	var docs strings.Builder
	want := 0
	docs.WriteString(secretObject("s", "k", "v"))
	for i, name := range restricted {
		docs.WriteString(remote(fmt.Sprintf("p%d", i), "https://mcp.example.com/mcp", "passthroughHeaders: [X-Fine, "+name+"]"))
		want++
		if name == "Authorization" {
			continue // what the gateway sets may be Authorization
		}
		docs.WriteString(remote(fmt.Sprintf("f%d", i), "https://mcp.example.com/mcp", "headerForward: {addPlaintextHeaders: {"+name+": x}}"))
		docs.WriteString(remote(fmt.Sprintf("s%d", i), "https://mcp.example.com/mcp",
			"headerForward: {addHeadersFromSecret: [{headerName: "+name+", valueSecretRef: {name: s, key: k}}]}"))
		docs.WriteString(object("MCPExternalAuthConfig", fmt.Sprintf("a%d", i), "type: headerInjection",
			"headerInjection: {headerName: "+name+", valueSecretRef: {name: s, key: k}}"))
		want += 3
	}
	for _, name := range []string{`"bad name"`, `"X:Y"`, `"X\r\nY"`, `""`, "Ünicode"} {
		docs.WriteString(remote(fmt.Sprintf("n%d", want), "https://mcp.example.com/mcp", "passthroughHeaders: ["+name+"]"))
		want++
	}
	got := testkit.Run(t, "check", "-f", manifests(t, docs.String()))
	if got.Code != 2 {
		t.Errorf("exit code %d, want 2", got.Code)
	}
	named := map[string]bool{} // resources that were refused
	for line := range strings.Lines(got.Stderr) {
		parts := strings.Split(line, ": ")
		if len(parts) < 4 || !strings.Contains(parts[0], "main.yaml:") {
			t.Errorf("a line without a place: %s", line)
			continue
		}
		named[parts[1]] = true
		field := parts[2]
		if !strings.HasPrefix(field, "spec.passthroughHeaders[") && !strings.HasPrefix(field, "spec.headerForward.") && !strings.HasPrefix(field, "spec.headerInjection.headerName") {
			t.Errorf("a line that does not name the field: %s", line)
		}
	}
	if len(named) != want {
		t.Errorf("%d resources refused, want %d:\n%s", len(named), want, got.Stderr)
	}
}

// REQ E-2: a restricted name that comes with a reload leaves what is served as it is.
func TestRestrictedHeaderOnReload(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	folder := manifests(t, remote("docs", backend.URL))
	g := testkit.Start(t, "serve", "-f", folder)
	writeManifests(t, folder, remote("docs", backend.URL, "passthroughHeaders: [Cookie]"))
	g.Stderr.WaitFor(t, "spec.passthroughHeaders[0]")
	call(g.MCP(), "tool", "").with("Cookie", "a=b").do(t).wantResult(t, `{"ok":true}`)
	if v := backend.Requests()[0].Header.Get("Cookie"); v != "" {
		t.Errorf("the backend got Cookie %q", v)
	}
	writeManifests(t, folder, remote("other", backend.URL))
	g.Stderr.WaitFor(t, "configuration reloaded")
	call(at(g, "other"), "tool", "").do(t).wantResult(t, `{"ok":true}`)
}

// REQ E-3: two settings for one header are an error at load that names both, whatever their spelling.
func TestConflictingHeaders(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		lines []string
		says  []string
	}{
		{
			"passthrough and plain",
			[]string{"passthroughHeaders: [x-TENANT]", "headerForward: {addPlaintextHeaders: {X-Tenant: a}}"},
			[]string{"spec.passthroughHeaders[0]", "headerForward.addPlaintextHeaders"},
		},
		{
			"passthrough and secret",
			[]string{
				"passthroughHeaders: [X-Other, X-Tenant]",
				"headerForward: {addHeadersFromSecret: [{headerName: x-tenant, valueSecretRef: {name: s, key: k}}]}",
			},
			[]string{"spec.passthroughHeaders[1]", "headerForward.addHeadersFromSecret"},
		},
		{
			"passthrough and credential",
			[]string{"passthroughHeaders: [X-Inject]", "externalAuthConfigRef: {name: inject}"},
			[]string{"spec.passthroughHeaders[0]", "spec.externalAuthConfigRef"},
		},
		{
			"plain and secret",
			[]string{
				"headerForward:", "  addPlaintextHeaders: {X-A: a}",
				"  addHeadersFromSecret: [{headerName: x-a, valueSecretRef: {name: s, key: k}}]",
			},
			[]string{"addPlaintextHeaders", "addHeadersFromSecret"},
		},
		{
			"plain and credential",
			[]string{"headerForward: {addPlaintextHeaders: {authorization: a}}", "externalAuthConfigRef: {name: bearer}"},
			[]string{"spec.headerForward.addPlaintextHeaders", "spec.externalAuthConfigRef"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			docs := secretObject("s", "k", "v") +
				object("MCPExternalAuthConfig", "inject", "type: headerInjection", "headerInjection: {headerName: x-inject, valueSecretRef: {name: s, key: k}}") +
				object("MCPExternalAuthConfig", "bearer", "type: bearerToken", "bearerToken: {tokenSecretRef: {name: s, key: k}}") +
				remote("docs", "https://mcp.example.com/mcp", tt.lines...)
			for _, command := range []string{"check", "serve"} {
				args := []string{command, "-f", manifests(t, docs)}
				if command == "serve" {
					args = append(args, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
				}
				got := testkit.Run(t, args...)
				if got.Code != 2 || !slices.ContainsFunc(lines(got.Stderr, tt.says...), func(l string) bool { return strings.Contains(l, "MCPRemoteProxy/docs") }) {
					t.Errorf("%s: exit code %d, want 2 and a line that names %q:\n%s", command, got.Code, tt.says, got.Stderr)
				}
			}
		})
	}
}

// REQ E-4: in a session the values stay those it began with; without one each request has its own.
func TestPassthroughCapture(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, sessionBackend("s"))
	g := serve(t, remote("docs", backend.URL, "passthroughHeaders: [X-Tenant, X-Late]"))
	tenants := func(send ...request) (got []string) {
		backend.Reset()
		for _, r := range send {
			r.open(t.Context(), t).Body.Close()
		}
		for _, r := range backend.Requests() {
			got = append(got, fmt.Sprint(r.Header["X-Tenant"], r.Header["X-Late"]))
		}
		return got
	}
	session := []string{"Mcp-Session-Id", initialize(t, g.MCP(), "X-Tenant", "first", "X-Tenant", "again")}
	got := tenants(
		legacy(g.MCP(), "tools/list", "").with(session...),
		legacy(g.MCP(), "tools/list", "").with(session...).with("X-Tenant", "other", "X-Late", "new"),
		listen(g.MCP()).with(session...).with("X-Tenant", "other"),
		request{method: http.MethodDelete, url: g.MCP()}.with(session...).with("X-Tenant", "other"),
	)
	if diff := cmp.Diff(slices.Repeat([]string{"[first again] []"}, 4), got); diff != "" {
		t.Errorf("values in a session (-want +got):\n%s", diff)
	}
	got = tenants(
		call(g.MCP(), "tool", "").with("X-Tenant", "a"),
		call(g.MCP(), "tool", "").with("X-Tenant", "b", "X-Late", "l"),
		call(g.MCP(), "tool", "").with("X-Tenant", ""),
		call(g.MCP(), "tool", "").with(session...),
	)
	if diff := cmp.Diff([]string{"[a] []", "[b] [l]", "[] []", "[] []"}, got); diff != "" {
		t.Errorf("values without a session (-want +got):\n%s", diff)
	}

	// A client of 2024-11-05 has them from its stream.
	stream := request{method: http.MethodGet, url: g.SSE()}.with("X-Tenant", "of-the-stream").open(t.Context(), t)
	in := readEvents(stream.Body)
	first, err := in.next()
	if err != nil {
		t.Fatal(err)
	}
	post := g.URL + strings.TrimSpace(first[strings.Index(first, "data: ")+len("data: "):])
	backend.Reset()
	message(post, initialization("").body).with("X-Tenant", "other").do(t)
	if _, err := in.next(); err != nil {
		t.Fatal(err)
	}
	if v := backend.Requests()[0].Header.Get("X-Tenant"); v != "of-the-stream" {
		t.Errorf("a 2024-11-05 message carried %q", v)
	}
}

// REQ E-1: `run URL` takes its headers from flags, and a value from the environment where it should not stand on a command line.
func TestRunHeaders(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	g := testkit.StartWith(t, testkit.Options{Env: []string{"X_FROM_ENV=enved"}}, "run",
		"--header", "X-Typed=typed", "--header", "X-From-Env", "--passthrough-header", "X-Tenant", backend.URL+"/mcp")
	call(g.MCP(), "tool", "").with("X-Tenant", "acme", "X-Other", "x").do(t).wantResult(t, `{"ok":true}`)
	h := backend.Requests()[0].Header
	if h.Get("X-Typed") != "typed" || h.Get("X-From-Env") != "enved" || h.Get("X-Tenant") != "acme" || h.Get("X-Other") != "" {
		t.Errorf("the backend got %v", h)
	}
}
