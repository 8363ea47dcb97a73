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
	g := serve(t, authServer(t, issuer, map[string]*testkit.IdP{"staff": idp}, []string{"staff"},
		`branding: {name: "Example & Sons", supportUrl: "mailto:help@example.com"}`)+
		remote("docs", backend.URL, "authServerRef: {name: people}", "title: Team documents", "description: What we wrote down about our machines."), "--listen", address)
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
	for _, want := range []string{"Otter <b>Notes</b>", "nobody has checked", resource, strings.TrimPrefix(landed.URL, "http://"), "staff", "Cancel", "Allow", "Example & Sons", "Get help", "Team documents", "our machines"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
	looksRight(t, browser, "consent")

	// FINDING N7, N8: a website that nobody knows is the one that people are warned of, and
	// the buttons are on a phone's screen all the same.
	_, web := ask(t, "POST", issuer+"/oauth/register", "application/json", `{"client_name":"Otter Notes","redirect_uris":["https://notes.example.net/cb"],"token_endpoint_auth_method":"none","scope":"openid profile email offline_access"}`)
	browser.Open(t, issuer+"/oauth/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {fmt.Sprint(web["client_id"])}, "resource": {resource}, "scope": {"openid profile email offline_access"},
		"code_challenge": {oauth.Challenge(verifier)}, "code_challenge_method": {"S256"},
	}.Encode())
	if text := browser.Text(t); !strings.Contains(text, "the website notes.example.net, which this service does not know") {
		t.Errorf("no warning:\n%s", text)
	}
	looksRight(t, browser, "warning")
	browser.Open(t, authorization)

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
	for _, width := range []int{1280, 900, 390, 320} {
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
			if width != 1280 && width != 390 {
				continue // axe takes its time, and what depends on the width is measured above
			}
			for _, fault := range b.Axe(t) {
				t.Errorf("%s, %d wide, %s: axe: %s", page, width, scheme, fault)
			}
		}
	}
}

const measure = `
const faults = [];
const all = (selector) => [...document.querySelectorAll(selector)];
// innerWidth grows with what is too wide, where a phone shows all of it smaller.
if (document.documentElement.scrollWidth > document.documentElement.clientWidth) faults.push('wider than the screen: ' + document.documentElement.scrollWidth);
const edge = document.querySelector('main').getBoundingClientRect().right;
for (const e of all('main li, main p, main div').filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > edge + 1)) faults.push('sticks out: ' + e.innerText);
if (document.documentElement.lang !== 'en') faults.push('no language');
if (all('h1').length !== 1) faults.push(all('h1').length + ' headings');
for (const b of all('button').filter((b) => b.checkVisibility())) {
  const { width, height } = b.getBoundingClientRect();
  if (width < 44 || height < 44) faults.push('small button: ' + b.innerText);
  if (b.value === 'allow' && b.getBoundingClientRect().bottom > innerHeight) faults.push('below the fold: ' + b.innerText);
}
const color = (text) => { const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number); return { rgb: [r, g, b], a }; };
const light = ({ rgb }) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => { for (; e; e = e.parentElement) { const c = color(getComputedStyle(e).backgroundColor); if (c.a === 1) return c; } return color('rgb(255,255,255)'); };
for (const e of all('h1, h2, h3, h4, h5, p, li, dt, dd, small, code, time, summary, label, a, span, button').filter((e) => e.checkVisibility() && e.innerText)) {
  const [x, y] = [light(color(getComputedStyle(e).color)), light(behind(e))].sort((a, b) => b - a);
  if ((x + 0.05) / (y + 0.05) < 4.5) faults.push('low contrast: ' + e.innerText);
}
return faults;`

// A person sees the servers that they sign in to, and what each offers them and not what it refuses them.
func TestServersOfAPerson(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdPWithPage(t)
	backend := testkit.StartBackend(t, testkit.Dual)
	address := testkit.FreeAddress(t)
	issuer := "http://localhost" + address[strings.LastIndexByte(address, ':'):]
	only := func(tool string) string {
		return `authzConfig: {type: inline, inline: {policies: ['permit(principal == Client::"alice", action == Action::"call_tool", resource == Tool::"` + tool + `");']}}`
	}
	serve(t, authServer(t, issuer, map[string]*testkit.IdP{"staff": idp}, []string{"staff"})+
		remote("docs", backend.URL, "authServerRef: {name: people}", "title: Team documents", "description: What we wrote down.", only("echo"))+
		remote("gone", "http://127.0.0.1:1/mcp", "authServerRef: {name: people}", "title: Away", only("echo"))+
		remote("open", backend.URL, "title: Of somebody else"), "--listen", address)
	browser := chromium.Start(t)
	browser.Open(t, issuer+"/oauth/connections")
	browser.Click(t, "button[value=login]")
	testkit.Eventually(t, "the browser is at the provider", func() bool { return strings.HasPrefix(browser.URL(t), idp.Issuer) })
	browser.Click(t, "#login")
	testkit.Eventually(t, "the browser is back", func() bool { return strings.HasPrefix(browser.URL(t), issuer+"/oauth/connections") })
	says := func(want ...string) {
		t.Helper()
		text := browser.Text(t)
		for _, w := range want {
			if not, no := strings.CutPrefix(w, "!"); strings.Contains(text, not) == no {
				t.Errorf("%q: the page says\n%s", w, text)
			}
		}
	}
	says("Servers you may use", "Team documents", "What we wrote down.", issuer+"/servers/docs/mcp", "Away", "!Of somebody else", "!echo")
	browser.Click(t, `a[href*="servers%2Fdocs%2Fmcp"]`)
	testkit.Eventually(t, "the tools are shown", func() bool { return strings.Contains(browser.Text(t), "echo") })
	says("!think", "!cannot be shown")
	looksRight(t, browser, "servers")
	browser.Click(t, `a[href*="servers%2Fgone%2Fmcp"]`)
	testkit.Eventually(t, "it is said that the server does not answer", func() bool {
		return strings.Contains(browser.Text(t), "Its tools cannot be shown now.")
	})
	says("!echo")
	// A client that does not say what it is for has the person choose.
	_, app := ask(t, "POST", issuer+"/oauth/register", "application/json", `{"client_name":"Otter Notes","redirect_uris":["http://127.0.0.1:1/cb"],"token_endpoint_auth_method":"none"}`)
	browser.Open(t, issuer+"/oauth/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {fmt.Sprint(app["client_id"])}, "code_challenge": {oauth.Challenge(oauth.NewVerifier())}, "code_challenge_method": {"S256"},
	}.Encode())
	says("Choose the one that you are connecting", "Team documents", "Away")
	looksRight(t, browser, "choice")
}
