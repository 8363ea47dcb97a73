package gateway_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// hs256 signs with a text that everybody knows, such as a public key.
func hs256(header, claims, known string) string {
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(known))
	mac.Write([]byte(text))
	return text + "." + enc.EncodeToString(mac.Sum(nil))
}

// ofIssuer protects an endpoint by an issuer.
func ofIssuer(i *testkit.Issuer) string {
	return "oidcConfig: {inline: {issuer: " + i.URL + ", jwksAllowPrivateIP: true, audience: ours}}"
}

// REQ B-7: what is no good token at the door is a 401 that tells the caller nothing,
// whatever is wrong with it; the audit knows why; and it costs the issuer nothing.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	i, evil := testkit.NewIssuer(t), testkit.NewIssuer(t)
	b := newBackend(t, "b")
	r := newRig(t, proxy("docs", b.URL, ofIssuer(i)), nil)
	now := time.Now().Unix()
	claims := func(changes map[string]any) map[string]any { return i.Claims("ours", changes) }
	with := func(changes map[string]any) string { return i.Sign(nil, claims(changes)) }
	plain, err := json.Marshal(claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	raw := base64.RawURLEncoding
	none := func(alg string) string {
		return raw.EncodeToString([]byte(`{"alg":"`+alg+`"}`)) + "." + raw.EncodeToString(plain) + "."
	}
	text := func(header, payload string) string { return i.SignText(header, payload, raw) }
	head := `{"alg":"ES256","kid":"` + i.KID + `"}`
	twice := strings.Replace(string(plain), `{`, `{"sub":"root",`, 1)
	foreign := map[string]any{"alg": "ES256", "typ": "JWT", "kid": "evil"}
	for _, tt := range []struct{ name, token, reason string }{
		{"garbage", "garbage", "no JWT"},
		{"three dots of it", "a.b.c", "no JWT"},
		{"other characters", "a b", "characters"},
		{"expired", with(map[string]any{"exp": now - 60}), "expired"},
		{"expired beyond the clocks' difference", with(map[string]any{"exp": now - 35}), "expired"},
		{"no expiry", with(map[string]any{"exp": nil}), "expiry"},
		{"not yet", with(map[string]any{"nbf": now + 60}), "nbf"},
		{"another audience", with(map[string]any{"aud": "theirs"}), "audience"},
		{"no audience", with(map[string]any{"aud": nil}), "audience"},
		{"another issuer", with(map[string]any{"iss": evil.URL}), "issuer"},
		{"no subject", with(map[string]any{"sub": nil}), "subject"},
		{"alg none", none("none"), "algorithm"},
		{"alg None", none("None"), "algorithm"},
		{"alg nOnE with a signature", none("nOnE") + "AAAA", "algorithm"},
		{"RS/HS confusion, by PEM", hs256(`{"alg":"HS256","kid":"key-1"}`, string(plain), i.PEM()), "algorithm"},
		{"RS/HS confusion, by the key set", hs256(`{"alg":"HS256","kid":"key-1"}`, string(plain), string(i.JWKS())), "algorithm"},
		{"HS256 with an empty key", hs256(`{"alg":"HS256"}`, string(plain), ""), "algorithm"},
		{"kid of a file", i.Sign(map[string]any{"kid": "../../../../dev/null"}, claims(nil)), "no key"},
		{"kid of a query", i.Sign(map[string]any{"kid": "x' UNION SELECT 'k"}, claims(nil)), "no key"},
		{"kid of a URL", i.Sign(map[string]any{"kid": evil.URL + "/jwks"}, claims(nil)), "no key"},
		{"kid of line breaks", i.Sign(map[string]any{"kid": "a\nlevel=INFO msg=forged"}, claims(nil)), "no key"},
		{"a key that it brings", evil.Sign(map[string]any{"kid": i.KID, "jwk": evil.JWK()}, claims(nil)), "signature"},
		{"a key elsewhere", evil.Sign(map[string]any{"kid": i.KID, "jku": evil.URL + "/jwks", "x5u": evil.URL + "/x.pem"}, claims(nil)), "signature"},
		{"another's key", evil.Sign(foreign, claims(nil)), "no key"},
		{"a critical extension", i.Sign(map[string]any{"crit": []string{"b64"}, "b64": false}, claims(nil)), ""},
		{"another type", i.Sign(map[string]any{"typ": "logout+jwt"}, claims(nil)), "type"},
		{"a claim twice", text(head, twice), "claims"},
		{"a header twice", text(`{"alg":"none","alg":"ES256","kid":"`+i.KID+`"}`, string(plain)), ""},
		{"claims that are a list", text(head, "[]"), "claims"},
		{"a changed payload", strings.Replace(with(nil), ".", "."+raw.EncodeToString([]byte(" ")), 1), ""},
		{"a megabyte", with(map[string]any{"pad": strings.Repeat("x", 1<<20)}), "larger"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			w := r.send(post("/mcp", toolCall, "Authorization", "Bearer "+tt.token))
			took := time.Since(start)
			events := r.events.take()
			const said = `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"the token is invalid"}}`
			if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusUnauthorized || got != said {
				t.Errorf("%d %s, want 401 %s", w.Code, got, said)
			}
			if c := w.Header().Get("Www-Authenticate"); !strings.HasPrefix(c, `Bearer error="invalid_token", resource_metadata=`) {
				t.Errorf("challenge %q", c)
			}
			if len(events) != 1 || events[0].Subject != "" || events[0].Outcome != "denied" || !strings.Contains(events[0].Reason, tt.reason) || events[0].Reason == "" {
				t.Errorf("audited as %+v, want a reason with %q", events, tt.reason)
			}
			if len(events) == 1 && (strings.Contains(events[0].Reason, "\n") || len(events[0].Reason) > 500) {
				t.Errorf("the reason is what a stranger wrote: %q", events[0].Reason)
			}
			if took > testkit.Patience/3 {
				t.Errorf("it took %s", took)
			}
		})
	}
	if n := len(b.taken()); n > 0 {
		t.Errorf("%d requests reached the backend", n)
	}
	if n := evil.Asked(); n > 0 {
		t.Errorf("a token's own key server was asked %d times", n)
	}
	if n := i.Asked(); n > 5 { // discovery, the keys, and once more for kids that nobody knows
		t.Errorf("the issuer was asked %d times", n)
	}
	for name, changes := range map[string]map[string]any{
		"just expired by another clock": {"exp": now - 2}, "just not yet by another clock": {"nbf": now + 2}, "good": nil,
	} {
		if w := r.send(post("/mcp", toolCall, "Authorization", "Bearer "+with(changes))); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

// REQ B-7: an issuer whose keys cannot be had lets nobody in, says why to the
// operator and not to the caller, and is not asked per request; when it is well
// again, so is the gateway.
func TestBadKeySets(t *testing.T) {
	t.Parallel()
	answer := func(kind, body string) func(w http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", kind)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, tt := range map[string]struct {
		answer func(w http.ResponseWriter)
		log    string
		status int
	}{
		"10,000 keys":        {answer("application/json", `{"keys":[`+strings.TrimSuffix(strings.Repeat(`{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},`, 10_000), ",")+"]}"), "keys", 503},
		"a megabyte":         {answer("application/json", `{"keys":[],"pad":"`+strings.Repeat("x", 2<<20)+`"}`), "more than", 503},
		"a web page":         {answer("text/html; charset=utf-8", "<html>sign in</html>"), "web page", 503},
		"a web page as JSON": {answer("application/json", "<html>sign in</html>"), "keys not fetched", 503},
		"404":                {func(w http.ResponseWriter) { w.WriteHeader(404) }, "404", 503},
		"a redirect": {func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://127.0.0.1:1/jwks")
			w.WriteHeader(302)
		}, "302", 503},
		"a shared secret": {answer("application/json", `{"keys":[{"kty":"oct","kid":"key-1","k":"c2VjcmV0"}]}`), "key", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i, log := testkit.NewIssuer(t), &lockedLog{}
			i.Answer(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "jwks") {
					tt.answer(w)
					return
				}
				i.Usual(w, r)
			})
			b := newBackend(t, "b")
			r := newRig(t, proxy("docs", b.URL, ofIssuer(i)), func(o *gateway.Options) { o.Log = log.logger() })
			began := time.Now()
			for n := range 20 {
				w := r.send(post("/mcp", toolCall, "Authorization", "Bearer "+i.Sign(nil, i.Claims("ours", map[string]any{"n": n}))))
				if w.Code != tt.status && (tt.status != 0 || w.Code != 401 && w.Code != 503) || strings.Contains(w.Body.String(), i.URL) {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
				if strings.Contains(w.Body.String(), "keys") {
					t.Errorf("the refusal says why: %s", w.Body)
				}
			}
			if n := i.Asked(); n > 8+int(time.Since(began)/time.Second) { // now and then again, on a slow machine
				t.Errorf("the issuer was asked %d times for 20 requests", n)
			}
			if tt.log != "" && log.count(tt.log) == 0 {
				t.Errorf("the log does not say %q:\n%s", tt.log, log.String())
			}
			if n := len(b.taken()); n > 0 {
				t.Errorf("%d requests reached the backend", n)
			}
		})
	}
}

// REQ B-7: requests do not wait longer than their callers for an issuer that is
// slow, and wait for one answer together.
func TestSlowKeySet(t *testing.T) {
	t.Parallel()
	i := testkit.NewIssuer(t)
	answering := make(chan struct{})
	i.Answer(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-answering:
		case <-r.Context().Done():
		}
		i.Usual(w, r)
	})
	b := newBackend(t, "b")
	r := newRig(t, proxy("docs", b.URL, ofIssuer(i)), nil)
	send := func(ctx context.Context, n int) int {
		token := i.Sign(nil, i.Claims("ours", map[string]any{"n": n}))
		return r.send(post("/mcp", toolCall, "Authorization", "Bearer "+token).WithContext(ctx)).Code
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if code := send(gone, -1); code == http.StatusOK {
		t.Error("a request whose caller left got in")
	}
	var wait sync.WaitGroup
	codes := make(chan string, 20)
	for n := range 20 {
		wait.Go(func() { codes <- fmt.Sprint(send(t.Context(), n)) })
	}
	testkit.Eventually(t, "the issuer is asked", func() bool { return i.Asked() > 0 })
	close(answering)
	wait.Wait()
	close(codes)
	for code := range codes {
		if code != "200" {
			t.Errorf("status %s", code)
		}
	}
	if n := i.Asked(); n > 2 { // discovery and the keys
		t.Errorf("the issuer was asked %d times", n)
	}
}

// A file of policies with an error is refused with its place, and the old one goes on.
func TestBrokenPolicyFile(t *testing.T) {
	t.Parallel()
	url := newToolServer(t).URL
	docs := func(file string) string {
		return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: authz}\ndata:\n  authz.json: |\n    " + strings.ReplaceAll(file, "\n", "\n    ") + "\n" +
			proxy("docs", url, "authzConfig: {type: configMap, configMap: {name: authz}}")
	}
	file := func(policies ...string) string {
		list, err := json.Marshal(policies)
		if err != nil {
			t.Fatal(err)
		}
		return `{"version": "1.0", "type": "cedarv1", "cedar": {"policies": ` + string(list) + `, "entities_json": "[]"}}`
	}
	permit := `permit(principal, action == Action::"call_tool", resource == Tool::"search");`
	r := newRig(t, docs(file(permit)), nil)
	for name, tt := range map[string]struct{ file, want string }{
		"a policy":          {file(permit, "permit(principal, action, resource)\nwhen { context.claim_sub = \"a\" };"), "data.authz.json[1]: line 2, column "},
		"JSON":              {"{\"type\": \"cedarv1\",\n \"cedar\": {\"policies\": [}}", "line 2, column 25"},
		"another type":      {`{"type": "httpv1", "cedar": {}}`, "cedarv1"},
		"a list of numbers": {"{\"type\": \"cedarv1\",\n\"cedar\": {\"policies\": [7]}}", "line 2, column "},
	} {
		err := r.Apply(load(t, docs(tt.file)))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "main.yaml:") {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		for tool, want := range map[string]int{"search": 200, "wipe": 403} {
			if w := postTo(r, "docs", true, "tools/call", tool); w.Code != want {
				t.Errorf("%s, then %s: status %d, want %d", name, tool, w.Code, want)
			}
		}
	}
}
