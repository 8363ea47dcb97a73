package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/chromium"
)

// REQ C-7: an operator signs in with a real browser, sees what was refused while it is
// refused, and finds out why with the keyboard alone; what one has opened stays open. It
// looks right on every screen, and what a person is to read is there without a script.
func TestConsoleInABrowser(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, sessionBackend("s"))
	file := put(t, t.TempDir(), "admin", adminToken+"\n")
	g := serve(t, remote("docs", backend.URL, "title: Team documents", "description: What we wrote down about our machines",
		"trustedProxy: {clientAuthEnabled: false, trustProxyAuth: true, preset: oauth2-proxy, missingHeader: reject}",
		"authzConfig: {type: inline, inline: {policies: ['@id(\"everybody searches\") permit(principal, action == Action::\"call_tool\", resource == Tool::\"search\");']}}")+
		remote("a-server-with-quite-a-long-name-for-a-small-screen", backend.URL)+
		remote("gone", "http://127.0.0.1:1/mcp"), "--admin-token-file", file, "--health-interval", "1s")
	call := func(who, tool string) {
		t.Helper()
		request{
			url: g.URL + "/servers/docs/mcp", header: http.Header{"Content-Type": {"application/json"}, "X-Auth-Request-User": {who}, "X-Auth-Request-Groups": {"sales"}},
			body: fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q}}`, tool),
		}.do(t)
	}
	call("alice", "a_tool_with_quite_a_long_name_that_does_not_fit_a_line_of_a_small_screen_as_they_do_in_life")

	browser := chromium.Start(t)
	browser.Open(t, g.Admin)
	if text := browser.Text(t); !strings.Contains(text, "Sign in to the console") || strings.Contains(text, "docs") {
		t.Errorf("a stranger sees:\n%s", text)
	}
	looksRight(t, browser, "console-sign-in")
	browser.Click(t, "#token")
	browser.Press(t, adminToken+chromium.Enter)
	eventually := func(what string, words ...string) {
		t.Helper()
		testkit.Eventually(t, what, func() bool {
			text := browser.Text(t)
			for _, w := range words {
				if !strings.Contains(text, w) {
					return false
				}
			}
			return true
		})
	}
	eventually("the console is live, and knows what is gone", "Live", "Sign out", "gone does not answer.", "everybody, as anonymous", "alice calls a_tool")
	looksRight(t, browser, "console")

	// Everything can be reached, and is seen to be, without a mouse.
	reach := func(what string) {
		t.Helper()
		for range 60 {
			browser.Press(t, chromium.Tab)
			if at, _ := browser.Eval(t, "return document.activeElement.innerText + (getComputedStyle(document.activeElement).outlineStyle === 'none' ? ' unseen' : '')").(string); at == what {
				return
			}
		}
		t.Fatalf("the keyboard does not reach %q", what)
	}
	reach("Why?")
	browser.Press(t, chromium.Enter)
	eventually("the reason", "No policy permits it.", `Client::"alice"`, "everybody searches", `resource == Tool::"search" is false`)
	reach("Allow this")
	browser.Press(t, chromium.Enter)
	eventually("what would allow it", `principal == Client::"alice"`, "For everybody in sales")
	looksRight(t, browser, "console-why")

	call("bob", "delete")
	eventually("what was just refused", "bob calls delete", `principal == Client::"alice"`)
	if at := browser.Eval(t, "return document.activeElement.innerText"); at != "Allow this" {
		t.Errorf("the news took the focus to %v", at)
	}
	browser.Open(t, g.Admin+"/console?try=docs#try")
	browser.Click(t, "#try-tool")
	browser.Press(t, "search")
	browser.Click(t, "#try-claims")
	browser.Press(t, `{"sub":"alice"}`)
	reach("Look")
	browser.Press(t, chromium.Enter)
	eventually("what would become of a call", "alice would come through to docs.", "The server gets", "everybody searches")
	looksRight(t, browser, "console-try")
	// Whatever has a use has a name, and every picture words.
	if faults, _ := browser.Eval(t, `
		const name = (e) => e.getAttribute('aria-label') || e.innerText || (e.labels && e.labels[0] && e.labels[0].innerText);
		const nameless = [...document.querySelectorAll('a, button, summary, input, svg[role=img]')].filter((e) => e.checkVisibility() && !name(e)).map((e) => e.outerHTML);
		const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
		return nameless.concat(ids.filter((id, i) => ids.indexOf(id) !== i));`).([]any); len(faults) > 0 {
		t.Errorf("without a name, or with that of another: %v", faults)
	}
	browser.Click(t, "header button")
	eventually("nothing is left", "Sign in to the console")
}

// REQ G-10: an operator looks a person up in the console, and ends what an application was
// allowed; the audit has it.
func TestConsolePeople(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, sessionBackend("s"))
	address := testkit.FreeAddress(t)
	issuer := "http://" + address
	g := serve(t, authServer(t, issuer, map[string]*testkit.IdP{"staff": idp}, []string{"staff"})+
		remote("docs", backend.URL, "authServerRef: {name: people}", "audit: {enabled: true}"), "--listen", address)
	client := register(t, issuer)
	first := client.signIn(testkit.NewBrowser(t), at(g, "docs"))
	if !opens(t, at(g, "docs"), first.Access) {
		t.Fatal("the token does not open the door")
	}
	look := request{method: http.MethodGet, url: g.Admin + "/console?person=alice"}
	page := look.do(t).Body
	for _, want := range []string{"alice at people", "<strong>app</strong>", at(g, "docs"), "<strong>staff</strong>", "Disconnect", "Sign out"} {
		if !strings.Contains(page, want) {
			t.Errorf("the console does not say %q", want)
		}
	}
	for query, want := range map[string]string{"people": "Signed in at people", "person=LIC": "Like “LIC” at people"} {
		got := request{method: http.MethodGet, url: g.Admin + "/console?" + query}.do(t).Body
		if !strings.Contains(got, want) || !strings.Contains(got, `href="/console?person=alice#people"`) || !strings.Contains(got, "1 application, signed in in 1 browser") {
			t.Errorf("?%s does not list alice", query)
		}
	}
	if got := (request{method: http.MethodGet, url: g.Admin + "/console?person=mallory"}).do(t).Body; !strings.Contains(got, "Nothing: no application is allowed") {
		t.Error("of somebody who never was here something is kept")
	}
	browser := chromium.Start(t)
	browser.Open(t, g.Admin+"/console?person=alice#people")
	looksRight(t, browser, "console-people")
	browser.Open(t, g.Admin+"/console?people#people")
	looksRight(t, browser, "console-everybody")
	id := regexp.MustCompile(`name="kind" value="application"><input type="hidden" name="id" value="([^"]+)"`).FindStringSubmatch(page)
	if id == nil {
		t.Fatal("there is nothing to end")
	}
	form := url.Values{"issuer": {"people"}, "person": {"alice"}, "kind": {"application"}, "id": {id[1]}}
	end := request{url: g.Admin + "/console/end", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body: form.Encode()}
	if got := end.with("Sec-Fetch-Site", "cross-site").do(t); got.Status != http.StatusForbidden || !opens(t, at(g, "docs"), first.Access) {
		t.Errorf("another site ends it: %d", got.Status)
	}
	if got := end.with("Sec-Fetch-Site", "same-origin").do(t); got.Status != http.StatusSeeOther {
		t.Errorf("end: %d %s", got.Status, got.Body)
	}
	if opens(t, at(g, "docs"), first.Access) || client.refresh(first.Refresh).Error != "invalid_grant" {
		t.Error("the application goes on")
	}
	if strings.Contains(look.do(t).Body, "<strong>app</strong>") {
		t.Error("it is still there")
	}
	testkit.Eventually(t, "the audit has it", func() bool {
		return strings.Contains(g.Stdout.String(), `"method":"oauth/revoke","target":"`+at(g, "docs")+`","subject":"alice","source":"operator"`)
	})
}

// An operator tries a tool, looks and sends with the keyboard alone, and without any script: the form is made of the
// tool's schema, and what the server got stands beside what was sent. Loading the page again sends nothing.
func TestConsoleSendsByKeyboard(t *testing.T) {
	t.Parallel()
	backend := recordBackend(t)
	g := serve(t, remote("docs", backend.URL+"/mcp", "audit: {enabled: true}"))
	browser := chromium.Start(t)
	browser.WithoutScript(t)
	browser.Open(t, g.Admin+"/console?try=docs#try")
	by := byKeyboard{t, browser}
	by.to("#try-server")
	by.to("[name=as][value=claims]")
	browser.Press(t, chromium.Left) // the choice before the first is the last: nobody
	by.to("button[value=tools]")
	browser.Press(t, chromium.Enter)
	by.sees("repeat")
	by.to("select[name=tool]")
	by.choose("repeat")
	by.to("button[value=tool]")
	browser.Press(t, chromium.Enter)
	by.sees("Write them as JSON instead")
	by.to("[id^=try-arg-]")
	browser.Press(t, "hello, <b>world</b>")
	looksRight(t, browser, "console-form")
	by.to("button[value=look]")
	browser.Press(t, chromium.Enter)
	by.sees("An anonymous caller would come through to docs.", "Send it")
	looksRight(t, browser, "console-look")
	if by.has("[name=sure]") {
		by.to("[name=sure]")
		browser.Press(t, " ")
	}
	by.to("form[action*=send] button")
	sent := len(backend.Requests())
	browser.Press(t, chromium.Enter)
	by.sees("It answered.", "The client sent", "The server got", "sallyport console", "hello, <b>world</b>", "POST "+backend.URL)
	looksRight(t, browser, "console-sent")
	testkit.Eventually(t, "the audit has it", func() bool {
		return strings.Contains(g.Stdout.String(), `"method":"tools/call","tool":"repeat"`) && strings.Contains(g.Stdout.String(), `"via":"console"`)
	})
	calls := func() (n int) {
		for _, r := range backend.Requests()[sent:] {
			if strings.Contains(string(r.Body), `"tools/call"`) {
				n++
			}
		}
		return n
	}
	if n := calls(); n != 1 {
		t.Errorf("the server was called %d times", n)
	}
	browser.Reload(t)
	by.sees("Nothing was sent")
	if n := calls(); n != 1 {
		t.Errorf("after the page was loaded again the server had been called %d times", n)
	}
}

// byKeyboard is somebody without a mouse.
type byKeyboard struct {
	t       *testing.T
	browser *chromium.Browser
}

// to moves the focus forward until it is on what a selector finds, and is seen to be there.
func (k byKeyboard) to(selector string) {
	k.t.Helper()
	for range 120 {
		k.browser.Press(k.t, chromium.Tab)
		at, _ := k.browser.Eval(k.t, `const e = document.activeElement;
			return e.matches('`+selector+`') ? (getComputedStyle(e).outlineStyle === 'none' ? 'unseen' : 'seen') : ''`).(string)
		switch at {
		case "seen":
			return
		case "unseen":
			k.t.Errorf("nothing shows that the focus is on %s", selector)
			return
		}
	}
	k.t.Fatalf("the keyboard does not reach %s on\n%s", selector, k.browser.Text(k.t))
}

// choose goes down a list until it says what is wanted. Letters would do, too, for whoever types them within a second.
func (k byKeyboard) choose(value string) {
	k.t.Helper()
	for range 40 {
		if at, _ := k.browser.Eval(k.t, "return document.activeElement.value").(string); at == value {
			return
		}
		k.browser.Press(k.t, chromium.Down)
	}
	k.t.Fatalf("the list has no %s", value)
}

func (k byKeyboard) has(selector string) bool {
	k.t.Helper()
	found, _ := k.browser.Eval(k.t, "return document.querySelector('"+selector+"') !== null").(bool)
	return found
}

func (k byKeyboard) sees(words ...string) {
	k.t.Helper()
	text := ""
	defer func() {
		if k.t.Failed() {
			k.t.Log(text)
		}
	}()
	testkit.Eventually(k.t, strings.Join(words, ", "), func() bool {
		text = k.browser.Text(k.t)
		for _, w := range words {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	})
}
