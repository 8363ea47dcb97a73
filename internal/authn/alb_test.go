package authn_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/authn"
)

const (
	signer = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/gw/50dc6c495c0c9188"
	albKid = "b71a9d3e-5a0b-4f0e-8a3e-2f6c3f1b0c11"
)

// assertion signs as a load balancer does: base64url with padding, which is signed
// too, and issuer, client and expiry in the header.
func (k key) assertion(t *testing.T, header, claims map[string]any) string {
	t.Helper()
	h := map[string]any{
		"typ": "JWT", "alg": "ES256", "kid": k.kid, "signer": signer, "iss": issuer, "client": "client-id",
		"exp": time.Now().Add(2 * time.Minute).Unix(),
	}
	maps.Copy(h, header)
	c := map[string]any{"sub": "1234567890", "name": "Alice", "email": "alice@example.com"}
	maps.Copy(c, claims)
	for _, m := range []map[string]any{h, c} {
		maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	}
	head, _ := json.Marshal(h)
	payload, _ := json.Marshal(c)
	return k.albSign(t, string(head), string(payload))
}

func (k key) albSign(t *testing.T, header, payload string) string {
	t.Helper()
	text := base64.URLEncoding.EncodeToString([]byte(header)) + "." + base64.URLEncoding.EncodeToString([]byte(payload))
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	var sig [64]byte
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return text + "." + base64.URLEncoding.EncodeToString(sig[:])
}

func (k key) pem() string {
	der, _ := x509.MarshalPKIXPublicKey(k.private.Public())
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// alb is the method for a load balancer whose key endpoint answers as told.
func alb(t *testing.T, h http.HandlerFunc, change func(*authn.ALBConfig)) *authn.Assertion {
	t.Helper()
	s := serve(t, h)
	cfg := authn.ALBConfig{Keys: authn.NewALBKeys(s.Client(), s.URL+"/keys/"), Signer: signer, Issuer: issuer}
	if change != nil {
		change(&cfg)
	}
	return authn.NewAssertion(authn.AssertionConfig{Header: authn.ALBHeader, Checker: authn.NewALB(cfg)})
}

// keysAt answers for one key, as S3 does for others.
func keysAt(k key) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/keys/"+k.kid {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = io.WriteString(w, k.pem())
	}
}

func albRequest(raw string) *authn.Request { return request("203.0.113.9", "x-amzn-oidc-data: "+raw) }

// REQ C-8: what an assertion must be, as the load balancer's documentation has it.
func TestALB(t *testing.T) {
	t.Parallel()
	k := newKey(t, albKid)
	a := alb(t, keysAt(k), nil)
	bad := func(reason string) want { return want{status: 401, code: "invalid_token", reason: reason} }
	past, future := time.Now().Add(-time.Minute).Unix(), time.Now().Add(time.Minute).Unix()
	with := func(header map[string]any) string { return k.assertion(t, header, nil) }
	alice := want{caller: "assertion 1234567890"}
	tampered := strings.Split(k.assertion(t, nil, nil), ".")
	tampered[1] = base64.URLEncoding.EncodeToString([]byte(`{"sub":"root"}`))
	unpadded := strings.ReplaceAll(k.assertion(t, map[string]any{"kid": albKid}, map[string]any{"pad": "x"}), "=", "")
	for _, tt := range []struct {
		name, token string
		want        want
	}{
		{"good", k.assertion(t, nil, nil), alice},
		{"with padding", k.assertion(t, map[string]any{"x": "1"}, map[string]any{"x": "12"}), alice},
		{"issuer and expiry in the claims too", k.assertion(t, nil, map[string]any{"iss": issuer, "exp": future}), alice},
		{"issuer and expiry in the claims alone", k.assertion(t, map[string]any{"iss": nil, "exp": nil}, map[string]any{"iss": issuer, "exp": future}), alice},
		{"another load balancer", with(map[string]any{"signer": signer + "0"}), bad("another load balancer")},
		{"no signer", with(map[string]any{"signer": nil}), bad("another load balancer")},
		{"a signer in another case", k.albSign(t, `{"alg":"ES256","kid":"`+albKid+`","SIGNER":"`+signer+`"}`, `{}`), bad("another load balancer")},
		{"two signers", k.albSign(t, `{"alg":"ES256","kid":"`+albKid+`","signer":"x","signer":"`+signer+`"}`, `{}`), bad("header")},
		{"two subjects", k.albSign(t, `{"alg":"ES256","kid":"`+albKid+`","exp":9999999999,"iss":"`+issuer+`","signer":"`+signer+`"}`, `{"sub":"a","sub":"b"}`), bad("claims")},
		{"another issuer", with(map[string]any{"iss": "https://evil.example.com"}), bad("issuer")},
		{"another issuer in the claims", k.assertion(t, nil, map[string]any{"iss": "https://evil.example.com"}), bad("issuer")},
		{"no issuer", with(map[string]any{"iss": nil}), bad("whose")},
		{"expired", with(map[string]any{"exp": past}), bad("expired")},
		{"expired by the claims", k.assertion(t, nil, map[string]any{"exp": past}), bad("expired")},
		{"no expiry", with(map[string]any{"exp": nil}), bad("until when")},
		{"expiry is text", with(map[string]any{"exp": "tomorrow"}), bad("expired")},
		{"no subject", k.assertion(t, nil, map[string]any{"sub": nil}), bad("no subject")},
		{"alg none", with(map[string]any{"alg": "none"}), bad("no ES256")},
		{"alg HS256", with(map[string]any{"alg": "HS256"}), bad("no ES256")},
		{"a critical extension", with(map[string]any{"crit": []string{"x"}}), bad("no ES256")},
		{"another key", newKey(t, albKid).assertion(t, nil, nil), bad("signature")},
		{"tampered claims", strings.Join(tampered, "."), bad("signature")},
		{"padding taken off", unpadded, bad("signature")},
		{"no signature", strings.Join(strings.Split(k.assertion(t, nil, nil), ".")[:2], ".") + ".", bad("signature")},
		{"an unknown kid", with(map[string]any{"kid": "unknown"}), bad("signature")},
		{"garbage", "alice", bad("no assertion")},
		{"no base64", "%.%.%", bad("no assertion")},
		{"empty", "", bad("no assertion")},
		{"larger than any", strings.Repeat("a", 20<<10), bad("larger")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, d := a.Authenticate(t.Context(), albRequest(tt.token))
			tt.want.is(t, c, d)
			if c != nil {
				if diff := cmp.Diff([]string{issuer, "Alice", "alice@example.com"}, []string{c.Issuer, c.Name, c.Email}); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// What can be left open, and what can be asked for beside.
func TestALBConfig(t *testing.T) {
	t.Parallel()
	k := newKey(t, albKid)
	for _, tt := range []struct {
		name   string
		change func(*authn.ALBConfig)
		header map[string]any
		want   want
	}{
		{"any issuer", func(c *authn.ALBConfig) { c.Issuer = "" }, map[string]any{"iss": "https://other"}, want{caller: "assertion 1234567890"}},
		{"this client", func(c *authn.ALBConfig) { c.ClientID = "client-id" }, nil, want{caller: "assertion 1234567890"}},
		{"another client", func(c *authn.ALBConfig) { c.ClientID = "other" }, nil, want{status: 401, code: "invalid_token", reason: "client"}},
		{"leeway", func(c *authn.ALBConfig) { c.Leeway = time.Minute }, map[string]any{"exp": time.Now().Add(-30 * time.Second).Unix()}, want{caller: "assertion 1234567890"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, d := alb(t, keysAt(k), tt.change).Authenticate(t.Context(), albRequest(k.assertion(t, tt.header, nil)))
			tt.want.is(t, c, d)
		})
	}
}

// An id is part of a URL: only what ids look like is ever asked for.
func TestALBKeyIDs(t *testing.T) {
	t.Parallel()
	for _, kid := range []string{
		"", "..", "../secret", "a/b", "a?b", "a#b", "a%2fb", `a\b`, "a b", "a\nb", "http://evil.example.com/", strings.Repeat("a", 65), "ä",
	} {
		t.Run(kid, func(t *testing.T) {
			t.Parallel()
			a := alb(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("asked for %s", r.URL) }, nil)
			c, d := a.Authenticate(t.Context(), albRequest(newKey(t, kid).assertion(t, nil, nil)))
			want{status: 401, code: "invalid_token", reason: "no ES256"}.is(t, c, d)
		})
	}
}

// REQ C-8: a key endpoint that is down is nobody's fault; one that answers nonsense too.
func TestALBKeyEndpoint(t *testing.T) {
	t.Parallel()
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	k := newKey(t, albKid)
	for name, h := range map[string]http.HandlerFunc{
		"500":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"a redirect":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(302) },
		"a web page":    func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!doctype html>") },
		"no PEM":        func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "key") },
		"no key":        func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Replace(k.pem(), "M", "A", 3)) },
		"another curve": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, key{albKid, p384}.pem()) },
		"huge":          func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", 1<<20)) },
		"cut off":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, d := alb(t, h, nil).Authenticate(t.Context(), albRequest(k.assertion(t, nil, nil)))
			want{status: 503}.is(t, c, &authn.Denied{Status: d.Status, Code: d.Code})
		})
	}
}

// Strange ids cost few fetches, and neither they nor an endpoint that hangs hold
// up the assertions of a key that is known.
func TestALBStrangeKeyIDs(t *testing.T) {
	t.Parallel()
	k := newKey(t, albKid)
	var mu sync.Mutex
	fetches := map[string]int{}
	hang := make(chan struct{})
	a := alb(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		fetches[r.URL.Path]++
		mu.Unlock()
		if r.URL.Path == "/keys/"+albKid {
			keysAt(k)(w, r)
			return
		}
		select {
		case <-hang:
			w.WriteHeader(http.StatusForbidden)
		case <-r.Context().Done():
		}
	}, nil)
	alice := want{caller: "assertion 1234567890"}
	var first sync.WaitGroup
	for range 50 { // at start, all at once
		first.Go(func() {
			c, d := a.Authenticate(t.Context(), albRequest(k.assertion(t, nil, map[string]any{"jti": time.Now().UnixNano()})))
			alice.is(t, c, d)
		})
	}
	first.Wait()
	var strangers sync.WaitGroup
	denied := make(chan int, 300)
	for n := range 300 {
		strange := key{fmt.Sprint("strange", n), k.private}
		strangers.Go(func() {
			_, d := a.Authenticate(t.Context(), albRequest(strange.assertion(t, nil, nil)))
			denied <- d.Status
		})
	}
	for range 250 {
		if status := <-denied; status != http.StatusServiceUnavailable {
			t.Errorf("a strange key id beyond the limit: %d", status)
		}
	}
	c, d := a.Authenticate(t.Context(), albRequest(k.assertion(t, nil, map[string]any{"jti": "new"}))) // while others hang
	alice.is(t, c, d)
	close(hang)
	strangers.Wait()
	mu.Lock()
	defer mu.Unlock()
	if len(fetches) > 10 || fetches["/keys/"+albKid] != 1 {
		t.Errorf("%d key ids were fetched, the good one %d times", len(fetches), fetches["/keys/"+albKid])
	}
}

// A key that was not there is looked for again after a while, and a known one never.
func TestALBLooksAgain(t *testing.T) {
	t.Parallel()
	k := newKey(t, albKid)
	synctest.Test(t, func(t *testing.T) {
		there, fetches := false, 0
		client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			fetches++
			if !there {
				return &http.Response{StatusCode: 404, Body: http.NoBody}, nil
			}
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(k.pem()))}, nil
		})}
		a := authn.NewALB(authn.ALBConfig{Keys: authn.NewALBKeys(client, "https://keys.invalid"), Signer: signer, Issuer: issuer})
		check := func(n int, ok bool) {
			t.Helper()
			_, err := a.Check(context.WithoutCancel(t.Context()), k.assertion(t, nil, nil), time.Now())
			if (err == nil) != ok || fetches != n {
				t.Errorf("got %v after %d fetches, want %d", err, fetches, n)
			}
		}
		check(1, false)
		there = true
		check(1, false)
		<-time.After(10 * time.Second)
		check(2, true)
		there = false
		<-time.After(24 * time.Hour)
		check(2, true)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
