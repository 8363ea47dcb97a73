package compile_test

import (
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
)

// made is the one endpoint that manifests are made into, for nobody.
func made(t *testing.T, docs ...string) *compile.Endpoint {
	t.Helper()
	p := plan.Of(load(t, docs...), plan.Process{Checking: true})
	if len(p.Problems) > 0 {
		t.Fatal(p.Problems)
	}
	parts, problems := compile.NewMaker(compile.Options{
		Store: store.NewMemory(), Metrics: telemetry.NewMetrics("test"), Log: slog.New(slog.DiscardHandler), Checking: true,
		Resource:  func(compile.Name) func(string) (string, bool) { return nil },
		Address:   func(compile.Name) func(*http.Request) string { return nil },
		Endpoints: func(compile.Name) func() []authserver.Endpoint { return nil },
		Events:    func(compile.Name) audit.Sink { return audit.Discard{} },
	}).Make(p)
	t.Cleanup(parts.Release)
	if len(problems) > 0 || len(parts.Endpoints) != 1 {
		t.Fatalf("%d endpoints, problems %v", len(parts.Endpoints), problems)
	}
	return parts.Endpoints[0]
}

// REQ C-8: the other headers, as each known proxy has them.
func TestProxyPresets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		preset string
		lines  []string
		want   identity.Caller
	}{
		{"oauth2-proxy", []string{
			"X-Auth-Request-User: u1", "X-Auth-Request-Email: a@example.com", "X-Auth-Request-Preferred-Username: alice", "X-Auth-Request-Groups: a,role:b",
		}, identity.Caller{Subject: "u1", Email: "a@example.com", Name: "alice", Groups: []string{"a", "role:b"}}},
		{"oauth2-proxy-upstream", []string{
			"X-Forwarded-User: u1", "X-Forwarded-Email: a@example.com", "X-Forwarded-Preferred-Username: alice", "X-Forwarded-Groups: a,role:b",
		}, identity.Caller{Subject: "u1", Email: "a@example.com", Name: "alice", Groups: []string{"a", "role:b"}}},
		{"authelia", []string{"Remote-User: alice", "Remote-Email: a@example.com", "Remote-Name: Alice", "Remote-Groups: a, b ,,c"}, identity.Caller{
			Subject: "alice", Email: "a@example.com", Name: "Alice", Groups: []string{"a", "b", "c"},
		}},
		{"authelia", []string{"Remote-User: alice", "Remote-Groups: ", "Remote-Email: a@example.com", "Remote-Email: b@example.com"}, identity.Caller{Subject: "alice"}},
		{"traefik-forward-auth", []string{"X-Forwarded-User: a@example.com", "X-Forwarded-Groups: root"}, identity.Caller{Subject: "a@example.com", Email: "a@example.com"}},
		{"envoy", []string{"X-Jwt-Claim-Sub: alice", "X-Jwt-Claim-Email: a@example.com", "X-Jwt-Claim-Groups: WyJhIl0"}, identity.Caller{Subject: "alice", Email: "a@example.com"}},
		{"istio", []string{"X-Jwt-Claim-Sub: alice", "X-Jwt-Claim-Name: Alice"}, identity.Caller{Subject: "alice", Name: "Alice"}},
		{"pomerium", []string{"X-Pomerium-Claim-Email: a@example.com", "X-Pomerium-Claim-Groups: a,b"}, identity.Caller{
			Subject: "a@example.com", Email: "a@example.com", Groups: []string{"a", "b"},
		}},
	} {
		t.Run(tt.preset, func(t *testing.T) {
			t.Parallel()
			e := made(t, proxy("docs", "http://127.0.0.1:1", "trustedProxy: {clientAuthEnabled: false, trustProxyAuth: true, preset: "+tt.preset+"}"))
			req := &authn.Request{Header: http.Header{}, Peer: netip.MustParseAddr("127.0.0.1")}
			for _, line := range tt.lines {
				name, value, _ := strings.Cut(line, ": ")
				req.Header.Add(name, value)
			}
			got, d := e.Door.Resolve(t.Context(), req)
			if d != nil {
				t.Fatal(d)
			}
			tt.want.Source = "proxy"
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
