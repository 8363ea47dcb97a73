package authn_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/testkit/leaks"
	"github.com/sallyport-dev/sallyport/internal/token"
)

func TestMain(m *testing.M) { leaks.Main(m) }

const (
	issuer   = "https://idp.example.com"
	audience = "https://gw.example.com/servers/docs/mcp"
)

// serve starts a server that the test's end ends.
func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return s
}

// key is a P-256 key pair with an id.
type key struct {
	kid     string
	private *ecdsa.PrivateKey
}

func newKey(t testing.TB, kid string) key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key{kid, private}
}

// sign makes a JWT of claims.
func (k key) sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", k.kid)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k.private}, opts)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// keySet is the set of some keys, as a server gives it.
func keySet(t testing.TB, keys ...key) *token.KeySet {
	t.Helper()
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		var set jose.JSONWebKeySet
		for _, k := range keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.private.Public(), KeyID: k.kid, Use: "sig", Algorithm: "ES256"})
		}
		_ = json.NewEncoder(w).Encode(set)
	})
	return keySetAt(t, s.URL, s.Client())
}

func keySetAt(t testing.TB, url string, client *http.Client) *token.KeySet {
	t.Helper()
	set, err := token.NewKeySet(token.KeySetConfig{
		Locate: func(context.Context) (string, error) { return url, nil },
		Client: client, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close() })
	return set
}

// jwt checks the JWTs of some keys.
func jwt(t testing.TB, m authn.Mapping, keys ...key) *authn.JWT {
	t.Helper()
	v, err := token.NewVerifier(keySet(t, keys...), token.Expectations{Issuer: issuer, Audiences: []string{audience}})
	if err != nil {
		t.Fatal(err)
	}
	return authn.NewJWT(v, m)
}

// good are the claims of a good token, with changes; nil removes.
func good(changes map[string]any) map[string]any {
	c := map[string]any{"iss": issuer, "aud": audience, "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// request has header lines "Name: value", and comes from an address.
func request(peer string, lines ...string) *authn.Request {
	r := &authn.Request{Header: http.Header{}}
	if peer != "" {
		r.Peer = netip.MustParseAddr(peer)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func bearer(raw string) *authn.Request { return request("", "Authorization: Bearer "+raw) }

// want is what shall become of a request: a caller, or a refusal, or nothing.
type want struct {
	caller string // "source subject"
	status int
	code   string
	reason string // is part of the reason
}

// is compares.
func (w want) is(t *testing.T, c *identity.Caller, d *authn.Denied) {
	t.Helper()
	var got want
	if c != nil {
		got.caller = c.Source + " " + c.Subject
	}
	if d != nil {
		got.status, got.code = d.Status, d.Code
		if strings.Contains(d.Reason, w.reason) {
			got.reason = w.reason
		} else {
			got.reason = d.Reason
		}
	}
	if diff := cmp.Diff(w, got, cmp.AllowUnexported(want{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

var nothing = want{}

// fixed is a method that always says the same.
type fixed struct {
	caller *identity.Caller
	denied *authn.Denied
	asked  *int
}

func (f fixed) Authenticate(context.Context, *authn.Request) (*identity.Caller, *authn.Denied) {
	*f.asked++
	return f.caller, f.denied
}

// REQ B-7, REQ C-2: the first method that finds a credential decides, good or bad; without one the caller is anonymous or refused.
func TestResolver(t *testing.T) {
	t.Parallel()
	alice := fixed{caller: &identity.Caller{Subject: "alice", Source: "jwt"}}
	bob := fixed{caller: &identity.Caller{Subject: "bob", Source: "proxy"}}
	bad := fixed{denied: &authn.Denied{Status: 401, Code: authn.CodeInvalidToken}}
	empty := fixed{}
	for _, tt := range []struct {
		name     string
		required bool
		methods  []fixed
		want     want
		asked    []int
	}{
		{"no methods", false, nil, want{caller: "anonymous anonymous"}, nil},
		{"no methods, required", true, nil, want{status: 401}, nil},
		{"nothing found", false, []fixed{empty, empty}, want{caller: "anonymous anonymous"}, []int{1, 1}},
		{"nothing found, required", true, []fixed{empty, empty}, want{status: 401}, []int{1, 1}},
		{"the first of two", true, []fixed{alice, bob}, want{caller: "jwt alice"}, []int{1, 0}},
		{"the second", true, []fixed{empty, bob}, want{caller: "proxy bob"}, []int{1, 1}},
		{"a bad credential is not made good by another", false, []fixed{bad, bob}, want{status: 401, code: "invalid_token"}, []int{1, 0}},
		{"a good one before a bad one", false, []fixed{bob, bad}, want{caller: "proxy bob"}, []int{1, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			asked := make([]int, len(tt.methods))
			var methods []authn.Method
			for i, m := range tt.methods {
				m.asked = &asked[i]
				methods = append(methods, m)
			}
			r := authn.NewResolver(tt.required, methods...)
			c, d := r.Resolve(t.Context(), request(""))
			tt.want.is(t, c, d)
			if diff := cmp.Diff(tt.asked, asked[:len(tt.asked):len(tt.asked)]); diff != "" && len(asked) > 0 {
				t.Errorf("methods asked (-want +got):\n%s", diff)
			}
		})
	}
}
