package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// IdP is a real OpenID provider on loopback: npm oidc-provider, by e2e/js/idp.mjs.
// It has a client "robot" that gets tokens for any resource, and a client "gateway"
// that may introspect them; others can register.
type IdP struct {
	Issuer string // http://127.0.0.1:PORT

	client  *http.Client
	options string // of the script, as JSON
	process *os.Process
	stop    func()
}

// The gateway's credential at an [IdP].
const (
	IdPGatewayID     = "gateway"
	IdPGatewaySecret = "gateway-secret"
)

// StartIdP starts a provider. It runs until the test ends.
func StartIdP(t testing.TB) *IdP {
	t.Helper()
	return startIdP(t, "{}")
}

// StartIdPWith starts a provider whose access tokens, of people who sign in, last so
// long: whole seconds. Its refresh tokens are good once.
func StartIdPWith(t testing.TB, accessTTL time.Duration) *IdP {
	t.Helper()
	return startIdP(t, fmt.Sprintf(`{"accessTTL":%d}`, int(accessTTL.Seconds())))
}

// StartSkewedIdP starts a provider whose clock is ahead of everybody else's, or behind.
func StartSkewedIdP(t testing.TB, ahead time.Duration) *IdP {
	t.Helper()
	return startIdP(t, fmt.Sprintf(`{"skew":%d}`, int(ahead.Seconds())))
}

// StartIdPWithPage starts a provider that signs in whoever clicks the button #login of
// its page.
func StartIdPWithPage(t testing.TB) *IdP {
	t.Helper()
	return startIdP(t, `{"loginPage":true}`)
}

func startIdP(t testing.TB, options string) *IdP {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	p := &IdP{client: &http.Client{Transport: transport}, options: options}
	p.start(t, freePort(t)) // its own also after a Restart
	t.Cleanup(func() { p.stop() })
	return p
}

// Restart ends the provider and starts it again at the same address, with other
// keys and without memory.
func (p *IdP) Restart(t testing.TB) {
	t.Helper()
	p.Stop()
	u, err := url.Parse(p.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	p.start(t, u.Port())
}

// Stop ends the provider: nobody answers at its address any more.
func (p *IdP) Stop() {
	p.client.CloseIdleConnections()
	p.stop()
}

// Pause lets the provider answer nobody until Resume; it takes requests all the same.
func (p *IdP) Pause(t testing.TB) { signal(t, p.process, syscall.SIGSTOP) }

// Resume ends a Pause.
func (p *IdP) Resume(t testing.TB) { signal(t, p.process, syscall.SIGCONT) }

var issuerLine = regexp.MustCompile(`(?m)^issuer (\S+)$`)

func (p *IdP) start(t testing.TB, port string) {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	script := PlaceScript(t, filepath.Join(filepath.Dir(here), "../../e2e/js/idp.mjs"))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd, out := Node(ctx, t, script, port, p.options), &Output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatalf("start the identity provider: %v", err)
	}
	p.process = cmd.Process
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // it is killed
		close(ended)
	}()
	p.stop = func() {
		cancel()
		<-ended
	}
	waiting, done := context.WithTimeout(ctx, Patience)
	defer done()
	err := out.Wait(waiting, func(text string) bool {
		if m := issuerLine.FindStringSubmatch(text); m != nil {
			p.Issuer = m[1]
			return true
		}
		return false
	})
	if err != nil {
		p.stop()
		t.Fatalf("start the identity provider: %v\n%s", err, out)
	}
}

// TokenWish says what a token shall be like.
type TokenWish struct {
	Audience string
	Scopes   []string
	Subject  string        // "" for the client's own: robot
	Groups   []string      // the claim "groups"
	TTL      time.Duration // below zero for one that has expired; 0 for the usual one
	Opaque   bool          // for introspection
}

// Token gets one from the token endpoint (RFC 6749 §4.4, RFC 8707).
func (p *IdP) Token(t testing.TB, w TokenWish) string {
	t.Helper()
	wish := url.Values{}
	for name, value := range map[string]string{"sub": w.Subject, "groups": strings.Join(w.Groups, ",")} {
		if value != "" {
			wish.Set(name, value)
		}
	}
	if w.TTL != 0 {
		wish.Set("ttl", fmt.Sprint(int(w.TTL.Seconds())))
	}
	if w.Opaque {
		wish.Set("format", "opaque")
	}
	resource := w.Audience
	if len(wish) > 0 {
		resource += "?" + wish.Encode()
	}
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	p.post(t, "/token", "robot", "robot-secret", url.Values{
		"grant_type": {"client_credentials"}, "scope": {strings.Join(w.Scopes, " ")}, "resource": {resource},
	}, &answer)
	return answer.AccessToken
}

// Revoke ends an opaque token (RFC 7009).
func (p *IdP) Revoke(t testing.TB, token string) {
	t.Helper()
	p.post(t, "/token/revocation", "robot", "robot-secret", url.Values{"token": {token}}, nil)
}

// Register makes a confidential client of the provider (RFC 7591).
func (p *IdP) Register(t testing.TB, redirect string) (id, secret string) {
	t.Helper()
	kind := "native"
	if strings.HasPrefix(redirect, "https:") {
		kind = "web"
	}
	body, err := json.Marshal(map[string]any{
		"redirect_uris": []string{redirect}, "application_type": kind, "token_endpoint_auth_method": "client_secret_basic",
		"grant_types": []string{"authorization_code", "refresh_token"},
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.Issuer+"/reg", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	var answer struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	p.do(t, req, &answer)
	return answer.ID, answer.Secret
}

// post sends a form to an endpoint, as a client, and reads the answer.
func (p *IdP) post(t testing.TB, path, id, password string, form url.Values, answer any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.Issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(id, password)
	p.do(t, req, answer)
}

func (p *IdP) do(t testing.TB, req *http.Request, answer any) {
	t.Helper()
	resp, err := p.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s at the identity provider: %s %v %s", req.URL.Path, resp.Status, err, body)
	}
	if answer == nil {
		return
	}
	if err := json.Unmarshal(body, answer); err != nil {
		t.Fatalf("%s at the identity provider: %v in %s", req.URL.Path, err, body)
	}
}

// SignIn is a browser with a person in front of it: it opens an authorization URL,
// signs in as who is asked for, and returns where it was sent in the end, which
// nobody needs to serve.
func (p *IdP) SignIn(ctx context.Context, authorization, user string) (*url.URL, error) {
	at, err := url.Parse(authorization)
	if err != nil {
		return nil, err
	}
	query := at.Query()
	query.Set("login_hint", user)
	at.RawQuery = query.Encode()
	redirect := query.Get("redirect_uri")
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	var end *url.URL
	browser := &http.Client{Transport: p.client.Transport, Jar: jar, CheckRedirect: func(req *http.Request, before []*http.Request) error {
		if strings.HasPrefix(req.URL.String(), redirect) {
			end = req.URL
			return http.ErrUseLastResponse
		}
		if len(before) > 20 {
			return errors.New("the identity provider sends the browser around in circles")
		}
		return nil
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := browser.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if end == nil {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
		return nil, fmt.Errorf("sign in: the identity provider answered %s instead of sending the browser back: %s", resp.Status, body)
	}
	return end, nil
}

// Knows tells whether the provider issued a token that is good now (RFC 7662).
func (p *IdP) Knows(t testing.TB, token string) bool {
	t.Helper()
	var answer struct {
		Active bool `json:"active"`
	}
	p.post(t, "/token/introspection", IdPGatewayID, IdPGatewaySecret, url.Values{"token": {token}}, &answer)
	return answer.Active
}
