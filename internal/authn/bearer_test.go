package authn_test

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// REQ B-7: what may stand in the Authorization header, and what becomes of it.
func TestBearerHeader(t *testing.T) {
	t.Parallel()
	k := newKey(t, "k1")
	tok := k.sign(t, good(nil))
	b := authn.NewBearer(authn.BearerConfig{JWT: jwt(t, authn.Mapping{}, k)})
	bad := want{status: 401, code: "invalid_token"}
	for _, tt := range []struct {
		name  string
		lines []string
		want  want
	}{
		{"none", nil, nothing},
		{"good", []string{"Authorization: Bearer " + tok}, want{caller: "jwt alice"}},
		{"the scheme in another case", []string{"Authorization: bEARER " + tok}, want{caller: "jwt alice"}},
		{"two spaces", []string{"Authorization: Bearer  " + tok}, want{caller: "jwt alice"}},
		{"two headers", []string{"Authorization: Bearer " + tok, "Authorization: Bearer " + tok}, want{status: 400, code: "invalid_request", reason: "more than one"}},
		{"two headers, one of them another scheme", []string{"Authorization: Basic YTpi", "Authorization: Bearer " + tok}, want{status: 400, code: "invalid_request"}},
		{"another scheme", []string{"Authorization: Basic YTpi"}, nothing},
		{"another scheme that begins alike", []string{"Authorization: BearerToken " + tok}, nothing},
		{"no scheme", []string{"Authorization: " + tok}, nothing},
		{"an empty header", []string{"Authorization: "}, nothing},
		{"the scheme alone", []string{"Authorization: Bearer"}, bad},
		{"no token", []string{"Authorization: Bearer "}, bad},
		{"spaces only", []string{"Authorization: Bearer    "}, bad},
		{"padding only", []string{"Authorization: Bearer =="}, bad},
		{"two tokens", []string{"Authorization: Bearer " + tok + " " + tok}, bad},
		{"two tokens by comma", []string{"Authorization: Bearer " + tok + "," + tok}, bad},
		{"two credentials by comma", []string{"Authorization: Bearer " + tok + ", Bearer " + tok}, bad},
		{"a tab", []string{"Authorization: Bearer\t" + tok}, nothing},
		{"a tab after the token", []string{"Authorization: Bearer " + tok + "\t"}, bad},
		{"quotes", []string{`Authorization: Bearer "` + tok + `"`}, bad},
		{"bytes that are no text", []string{"Authorization: Bearer \xff\xfe"}, bad},
		{"padding in the middle", []string{"Authorization: Bearer ab=cd"}, bad},
		{"garbage", []string{"Authorization: Bearer garbage"}, want{status: 401, code: "invalid_token", reason: "no JWT"}},
		{"a megabyte", []string{"Authorization: Bearer " + strings.Repeat("a", 1<<20)}, want{status: 401, code: "invalid_token", reason: "larger"}},
		{"in another header", []string{"Proxy-Authorization: Bearer " + tok, "X-Authorization: Bearer " + tok}, nothing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, d := b.Authenticate(t.Context(), request("", tt.lines...))
			tt.want.is(t, c, d)
			if d != nil && (strings.Contains(d.Reason, tok) || len(d.Reason) > 500) {
				t.Errorf("the reason has the token, or %d bytes", len(d.Reason))
			}
		})
	}
}

// REQ B-7: what the claims must say; the reason is for the operator.
func TestBearerJWT(t *testing.T) {
	t.Parallel()
	k, other := newKey(t, "k1"), newKey(t, "k1")
	b := authn.NewBearer(authn.BearerConfig{JWT: jwt(t, authn.Mapping{}, k)})
	bad := func(reason string) want { return want{status: 401, code: "invalid_token", reason: reason} }
	past, future := time.Now().Add(-time.Hour).Unix(), time.Now().Add(time.Hour).Unix()
	for _, tt := range []struct {
		name    string
		key     key
		changes map[string]any
		want    want
	}{
		{"good", k, nil, want{caller: "jwt alice"}},
		{"a list of audiences", k, map[string]any{"aud": []string{"other", audience}}, want{caller: "jwt alice"}},
		{"another key", other, nil, bad("signature")},
		{"expired", k, map[string]any{"exp": past}, bad("expired")},
		{"no expiry", k, map[string]any{"exp": nil}, bad("no expiry")},
		{"not yet", k, map[string]any{"nbf": future}, bad("nbf")},
		{"wrong audience", k, map[string]any{"aud": "https://gw.example.com/servers/other/mcp"}, bad("audience")},
		{"no audience", k, map[string]any{"aud": nil}, bad("audience")},
		{"wrong issuer", k, map[string]any{"iss": "https://evil.example.com"}, bad("issuer")},
		{"no subject", k, map[string]any{"sub": nil}, bad("no subject")},
		{"an empty subject", k, map[string]any{"sub": ""}, bad("no subject")},
		{"a subject that is no text", k, map[string]any{"sub": 7}, bad("no subject")},
		{"no subject, but a client", k, map[string]any{"sub": nil, "client_id": "robot"}, bad("no subject")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, d := b.Authenticate(t.Context(), bearer(tt.key.sign(t, good(tt.changes))))
			tt.want.is(t, c, d)
		})
	}
}

// REQ B-8: where the parts of a caller come from.
func TestMapping(t *testing.T) {
	t.Parallel()
	k := newKey(t, "k1")
	claims := good(map[string]any{
		"email": "a@example.com", "name": "Alice", "preferred_username": "al", "groups": []string{"staff"}, "roles": "admin",
		"client_id": "cli", "scope": "read write", "mail": "b@example.com", "cognito:groups": []string{"pool"},
		"realm_access": map[string]any{"roles": []string{"r1", "r2"}}, "https://example.com/name": "Al",
		"odd": []any{"a", 1},
	})
	tok := k.sign(t, claims)
	usual := identity.Caller{
		Subject: "alice", Source: "jwt", Issuer: issuer, ClientID: "cli", Email: "a@example.com", Name: "Alice",
		Groups: []string{"staff"}, Roles: []string{"admin"}, Scopes: []string{"read", "write"},
	}
	for _, tt := range []struct {
		name    string
		mapping authn.Mapping
		change  func(*identity.Caller)
	}{
		{"the usual places", authn.Mapping{}, func(*identity.Caller) {}},
		{"others", authn.Mapping{Email: "mail", Name: "https://example.com/name", Groups: "cognito:groups", Roles: "realm_access.roles"}, func(c *identity.Caller) {
			c.Email, c.Name, c.Groups, c.Roles = "b@example.com", "Al", []string{"pool"}, []string{"r1", "r2"}
		}},
		{"what is configured and missing is not looked for elsewhere", authn.Mapping{Email: "none", Name: "a.b", Groups: "odd", Roles: "realm_access"}, func(c *identity.Caller) {
			c.Email, c.Name, c.Groups, c.Roles = "", "", nil, nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, d := authn.NewBearer(authn.BearerConfig{JWT: jwt(t, tt.mapping, k)}).Authenticate(t.Context(), bearer(tok))
			if d != nil {
				t.Fatal(d)
			}
			expected := usual
			tt.change(&expected)
			if got.Claims["odd"] == nil || got.Expires.IsZero() {
				t.Errorf("claims %v, expires %v", got.Claims, got.Expires)
			}
			shown := *got
			shown.Claims, shown.Expires = nil, time.Time{}
			if diff := cmp.Diff(expected, shown); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// REQ B-25: every scope is required, and the refusal names all of them.
func TestBearerScopes(t *testing.T) {
	t.Parallel()
	k := newKey(t, "k1")
	b := authn.NewBearer(authn.BearerConfig{JWT: jwt(t, authn.Mapping{}, k), Scopes: []string{"mcp:read", "mcp:write"}})
	denied := want{status: 403, code: "insufficient_scope"}
	for _, tt := range []struct {
		name   string
		claims map[string]any
		want   want
	}{
		{"none", nil, denied},
		{"one of two", map[string]any{"scope": "mcp:read"}, denied},
		{"both", map[string]any{"scope": "mcp:write other mcp:read"}, want{caller: "jwt alice"}},
		{"both as scp", map[string]any{"scp": []string{"mcp:write", "mcp:read"}}, want{caller: "jwt alice"}},
		{"part of a name", map[string]any{"scope": "mcp:readable mcp:writeable"}, denied},
		{"another case", map[string]any{"scope": "MCP:READ MCP:WRITE"}, denied},
		{"by comma", map[string]any{"scope": "mcp:read,mcp:write"}, denied},
		{"no text", map[string]any{"scope": 1}, denied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := bearer(k.sign(t, good(tt.claims)))
			for range 2 { // fresh and cached
				c, d := b.Authenticate(t.Context(), r)
				tt.want.is(t, c, d)
				if d != nil && !slices.Equal(d.Scopes, []string{"mcp:read", "mcp:write"}) {
					t.Errorf("scopes %q", d.Scopes)
				}
			}
		})
	}
}

// checker counts, and answers as told.
type checker struct {
	calls  atomic.Int64
	answer func(raw string, now time.Time) (*identity.Caller, error)
}

func (c *checker) Check(_ context.Context, raw string, now time.Time) (*identity.Caller, error) {
	c.calls.Add(1)
	return c.answer(raw, now)
}

func someone(string, time.Time) (*identity.Caller, error) {
	return &identity.Caller{Subject: "alice", Source: "jwt"}, nil
}

func notValid(string, time.Time) (*identity.Caller, error) { return nil, &token.Invalid{Reason: "bad"} }

func down(string, time.Time) (*identity.Caller, error) {
	return nil, &token.Unavailable{Cause: errors.New("down")}
}

// REQ B-7: results are cached, good ones until the token expires, bad ones
// shortly, and what is nobody's fault not at all.
func TestBearerCache(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer func(string, time.Time) (*identity.Caller, error)
		after  []time.Duration // of requests, from the first one
		calls  int64
		seen   []authn.Result
	}{
		{"good", someone, []time.Duration{0, time.Minute, 4 * time.Minute, 6 * time.Minute}, 2, []authn.Result{"valid", "cached", "cached", "valid"}},
		{"good and short-lived", func(_ string, now time.Time) (*identity.Caller, error) {
			return &identity.Caller{Subject: "alice", Source: "jwt", Expires: now.Add(time.Minute)}, nil
		}, []time.Duration{0, 59 * time.Second, time.Minute}, 2, []authn.Result{"valid", "cached", "valid"}},
		{"bad", notValid, []time.Duration{0, 9 * time.Second, 11 * time.Second}, 2, []authn.Result{"invalid", "invalid", "invalid"}},
		{"unavailable", down, []time.Duration{0, time.Millisecond, time.Second}, 3, []authn.Result{"unavailable", "unavailable", "unavailable"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var seen []authn.Result
				c := &checker{answer: tt.answer}
				b := authn.NewBearer(authn.BearerConfig{JWT: c, Seen: func(r authn.Result) { seen = append(seen, r) }})
				began := time.Now()
				for _, at := range tt.after {
					<-time.After(at - time.Since(began))
					_, _ = b.Authenticate(t.Context(), bearer("token"))
				}
				if c.calls.Load() != tt.calls {
					t.Errorf("checked %d times, want %d", c.calls.Load(), tt.calls)
				}
				if diff := cmp.Diff(tt.seen, seen); diff != "" {
					t.Errorf("seen (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Nothing that rests on keys outlives them, and neither does what was verified
// with them while they changed.
func TestKeySetChangeClearsTheCache(t *testing.T) {
	t.Parallel()
	var generation atomic.Uint64
	c := &checker{answer: someone}
	b := authn.NewBearer(authn.BearerConfig{JWT: c, Generation: generation.Load})
	try := func(calls int64, w want) {
		t.Helper()
		caller, denied := b.Authenticate(t.Context(), bearer("token"))
		w.is(t, caller, denied)
		if c.calls.Load() != calls {
			t.Errorf("checked %d times, want %d", c.calls.Load(), calls)
		}
	}
	alice, bad := want{caller: "jwt alice"}, want{status: 401, code: "invalid_token", reason: "bad"}
	try(1, alice)
	try(1, alice)
	generation.Add(1)
	c.answer = notValid
	try(2, bad)
	try(2, bad)
	generation.Add(1)
	c.answer = func(raw string, now time.Time) (*identity.Caller, error) {
		generation.Add(1) // the keys change while the old ones verify
		return someone(raw, now)
	}
	try(3, alice)
	c.answer = notValid
	try(4, bad)
}

// A flood of bad tokens leaves the good ones in the cache.
func TestBadTokensDoNotPushGoodOnesOut(t *testing.T) {
	t.Parallel()
	c := &checker{answer: func(raw string, now time.Time) (*identity.Caller, error) {
		if raw == "good" {
			return someone(raw, now)
		}
		return notValid(raw, now)
	}}
	b := authn.NewBearer(authn.BearerConfig{JWT: c})
	_, _ = b.Authenticate(t.Context(), bearer("good"))
	for range 30_000 {
		_, _ = b.Authenticate(t.Context(), bearer(rand.Text()))
	}
	before := c.calls.Load()
	caller, d := b.Authenticate(t.Context(), bearer("good"))
	want{caller: "jwt alice"}.is(t, caller, d)
	if c.calls.Load() != before {
		t.Error("the good token was checked again")
	}
}

// Which checker a token is for.
func TestBearerKinds(t *testing.T) {
	t.Parallel()
	named := func(name string) *checker {
		return &checker{answer: func(string, time.Time) (*identity.Caller, error) {
			return &identity.Caller{Source: name, Subject: "x"}, nil
		}}
	}
	const aJWT = "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"
	for _, tt := range []struct {
		name, token  string
		jwt, opaque  authn.Checker
		wantByConfig string
	}{
		{"both, JWT", aJWT, named("jwt"), named("opaque"), "jwt x"},
		{"both, opaque", "opaque", named("jwt"), named("opaque"), "opaque x"},
		{"both, opaque with two dots", "v4.public.c2ln", named("jwt"), named("opaque"), "opaque x"},
		{"both, opaque with one dot", "eyJ.c2ln", named("jwt"), named("opaque"), "opaque x"},
		{"JWT only", "opaque", named("jwt"), nil, "jwt x"},
		{"introspection only", aJWT, nil, named("opaque"), "opaque x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, d := authn.NewBearer(authn.BearerConfig{JWT: tt.jwt, Opaque: tt.opaque}).Authenticate(t.Context(), bearer(tt.token))
			want{caller: tt.wantByConfig}.is(t, c, d)
		})
	}
}

// REQ B-7: without the issuer's keys nothing can be said about a token: that is 503, not 401.
func TestBearerUnavailable(t *testing.T) {
	t.Parallel()
	b := authn.NewBearer(authn.BearerConfig{JWT: &checker{answer: down}})
	c, d := b.Authenticate(t.Context(), bearer("token"))
	want{status: 503, reason: "down"}.is(t, c, d)
}
