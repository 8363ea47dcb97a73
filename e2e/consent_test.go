package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/chromium"
)

// picturesVariable names a folder to put pictures of the pages into, to be looked at.
const picturesVariable = "SALLYPORT_TEST_PICTURES"

// REQ B-25, REQ D-4: a person with a real browser reads who asks for what and where the
// answer goes, says yes, signs in at the provider and lands at the client; or says no.
// The gateway and the provider are different sites, as they are in life, so that the
// browser's rules on cookies count.
func TestConsentInABrowser(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdPWithPage(t)
	backend := testkit.Record(t, sessionBackend("s"))
	address := testkit.FreeAddress(t)
	issuer := "http://localhost" + address[strings.LastIndexByte(address, ':'):]
	g := serve(t, authServer(t, issuer, map[string]*testkit.IdP{"staff": idp}, []string{"staff"})+
		remote("docs", backend.URL, "authServerRef: {name: people}"), "--listen", address)
	landed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<!doctype html><title>Done</title>You can close this window.")
	}))
	t.Cleanup(landed.Close)
	callback := landed.URL + "/callback"
	got := request{
		url: issuer + "/oauth/register", header: http.Header{"Content-Type": {"application/json"}},
		body: `{"client_name":"Otter <b>Notes</b>","redirect_uris":["` + callback + `"],"token_endpoint_auth_method":"none"}`,
	}.do(t)
	var registered struct {
		ID string `json:"client_id"`
	}
	if err := json.Unmarshal([]byte(got.Body), &registered); err != nil {
		t.Fatalf("register: %d %s", got.Status, got.Body)
	}
	id := registered.ID
	resource, verifier := issuer+"/servers/docs/mcp", oauth.NewVerifier()
	authorization := issuer + "/oauth/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {id}, "redirect_uri": {callback}, "state": {"a&b=c"}, "resource": {resource},
		"code_challenge": {oauth.Challenge(verifier)}, "code_challenge_method": {"S256"},
	}.Encode()

	browser := chromium.Start(t)
	browser.Open(t, authorization)
	text := browser.Text(t)
	for _, want := range []string{"Otter <b>Notes</b>", "nobody has checked", resource, strings.TrimPrefix(landed.URL, "http://"), "staff", "Cancel", "Allow"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
	looksRight(t, browser, "consent")

	browser.Click(t, "button[value=deny]")
	if at := answered(t, browser, callback); at.Get("error") != "access_denied" || at.Get("state") != "a&b=c" || at.Get("iss") != issuer {
		t.Errorf("after Cancel the client was told %v", at)
	}
	browser.Open(t, authorization)
	browser.Click(t, "button[value=allow]")
	testkit.Eventually(t, "the browser is at the provider", func() bool { return strings.HasPrefix(browser.URL(t), idp.Issuer) })
	browser.Click(t, "#login")
	at := answered(t, browser, callback)
	client := &app{t, issuer, id}
	issued := client.token(url.Values{
		"grant_type": {"authorization_code"}, "code": {at.Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}, "resource": {resource},
	})
	if at.Get("state") != "a&b=c" || !opens(t, g.URL+"/servers/docs/mcp", issued.Access) {
		t.Errorf("the client was told %v and got %+v", at, issued)
	}

	browser.Open(t, issuer+"/oauth/connections")
	if text := browser.Text(t); !strings.Contains(text, "As alice") || !strings.Contains(text, "Disconnect staff") {
		t.Errorf("the page of connections:\n%s", text)
	}
	looksRight(t, browser, "connections")
	browser.Open(t, issuer+"/oauth/callback?code=c&state=s")
	looksRight(t, browser, "refusal")
}

// answered is what the client was told at its callback.
func answered(t *testing.T, b *chromium.Browser, callback string) url.Values {
	t.Helper()
	var at string
	testkit.Eventually(t, "the browser is at the client", func() bool {
		at = b.URL(t)
		return strings.HasPrefix(at, callback+"?")
	})
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// looksRight checks what can be measured of a page's looks, on large and small screens,
// light and dark: nothing to scroll sideways to, buttons large enough for a thumb (WCAG
// 2.5.8), a language and one heading, text that stands out (WCAG 1.4.3).
func looksRight(t *testing.T, b *chromium.Browser, page string) {
	t.Helper()
	for _, width := range []int{1280, 390, 320} {
		for _, scheme := range []string{"light", "dark"} {
			b.Show(t, width, 844, scheme)
			if dir := os.Getenv(picturesVariable); dir != "" {
				name := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.png", page, width, scheme))
				if err := os.WriteFile(name, b.Screenshot(t), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if faults, _ := b.Eval(t, measure).([]any); len(faults) > 0 {
				t.Errorf("%s, %d wide, %s: %v", page, width, scheme, faults)
			}
		}
	}
}

const measure = `
const faults = [];
const all = (selector) => [...document.querySelectorAll(selector)];
if (document.documentElement.scrollWidth > innerWidth) faults.push('wider than the screen: ' + document.documentElement.scrollWidth);
if (document.documentElement.lang !== 'en') faults.push('no language');
if (all('h1').length !== 1) faults.push(all('h1').length + ' headings');
for (const b of all('button')) {
  const { width, height } = b.getBoundingClientRect();
  if (width < 44 || height < 44) faults.push('small button: ' + b.innerText);
}
const color = (text) => { const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number); return { rgb: [r, g, b], a }; };
const light = ({ rgb }) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => { for (; e; e = e.parentElement) { const c = color(getComputedStyle(e).backgroundColor); if (c.a === 1) return c; } return color('rgb(255,255,255)'); };
for (const e of all('h1, h2, p, dt, dd, button')) {
  const [x, y] = [light(color(getComputedStyle(e).color)), light(behind(e))].sort((a, b) => b - a);
  if ((x + 0.05) / (y + 0.05) < 4.5) faults.push('low contrast: ' + e.innerText);
}
return faults;`
