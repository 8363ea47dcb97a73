package registry_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/registry"
)

var since = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func two() *registry.Registry {
	return &registry.Registry{Since: since, Servers: []registry.Server{
		{Name: "tickets", URL: "https://gw.example.com/servers/tickets/mcp"},
		{Name: "docs", Title: "Documentation", Description: strings.Repeat("é", 101), URL: "https://gw.example.com/servers/docs/mcp"},
	}}
}

func get(t *testing.T, g *registry.Registry, target string) (status int, body map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	g.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%s: %v in %s", target, err, w.Body)
	}
	return w.Code, body
}

func names(t *testing.T, body map[string]any) (out []string) {
	t.Helper()
	for _, s := range body["servers"].([]any) {
		out = append(out, s.(map[string]any)["server"].(map[string]any)["name"].(string))
	}
	return out
}

func TestEntry(t *testing.T) {
	t.Parallel()
	status, body := get(t, two(), "/v0.1/servers/com.example.gw%2Fdocs/versions/latest")
	if status != http.StatusOK {
		t.Fatal(status, body)
	}
	server := body["server"].(map[string]any)
	version := server["version"].(string)
	want := map[string]any{
		"server": map[string]any{
			"$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
			"name":    "com.example.gw/docs", "title": "Documentation", "description": strings.Repeat("é", 99) + "…", "version": version,
			"remotes": []any{map[string]any{"type": "streamable-http", "url": "https://gw.example.com/servers/docs/mcp"}},
		},
		"_meta": map[string]any{"io.modelcontextprotocol.registry/official": map[string]any{
			"status": "active", "publishedAt": "2026-11-01T12:00:00Z", "updatedAt": "2026-11-01T12:00:00Z", "isLatest": true,
		}},
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Error(diff)
	}
	for target, want := range map[string]int{
		"/v0.1/servers/com.example.gw/docs/versions/latest":                   200, // a proxy wrote the slash out
		"/v0.1/servers/com.example.gw%2Fdocs/versions/" + version:             200,
		"/v0.1/servers/com.example.gw%2Fdocs/versions/2.0.0":                  404,
		"/v0.1/servers/com.example.gw%2Fnone/versions/latest":                 404,
		"/v0.1/servers/com.example.gw%2Fdocs":                                 404,
		"/v0.1/servers?limit=0":                                               400,
		"/v0.1/servers?cursor=%25":                                            400,
		"/v0.1/servers?updated_since=yesterday":                               400,
		"/v0.1/servers?updated_since=" + url.QueryEscape("2026-11-01T12:00Z"): 400,
	} {
		if status, body := get(t, two(), target); status != want || want != 200 && body["error"] == "" {
			t.Errorf("%s: %d %v", target, status, body)
		}
	}
	// What is said changes, and so does the version.
	changed := two()
	changed.Servers[1].URL += "/"
	if _, body := get(t, changed, "/v0.1/servers/com.example.gw%2Fdocs/versions/latest"); body["server"].(map[string]any)["version"] == version {
		t.Error("the version stays although the URL is another")
	}
	if status, body := get(t, two(), "/v0.1/servers/com.example.gw%2Fdocs/versions"); status != 200 || len(names(t, body)) != 1 {
		t.Errorf("versions: %d %v", status, body)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	for query, want := range map[string][]string{
		"":                                    {"com.example.gw/docs", "com.example.gw/tickets"},
		"?search=DOC":                         {"com.example.gw/docs"},
		"?search=documentation":               {"com.example.gw/docs"},
		"?search=nothing":                     nil,
		"?version=latest":                     {"com.example.gw/docs", "com.example.gw/tickets"},
		"?version=1.2.3":                      nil,
		"?updated_since=2026-11-01T11:00:00Z": {"com.example.gw/docs", "com.example.gw/tickets"},
		"?updated_since=2026-11-02T00:00:00Z": nil,
		"?limit=1":                            {"com.example.gw/docs"},
		"?limit=1000":                         {"com.example.gw/docs", "com.example.gw/tickets"},
	} {
		status, body := get(t, two(), "/v0.1/servers"+query)
		if diff := cmp.Diff(want, names(t, body)); status != 200 || diff != "" {
			t.Errorf("%s: %d %s", query, status, diff)
		}
	}
	// Names of addresses, and pages to the end.
	many := &registry.Registry{Since: since}
	for i := range 65 {
		many.Servers = append(many.Servers, registry.Server{Name: fmt.Sprintf("s%02d", 64-i), URL: "http://127.0.0.1:8080/mcp"})
	}
	var all []string
	for query := "?"; query != ""; {
		_, body := get(t, many, "/v0.1/servers"+query)
		page := names(t, body)
		meta := body["metadata"].(map[string]any)
		if int(meta["count"].(float64)) != len(page) {
			t.Errorf("count %v of %d", meta["count"], len(page))
		}
		all = append(all, page...)
		query = ""
		if next, ok := meta["nextCursor"].(string); ok {
			query = "?cursor=" + next
		}
	}
	if len(all) != 65 || all[0] != "local/s00" || all[64] != "local/s64" {
		t.Errorf("%d: %v", len(all), all)
	}
}

func TestOnlyRead(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	two().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v0.1/servers", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	if !registry.Allow(w, httptest.NewRequest(http.MethodOptions, "/v0.1/servers", nil)) || w.Code != http.StatusNoContent ||
		w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// The files say what the API says.
func TestFiles(t *testing.T) {
	t.Parallel()
	files, err := two().Files()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 7 {
		t.Errorf("%d files", len(files))
	}
	for file, text := range files {
		at, ok := strings.CutSuffix(file, "/index.json")
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil || !ok {
			t.Fatalf("%s: %v", file, err)
		}
		if _, want := get(t, two(), "/"+at); !cmp.Equal(want, got) {
			t.Errorf("%s: %s", file, cmp.Diff(want, got))
		}
	}
}
