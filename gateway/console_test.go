package gateway_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/recent"
	hidden "github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// consoleRig is a gateway with a console, and three servers: docs behind a proxy that says
// who calls, with policies; open for everybody; and gone.
type consoleRig struct {
	*rig
	canaries testkit.Canaries
	policies []string
	backend  *backend
}

const consoleToken = "an-admin-token-of-the-tests"

func newConsoleRig(t *testing.T, change func(*gateway.Options)) *consoleRig {
	t.Helper()
	c := &consoleRig{backend: newBackend(t, "b"), policies: []string{
		`@id("everybody searches") permit(principal, action == Action::"call_tool", resource == Tool::"search");`,
		`@id("nobody drops") forbid(principal, action, resource == Tool::"drop");`,
	}}
	c.rig = newRig(t, c.manifests(), func(o *gateway.Options) {
		o.Recent = recent.New()
		if change != nil {
			change(o)
		}
	})
	return c
}

func (c *consoleRig) manifests() string {
	docs := []string{
		"title: Team <b>documents</b>", "passthroughHeaders: [X-Tenant]", "externalAuthConfigRef: {name: bearer}",
		"trustedProxy: {clientAuthEnabled: false, trustProxyAuth: true, preset: oauth2-proxy, missingHeader: reject}",
		"headerForward: {addPlaintextHeaders: {X-Plain: " + c.canaries.Value("plain header") + "}}",
		"authzConfig: {type: inline, inline: {policies: [" + strings.Join(quoted(c.policies), ", ") + "]}}",
	}
	return proxy("docs", c.backend.URL+"/mcp?key="+c.canaries.Value("query"), docs...) +
		bearer("bearer", "s") + secret("s", "k", c.canaries.Value("bearer token")) +
		proxy("open", c.backend.URL+"/open") +
		object("MCPServer", "program", "command: [sh]", "args: ["+c.canaries.Value("argument of a program")+"]", "env: [{name: KEY, value: "+c.canaries.Value("variable")+"}]")
}

func quoted(texts []string) (all []string) {
	for _, t := range texts {
		text, _ := json.Marshal(t)
		all = append(all, string(text))
	}
	return all
}

// call is a call of a tool of docs by somebody whom the proxy names.
func (c *consoleRig) call(who, tool string) *httptest.ResponseRecorder {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{"secret":%q}}}`, tool, c.canaries.Value("an argument"))
	r := post("/servers/docs/mcp", body, "X-Tenant", c.canaries.Value("tenant"), "Cookie", "c="+c.canaries.Value("cookie"), "Authorization", "Bearer "+c.canaries.Value("client's token"))
	r.RemoteAddr = "127.0.0.1:4711"
	if who != "" {
		r.Header.Set("X-Auth-Request-User", who)
		r.Header.Set("X-Auth-Request-Groups", "sales")
	}
	return c.send(r)
}

// ask is a request for the admin listener from this machine.
func (c *consoleRig) ask(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	c.AdminHandler(false).ServeHTTP(w, r)
	return w
}

func get(path string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	r.Host, r.RemoteAddr = "127.0.0.1:9090", "127.0.0.1:4712"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// console is the page, as it is read.
func (c *consoleRig) console(t *testing.T, query string) *html.Node {
	t.Helper()
	w := c.ask(get("/console" + query))
	if w.Code != http.StatusOK {
		t.Fatalf("the console: %d %s", w.Code, w.Body)
	}
	doc, err := html.Parse(strings.NewReader(w.Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// find is the first element for which is.
func find(n *html.Node, is func(*html.Node) bool) *html.Node {
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && is(d) {
			return d
		}
	}
	return nil
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// textOf is what can be read in the first element whose id begins so; "" for none.
func textOf(n *html.Node, id string) string {
	at := find(n, func(d *html.Node) bool { return strings.HasPrefix(attribute(d, "id"), id) })
	if at == nil {
		return ""
	}
	return textIn(at)
}

func textIn(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// entry is the first call in the list that has all the words.
func entry(t *testing.T, doc *html.Node, words ...string) *html.Node {
	t.Helper()
	n := find(doc, func(d *html.Node) bool {
		return strings.HasPrefix(attribute(d, "id"), "call-") && hasAll(textIn(d), words)
	})
	if n == nil {
		t.Fatalf("no call has %q:\n%s", words, textOf(doc, "calls"))
	}
	return n
}

// What the gateway itself lacks is in the sentence: without an issuer's keys its callers are refused, however well all
// servers answer.
func TestConsoleSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	c := newConsoleRig(t, nil)
	const issuer = "http://127.0.0.1:1"
	if err := c.Apply(load(t, c.manifests()+proxy("tokens", c.backend.URL, "oidcConfig: {inline: {issuer: "+issuer+", jwksAllowPrivateIP: true, audience: ours}}"))); err != nil {
		t.Fatal(err)
	}
	if got := textOf(c.console(t, ""), "state"); !hasAll(got, []string{"Something that the gateway needs is missing.", "Keys of " + issuer}) {
		t.Errorf("the state is %s", got)
	}
}

// The console says in one sentence how the gateway is, shows both doors of every server,
// and of each refusal why, with the policy's place, and what would allow it: pasted, it
// does.
func TestConsole(t *testing.T) {
	t.Parallel()
	c := newConsoleRig(t, nil)
	if got := textOf(c.console(t, ""), "calls"); !strings.Contains(got, "Nothing since") {
		t.Errorf("before anything was refused: %s", got)
	}
	c.call("alice", "search")
	c.call("alice", "delete")
	c.call("alice", "delete")
	c.call("bob", "drop")
	c.call("", "search")
	c.send(post("/servers/open/mcp", `{`))
	doc := c.console(t, "")
	for id, words := range map[string][]string{
		"state":         {"All is well with all 3 servers.", "2 servers let everybody in"},
		"server-docs":   {"Team <b>documents</b>", "Answers", "4 calls", "X-Auth-Request-User", "do what policies permit", "Authorization, from MCPExternalAuthConfig bearer", "X-Tenant, as the client sends it", "and is audited"},
		"server-open":   {"everybody, as anonymous", "do everything", "no credential"},
		"connect-docs":  {"/servers/docs/mcp", "claude mcp add", "code --add-mcp", "mcp.json", "config.toml"},
		"configuration": {"Nothing that the gateway can tell"},
	} {
		if got := textOf(doc, id); !hasAll(got, words) {
			t.Errorf("%s: %s\nwant %q", id, got, words)
		}
	}
	if n := find(doc, func(d *html.Node) bool { return attribute(d, "class") == "anonymous" }); n == nil || textIn(n) != "everybody, as anonymous" {
		t.Error("that everybody gets in does not stand out")
	}
	entry(t, doc, "somebody", "the proxy sent no X-Auth-Request-User")
	entry(t, doc, "open", "not one that everybody reads alike")
	forbidden := textIn(entry(t, doc, "bob", "drop"))
	if !hasAll(forbidden, []string{"nobody drops", "main.yaml:", "line 1", "a policy forbids it"}) || strings.Contains(forbidden, "Allow this") {
		t.Errorf("what is forbidden: %s", forbidden)
	}
	denied := entry(t, doc, "alice", "delete", "2 times")
	if got := textOf(denied, "why-"); !hasAll(got, []string{`Client::"alice"`, `in THVGroup::"sales"`, "call_tool", "everybody searches", "main.yaml:", `resource == Tool::"search" is false`, "not allowed by policy"}) {
		t.Errorf("why: %s", got)
	}

	pasted := find(denied, func(d *html.Node) bool { return strings.HasPrefix(attribute(d, "id"), "allow-") && d.Data == "code" })
	if pasted == nil {
		t.Fatal("nothing to paste")
	}
	c.policies = append(c.policies, textIn(pasted))
	if err := c.Apply(load(t, c.manifests())); err != nil {
		t.Fatal(err)
	}
	if w := c.call("alice", "delete"); !strings.Contains(w.Body.String(), `"result"`) {
		t.Errorf("with what was pasted: %d %s", w.Code, w.Body)
	}
	if w := c.call("bob", "delete"); strings.Contains(w.Body.String(), `"result"`) {
		t.Error("it allows somebody else, too")
	}
	// A page that is left open over a change of the configuration says what holds now.
	if got := textIn(entry(t, c.console(t, ""), "alice calls delete")); !strings.Contains(got, "would allow it") {
		t.Errorf("after the change: %s", got)
	}
}

// One finds a server by its name, and a call by the decision that somebody was told.
func TestConsoleFinds(t *testing.T) {
	t.Parallel()
	c := newConsoleRig(t, nil)
	told := c.call("alice", "delete").Body.String()
	c.call("bob", "drop")
	decision := regexp.MustCompile(`"decision":"(\w+)"`).FindStringSubmatch(told)[1]
	doc := c.console(t, "?find="+strings.ToLower(decision))
	if got := textOf(doc, "calls"); !strings.Contains(got, "alice") || strings.Contains(got, "bob") {
		t.Errorf("by the decision: %s", got)
	}
	doc = c.console(t, "?find=OPEN")
	if got := textOf(doc, "servers"); !strings.Contains(got, "everybody") || strings.Contains(got, "Team") || !strings.Contains(textOf(doc, "calls"), "None of what is remembered") {
		t.Errorf("by the name: %s", got)
	}
}

// Nothing secret is on the page, nor in what keeps it up to date: of credentials their
// shapes, of calls no argument.
func TestConsoleHoldsNoSecret(t *testing.T) {
	t.Parallel()
	c := newConsoleRig(t, nil)
	c.call("alice", "search")
	c.call("alice", "delete")
	c.call("", "search")
	r := get("/console", "Authorization", "Bearer "+c.canaries.Value("client's token"), "Cookie", "sallyport_console="+c.canaries.Value("cookie"))
	body := c.ask(r).Body.String()
	if !strings.Contains(body, "alice") {
		t.Fatal("there is nothing on the page")
	}
	for _, leak := range c.canaries.Find(body) {
		t.Errorf("the page shows the %s", leak)
	}
}

// What is wrong with a configuration stands on the page: with the one that is served, and
// with the one that is not.
func TestConsoleConfiguration(t *testing.T) {
	t.Parallel()
	c := newConsoleRig(t, nil)
	c.policies = append(c.policies, `permit(principal, action == Action::"call_tol", resource);`)
	if err := c.Apply(load(t, c.manifests())); err != nil {
		t.Fatal(err)
	}
	if got := textOf(c.console(t, ""), "configuration"); !hasAll(got, []string{"main.yaml:", "call_tol"}) {
		t.Errorf("what is served: %s", got)
	}
}

// REQ C-7, FINDING S5: the console has the admin token's protection, with a form for
// browsers, and without a token it is for this machine alone.
func TestConsoleAccess(t *testing.T) {
	t.Parallel()
	open := newConsoleRig(t, nil)
	guarded := newConsoleRig(t, func(o *gateway.Options) {
		o.AdminTokens = []hidden.Value{hidden.New("another-token-of-before"), hidden.New(consoleToken)}
	})
	from := func(r *http.Request, address string) *http.Request { r.RemoteAddr = address; return r }
	host := func(r *http.Request, name string) *http.Request { r.Host = name; return r }
	basic := get("/console")
	basic.SetBasicAuth("me", consoleToken)
	for _, tt := range []struct {
		name string
		rig  *consoleRig
		r    *http.Request
		want int
	}{
		{"open, from here", open, get("/console"), 200},
		{"open, the bare address", open, get("/"), 303},
		{"open, from elsewhere", open, from(get("/console"), "192.0.2.1:1"), 403},
		{"open, news from elsewhere", open, from(get("/console/events"), "192.0.2.1:1"), 403},
		{"open, through a proxy here", open, get("/console", "X-Forwarded-For", "192.0.2.1"), 403},
		{"open, by a name that a page made lead here", open, host(get("/console"), "evil.example:9090"), 403},
		{"open, of another page", open, get("/console", "Origin", "https://evil.example"), 403},
		{"guarded", guarded, get("/console"), 401},
		{"guarded, the bare address", guarded, get("/"), 401},
		{"guarded, news", guarded, get("/console/events"), 401},
		{"guarded, a wrong token", guarded, get("/console", "Authorization", "Bearer "+consoleToken+"x"), 401},
		{"guarded, an invented cookie", guarded, get("/console", "Cookie", "sallyport_console=x"), 401},
		{"guarded, bearer", guarded, get("/console", "Authorization", "Bearer "+consoleToken), 200},
		{"guarded, from elsewhere", guarded, from(get("/console", "Authorization", "Bearer another-token-of-before"), "192.0.2.1:1"), 200},
		{"guarded, basic", guarded, basic, 200},
		{"guarded, elsewhere below", guarded, get("/console/none", "Authorization", "Bearer "+consoleToken), 404},
	} {
		if w := tt.rig.ask(tt.r); w.Code != tt.want {
			t.Errorf("%s: %d, want %d\n%s", tt.name, w.Code, tt.want, w.Body)
		}
	}
	w := guarded.ask(get("/console"))
	if w.Header().Get("Www-Authenticate") != `Bearer realm="sallyport admin"` || !strings.Contains(w.Body.String(), `name="token" type="password"`) || strings.Contains(w.Body.String(), "docs") {
		t.Errorf("who is asked for a token is shown: %v %s", w.Header(), w.Body)
	}
}

// A browser shows the token once, and gets a cookie that no script and no other site can
// use, until it is signed out.
func TestConsoleSignIn(t *testing.T) {
	t.Parallel()
	c := newConsoleRig(t, func(o *gateway.Options) { o.AdminTokens = []hidden.Value{hidden.New(consoleToken)} })
	form := func(path, token string, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(url.Values{"token": {token}}.Encode()))
		r.Host, r.RemoteAddr = "127.0.0.1:9090", "127.0.0.1:4712"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return c.ask(r)
	}
	for name, w := range map[string]*httptest.ResponseRecorder{
		"a wrong token":     form("/console/sign-in", "wrong"),
		"no token":          form("/console/sign-in", ""),
		"from another site": form("/console/sign-in", consoleToken, "Sec-Fetch-Site", "cross-site"),
		"of another origin": form("/console/sign-in", consoleToken, "Origin", "http://evil.example"),
		"much":              form("/console/sign-in", strings.Repeat("x", 1<<20)),
	} {
		if len(w.Result().Cookies()) > 0 || w.Code != http.StatusUnauthorized && w.Code != http.StatusForbidden {
			t.Errorf("%s: %d, with %v", name, w.Code, w.Result().Cookies())
		}
	}
	w := form("/console/sign-in", consoleToken, "Sec-Fetch-Site", "same-origin", "Origin", "http://127.0.0.1:9090")
	cookies := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/console" || len(cookies) != 1 {
		t.Fatalf("signed in: %d %v", w.Code, w.Header())
	}
	if k := cookies[0]; !k.HttpOnly || k.SameSite != http.SameSiteStrictMode || k.Path != "/console" || strings.Contains(k.Value, consoleToken) {
		t.Errorf("the cookie: %v", k)
	}
	cookie := cookies[0].Name + "=" + cookies[0].Value
	if w := c.ask(get("/console", "Cookie", cookie)); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Sign out") {
		t.Errorf("with the cookie: %d", w.Code)
	}
	if w := c.ask(get("/metrics", "Cookie", cookie)); w.Code != http.StatusUnauthorized {
		t.Errorf("the cookie opens what is not the console: %d", w.Code)
	}
	form("/console/sign-out", "", "Cookie", cookie, "Sec-Fetch-Site", "cross-site")
	if w := c.ask(get("/console", "Cookie", cookie)); w.Code != http.StatusOK {
		t.Errorf("another site can sign somebody out: %d", w.Code)
	}
	form("/console/sign-out", "", "Cookie", cookie, "Sec-Fetch-Site", "same-origin")
	if w := c.ask(get("/console", "Cookie", cookie)); w.Code != http.StatusUnauthorized {
		t.Errorf("signed out: %d", w.Code)
	}
}

// A page hears of what happens, part by part, until its session ends.
func TestConsoleIsLive(t *testing.T) {
	t.Parallel()
	c := newConsoleRig(t, nil)
	s := httptest.NewServer(c.AdminHandler(false))
	t.Cleanup(s.Close)
	resp, err := s.Client().Get(s.URL + "/console/events")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	news := make(chan [2]string, 100)
	go func() {
		defer close(news)
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			var m struct{ Part, HTML string }
			if ok && json.Unmarshal([]byte(data), &m) == nil {
				news <- [2]string{m.Part, m.HTML}
			}
		}
	}()
	var parts []string
	for range 4 {
		parts = append(parts, testkit.Receive(t, "a part of the page", news)[0])
	}
	if want := []string{"state", "servers", "calls", "configuration"}; !slices.Equal(parts, want) {
		t.Errorf("got %q, want %q", parts, want)
	}
	c.call("alice", "delete")
	for n := testkit.Receive(t, "what was refused", news); n[0] != "calls" || !strings.Contains(n[1], "alice"); {
		n = testkit.Receive(t, "what was refused", news)
	}
}
