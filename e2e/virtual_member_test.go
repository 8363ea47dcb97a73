package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// This file has what the tests of virtual servers speak with: members whose every word
// a test writes, and clients of both eras.

// asked is a request that reached a member.
type asked struct {
	Verb    string
	Method  string
	ID      json.RawMessage
	Params  json.RawMessage
	Session string
	Header  http.Header
}

// param is a member of the parameters that is a string.
func (a asked) param(name string) string {
	var all map[string]json.RawMessage
	_ = json.Unmarshal(a.Params, &all)
	var text string
	_ = json.Unmarshal(all[name], &text)
	return text
}

// member is an MCP server of one era. Its zero lists are empty.
type member struct {
	URL, Name string
	modern    bool
	caps      string // capabilities
	noStream  bool   // GET is answered with 405

	mu      sync.Mutex
	lists   map[string][]string                         // raw items by method
	answers map[string]func(asked) string               // by method: what stands behind the id of the answer
	instead func(http.ResponseWriter, asked) (did bool) // answers in a way of its own
	log     []asked
	open    map[string]bool // sessions
	begun   int
	streams map[chan string]json.RawMessage // those that listen, with the id of their request
}

const allCapabilities = `{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},"completions":{},"logging":{}}`

func startMember(t *testing.T, name string, modern bool, tools ...string) *member {
	t.Helper()
	m := &member{
		Name: name, modern: modern, caps: `{"tools":{"listChanged":true}}`, lists: map[string][]string{},
		answers: map[string]func(asked) string{}, open: map[string]bool{}, streams: map[chan string]json.RawMessage{},
	}
	for _, tool := range tools {
		m.lists["tools/list"] = append(m.lists["tools/list"], toolItem(tool))
	}
	s := httptest.NewServer(m)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	m.URL = s.URL + "/mcp"
	return m
}

func toolItem(name string) string {
	return fmt.Sprintf(`{"name":%q,"inputSchema":{"type":"object"}}`, name)
}

func (m *member) set(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
}

// have sets a list.
func (m *member) have(method string, items ...string) { m.set(func() { m.lists[method] = items }) }

func (m *member) on(method string, answer func(asked) string) {
	m.set(func() { m.answers[method] = answer })
}

// got are the requests of a method that have come.
func (m *member) got(method string) (all []asked) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.log {
		if a.Method == method || method == a.Verb {
			all = append(all, a)
		}
	}
	return all
}

// restart forgets all sessions, and closes what listens.
func (m *member) restart() {
	m.set(func() {
		clear(m.open)
		for stream := range m.streams {
			close(stream)
			delete(m.streams, stream)
		}
	})
}

// tell sends a notification to all who listen.
func (m *member) tell(method, params string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for stream, id := range m.streams {
		with := params
		if id != nil {
			with = strings.Trim(params+`,"_meta":{"io.modelcontextprotocol/subscriptionId":`+string(id)+`}`, ",")
		}
		stream <- `{"jsonrpc":"2.0","method":"` + method + `","params":{` + with + `}}`
	}
}

// heard waits until somebody listens.
func (m *member) heard(t *testing.T, n int) {
	t.Helper()
	testkit.Eventually(t, "somebody listens at "+m.Name, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.streams) >= n
	})
}

func (m *member) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a := asked{Verb: r.Method, Session: r.Header.Get("Mcp-Session-Id"), Header: r.Header.Clone()}
	_ = json.Unmarshal(body, &a)
	m.mu.Lock()
	m.log = append(m.log, a)
	instead, known := m.instead, m.modern || a.Method == "initialize" || m.open[a.Session]
	m.mu.Unlock()
	switch {
	case instead != nil && instead(w, a):
	case m.modern && r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case !known && a.Session == "":
		respond(w, http.StatusBadRequest, a, `"error":{"code":-32000,"message":"Bad Request: Server not initialized"}`)
	case !known:
		respond(w, http.StatusNotFound, a, `"error":{"code":-32001,"message":"Session not found"}`)
	case r.Method == http.MethodDelete:
		m.set(func() { delete(m.open, a.Session) })
	case r.Method == http.MethodGet && m.noStream:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case r.Method == http.MethodGet, a.Method == "subscriptions/listen" && m.modern:
		m.stream(w, r, a)
	case a.ID == nil:
		w.WriteHeader(http.StatusAccepted)
	default:
		m.mu.Lock()
		answer := m.answers[a.Method]
		m.mu.Unlock()
		if a.Method == "initialize" && !m.modern {
			m.set(func() {
				m.begun++
				id := fmt.Sprintf("%s-%d", m.Name, m.begun)
				m.open[id] = true
				w.Header().Set("Mcp-Session-Id", id)
			})
		}
		if answer == nil {
			answer = m.usual
		}
		respond(w, http.StatusOK, a, answer(a))
	}
}

func respond(w http.ResponseWriter, status int, a asked, rest string) {
	id := string(a.ID)
	if id == "" {
		id = "null"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":`+id+`,`+rest+`}`)
}

// usual is what a member answers where a test says nothing.
func (m *member) usual(a asked) string {
	info := fmt.Sprintf(`{"name":%q,"version":"1"}`, m.Name)
	complete := ""
	if m.modern {
		complete = `,"resultType":"complete"`
	}
	switch a.Method {
	case "initialize":
		if m.modern {
			return `"error":{"code":-32601,"message":"no such method"}`
		}
		return `"result":{"protocolVersion":"2025-11-25","capabilities":` + m.caps + `,"serverInfo":` + info + `,"instructions":"Ask ` + m.Name + `."}`
	case "server/discover":
		if m.modern {
			return `"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":` + m.caps + `,"instructions":"Ask ` + m.Name +
				`.","ttlMs":0,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":` + info + `}}`
		}
	case "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe":
		return `"result":{}`
	case "tools/call":
		return fmt.Sprintf(`"result":{"content":[{"type":"text","text":%q}]%s}`, m.Name+" ran "+a.param("name"), complete)
	case "prompts/get":
		return fmt.Sprintf(`"result":{"messages":[{"role":"user","content":{"type":"text","text":%q}}]%s}`, m.Name+" gave "+a.param("name"), complete)
	case "resources/read":
		return fmt.Sprintf(`"result":{"contents":[{"uri":%q,"text":%q}]%s}`, a.param("uri"), m.Name+" read "+a.param("uri"), complete)
	case "completion/complete":
		return fmt.Sprintf(`"result":{"completion":{"values":[%q]}%s}`, m.Name, complete)
	}
	items := map[string]string{"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources", "resources/templates/list": "resourceTemplates"}[a.Method]
	if items == "" {
		return `"error":{"code":-32601,"message":"no such method"}`
	}
	if m.modern {
		complete += `,"ttlMs":0,"cacheScope":"public"`
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return `"result":{"` + items + `":[` + strings.Join(m.lists[a.Method], ",") + `]` + complete + `}`
}

// stream is a listening stream of either era, open until its client leaves or the member
// restarts.
func (m *member) stream(w http.ResponseWriter, r *http.Request, a asked) {
	w.Header().Set("Content-Type", "text/event-stream")
	arrived := make(chan string, 100)
	m.set(func() {
		if m.modern {
			var p struct{ Notifications json.RawMessage }
			_ = json.Unmarshal(a.Params, &p)
			_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{\"notifications\":%s,\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":%s}}}\n\n", p.Notifications, a.ID)
		}
		_ = http.NewResponseController(w).Flush()
		m.streams[arrived] = a.ID
	})
	defer m.set(func() { delete(m.streams, arrived) })
	for {
		select {
		case raw, more := <-arrived:
			if !more {
				return
			}
			_, _ = io.WriteString(w, "data: "+raw+"\n\n")
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// team are the manifests of a virtual server and its members.
func team(spec []string, members ...*member) string {
	docs := object("MCPGroup", "group", "description: members") +
		object("VirtualMCPServer", "team", append([]string{"groupRef: {name: group}"}, spec...)...)
	for _, m := range members {
		docs += entry(m)
	}
	return docs
}

func entry(m *member, lines ...string) string {
	return object("MCPServerEntry", m.Name, append([]string{"groupRef: {name: group}", "transport: streamable-http", "remoteUrl: " + m.URL, "allowPrivateEndpoint: true"}, lines...)...)
}

// guest is a client of one era at a virtual server.
type guest struct {
	t       *testing.T
	url     string
	modern  bool
	session string
	headers []string
	open    reply // the answer to its first message
}

// eras are names of the eras of clients.
var eras = map[string]bool{"legacy client": false, "modern client": true}

func visit(t *testing.T, url string, modern bool, headers ...string) *guest {
	t.Helper()
	v := &guest{t: t, url: url, modern: modern, headers: headers}
	if !modern {
		v.open = initialization(url).with(headers...).do(t)
		v.session = v.open.Header.Get("Mcp-Session-Id")
		if v.open.Status != http.StatusOK || v.session == "" {
			t.Fatalf("initialize: status %d, %s", v.open.Status, v.open.Body)
		}
		v.request("notifications/initialized", "", "").do(t)
		return v
	}
	v.open = v.request("server/discover", "", "").do(t)
	return v
}

// request is a request of the client's era; name is what it is about.
func (v *guest) request(method, name, params string) request {
	if v.modern {
		return modern(v.url, method, name, params).with(v.headers...)
	}
	key := map[bool]string{true: "uri", false: "name"}[strings.HasPrefix(method, "resources/")]
	if name != "" {
		params = strings.Trim(fmt.Sprintf("%q:%q,", key, name)+params, ",")
	}
	r := legacy(v.url, method, params).with("Mcp-Session-Id", v.session).with(v.headers...)
	if strings.HasPrefix(method, "notifications/") {
		r.body = strings.Replace(r.body, `"id":7,`, "", 1)
	}
	return r
}

// said is what a client was told.
type said struct {
	Status int
	Result map[string]json.RawMessage
	Error  *struct {
		Code    int
		Message string
		Data    json.RawMessage
	}
	Raw  string
	Told []string // messages before the answer
}

func (v *guest) ask(method, name, params string) said {
	v.t.Helper()
	return heard(v.t, v.request(method, name, params).do(v.t))
}

// heard takes an answer out of JSON or a stream.
func heard(t *testing.T, r reply) (a said) {
	t.Helper()
	a.Status, a.Raw = r.Status, r.Body
	if strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
		a.Raw = ""
		for line := range strings.Lines(r.Body) {
			if data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: "); ok {
				if a.Raw != "" {
					a.Told = append(a.Told, a.Raw)
				}
				a.Raw = data
			}
		}
	}
	if err := json.Unmarshal([]byte(a.Raw), &a); err != nil {
		t.Fatalf("status %d: no JSON: %q", r.Status, r.Body)
	}
	return a
}

// items are all items of a list, over its pages.
func (v *guest) items(method string) (all []json.RawMessage) {
	v.t.Helper()
	key := map[string]string{"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources", "resources/templates/list": "resourceTemplates"}[method]
	params := ""
	for range 200 {
		a := v.ask(method, "", params)
		if a.Error != nil || a.Status != http.StatusOK {
			v.t.Fatalf("%s: status %d, %s", method, a.Status, a.Raw)
		}
		var page []json.RawMessage
		if err := json.Unmarshal(a.Result[key], &page); err != nil {
			v.t.Fatalf("%s: %s", method, a.Raw)
		}
		all = append(all, page...)
		if a.Result["nextCursor"] == nil {
			return all
		}
		params = `"cursor":` + string(a.Result["nextCursor"])
	}
	v.t.Fatalf("%s: no end", method)
	return nil
}

// names are the names or URIs of a list, in its order.
func (v *guest) names(method string) (all []string) {
	v.t.Helper()
	for _, raw := range v.items(method) {
		var it struct{ Name, URI, URITemplate string }
		if err := json.Unmarshal(raw, &it); err != nil {
			v.t.Fatal(err)
		}
		if method == "resources/list" {
			it.Name = it.URI
		}
		if method == "resources/templates/list" {
			it.Name = it.URITemplate
		}
		all = append(all, it.Name)
	}
	return all
}

// sees waits until a list is this one.
func (v *guest) sees(method string, want ...string) {
	v.t.Helper()
	testkit.Eventually(v.t, fmt.Sprintf("%s is %q", method, want), func() bool { return slices.Equal(v.names(method), want) })
}

// ran calls a tool and gives the text of the result.
func (v *guest) ran(tool string) string {
	v.t.Helper()
	a := v.ask("tools/call", tool, `"arguments":{}`)
	var content []struct{ Text string }
	if err := json.Unmarshal(a.Result["content"], &content); err != nil || len(content) != 1 {
		return fmt.Sprintf("status %d: %s", a.Status, a.Raw)
	}
	return content[0].Text
}

// hearsOfTools waits until a client that listens is told of other tools. Streams of an older configuration end, and
// clients come back.
func (v *guest) hearsOfTools(heard *<-chan asked, what string) {
	v.t.Helper()
	testkit.Eventually(v.t, what, func() bool {
		select {
		case n, open := <-*heard:
			if !open {
				*heard = v.listens()
			}
			return n.Method == "notifications/tools/list_changed"
		default:
			return false
		}
	})
}

// listens opens the client's stream, and gives the methods of what it hears.
func (v *guest) listens(subscriptions ...string) <-chan asked {
	v.t.Helper()
	r := listen(v.url).with("Mcp-Session-Id", v.session).with(v.headers...)
	if v.modern {
		wish := `"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true`
		if len(subscriptions) > 0 {
			raw, _ := json.Marshal(subscriptions)
			wish += `,"resourceSubscriptions":` + string(raw)
		}
		r = v.request("subscriptions/listen", "", `"notifications":{`+wish+`}`)
	}
	resp := r.open(v.t.Context(), v.t)
	if resp.StatusCode != http.StatusOK {
		v.t.Fatalf("listening: status %d", resp.StatusCode)
	}
	heard := make(chan asked, 1000)
	acknowledged := make(chan struct{})
	go func() {
		defer close(heard)
		events := readEvents(resp.Body)
		for {
			event, err := events.next()
			if err != nil {
				return
			}
			for line := range strings.Lines(event) {
				var a asked
				if data, ok := strings.CutPrefix(line, "data: "); ok && json.Unmarshal([]byte(data), &a) == nil {
					if a.Method == "notifications/subscriptions/acknowledged" {
						close(acknowledged)
						continue
					}
					heard <- a
				}
			}
		}
	}()
	if v.modern {
		testkit.Receive(v.t, "the listen is acknowledged", acknowledged)
	}
	return heard
}
