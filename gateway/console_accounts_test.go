package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/recent"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// An operator sees the accounts that the gateway has of its own, how they are and until when,
// and ends one: what it held is gone, and the audit has it.
func TestConsoleAccounts(t *testing.T) {
	t.Parallel()
	var canaries testkit.Canaries
	g := newGuarded(t, "one")
	g.tokens = func(int) string { return canaries.Value("token") }
	c := &consoleRig{rig: newRig(t, robot(canaries.Value("secret"))+proxy("docs", g.URL+"/mcp", machine)+proxy("away", g.URL+"/mcp", "oauth: {}"), func(o *gateway.Options) { o.Recent = recent.New() })}
	people := func() string {
		t.Helper()
		text := textOf(c.console(t, ""), "people")
		for _, leak := range canaries.Find(text) {
			t.Errorf("the page shows the %s", leak)
		}
		return text
	}
	if got := people(); !hasAll(got, []string{"The gateway's own accounts", "docs , by credentials of its own", "It has no token yet", "away , by a person's sign-in", "run sallyport login"}) || strings.Contains(got, "Forget its token") {
		t.Errorf("before anything was asked: %s", got)
	}
	if w := c.send(post("/servers/docs/mcp", toolCall)); w.Code != http.StatusOK {
		t.Fatalf("call: %d %s", w.Code, w.Body)
	}
	if got := people(); !hasAll(got, []string{"docs , connected by credentials of its own", "Its token ends in", "renewed by itself", "From " + g.URL, "Scopes one", "Forget its token"}) {
		t.Errorf("with a token: %s", got)
	}
	c.events.take()
	end := func(server string, headers ...string) int {
		r := httptest.NewRequest(http.MethodPost, "/console/disconnect", strings.NewReader(url.Values{"server": {server}}.Encode()))
		r.Host, r.RemoteAddr = "127.0.0.1:9090", "127.0.0.1:4712"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return c.ask(r).Code
	}
	if got := end("docs", "Sec-Fetch-Site", "cross-site"); got != http.StatusForbidden || !strings.Contains(people(), "Forget its token") {
		t.Errorf("another site can end it: %d", got)
	}
	if got := end("none"); got != http.StatusNotFound {
		t.Errorf("one that is not there: %d", got)
	}
	if got := end("docs"); got != http.StatusSeeOther || !strings.Contains(people(), "It has no token yet") {
		t.Errorf("ended: %d %s", got, people())
	}
	events := c.events.take()
	if len(events) != 1 || events[0].Method != "account/disconnect" || events[0].Server != "docs" || events[0].Source != "operator" || events[0].Via != "console" {
		t.Errorf("the audit has %+v", events)
	}
	if w := c.send(post("/servers/docs/mcp", toolCall)); w.Code != http.StatusOK || len(g.requests()) != 2 {
		t.Errorf("the next call: %d, after %d token requests", w.Code, len(g.requests()))
	}
}
