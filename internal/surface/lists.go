package surface

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/page"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/status"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// This file is the surface of plain lists (REQ C-5): a GET, and JSON of what the
// caller may use. Of one endpoint, or of all of them that let the caller in.

// listMessages are the kinds by the last part of their path, with the messages that
// ask the same of a server. Who may use an endpoint may know of it: servers needs
// no message.
var listMessages = map[string]string{
	"/tools":     `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`,
	"/prompts":   `{"jsonrpc":"2.0","id":1,"method":"prompts/list"}`,
	"/resources": `{"jsonrpc":"2.0","id":1,"method":"resources/list"}`,
	"/servers":   "",
}

// IsListOfAll reports whether a path is that of a list of all endpoints.
func IsListOfAll(path string) bool {
	_, ok := listMessages[path]
	return ok
}

// list is what is asked of one endpoint, and what was found.
type list struct {
	request
	kind   string // tools, prompts, resources, or servers
	part   bool   // of a list of all: whoever asks for that answers
	window window // of the whole list
	items  [][]byte
	behind []upstream.MemberState // the servers behind the endpoint
	head   http.Header            // of a refusal of a part
}

func newList(path string) *list {
	l := &list{kind: path[strings.LastIndexByte(path, '/')+1:]}
	l.Plain = true
	return l
}

// Receive takes the request in.
func (l *list) Receive(*pipeline.Exchange) *mcp.Error { return l.receive(http.MethodGet) }

// Read takes the message that asks the same.
func (l *list) Read(x *pipeline.Exchange) (refused *mcp.Error) {
	if l.window, refused = windowOf(x.Request.URL.Query()); refused != nil {
		return refused
	}
	if ask := listMessages["/"+l.kind]; ask != "" {
		x.Body = []byte(ask)
	}
	return nil
}

// Complete looks at the headers alone: a plain client says nothing in the message.
func (l *list) Complete(x *pipeline.Exchange) (err *mcp.Error) {
	x.Revision, err = mcp.Era(x.Request.Header, &mcp.Envelope{})
	return err
}

// Forward finds the items: all pages of the list, asked for as the caller, and of them
// what the caller may see.
func (l *list) Forward(x *pipeline.Exchange) *mcp.Error {
	l.behind = knownTo(x, l.e.Target.Members())
	if x.Body != nil {
		if err := x.Prepare(); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(x.Request.Context(), l.s.CallTimeout)
		defer cancel()
		var err error
		if l.items, err = x.List(ctx); err != nil {
			return x.Failed(err)
		}
	}
	x.Status = http.StatusOK
	if !l.part {
		all := listOfAll{kind: l.kind, window: l.window}
		all.add("", l)
		l.answer(x.Request.Context(), all.answer())
	}
	return nil
}

// Refuse keeps the refusal of a part for whoever asks for all.
func (l *list) Refuse(x *pipeline.Exchange, err *mcp.Error) {
	if !l.part {
		l.request.Refuse(x, err)
		return
	}
	l.head = http.Header{}
	l.explain(l.head, err)
}

// ServeLists answers for all endpoints, by name.
func (s *Surfaces) ServeLists(w http.ResponseWriter, r *http.Request, endpoints map[string]*pipeline.Endpoint) {
	s.AllowPage(w, r)
	names, parts := s.askAll(r, r.URL.Path, endpoints)
	all := listOfAll{kind: r.URL.Path[1:]}
	answered := false
	for i, l := range parts {
		switch refusal := l.Refusal(); {
		case refusal == nil:
			answered = true
			all.add(names[i], l)
		case refusal.Status >= http.StatusInternalServerError: // others do not let this caller in
			all.failed = append(all.failed, listFailure{names[i], refusal.Message})
		}
	}
	if !answered && len(parts) > 0 {
		parts[0].turnAway(w)
		return
	}
	all.window, _ = windowOf(r.URL.Query()) // or every part refuses it
	whole := request{s: s, w: w}
	whole.Request = r
	whole.answer(r.Context(), all.answer())
}

// askAll asks every endpoint for its part of a list, by name.
func (s *Surfaces) askAll(r *http.Request, path string, endpoints map[string]*pipeline.Endpoint) (names []string, parts []*list) {
	names = slices.Sorted(maps.Keys(endpoints))
	parts = make([]*list, len(names))
	places := make(chan struct{}, maxListed)
	var asking sync.WaitGroup
	for i, name := range names {
		places <- struct{}{}
		e := endpoints[name]
		parts[i] = newList(path)
		parts[i].part = true
		asking.Go(func() {
			defer func() { <-places }()
			parts[i].serve(s, nil, r, e, parts[i])
		})
	}
	asking.Wait()
	return names, parts
}

// turnAway tells who got into no endpoint what the first one said, with its challenge.
func (l *list) turnAway(w http.ResponseWriter) {
	maps.Copy(w.Header(), l.head)
	WriteError(w, l.Refusal(), nil)
}

// Admitted are the endpoints that let a caller in, by name. Where there are endpoints and none of them does, it has
// answered, and there are no names. The request may be a page's of any origin: it may read what a token that it holds opens.
func (s *Surfaces) Admitted(w http.ResponseWriter, r *http.Request, endpoints map[string]*pipeline.Endpoint) (names []string) {
	names = []string{}
	asking := r.Clone(r.Context())
	asking.Header.Del("Origin")
	all, parts := s.askAll(asking, "/servers", endpoints)
	for i, l := range parts {
		if l.Refusal() == nil {
			names = append(names, all[i])
		}
	}
	if len(names) == 0 && len(parts) > 0 {
		parts[0].turnAway(w)
		return nil
	}
	return names
}

// ToolsFor are the tools that an endpoint lists for whom a token is for, in the course of another request of theirs: who
// may not get in there, or use a tool, does not see it.
func (s *Surfaces) ToolsFor(r *http.Request, e *pipeline.Endpoint, token string) ([]page.Item, error) {
	items, err := s.listTools(r, e, secret.New(token), "")
	if err != nil {
		return nil, err
	}
	var tools []page.Item
	for _, it := range items {
		var tool page.Item
		if json.Unmarshal(it, &tool) == nil { // one that is odd is left out
			tools = append(tools, tool)
		}
	}
	return tools, nil
}

// maxListed is how many endpoints are asked at a time for one request.
const maxListed = 8

// listOfAll is the JSON of a plain list.
type listOfAll struct {
	kind   string
	items  [][]byte
	window window
	failed []listFailure
}

// listFailure says of an endpoint that its part is missing.
type listFailure struct {
	Server string `json:"server"`
	Error  string `json:"error"`
}

// add adds what one endpoint has. Among those of others its items say whose they are.
func (a *listOfAll) add(server string, l *list) {
	if a.kind == "servers" {
		fields := []mcp.Field{{Name: "name", Value: mcp.Quote(server)}, {Name: "status", Value: mcp.Quote(overall(l.behind))}}
		if len(l.behind) != 1 || l.behind[0].Name != server {
			fields = append(fields, mcp.Field{Name: "backends", Value: statesOf(l.behind)})
		} else {
			fields = append(fields, lockOf(&l.behind[0])...)
		}
		a.items = append(a.items, mcp.Merge(nil, fields))
		return
	}
	for _, it := range l.items {
		if server != "" {
			it = mcp.Merge(it, []mcp.Field{{Name: "server", Value: mcp.Quote(server)}})
		}
		a.items = append(a.items, it)
	}
}

// statesOf are servers as a list shows them.
func statesOf(all []upstream.MemberState) []byte {
	b := []byte{'['}
	for i, m := range all {
		if i > 0 {
			b = append(b, ',')
		}
		fields := []mcp.Field{{Name: "name", Value: mcp.Quote(m.Name)}, {Name: "status", Value: mcp.Quote(m.Status)}}
		b = append(b, mcp.Merge(nil, append(fields, lockOf(&all[i])...))...)
	}
	return append(b, ']')
}

// lockOf says how a server's tools differ from their lock, where they have one.
func lockOf(m *upstream.MemberState) []mcp.Field {
	if m.Drift == "" {
		return nil
	}
	changed := []mcp.Field{}
	for _, c := range m.Changed {
		changed = append(changed, mcp.Field{Name: c.Tool, Value: mcp.Quote(c.Change)})
	}
	return []mcp.Field{{Name: "toolLock", Value: mcp.Merge(nil, []mcp.Field{
		{Name: "drift", Value: mcp.Quote(string(m.Drift))}, {Name: "changed", Value: mcp.Merge(nil, changed)},
	})}}
}

// knownTo leaves, of the tools that have changed, those that the caller may use.
func knownTo(x *pipeline.Exchange, all []upstream.MemberState) []upstream.MemberState {
	for i := range all {
		g := upstream.Group{Member: all[i].Name}
		for at, c := range all[i].Changed {
			g.Items, g.At = append(g.Items, mcp.Item{Name: c.Tool}), append(g.At, at)
		}
		may := x.May("tools/list", []upstream.Group{g}, len(g.At))
		var left []upstream.ToolChange
		for at, c := range all[i].Changed {
			if may[at] {
				left = append(left, c)
			}
		}
		all[i].Changed = left
	}
	return all
}

// overall is the state of an endpoint: that of the server behind it, or of several:
// degraded where some of them are not as they should be, unavailable where all are not.
func overall(all []upstream.MemberState) string {
	if len(all) == 0 {
		return status.Ready
	}
	count := map[string]int{}
	for _, m := range all {
		count[m.Status]++
	}
	for state, n := range count {
		if n == len(all) {
			return state
		}
	}
	if count[status.Ready] > 0 || count[status.Unavailable] < len(all) {
		return status.Degraded
	}
	return status.Unavailable
}

// answer is the list as an answer of the gateway's own.
func (a *listOfAll) answer() *upstream.Answer {
	var b bytes.Buffer
	items, next := a.window.cut(a.items)
	b.WriteString(`{"` + a.kind + `":[`)
	b.Write(bytes.Join(items, []byte(",")))
	b.WriteByte(']')
	if next != "" {
		b.WriteString(`,"nextCursor":"` + next + `"`)
	}
	if failed, err := json.Marshal(a.failed); err == nil && len(a.failed) > 0 {
		b.WriteString(`,"errors":`)
		b.Write(failed)
	}
	b.WriteByte('}')
	return &upstream.Answer{Response: backend.Response{
		Status: http.StatusOK, Body: io.NopCloser(&b), ContentLength: int64(b.Len()),
		Header: http.Header{"Content-Type": jsonType, "Cache-Control": noStore}, // another caller may see something else
	}}
}
