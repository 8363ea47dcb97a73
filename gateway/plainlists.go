package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/listing"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// This file is the surface of plain lists (REQ C-5): a GET, and JSON of what the
// caller may use. Of one endpoint, or of all of them that let the caller in.

// plainList is what is asked for, and what was found.
type plainList struct {
	kind   string // tools, prompts, resources, or servers
	items  [][]byte
	status string // of the backend
}

// plainLists are the kinds by the last part of their path, with the messages that
// ask the same of a server. Who may use an endpoint may know of it: servers needs
// no message.
var plainLists = map[string]string{
	"/tools":     `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`,
	"/prompts":   `{"jsonrpc":"2.0","id":1,"method":"prompts/list"}`,
	"/resources": `{"jsonrpc":"2.0","id":1,"method":"resources/list"}`,
	"/servers":   "",
}

// message is what asks the same of a server; "" for nothing.
func (l *plainList) message() string {
	if l == nil {
		return ""
	}
	return plainLists["/"+l.kind]
}

// serveLists answers for all endpoints of a snapshot.
func (s *Server) serveLists(w http.ResponseWriter, r *http.Request, snap *Snapshot) {
	names := slices.Sorted(maps.Keys(snap.endpoints))
	asked := make([]*Exchange, len(names))
	places := make(chan struct{}, maxListed)
	var asking sync.WaitGroup
	for i, name := range names {
		places <- struct{}{}
		asked[i] = &Exchange{w: noAnswer{}, r: r, surface: surfaceList, list: &plainList{kind: r.URL.Path[1:]}}
		asking.Go(func() {
			defer func() { <-places }()
			snap.endpoints[name].serve(asked[i])
		})
	}
	asking.Wait()
	answer := listAnswer{kind: r.URL.Path[1:]}
	answered := false
	for i, x := range asked {
		switch {
		case x.refused == nil:
			answered = true
			answer.add(names[i], x.list)
		case x.refused.Status >= http.StatusInternalServerError: // others do not let this caller in
			answer.failed = append(answer.failed, listFailure{names[i], x.refused.Message})
		}
	}
	if !answered && len(asked) > 0 {
		maps.Copy(w.Header(), asked[0].w.Header()) // with its challenge
		writeError(w, asked[0].refused, nil)
		return
	}
	answer.write(w)
}

// maxListed is how many endpoints are asked at a time for one request.
const maxListed = 8

// serveList answers for one endpoint.
func (e *Endpoint) serveList(w http.ResponseWriter, r *http.Request) {
	x := &Exchange{w: w, r: r, surface: surfaceList, list: &plainList{kind: r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]}}
	e.serve(x)
	if x.refused != nil {
		return // it has been answered
	}
	answer := listAnswer{kind: x.list.kind}
	answer.add("", x.list)
	answer.write(w)
}

// listAll is forward's part: all pages of the list, asked for as the caller, and of them
// what the caller may see.
func (e *Endpoint) listAll(x *Exchange, as *backend.Request) *mcp.Error {
	ctx, cancel := context.WithTimeout(x.r.Context(), e.server.opts.CallTimeout)
	defer cancel()
	x.ctx = ctx
	method := x.message.Method
	items, err := e.lister.All(ctx, listing.Query{
		Method: method, Private: as.Private, Signing: as.Signing,
		Change: func(page []byte) ([]byte, error) {
			if !e.reshapes() {
				return page, nil
			}
			return e.reshapeMessage(nil, x.caller, []string{method}, page)
		},
	})
	if err != nil {
		return e.failed(x, err)
	}
	e.reached(healthReady)
	x.list.items, x.status = items, http.StatusOK
	return nil
}

// listAnswer is the JSON of a plain list.
type listAnswer struct {
	kind   string
	items  [][]byte
	failed []listFailure
}

// listFailure says of an endpoint that its part is missing.
type listFailure struct {
	Server string `json:"server"`
	Error  string `json:"error"`
}

// add adds what one endpoint has. Among those of others its items say whose they are.
func (a *listAnswer) add(server string, l *plainList) {
	if a.kind == "servers" {
		a.items = append(a.items, mcp.Merge(nil, []mcp.Field{
			{Name: "name", Value: mcp.Quote(server)}, {Name: "status", Value: mcp.Quote(l.status)},
		}))
		return
	}
	for _, it := range l.items {
		if server != "" {
			it = mcp.Merge(it, []mcp.Field{{Name: "server", Value: mcp.Quote(server)}})
		}
		a.items = append(a.items, it)
	}
}

func (a *listAnswer) write(w http.ResponseWriter) {
	var b bytes.Buffer
	b.WriteString(`{"` + a.kind + `":[`)
	b.Write(bytes.Join(a.items, []byte(",")))
	b.WriteByte(']')
	if failed, err := json.Marshal(a.failed); err == nil && len(a.failed) > 0 {
		b.WriteString(`,"errors":`)
		b.Write(failed)
	}
	b.WriteByte('}')
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Cache-Control"] = noStore // another caller may see something else
	_, _ = w.Write(b.Bytes())    // the client may be gone; there is nobody left to tell
}

// health is what the last exchange with a backend says of it.
type health struct{ state atomic.Int32 }

const (
	healthUnknown int32 = iota
	healthReady
	healthUnavailable
	healthUnauthenticated
)

// Close has nothing to give back.
func (h *health) Close() error { return nil }

func (h *health) String() string {
	return [...]string{"unknown", "ready", "unavailable", "unauthenticated"}[h.state.Load()]
}

// reached notes how an exchange with the backend went.
func (e *Endpoint) reached(state int32) {
	e.metrics.Up(state != healthUnavailable)
	e.health.state.Store(state)
}

// missed notes a failure that says something of the backend's state.
func (e *Endpoint) missed(why backend.Reason) {
	switch why {
	case backend.ReasonUnreachable, backend.ReasonTimeout, backend.ReasonCrashed:
		e.reached(healthUnavailable)
	case backend.ReasonCredential:
		e.reached(healthUnauthenticated)
	}
}
