package gateway_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/registry"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// The registry shows everybody all servers, or each caller those that let them in, or nobody anything; to pages of any
// origin, and under no other name than the gateway's.
func TestRegistry(t *testing.T) {
	t.Parallel()
	i := testkit.NewIssuer(t)
	docs := proxy("open", "http://127.0.0.1:1", "title: Open to all", "description: What anybody may read.") +
		proxy("closed", "http://127.0.0.1:1", ofIssuer(i))
	token := "Bearer " + i.Sign(nil, i.Claims("ours", nil))
	for _, tt := range []struct {
		mode          registry.Mode
		docs          string
		authorization string
		host          string
		status        int
		names         []string
	}{
		{registry.Off, docs, "", "gw.example.com", 404, nil},
		{registry.Everybody, docs, "", "gw.example.com", 200, []string{"com.example.gw/closed", "com.example.gw/open"}},
		{registry.Callers, docs, "", "gw.example.com", 200, []string{"com.example.gw/open"}},
		{registry.Callers, docs, token, "gw.example.com", 200, []string{"com.example.gw/closed", "com.example.gw/open"}},
		{registry.Callers, proxy("closed", "http://127.0.0.1:1", ofIssuer(i)), "", "gw.example.com", 401, nil},
		{registry.Everybody, docs, "", "evil.example", 403, nil},
	} {
		r := newRig(t, tt.docs, func(o *gateway.Options) {
			o.Registry, o.PublicURL, o.AllowedHosts = tt.mode, "https://gw.example.com", []string{"gw.example.com"}
		})
		local := context.WithValue(t.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080})
		req := httptest.NewRequestWithContext(local, http.MethodGet, "/v0.1/servers", nil)
		req.Host = tt.host
		req.Header.Set("Origin", "https://editor.example")
		if tt.authorization != "" {
			req.Header.Set("Authorization", tt.authorization)
		}
		w := r.send(req)
		var body struct {
			Servers []struct {
				Server struct {
					Name, Title, Description string
					Remotes                  []struct{ URL string }
				}
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != tt.status {
			t.Errorf("%s: status %d, %v: %s", tt.mode, w.Code, err, w.Body)
			continue
		}
		var names []string
		for _, s := range body.Servers {
			names = append(names, s.Server.Name)
			if want := "https://gw.example.com/servers/" + strings.TrimPrefix(s.Server.Name, "com.example.gw/") + "/mcp"; s.Server.Remotes[0].URL != want {
				t.Errorf("%s is at %s", s.Server.Name, s.Server.Remotes[0].URL)
			}
			if s.Server.Name == "com.example.gw/open" && (s.Server.Title != "Open to all" || s.Server.Description != "What anybody may read.") {
				t.Errorf("%+v", s.Server)
			}
		}
		if diff := cmp.Diff(tt.names, names); diff != "" {
			t.Errorf("%s: %s", tt.mode, diff)
		}
		readable := w.Header().Get("Access-Control-Allow-Origin") == "*"
		if readable != slices.Contains([]int{200, 401}, tt.status) || tt.status == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s, status %d: header %v", tt.mode, w.Code, w.Header())
		}
	}
}
