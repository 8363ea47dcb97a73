package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/html"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/recent"
	hidden "github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// sendRig is a gateway with a console, before a server of the newest revision that repeats
// in its answers what it was shown, as bad ones do.
type sendRig struct {
	*consoleRig
	log    lockedLog
	issuer *testkit.Issuer
	token  string

	mu    sync.Mutex
	calls []string // names of the tools that were called
}

const sendTools = `{"tools":[
	{"name":"find","description":"Finds things","annotations":{"readOnlyHint":true},"inputSchema":{"type":"object","required":["query"],"properties":{
		"query":{"type":"string","description":"What to look for"},"max":{"type":"integer"},"exact":{"type":"boolean"},"in":{"enum":["here","there"],"type":"string"},"more":{"type":"object"}}}},
	{"name":"drop","inputSchema":{"type":"object"}}]}`

func newSendRig(t *testing.T, change func(*gateway.Options)) *sendRig {
	t.Helper()
	c := &sendRig{consoleRig: &consoleRig{}, issuer: testkit.NewIssuer(t)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			ID     json.RawMessage
			Method string
			Params struct{ Name string }
		}
		body, _ := io.ReadAll(r.Body)
		if json.Unmarshal(body, &m) != nil || m.ID == nil {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		result := `{}`
		switch m.Method {
		case "tools/list":
			result = sendTools
		case "tools/call":
			c.mu.Lock()
			c.calls = append(c.calls, m.Params.Name)
			c.mu.Unlock()
			text, _ := json.Marshal("<script>alert(1)</script> I was shown " + r.Header.Get("Authorization") + " and " + r.Header.Get("X-Plain"))
			result = `{"resultType":"complete","content":[{"type":"text","text":` + string(text) + `}]}`
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
	}))
	t.Cleanup(server.Close)
	c.token = c.issuer.Sign(nil, c.issuer.Claims("ours", map[string]any{"sub": "carol", "canary": c.canaries.Value("claim of the token")}))
	c.rig = newRig(t, c.docs(server.URL, "60"), func(o *gateway.Options) {
		o.Recent, o.Log = recent.New(), slog.New(slog.NewTextHandler(&c.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		if change != nil {
			change(o)
		}
	})
	c.backend = &backend{URL: server.URL}
	return c
}

// docs are tokens, whose callers show one, and open, for everybody; with so many calls a minute.
func (c *sendRig) docs(at, calls string) string {
	limits := "rateLimiting: {shared: {maxTokens: " + calls + ", refillPeriod: 1h}}"
	return proxy("tokens", at+"/mcp?key="+c.canaries.Value("query"), ofIssuer(c.issuer), "protocolVersion: 2026-07-28", "externalAuthConfigRef: {name: bearer}", limits,
		"headerForward: {addPlaintextHeaders: {X-Plain: "+c.canaries.Value("plain header")+"}}",
		`authzConfig: {type: inline, inline: {policies: ['permit(principal == Client::"carol", action, resource);']}}`) +
		bearer("bearer", "s") + secret("s", "k", c.canaries.Value("bearer token")) +
		proxy("open", at+"/open", "protocolVersion: 2026-07-28", limits)
}

func (c *sendRig) called() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.calls
	c.calls = nil
	return calls
}

// form posts a form of the console's.
func (c *sendRig) form(t *testing.T, path string, fields url.Values, headers ...string) (status int, result string, page *html.Node) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(fields.Encode()))
	r.Host, r.RemoteAddr = "127.0.0.1:9090", "127.0.0.1:4712"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := c.ask(r)
	page, err := html.Parse(strings.NewReader(w.Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	for _, leak := range c.canaries.Find(w.Body.String() + c.log.String()) {
		t.Errorf("page or log show the %s", leak)
	}
	if strings.Contains(w.Body.String(), c.token) || strings.Contains(c.log.String(), c.token) || strings.Contains(w.Body.String(), "<script>alert") {
		t.Error("page or log show the token, or run what the server says")
	}
	return w.Code, textOf(page, "tried"), page
}

// draft is what a page goes on from, by the form that posts to a path.
func draft(page *html.Node, action string) string {
	form := find(page, func(d *html.Node) bool { return d.Data == "form" && strings.HasPrefix(attribute(d, "action"), action) })
	if form == nil {
		return ""
	}
	field := find(form, func(d *html.Node) bool { return attribute(d, "name") == "draft" })
	if field == nil {
		return ""
	}
	return attribute(field, "value")
}

func fields(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// An operator lists the tools of a server by a token of theirs, fills in a form made of the
// schema, looks, and sends: the server is called once, as whom the token is of, and the page
// has what the client sent beside what the server got, with credentials as shapes. The audit
// says that it came from the console.
func TestConsoleSends(t *testing.T) {
	t.Parallel()
	c := newSendRig(t, nil)
	status, got, page := c.form(t, "/console/try", fields("server", "tokens", "as", "token", "token", c.token, "do", "tools"))
	if status != http.StatusOK || got != "" {
		t.Fatalf("list the tools: %d %s", status, got)
	}
	if list := find(page, func(d *html.Node) bool { return attribute(d, "id") == "try-tool" && d.Data == "select" }); list == nil || !hasAll(textIn(list), []string{"find", "drop"}) {
		t.Fatal("there is no list of tools")
	}
	_, _, page = c.form(t, "/console/try", fields("server", "tokens", "as", "token", "draft", draft(page, "/console/try"), "tool", "find", "do", "tool"))
	for id, want := range map[string]string{"try-arg-query": "arg.s.query", "try-arg-max": "arg.i.max", "try-arg-exact": "arg.b.exact", "try-arg-in": "arg.s.in", "try-arg-more": "arg.j.more"} {
		if n := find(page, func(d *html.Node) bool { return attribute(d, "id") == id }); n == nil || attribute(n, "name") != want {
			t.Errorf("there is no field %s for %s", want, id)
		}
	}
	c.events.take()
	arguments := []string{"arg.s.query", `a "thing" & <more>`, "arg.i.max", "9007199254740993", "arg.b.exact", "true", "arg.s.in", "", "arg.j.more", `{"a":[1]}`}
	_, got, page = c.form(t, "/console/try", fields(append(arguments, "server", "tokens", "as", "token", "draft", draft(page, "/console/try"), "tool", "find", "do", "look")...))
	if want := []string{"carol would come through to tokens.", "Authorization: Bearer eyJ… (JWT, ", "exp in", `"max": 9007199254740993`, `"exact": true`, "Send it"}; !hasAll(got, want) {
		t.Fatalf("look: %s\nwant %q", got, want)
	}
	if n := len(c.called()); n > 0 {
		t.Fatalf("looking called the server %d times", n)
	}
	once := draft(page, "/console/send")
	status, got, page = c.form(t, "/console/send", fields("draft", once))
	want := []string{
		"It answered.", "The client sent", "The server got", "POST " + c.backend.URL + "/mcp ", "Authorization: Bearer … (", "X-Plain: … (",
		`"name": "sallyport console"`, `"more": {`, "with status 200", "I was shown [hidden] and [hidden]",
	}
	if status != http.StatusOK || !hasAll(got, want) || strings.Contains(got, "key=") {
		t.Errorf("send: %d %s\nwant %q", status, got, want)
	}
	if calls := c.called(); len(calls) != 1 || calls[0] != "find" {
		t.Errorf("the server was called for %q", calls)
	}
	events := c.events.take()
	if len(events) != 1 || events[0].Via != "console" || events[0].Subject != "carol" || events[0].Target != "find" || events[0].Status != http.StatusOK || events[0].Client != "127.0.0.1" {
		t.Errorf("the audit has %+v", events)
	}
	if status, got, _ := c.form(t, "/console/send", fields("draft", once)); status != http.StatusConflict || !strings.Contains(got, "Nothing was sent") {
		t.Errorf("the page loaded anew: %d %s", status, got)
	}
	if _, got, _ := c.form(t, "/console/try", fields("server", "tokens", "as", "token", "draft", draft(page, "/console/try"), "tool", "find", "do", "look")); !strings.Contains(got, "carol would come through") {
		t.Errorf("the token is asked for again: %s", got)
	}
	if calls := c.called(); len(calls) > 0 {
		t.Errorf("it was sent again: %q", calls)
	}
}

// What is not to be sent is not: claims, a tool that may change something before the operator
// is sure, what another site asks for, a page that is older than the configuration, another
// browser's, and what a door or a policy refuses.
func TestConsoleDoesNotSend(t *testing.T) {
	t.Parallel()
	c := newSendRig(t, nil)
	look := func(more ...string) (string, string) {
		t.Helper()
		_, got, page := c.form(t, "/console/try", fields(append([]string{"server", "open", "as", "nobody", "tool", "drop", "do", "look"}, more...)...))
		return got, draft(page, "/console/send")
	}
	refused := func(why string, want int, id string, more ...string) {
		t.Helper()
		status, got, _ := c.form(t, "/console/send", fields("draft", id, "sure", "yes"), more...)
		if status != want || want != http.StatusForbidden && !strings.Contains(got, "Nothing was sent") {
			t.Errorf("%s: %d %s", why, status, got)
		}
		if calls := c.called(); len(calls) > 0 {
			t.Errorf("%s: the server was called", why)
		}
	}
	for why, more := range map[string][]string{
		"claims":             {"as", "claims", "server", "tokens", "claims", `{"sub":"carol"}`},
		"claims, as anybody": {"as", "claims", "claims", `{"sub":"carol"}`},
		"a door's no":        {"server", "tokens"},
		"a bad token":        {"server", "tokens", "as", "token", "token", "x.y.z"},
		"a policy's no":      {"server", "tokens", "as", "token", "token", c.issuer.Sign(nil, c.issuer.Claims("ours", map[string]any{"sub": "dave"}))},
	} {
		if got, id := look(more...); id != "" || strings.Contains(got, "Send it") || got == "" {
			t.Errorf("%s can be sent: %s", why, got)
		}
	}
	if got, _ := look("as", "claims", "server", "tokens", "claims", `{"sub":"carol"}`); !hasAll(got, []string{"carol would come through", "This was not sent", "Authorization: Bearer … (", "from MCPExternalAuthConfig bearer"}) {
		t.Errorf("claims: %s", got)
	}
	refused("no draft", http.StatusConflict, "")
	refused("an invented draft", http.StatusConflict, "AAAAAAAAAAAAAAAAAAAAAAAAAA")
	got, id := look()
	if !hasAll(got, []string{"An anonymous caller would come through", "drop may change something"}) {
		t.Errorf("look: %s", got)
	}
	refused("another site", http.StatusForbidden, id, "Sec-Fetch-Site", "cross-site")
	refused("another origin", http.StatusForbidden, id, "Origin", "http://evil.example")
	refused("another browser", http.StatusConflict, id, "Cookie", "sallyport_console=somebody")
	if status, got, _ := c.form(t, "/console/send", fields("draft", id)); status != http.StatusBadRequest || !strings.Contains(got, "may change something") || len(c.called()) > 0 {
		t.Errorf("not sure: %d %s", status, got)
	}
	if err := c.Apply(load(t, c.docs(c.backend.URL, "61"))); err != nil {
		t.Fatal(err)
	}
	refused("after the configuration has changed", http.StatusConflict, id)
	_, id = look()
	if status, got, _ := c.form(t, "/console/send", fields("draft", id, "sure", "yes")); status != http.StatusOK || !strings.Contains(got, "It answered.") || len(c.called()) != 1 {
		t.Errorf("what may be sent: %d %s", status, got)
	}
	if err := c.Apply(load(t, c.docs(c.backend.URL, "1"))); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"It answered.", "too many calls"} {
		_, id = look()
		if _, got, _ := c.form(t, "/console/send", fields("draft", id, "sure", "yes")); !strings.Contains(got, want) {
			t.Errorf("call %d within a limit of one: %s", i, got)
		}
	}
	var via int
	for _, e := range c.events.take() {
		if e.Via == "console" && e.Method == "tools/call" {
			via++
		}
	}
	if via != 3 {
		t.Errorf("the audit has %d calls from the console, and 3 were sent", via)
	}
}

// Who has signed out cannot go on with what was theirs.
func TestConsoleForgetsDrafts(t *testing.T) {
	t.Parallel()
	c := newSendRig(t, func(o *gateway.Options) { o.AdminTokens = []hidden.Value{hidden.New(consoleToken)} })
	signIn := func() string {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, "/console/sign-in", strings.NewReader(url.Values{"token": {consoleToken}}.Encode()))
		r.Host, r.RemoteAddr = "127.0.0.1:9090", "127.0.0.1:4712"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return regexp.MustCompile(`^[^;]+`).FindString(c.ask(r).Header().Get("Set-Cookie"))
	}
	mine := signIn()
	_, _, page := c.form(t, "/console/try", fields("server", "tokens", "as", "token", "token", c.token, "tool", "find", "do", "look"), "Cookie", mine)
	id := draft(page, "/console/send")
	if id == "" {
		t.Fatal("nothing to send")
	}
	c.form(t, "/console/sign-out", nil, "Cookie", mine)
	for who, cookie := range map[string]string{"signed out": mine, "signed in anew": signIn()} {
		if status, got, _ := c.form(t, "/console/send", fields("draft", id, "sure", "yes"), "Cookie", cookie); status < 400 || strings.Contains(got, "answered") || len(c.called()) > 0 {
			t.Errorf("%s: %d %s", who, status, got)
		}
	}
}
