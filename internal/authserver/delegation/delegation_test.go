package delegation_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/authserver/delegation"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/token"
)

const (
	own   = "https://gw.example.com/auth"
	idp   = "https://idp.example.com"
	ci    = "https://ci.example.com"
	docs  = "https://gw.example.com/servers/docs/mcp"
	other = "https://gw.example.com/servers/other/mcp"
)

// world is an authorization server that trusts two issuers, and their keys.
type world struct {
	trust        *delegation.Trust
	own, idp, ci *token.Signer
	stranger     *token.Signer
	revoked      atomic.Bool
	down         atomic.Bool // nobody knows what is revoked
	log          strings.Builder
	agent        *clients.Client
	public       *clients.Client
}

func newWorld(t *testing.T, change func(*delegation.Config)) *world {
	t.Helper()
	w := &world{own: signer(t), idp: signer(t), ci: signer(t), stranger: signer(t)}
	cfg := delegation.Config{
		Issuer: own, Keys: w.own, Store: store.NewMemory(),
		Revoked: func(map[string]any) (bool, error) {
			if w.down.Load() {
				return false, errors.New("the store is down")
			}
			return w.revoked.Load(), nil
		},
		Resource: func(indicator string) (string, bool) {
			return strings.TrimSuffix(indicator, "/"), strings.HasPrefix(indicator, "https://gw.example.com/servers/")
		},
		Issuers: []delegation.Issuer{
			{
				URL: idp, Keys: w.idp, SameSubjects: true, People: &delegation.People{MaxAge: 10 * time.Minute},
				Exchange: &delegation.Exchange{Audience: "https://gw.example.com", Clients: []string{"agent"}, ActorClaim: "azp", Actors: []string{"portal"}, MayAct: true},
			},
			{
				URL: ci, Keys: w.ci, Exchange: &delegation.Exchange{Audience: "gateway", Clients: []string{"*"}},
				Workloads: &delegation.Workloads{MaxAge: time.Hour, Resources: map[string][]string{"repo:a": {docs}, "repo:b": {docs, other + "/"}}},
			},
		},
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if w.trust, err = delegation.New(cfg); err != nil {
		t.Fatal(err)
	}
	known := clients.New(clients.Config{Issuer: own, Store: cfg.Store, Static: []clients.Static{
		{ID: "agent", Secrets: []secret.Value{secret.New("s")}}, {ID: "spa"},
	}})
	for id, into := range map[string]**clients.Client{"agent": &w.agent, "spa": &w.public} {
		if *into, err = known.Find(t.Context(), id, ""); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func signer(t *testing.T) *token.Signer {
	t.Helper()
	pem, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := token.NewSigner(pem)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sign makes a token; nil deletes a claim.
func sign(t *testing.T, s *token.Signer, typ string, base, change map[string]any) string {
	t.Helper()
	claims := map[string]any{"iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix()}
	maps.Copy(claims, base)
	for name, v := range change {
		if v == nil {
			delete(claims, name)
		} else {
			claims[name] = v
		}
	}
	jwt, err := s.Sign(typ, claims)
	if err != nil {
		t.Fatal(err)
	}
	return jwt.Reveal()
}

func check(t *testing.T, err error, code, says string) (refused bool) {
	t.Helper()
	if (err == nil) != (code == "") {
		t.Fatalf("%v, want %q", err, code)
	}
	if err == nil {
		return false
	}
	refusal, ok := err.(*oauth.Error) //nolint:errorlint // the caller relies on it
	if !ok || refusal.Code != code || refusal.Status < 400 || !strings.Contains(refusal.Description, says) {
		t.Errorf("%v, want %s with %q", err, code, says)
	}
	return true
}

func TestSubject(t *testing.T) {
	t.Parallel()
	mine := map[string]any{"iss": own, "sub": "alice", "aud": docs, "scope": "a b", "client_id": "app", "name": "Alice", "groups": []string{"staff"}}
	theirs := map[string]any{"iss": idp, "sub": "alice", "aud": "https://gw.example.com", "azp": "portal", "email": "alice@example.com"}
	build := map[string]any{"iss": ci, "sub": "repo:a", "aud": []string{"gateway", "x"}}
	chain := map[string]any{"sub": "1", "act": map[string]any{"sub": "2", "act": map[string]any{"sub": "3"}}}
	for name, c := range map[string]struct {
		by        func(*world) *token.Signer
		typ, kind string // of the token, and what the request says it is
		base      map[string]any
		change    map[string]any
		code      string
		says      string
		want      delegation.Subject
	}{
		"own": {base: mine, want: delegation.Subject{ID: "alice", Name: "Alice", Groups: []string{"staff"}, Scopes: []string{"a", "b"}, Own: true}},
		"own, without scopes": {base: mine, change: map[string]any{"scope": nil}, want: delegation.Subject{
			ID: "alice", Name: "Alice", Groups: []string{"staff"}, Scopes: []string{}, Own: true,
		}},
		"own, exchanged before": {base: mine, change: map[string]any{"act": chain, "name": nil, "groups": nil}, want: delegation.Subject{
			ID: "alice", Scopes: []string{"a", "b"}, Own: true, Actor: map[string]any{"sub": "1", "act": map[string]any{"sub": "2", "act": map[string]any{"sub": "3"}}},
		}},
		"own, a long chain":      {base: mine, change: map[string]any{"act": map[string]any{"sub": "0", "act": chain}}, code: "invalid_request", says: "too many services"},
		"own, an ID token":       {base: mine, typ: "JWT", code: "invalid_request", says: "not signed"},
		"own, said to be one":    {base: mine, kind: delegation.TypeID, code: "invalid_request", says: "no issuer"},
		"own, by another":        {base: mine, by: func(w *world) *token.Signer { return w.idp }, code: "invalid_request", says: "not signed"},
		"own, expired":           {base: mine, change: map[string]any{"exp": time.Now().Add(-time.Second).Unix()}, code: "invalid_request", says: "expired"},
		"own, about nobody":      {base: mine, change: map[string]any{"sub": nil}, code: "invalid_request", says: "no sub"},
		"of another":             {by: (*world).theIDP, base: theirs, want: delegation.Subject{ID: "alice", Email: "alice@example.com"}},
		"of another, its ID":     {by: (*world).theIDP, base: theirs, typ: "JWT", kind: delegation.TypeID, want: delegation.Subject{ID: "alice", Email: "alice@example.com"}},
		"of another, by us":      {base: theirs, code: "invalid_request", says: "not signed"},
		"for somebody else":      {by: (*world).theIDP, base: theirs, change: map[string]any{"aud": docs}, code: "invalid_request", says: "not for this server"},
		"by another app":         {by: (*world).theIDP, base: theirs, change: map[string]any{"azp": "evil"}, code: "invalid_request", says: "allowedActors"},
		"by no app":              {by: (*world).theIDP, base: theirs, change: map[string]any{"azp": nil}, code: "invalid_request", says: "allowedActors"},
		"by an object":           {by: (*world).theIDP, base: theirs, change: map[string]any{"azp": map[string]any{"portal": 1}}, code: "invalid_request", says: "allowedActors"},
		"may_act":                {by: (*world).theIDP, base: theirs, change: map[string]any{"azp": "evil", "may_act": map[string]any{"sub": "agent"}}, want: delegation.Subject{ID: "alice", Email: "alice@example.com"}},
		"may_act, of another":    {by: (*world).theIDP, base: theirs, change: map[string]any{"may_act": map[string]any{"sub": "other"}}, code: "invalid_request", says: "another may act"},
		"may_act, elsewhere":     {by: (*world).theIDP, base: theirs, change: map[string]any{"may_act": map[string]any{"sub": "agent", "iss": idp}}, code: "invalid_request", says: "another may act"},
		"may_act, text":          {by: (*world).theIDP, base: theirs, change: map[string]any{"may_act": "agent"}, code: "invalid_request", says: "another may act"},
		"may_act, not believed":  {by: (*world).theCI, base: build, change: map[string]any{"may_act": map[string]any{"sub": "agent"}}, code: "invalid_request", says: "allowMayAct"},
		"a workload's":           {by: (*world).theCI, base: build, want: delegation.Subject{ID: ci + "#repo:a"}},
		"an assertion":           {by: (*world).theIDP, base: theirs, typ: "oauth-id-jag+jwt", code: "invalid_request", says: "not signed"},
		"a stranger's":           {by: (*world).aStranger, base: theirs, change: map[string]any{"iss": "https://evil.example"}, code: "invalid_request", says: "no issuer"},
		"a stranger's, as ours":  {by: (*world).aStranger, base: theirs, code: "invalid_request", says: "not signed"},
		"a SAML assertion":       {base: mine, kind: "urn:ietf:params:oauth:token-type:saml2", code: "invalid_request", says: "subject_token_type"},
		"of no type":             {base: mine, kind: "-", code: "invalid_request", says: "subject_token_type"},
		"subjects that look own": {by: (*world).theCI, base: build, change: map[string]any{"sub": "alice"}, want: delegation.Subject{ID: ci + "#alice"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			by, typ, kind := w.own, c.typ, c.kind
			if c.by != nil {
				by = c.by(w)
			}
			if typ == "" {
				typ = "at+jwt"
			}
			if kind == "" {
				kind = delegation.TypeAccess
			}
			raw := sign(t, by, typ, c.base, c.change)
			s, err := w.trust.Subject(t.Context(), w.agent, raw, kind)
			if check(t, err, c.code, c.says) {
				if strings.Contains(w.log.String(), raw[:40]) {
					t.Error("the token is in the log")
				}
				return
			}
			if s.Expires.IsZero() || s.Claims.Text("sub") == "" {
				t.Errorf("expires %v, claims %v", s.Expires, s.Claims)
			}
			got := *s
			got.Expires, got.Claims = time.Time{}, nil
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func (w *world) theIDP() *token.Signer    { return w.idp }
func (w *world) theCI() *token.Signer     { return w.ci }
func (w *world) aStranger() *token.Signer { return w.stranger }

func TestSubjectOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	raw := sign(t, w.idp, "at+jwt", map[string]any{"iss": idp, "sub": "alice", "aud": "https://gw.example.com", "azp": "portal"}, nil)
	_, err := w.trust.Subject(t.Context(), w.public, raw, delegation.TypeAccess)
	check(t, err, "invalid_request", "allowedDelegateClients")
	for _, odd := range []string{"", "x", "a.b.c", "..", raw + ".", raw[:len(raw)-2], strings.Repeat("a", 40<<10)} {
		_, err := w.trust.Subject(t.Context(), w.agent, odd, delegation.TypeAccess)
		if check(t, err, "invalid_request", ""); err == nil {
			t.Errorf("the token %.10q is taken", odd)
		}
	}
}

func TestSubjectRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	raw := sign(t, w.own, "at+jwt", map[string]any{"iss": own, "sub": "alice", "aud": docs}, nil)
	w.revoked.Store(true)
	_, err := w.trust.Subject(t.Context(), w.agent, raw, delegation.TypeAccess)
	check(t, err, "invalid_request", "revoked")
	w.down.Store(true)
	_, err = w.trust.Subject(t.Context(), w.agent, raw, delegation.TypeAccess)
	check(t, err, "temporarily_unavailable", "try again")
}

func TestAct(t *testing.T) {
	t.Parallel()
	s := &delegation.Subject{}
	if diff := cmp.Diff(map[string]any{"sub": "agent"}, s.Act("agent")); diff != "" {
		t.Error(diff)
	}
	// The example of RFC 8693 §4.1: the one who acts now is outermost.
	s.Actor = map[string]any{"sub": "https://service77.example.com"}
	want := map[string]any{"sub": "https://service16.example.com", "act": map[string]any{"sub": "https://service77.example.com"}}
	if diff := cmp.Diff(want, s.Act("https://service16.example.com")); diff != "" {
		t.Error(diff)
	}
}

func TestIdentityAssertion(t *testing.T) {
	t.Parallel()
	good := map[string]any{"iss": idp, "sub": "alice", "aud": own, "client_id": "agent", "resource": docs + "/", "jti": "1", "scope": "a b", "email": "alice@example.com"}
	for name, c := range map[string]struct {
		by       func(*world) *token.Signer
		typ      string
		change   map[string]any
		audience string
		public   bool
		code     string
		says     string
		scopes   []string
	}{
		"good":                   {scopes: []string{"a", "b"}},
		"without scopes":         {change: map[string]any{"scope": nil}, scopes: []string{}},
		"resource asked too":     {audience: docs, scopes: []string{"a", "b"}},
		"application/":           {typ: "application/oauth-id-jag+jwt", scopes: []string{"a", "b"}},
		"another resource asked": {audience: other, code: "invalid_target", says: "not that of the assertion"},
		"another resource":       {change: map[string]any{"resource": "https://evil.example"}, code: "invalid_grant", says: "none of this server's"},
		"no resource":            {change: map[string]any{"resource": nil}, code: "invalid_grant", says: "no resource"},
		"another client":         {change: map[string]any{"client_id": "other"}, code: "invalid_grant", says: "another client"},
		"no client":              {change: map[string]any{"client_id": nil}, code: "invalid_grant", says: "another client"},
		"a public client":        {public: true, change: map[string]any{"client_id": "spa"}, code: "unauthorized_client", says: "authenticates"},
		"no jti":                 {change: map[string]any{"jti": nil}, code: "invalid_grant", says: "no jti"},
		"nobody":                 {change: map[string]any{"sub": nil}, code: "invalid_grant", says: "no sub"},
		"no iat":                 {change: map[string]any{"iat": nil}, code: "invalid_grant", says: "no iat"},
		"no exp":                 {change: map[string]any{"exp": nil}, code: "invalid_grant", says: "expired"},
		"expired":                {change: map[string]any{"exp": time.Now().Add(-2 * time.Minute).Unix()}, code: "invalid_grant", says: "expired"},
		"for a day":              {change: map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()}, code: "invalid_grant", says: "maxAssertionAge"},
		"issued long ago":        {change: map[string]any{"iat": time.Now().Add(-24 * time.Hour).Unix()}, code: "invalid_grant", says: "maxAssertionAge"},
		"for another server":     {change: map[string]any{"aud": "https://other.example"}, code: "invalid_grant", says: "not for this server"},
		"for the token endpoint": {change: map[string]any{"aud": own + "/oauth/token"}, code: "invalid_grant", says: "not for this server"},
		"for two servers":        {change: map[string]any{"aud": []string{own, "https://other.example"}}, code: "invalid_grant", says: "for others too"},
		"an ID token":            {typ: "JWT", code: "invalid_grant", says: "no issuer"},
		"an access token":        {typ: "at+jwt", code: "invalid_grant", says: "no issuer"},
		"by somebody":            {by: (*world).aStranger, code: "invalid_grant", says: "not signed"},
		"by an issuer that may not": {
			by: (*world).theCI, change: map[string]any{"iss": ci}, code: "invalid_grant", says: "no issuer",
		},
		"by us": {by: func(w *world) *token.Signer { return w.own }, change: map[string]any{"iss": own}, code: "invalid_grant", says: "no issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			by, typ, client := w.idp, c.typ, w.agent
			if c.by != nil {
				by = c.by(w)
			}
			if typ == "" {
				typ = "oauth-id-jag+jwt"
			}
			if c.public {
				client = w.public
			}
			raw := sign(t, by, typ, good, c.change)
			s, err := w.trust.Assertion(t.Context(), client, raw, c.audience)
			if check(t, err, c.code, c.says) {
				if strings.Contains(w.log.String(), raw[:40]) {
					t.Error("the assertion is in the log")
				}
				return
			}
			if s.ID != "alice" || s.Email != "alice@example.com" || s.Audience != docs || !cmp.Equal(s.Scopes, c.scopes) || s.Own {
				t.Errorf("%+v", s)
			}
			_, err = w.trust.Assertion(t.Context(), client, raw, c.audience)
			check(t, err, "invalid_grant", "used before")
			// The same jti in another assertion is a replay as well.
			_, err = w.trust.Assertion(t.Context(), client, sign(t, by, typ, good, map[string]any{"email": "x"}), "")
			check(t, err, "invalid_grant", "used before")
		})
	}
}

// What was refused was not used: the right client can still show it.
func TestRefusedAssertionStaysGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	raw := sign(t, w.idp, "oauth-id-jag+jwt", map[string]any{"iss": idp, "sub": "alice", "aud": own, "client_id": "agent", "resource": docs, "jti": "1"}, nil)
	_, err := w.trust.Assertion(t.Context(), w.agent, raw, other)
	check(t, err, "invalid_target", "")
	_, err = w.trust.Assertion(t.Context(), w.agent, raw, docs)
	check(t, err, "", "")
}

func TestWorkloadAssertion(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change   map[string]any
		typ      string
		audience string
		code     string
		says     string
		want     string // the audience
	}{
		"one resource":      {want: docs},
		"asked":             {audience: docs, want: docs},
		"no jti":            {change: map[string]any{"jti": nil}, want: docs},
		"no type":           {typ: "-", want: docs},
		"another resource":  {audience: other, code: "invalid_target", says: "allowedResources"},
		"two resources":     {change: map[string]any{"sub": "repo:b"}, code: "invalid_target", says: "allowedResources"},
		"the second of two": {change: map[string]any{"sub": "repo:b"}, audience: other, want: other},
		"unknown subject":   {change: map[string]any{"sub": "repo:a "}, code: "invalid_grant", says: "subjectBindings"},
		"a longer subject":  {change: map[string]any{"sub": "repo:a/b"}, code: "invalid_grant", says: "subjectBindings"},
		"an access token":   {typ: "at+jwt", code: "invalid_grant", says: "not signed"},
		"an ID-JAG":         {typ: "oauth-id-jag+jwt", code: "invalid_grant", says: "no issuer"},
		"too old":           {change: map[string]any{"exp": time.Now().Add(2 * time.Hour).Unix()}, code: "invalid_grant", says: "maxAssertionAge"},
		"for others":        {change: map[string]any{"aud": "https://other.example"}, code: "invalid_grant", says: "not for this server"},
		"for the endpoint":  {change: map[string]any{"aud": own + "/oauth/token"}, want: docs},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			typ := c.typ
			switch typ {
			case "":
				typ = "JWT"
			case "-":
				typ = ""
			}
			raw := sign(t, w.ci, typ, map[string]any{"iss": ci, "sub": "repo:a", "aud": own, "jti": "1", "act": map[string]any{"sub": "x"}}, c.change)
			s, err := w.trust.Assertion(t.Context(), w.public, raw, c.audience)
			if check(t, err, c.code, c.says) {
				return
			}
			if !strings.HasPrefix(s.ID, ci+"#repo:") || s.Audience != c.want || s.Scopes != nil || s.Actor != nil {
				t.Errorf("%+v", s)
			}
			_, err = w.trust.Assertion(t.Context(), w.public, raw, c.audience)
			check(t, err, "invalid_grant", "used before")
		})
	}
}

func TestAssertionAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *delegation.Config) { c.Log = nil })
	raw := sign(t, w.ci, "JWT", map[string]any{"iss": ci, "sub": "repo:a", "aud": own, "jti": "1"}, nil)
	var taken atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := w.trust.Assertion(context.Background(), w.public, raw, ""); err == nil {
				taken.Add(1)
			}
		})
	}
	all.Wait()
	if taken.Load() != 1 {
		t.Errorf("taken %d times", taken.Load())
	}
}

// failing is a store that cannot be asked.
type failing struct{ store.Store }

func (failing) Add(context.Context, string, []byte, time.Duration) (bool, error) {
	return false, errors.New("connection refused")
}

func TestStoreDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *delegation.Config) { c.Store = failing{c.Store} })
	raw := sign(t, w.ci, "JWT", map[string]any{"iss": ci, "sub": "repo:a", "aud": own, "jti": "1"}, nil)
	_, err := w.trust.Assertion(t.Context(), w.public, raw, "")
	check(t, err, "temporarily_unavailable", "try again")
}

func TestNew(t *testing.T) {
	t.Parallel()
	for name, issuers := range map[string][]delegation.Issuer{"its own": {{URL: own}}, "twice": {{URL: idp}, {URL: idp}}} {
		if _, err := delegation.New(delegation.Config{Issuer: own, Keys: signer(t), Issuers: issuers}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	w := newWorld(t, nil)
	if any, people := w.trust.Assertions(); !any || !people {
		t.Errorf("assertions %v, of people %v", any, people)
	}
}
