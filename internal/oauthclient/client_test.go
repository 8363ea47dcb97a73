package oauthclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/oauthclient"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// REQ B-19: discovery, registration, PKCE and resource, from nothing but a 401.
func TestSignIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(t, nil)
	if got := current(t, c); !got.Empty() {
		t.Fatal("there is a token before anybody signed in")
	}
	if got := mustRenew(t, c, challenge("scope", "tools:call")); got != "access-1" {
		t.Fatalf("token %q", got)
	}
	asked := w.requests()[0]
	want := url.Values{"resource": {w.URL + "/mcp"}, "scope": {"tools:call"}, "client_id": {"client-1"}, "response_type": {"code"}, "code_challenge_method": {"S256"}}
	for name := range want {
		if diff := cmp.Diff(want[name], asked[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	form := w.seen("authorization_code")[0]
	if form.Get("resource") != w.URL+"/mcp" || form.Get("redirect_uri") != asked.Get("redirect_uri") || form.Get("client_id") != "client-1" {
		t.Errorf("token request %v", form)
	}
	if r := w.registered[0]; r["application_type"] != "native" || r["token_endpoint_auth_method"] != "none" || fmt.Sprint(r["grant_types"]) != "[authorization_code refresh_token]" {
		t.Errorf("registration %v", r)
	}
}

// FINDING 2.4
// FINDING 2.11
// REQ G-8: how an issuer without a path is written, and what else answers at well-known
// places, keeps nobody from signing in; the issuer goes on as it calls itself.
func TestSignInAsServersWrite(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*world){
		"a slash in the list":         func(w *world) { w.resource["authorization_servers"] = []string{w.URL + "/"} },
		"a slash in its own document": func(w *world) { w.server["issuer"] = w.URL + "/" },
		"no metadata of the resource": func(w *world) { w.resource = nil },
		"a page for it":               func(w *world) { w.resource, w.page = nil, "<html>" },
		"some JSON for it":            func(w *world) { w.resource = map[string]any{"status": "ok"} },
		"odd members": func(w *world) {
			w.resource["scopes_supported"], w.resource["bearer_methods_supported"] = "read", "header"
			w.server["grant_types_supported"], w.server["scopes_supported"] = nil, 5
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			change(w)
			if w.server["issuer"] != w.URL {
				w.answer = func(q url.Values) { q.Set("iss", fmt.Sprint(w.server["issuer"])) }
			}
			c := w.open(t, nil)
			if got := mustRenew(t, c, challenge()); got != "access-1" {
				t.Fatalf("token %q", got)
			}
			if got := mustRenew(t, w.open(t, func(cfg *oauthclient.Config) { cfg.Issuer = w.URL }), challenge()); got != "access-2" {
				t.Fatalf("with the issuer named: token %q", got)
			}
		})
	}
}

// An authorization server with ways of its own, as Entra ID has them: no resource
// indicators, PKCE that it does not speak of, and parameters that it wants.
func TestServersWaysOfTheirOwn(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{"none": "", "https://other.example.com": "https://other.example.com"} {
		w := newWorld(t)
		delete(w.server, "code_challenge_methods_supported")
		mustFail(t, renew(t, w.open(t, nil), challenge()), "PKCE")
		w.token = func(url.Values, *http.Request) (int, map[string]any) {
			return 200, map[string]any{"access_token": "a", "refresh_token": "r", "expires_in": 0}
		}
		c := w.open(t, func(cfg *oauthclient.Config) {
			cfg.Issuer, cfg.Target, cfg.Params = w.URL, target, map[string]string{"prompt": "select_account", "domain_hint": "x"}
		})
		mustRenew(t, c, challenge())
		_ = current(t, c) // refreshes
		asked := w.requests()[0]
		if asked.Get("prompt") != "select_account" || asked.Get("domain_hint") != "x" || asked.Get("code_challenge_method") != "S256" || asked.Get("resource") != want || asked.Has("resource") != (want != "") {
			t.Errorf("%s: authorization request %v", target, asked)
		}
		for _, grant := range []string{"authorization_code", "refresh_token"} {
			forms := w.seen(grant)
			if len(forms) == 0 || forms[0].Get("resource") != want || forms[0].Has("resource") != (want != "") {
				t.Errorf("%s: %s requests %v", target, grant, forms)
			}
		}
	}
}

// Where the browser is on another machine, its person brings the response by hand. It is
// looked at like any other.
func TestPastedResponse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in, paste := io.Pipe()
	defer paste.Close()
	out := &testkit.Output{}
	c := w.open(t, func(cfg *oauthclient.Config) {
		cfg.Browser = &oauthclient.Browser{Out: out, Paste: in, Open: func(address string) error {
			go func() {
				far := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
				resp, err := far.Get(address)
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
				last := resp.Header.Get("Location")
				_, _ = fmt.Fprintf(paste, "no address\nhttp://127.0.0.1:1/callback?code=x&state=guess\n  %s \n", last)
			}()
			return nil
		}}
	})
	if got := mustRenew(t, c, challenge()); got != "access-1" {
		t.Errorf("token %q", got)
	}
	if text := out.String(); strings.Count(text, "That is not the address") != 2 || strings.Contains(text, "code=") {
		t.Errorf("it said:\n%s", text)
	}
}

// TestScopes proves what is asked for, and that a step-up adds and never loses.
func TestScopes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		given      []string
		challenged string
		listed     []string
		supported  []string
		want       string
	}{
		"the challenge's":         {challenged: "a b", listed: []string{"z"}, want: "a b"},
		"else all that is listed": {listed: []string{"x", "y"}, want: "x y"},
		"else none":               {},
		"the operator's first":    {given: []string{"o"}, challenged: "a", want: "o"},
		"offline where there is":  {challenged: "a", supported: []string{"a", "offline_access"}, want: "a offline_access"},
		"no words of a stranger":  {challenged: "ok b\"ad \x01 " + strings.Repeat("x", 5000), want: "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.resource["scopes_supported"] = c.listed
			w.server["scopes_supported"] = c.supported
			client := w.open(t, func(cfg *oauthclient.Config) { cfg.Scopes = c.given })
			mustRenew(t, client, challenge("scope", c.challenged))
			asked := w.requests()[0]
			if got := asked.Get("scope"); got != c.want {
				t.Errorf("asked for %q, want %q", got, c.want)
			}
			if offline := strings.Contains(c.want, "offline"); offline != (asked.Get("prompt") == "consent") {
				t.Errorf("prompt %q", asked.Get("prompt"))
			}
		})
	}
}

func TestStepUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(t, nil)
	mustRenew(t, c, challenge("scope", "read"))
	mustRenew(t, c, challenge("error", "insufficient_scope", "scope", "write"))
	if got := w.requests()[1].Get("scope"); got != "read write" {
		t.Errorf("the step-up asked for %q", got)
	}
	// What was asked for and not granted is not asked for again: somebody would sign in for ever.
	mustFail(t, renew(t, c, challenge("error", "insufficient_scope", "scope", "write")), "asked for already")
	if n := len(w.requests()); n != 2 {
		t.Errorf("%d sign-ins", n)
	}
}

// TestANewTokenThatIsRefused proves that a remote that refuses everything does not
// open a browser each time.
func TestANewTokenThatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(t, nil)
	mustRenew(t, c, challenge())
	mustFail(t, renew(t, c, challenge("error", "invalid_token")), "refuses the token")
	if n := len(w.requests()); n != 1 {
		t.Errorf("%d sign-ins", n)
	}
}

// REQ B-19: tokens are refreshed ahead of their end, and a grant that has ended leads to a new sign-in.
func TestRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ended := false
	w.token = func(form url.Values, _ *http.Request) (int, map[string]any) {
		if form.Get("grant_type") == "refresh_token" {
			if ended || form.Get("refresh_token") != fmt.Sprintf("refresh-%d", len(w.forms)-1) {
				return 400, map[string]any{"error": "invalid_grant"}
			}
		}
		n := len(w.forms)
		return 200, map[string]any{"access_token": fmt.Sprintf("access-%d", n), "refresh_token": fmt.Sprintf("refresh-%d", n), "expires_in": 0}
	}
	c := w.open(t, nil)
	if err := renew(t, c, challenge()); err != nil {
		t.Fatal(err)
	}
	for n := 2; n < 5; n++ { // each has expired at once, and its refresh token was replaced
		if got := current(t, c).Reveal(); got != fmt.Sprintf("access-%d", n) {
			t.Fatalf("token %q at %d", got, n)
		}
	}
	if got := w.seen("refresh_token")[0].Get("resource"); got != w.URL+"/mcp" {
		t.Errorf("the refresh names the resource %q", got)
	}
	ended = true
	if got := current(t, c); !got.Empty() {
		t.Errorf("token %q after the grant has ended", got.Reveal())
	}
	if err := c.Renew(t.Context(), secret.Value{}, challenge()); err != nil {
		t.Fatal(err)
	}
	if n := len(w.requests()); n != 2 {
		t.Errorf("%d sign-ins, want a second one", n)
	}
}

// A server that is down is no reason to go on without a token.
func TestRefreshFailsClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.token = func(form url.Values, _ *http.Request) (int, map[string]any) {
		if form.Get("grant_type") == "refresh_token" {
			return 503, map[string]any{}
		}
		return 200, map[string]any{"access_token": "a", "refresh_token": "r", "expires_in": 0}
	}
	c := w.open(t, nil)
	if err := renew(t, c, challenge()); err != nil {
		t.Fatal(err)
	}
	token, err := c.Token(t.Context())
	mustFail(t, err, "503")
	if !token.Empty() {
		t.Error("there is a token beside the error")
	}
}

// TestAnotherServer proves that nothing of one authorization server is shown to
// another one (SEP-2352).
func TestAnotherServer(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t), newWorld(t)
	w.token = func(url.Values, *http.Request) (int, map[string]any) {
		return 200, map[string]any{"access_token": "old-access", "refresh_token": "old-refresh", "expires_in": 3600}
	}
	c := w.open(t, nil)
	mustRenew(t, c, challenge())
	w.mu.Lock()
	w.resource["authorization_servers"] = []string{other.URL}
	w.mu.Unlock()
	if got := mustRenew(t, c, challenge("error", "invalid_token")); got != "access-1" {
		t.Errorf("token %q", got)
	}
	if len(other.registered) != 1 {
		t.Errorf("%d registrations at the new server", len(other.registered))
	}
	for _, form := range other.forms {
		if text := form.Encode(); strings.Contains(text, "old-") {
			t.Errorf("the new server was shown %s", text)
		}
	}
	if len(w.seen("refresh_token")) != 0 {
		t.Error("the old server was asked to refresh")
	}
}

// REQ B-19: several calls wait for one sign-in, and it goes on when they are gone.
func TestOneSignInForAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address := make(chan string, 10)
	c := w.open(t, func(cfg *oauthclient.Config) {
		cfg.Browser = &oauthclient.Browser{Open: func(a string) error { address <- a; return nil }}
	})
	impatient, leave := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- c.Renew(impatient, secret.Value{}, challenge()) }()
	at := <-address
	leave()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if err := c.Renew(t.Context(), secret.Value{}, challenge()); err != nil {
				t.Error(err)
			}
		})
	}
	visit(t.Context(), at)
	all.Wait()
	if current(t, c).Empty() || len(w.requests()) != 1 || len(address) != 0 {
		t.Errorf("%d sign-ins, %d more addresses", len(w.requests()), len(address))
	}
}

// Without a browser the person is told what to do.
func TestNobodyToAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.open(t, func(cfg *oauthclient.Config) { cfg.Browser = nil })
	err := renew(t, c, challenge())
	if _, ok := errors.AsType[*oauthclient.SignInError](err); !ok {
		t.Fatal(err)
	}
	mustFail(t, err, "sallyport login")
}

// TestMachine proves client credentials, with a secret and with an assertion.
//
// REQ B-19
func TestMachine(t *testing.T) {
	t.Parallel()
	pem, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := token.NewSigner(pem)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		methods []string
		key     bool
		check   func(form url.Values, basic bool) bool
	}{
		"basic": {methods: []string{"client_secret_basic"}, check: func(f url.Values, basic bool) bool { return basic && f.Get("client_secret") == "" }},
		"post":  {methods: []string{"client_secret_post"}, check: func(f url.Values, basic bool) bool { return !basic && f.Get("client_secret") == "s" }},
		"key":   {methods: []string{"private_key_jwt"}, key: true, check: func(f url.Values, basic bool) bool { return !basic && f.Get("client_assertion") != "" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.server["token_endpoint_auth_methods_supported"] = c.methods
			delete(w.server, "code_challenge_methods_supported") // there is no code
			good := false
			w.token = func(f url.Values, r *http.Request) (int, map[string]any) {
				_, _, basic := r.BasicAuth()
				good = c.check(f, basic) && f.Get("grant_type") == "client_credentials" && f.Get("resource") == w.URL+"/mcp" && f.Get("scope") == "read"
				return 200, map[string]any{"access_token": "m"}
			}
			client := w.open(t, func(cfg *oauthclient.Config) {
				cfg.Machine, cfg.ClientID, cfg.Browser = true, "robot", nil
				if c.key {
					cfg.Key = signer
				} else {
					cfg.Secret = secret.New("s")
				}
			})
			if got := mustRenew(t, client, challenge()); got != "m" || !good {
				t.Errorf("token %q, good request: %v", got, good)
			}
		})
	}
}

// TestCanaries proves that no secret gets into log, error or output.
func TestCanaries(t *testing.T) {
	t.Parallel()
	var canaries testkit.Canaries
	var log logged
	var out strings.Builder
	w := newWorld(t)
	w.answer = func(q url.Values) { q.Set("code", canaries.Value("code")) }
	step := 0
	w.token = func(url.Values, *http.Request) (int, map[string]any) {
		w.challenges[canaries.Value("code")] = ""
		if step++; step > 1 {
			return 500, map[string]any{"access_token": canaries.Value("access"), "refresh_token": canaries.Value("refresh")}
		}
		return 200, map[string]any{"access_token": canaries.Value("access"), "refresh_token": canaries.Value("refresh"), "expires_in": 0}
	}
	c := w.open(t, func(cfg *oauthclient.Config) {
		cfg.ClientID, cfg.Secret, cfg.Log = "id", secret.New(canaries.Value("secret")), log.logger()
		cfg.Browser.Out = &out
	})
	w.mu.Lock()
	w.challenges[canaries.Value("code")] = "any"
	w.mu.Unlock()
	first := renew(t, c, challenge())
	_, second := c.Token(t.Context())
	text := fmt.Sprintf("%s\n%v\n%v\n%+v\n%s", log.String(), first, second, c, out.String())
	canaries.Check(t, "log, errors and output", text)
}

// REQ B-19: authorization servers of revision 2025-03-26, with metadata and without.
func TestBefore2025June(t *testing.T) {
	t.Parallel()
	for name, bare := range map[string]bool{"metadata": false, "default endpoints": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.resource = nil
			if bare {
				w.server = nil
			}
			if got := mustRenew(t, w.open(t, nil), challenge()); got != "access-1" {
				t.Errorf("token %q", got)
			}
			if got := w.requests()[0].Get("resource"); got != w.URL+"/mcp" {
				t.Errorf("resource %q", got)
			}
		})
	}
}

// A metadata document stands for the client where the server reads them.
func TestClientMetadataDocument(t *testing.T) {
	t.Parallel()
	const document = "https://gateway.example.com/client.json"
	for reads, want := range map[bool]string{true: document, false: "client-1"} {
		w := newWorld(t)
		w.server["client_id_metadata_document_supported"] = reads
		c := w.open(t, func(cfg *oauthclient.Config) { cfg.MetadataURL = document })
		mustRenew(t, c, challenge())
		if got := w.requests()[0].Get("client_id"); got != want {
			t.Errorf("client id %q, want %q", got, want)
		}
	}
}
