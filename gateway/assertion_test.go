package gateway_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

const albSigner = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/gw/50dc6c495c0c9188"

// signedBy are the settings of an endpoint behind a proxy that signs; more are those
// of the assertion.
func signedBy(preset string, more ...string) string {
	return "trustedProxy: {clientAuthEnabled: false, trustProxyAuth: true, missingHeader: reject, assertion: {preset: " +
		strings.Join(append([]string{preset, "allowPrivateIPs: true"}, more...), ", ") + "}}"
}

// albAssertion is what a load balancer sends: padded base64url, and issuer and
// expiry in the header.
func albAssertion(i *testkit.Issuer, changes map[string]any) string {
	header := map[string]any{
		"typ": "JWT", "alg": "ES256", "kid": i.KID, "signer": albSigner, "iss": "https://idp.example.com", "client": "client-1",
		"exp": time.Now().Add(2 * time.Minute).Unix(),
	}
	for name, v := range changes {
		header[name] = v
	}
	head, err := json.Marshal(header)
	if err != nil {
		panic(err)
	}
	return i.SignText(string(head), `{"sub":"alice","email":"a@example.com","custom:teams":["a"]}`, base64.URLEncoding)
}

// REQ C-8: each proxy that signs, as a manifest configures it: its own assertion
// lets in, and nothing else does; none of it reaches the backend.
func TestSignedProxies(t *testing.T) {
	t.Parallel()
	i := testkit.NewIssuer(t)
	jwt := func(claims map[string]any) string { return i.Sign(nil, i.Claims("ours", claims)) }
	for _, tt := range []struct {
		preset, header string
		settings       []string
		good, foreign  string // foreign is signed as well, for another deployment
	}{
		{
			"cloudflare-access", "Cf-Access-Jwt-Assertion",
			[]string{"team: acme", "audience: ours", "issuer: " + i.URL, "keysUrl: " + i.URL + "/certs"},
			i.SignRSA(i.Claims("ours", nil)), i.SignRSA(i.Claims("theirs", nil)),
		},
		{
			"google-iap", "X-Goog-Iap-Jwt-Assertion",
			[]string{"audience: /projects/1/global/backendServices/2", "keysUrl: " + i.URL + "/public_key-jwk.json"},
			jwt(map[string]any{"iss": "https://cloud.google.com/iap", "aud": "/projects/1/global/backendServices/2"}),
			jwt(map[string]any{"iss": "https://cloud.google.com/iap", "aud": "/projects/1/global/backendServices/3"}),
		},
		{
			"pomerium", "X-Pomerium-Jwt-Assertion",
			[]string{"domain: mcp.example.com", "keysUrl: " + i.URL + "/jwks.json"},
			jwt(map[string]any{"iss": "mcp.example.com", "aud": "mcp.example.com"}),
			jwt(map[string]any{"iss": "mcp.example.com", "aud": "other.example.com"}),
		},
		{
			"pomerium", "X-Pomerium-Jwt-Assertion",
			[]string{"domain: mcp.example.com", `issuer: "https://mcp.example.com/"`, "keysUrl: " + i.URL + "/jwks.json"},
			jwt(map[string]any{"iss": "https://mcp.example.com/", "aud": "mcp.example.com"}),
			jwt(map[string]any{"iss": "mcp.example.com", "aud": "mcp.example.com"}),
		},
		{
			"aws-alb", "X-Amzn-Oidc-Data",
			[]string{"region: eu-central-1", "signer: " + `"` + albSigner + `"`, "clientId: client-1", "keysUrl: " + i.URL + "/keys"},
			albAssertion(i, nil), albAssertion(i, map[string]any{"signer": albSigner + "0"}),
		},
		{
			"aws-alb", "X-Amzn-Oidc-Data",
			[]string{"region: eu-central-1", "signer: " + `"` + albSigner + `"`, `issuer: "https://idp.example.com"`, "keysUrl: " + i.URL + "/keys"},
			albAssertion(i, nil), albAssertion(i, map[string]any{"iss": "https://evil.example.com"}),
		},
	} {
		t.Run(tt.preset, func(t *testing.T) {
			t.Parallel()
			b, log := newBackend(t, "b"), &lockedLog{}
			r := newRig(t, proxy("docs", b.URL, signedBy(tt.preset, tt.settings...)), func(o *gateway.Options) {
				o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			for name, headers := range map[string][]string{
				"nothing":              nil,
				"a plain header":       {"X-Authenticated-User", "alice"},
				"garbage":              {tt.header, "alice"},
				"empty":                {tt.header, ""},
				"another deployment's": {tt.header, tt.foreign},
				"as a token":           {"Authorization", "Bearer " + tt.good},
			} {
				w := r.send(post("/mcp", toolCall, headers...))
				if w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "audience") || strings.Contains(w.Body.String(), "load balancer") {
					t.Errorf("%s: %d %s", name, w.Code, w.Body)
				}
				if e := r.events.take(); len(e) != 1 || e[0].Outcome != "denied" || e[0].Subject != "" {
					t.Errorf("%s: audited as %+v", name, e)
				}
			}
			for range 2 {
				if w := r.send(post("/mcp", toolCall, tt.header, tt.good)); w.Code != http.StatusOK {
					t.Errorf("the proxy's: %d %s", w.Code, w.Body)
				}
			}
			if w := r.send(post("/mcp", toolCall, tt.header, tt.good, tt.header, tt.good)); w.Code != http.StatusBadRequest {
				t.Errorf("twice: %d", w.Code)
			}
			var who []string
			for _, e := range r.events.take() {
				if text := fmt.Sprintf("%+v", e); strings.Contains(text, tt.good) {
					t.Errorf("the assertion is in the audit: %s", text)
				}
				who = append(who, fmt.Sprint(e.Source, " ", e.Subject, " ", e.Outcome))
			}
			if diff := cmp.Diff([]string{"assertion alice success", "assertion alice success", "  denied"}, who); diff != "" {
				t.Errorf("callers in the audit (-want +got):\n%s", diff)
			}
			if log.count(tt.good) > 0 || log.count(tt.foreign) > 0 {
				t.Error("an assertion is in the log")
			}
			for _, h := range b.taken() {
				if strings.Contains(fmt.Sprint(h), tt.good) || h.Get(tt.header) != "" {
					t.Errorf("the assertion reached the backend: %v", h)
				}
			}
		})
	}
}

// REQ C-2: without an assertion the caller is anonymous, where that is not refused,
// and what a header says beside it is nobody's word.
func TestSignedProxyMissing(t *testing.T) {
	t.Parallel()
	i := testkit.NewIssuer(t)
	b := newBackend(t, "b")
	spec := strings.Replace(signedBy("google-iap", "audience: ours", "keysUrl: "+i.URL+"/jwks"), "missingHeader: reject, ", "", 1)
	r := newRig(t, proxy("docs", b.URL, spec), nil)
	if w := r.send(post("/mcp", toolCall, "X-Authenticated-User", "mallory")); w.Code != http.StatusOK {
		t.Errorf("without: %d %s", w.Code, w.Body)
	}
	if e := r.events.take(); len(e) != 1 || e[0].Subject != "anonymous" {
		t.Errorf("audited as %+v", e)
	}
}

// REQ C-4: what opens the outer door is not passed on: some names never, others
// where they are the proxy's word.
func TestProxyHeadersAreKeptBack(t *testing.T) {
	t.Parallel()
	problems := check(t, proxy("docs", "http://127.0.0.1:1",
		"trustedProxy: {clientAuthEnabled: false, trustProxyAuth: true, proxyUserHeader: X-Me, groupsHeader: X-Teams}",
		"passthroughHeaders: [X-Teams, X-Other, X-Me]")).Error()
	for _, want := range []string{"spec.passthroughHeaders[0]: header X-Teams", "spec.passthroughHeaders[2]: header X-Me"} {
		if !strings.Contains(problems, want) {
			t.Errorf("%q is not among the problems:\n%s", want, problems)
		}
	}
}

// FINDING S7; REQ C-4: no header that the protocol or clients use says who the caller is;
// it would be believed of anybody behind the proxy, and reach the backend.
func TestIdentityHeadersAreNobodyElses(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Mcp-User", "Mcp-Name", "mcp-param-user", "Last-Event-ID", "Cookie", "Accept"} {
		for _, field := range []string{"proxyUserHeader", "emailHeader", "nameHeader", "groupsHeader"} {
			problems := check(t, proxy("docs", "http://127.0.0.1:1", "trustedProxy: {clientAuthEnabled: false, trustProxyAuth: true, "+field+": "+name+"}"))
			if len(problems) != 1 || !strings.Contains(problems.Error(), "spec.trustedProxy."+field+": header") {
				t.Errorf("%s %s: %v", field, name, problems)
			}
		}
	}
	for _, name := range []string{"X-Me", "X-Forwarded-User", "Remote-User", "X-Authenticated-User"} {
		if problems := check(t, proxy("docs", "http://127.0.0.1:1", "trustedProxy: {clientAuthEnabled: false, trustProxyAuth: true, proxyUserHeader: "+name+"}")); len(problems) != 0 {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

// The keys of a load balancer outlive a change of the configuration.
func TestALBKeysOutliveAReload(t *testing.T) {
	t.Parallel()
	i := testkit.NewIssuer(t)
	b := newBackend(t, "b")
	spec := signedBy("aws-alb", "region: eu-central-1", `signer: "`+albSigner+`"`, "keysUrl: "+i.URL+"/keys")
	r := newRig(t, proxy("docs", b.URL, spec), nil)
	use := func() {
		t.Helper()
		if w := r.send(post("/servers/docs/mcp", toolCall, "X-Amzn-Oidc-Data", albAssertion(i, nil))); w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	use()
	if err := r.Apply(load(t, proxy("docs", b.URL, spec)+proxy("more", b.URL))); err != nil {
		t.Fatal(err)
	}
	use()
	if n := i.Asked(); n != 1 {
		t.Errorf("the key was fetched %d times, want once", n)
	}
}

// REQ C-8: each preset by a manifest, with the groups that policies ask for.
func TestPresets(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	for preset, headers := range map[string][]string{
		"oauth2-proxy":          {"X-Auth-Request-User", "alice", "X-Auth-Request-Groups", "staff,engineering"},
		"oauth2-proxy-upstream": {"X-Forwarded-User", "alice", "X-Forwarded-Groups", "staff,engineering"},
		"authelia":              {"Remote-User", "alice", "Remote-Groups", "staff,engineering"},
		"pomerium":              {"X-Pomerium-Claim-Email", "alice", "X-Pomerium-Claim-Groups", "staff,engineering"},
		"traefik-forward-auth":  {"X-Forwarded-User", "alice"},
		"envoy":                 {"X-Jwt-Claim-Sub", "alice"},
		"istio":                 {"X-Jwt-Claim-Sub", "alice"},
	} {
		t.Run(preset, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, proxy("docs", b.URL,
				"trustedProxy: {clientAuthEnabled: false, trustProxyAuth: true, missingHeader: reject, preset: "+preset+", trustedProxies: [192.0.2.1]}",
				policies("enforce", `permit(principal in THVGroup::"engineering", action, resource);`)), nil)
			want := "proxy alice denied" // in no group
			if len(headers) > 2 {
				want = "proxy alice success"
			}
			r.send(post("/mcp", toolCall, headers...))
			if e := r.events.take()[0]; fmt.Sprint(e.Source, " ", e.Subject, " ", e.Outcome) != want {
				t.Errorf("audited as %+v, want %s", e, want)
			}
			stranger := post("/mcp", toolCall, headers...)
			stranger.RemoteAddr = "192.0.2.2:1"
			if w := r.send(stranger); w.Code != http.StatusUnauthorized {
				t.Errorf("from elsewhere: %d", w.Code)
			}
			for _, h := range b.taken() {
				for i := 0; i < len(headers); i += 2 {
					if h.Get(headers[i]) != "" {
						t.Errorf("%s reached the backend", headers[i])
					}
				}
			}
		})
	}
}
