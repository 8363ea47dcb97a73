package pipeline

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// listMethods are the methods whose answers are lists.
var listMethods = []string{"tools/list", "prompts/list", "resources/list", "resources/templates/list"}

// filters reports whether lists that pass this endpoint have to be looked at.
func (e *Endpoint) filters() bool { return e.Target.Renames() || e.Policy != nil }

// filterAnswer makes an answer show what the caller may see. Only answers that can
// hold a list are touched: that to a list method, and a listening stream, on which a
// server may send again what was lost of such an answer (MCP 2025-11-25 transports,
// resumability). A list that cannot be read strictly is not passed on.
func (e *Endpoint) filterAnswer(x *Exchange, a *upstream.Answer) error {
	switch {
	case x.Body == nil:
		e.filterStream(x.Caller, listMethods, a)
	case !e.filters() || !mcp.IsList(x.Message.Method):
	case a.Stream:
		e.filterStream(x.Caller, []string{x.Message.Method}, a)
	case a.ContentLength != 0:
		return e.filterBody(x, a)
	}
	return nil
}

// filterStream does that for a stream, as it comes.
func (e *Endpoint) filterStream(caller *identity.Caller, methods []string, a *upstream.Answer) {
	if !e.filters() || !a.Stream {
		return
	}
	a.Body = &filteredStream{
		events: mcp.NewEventReader(a.Body, e.MaxEventBytes),
		body:   a.Body,
		change: func(msg []byte) ([]byte, error) { return e.filterMessage(nil, caller, methods, msg, a.Owners) },
	}
}

// filterBody does that for one list, whole.
func (e *Endpoint) filterBody(x *Exchange, a *upstream.Answer) error {
	limit := int64(e.MaxEventBytes)
	in, out := keep.Borrow(), keep.Borrow()
	defer keep.Return(in)
	_, err := in.ReadFrom(io.LimitReader(a.Body, limit+1))
	switch {
	case err != nil:
		return badList(e.Name, "broke off", err)
	case int64(in.Len()) > limit:
		return badList(e.Name, "is too large to be looked at", nil)
	}
	changed, err := e.filterMessage(out.AvailableBuffer(), x.Caller, []string{x.Message.Method}, in.Bytes(), a.Owners)
	if err != nil {
		return badList(e.Name, "cannot be read", err)
	}
	out.Write(changed)
	_ = a.Body.Close() // it was read to its end
	a.Body, a.ContentLength = keep.Lend(out), int64(len(changed))
	return nil
}

func badList(name, what string, cause error) error {
	return &backend.Failure{
		Public: mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "%s: the backend's list %s", name, what),
		Reason: backend.ReasonBadAnswer,
		Cause:  cause,
	}
}

// filterMessage changes one message if it is the answer to one of methods. What it
// returns is the message, or appended to dst.
func (e *Endpoint) filterMessage(dst []byte, caller *identity.Caller, methods []string, msg []byte, owners upstream.Owners) ([]byte, error) {
	for _, method := range methods {
		l, err := e.lists.Read(msg, method)
		if err != nil {
			return nil, err
		}
		if l == nil { // no result: nothing to see
			return msg, nil
		}
		msg = l.Raw // without what could not be read
		if len(l.Items) > 0 {
			msg = e.filterList(dst, caller, method, l, owners)
		}
	}
	return msg, nil
}

// leftOut writes to the log that items of lists are left out, or are no more.
func leftOut(log *slog.Logger) func(method string, n int, why error) {
	return func(method string, n int, why error) {
		if n == 0 {
			log.Info("all items of the backend's list can be read again", "method", method)
			return
		}
		log.Warn("items of the backend's list are left out: they cannot be read without doubt", "method", method, "items", n, "error", why)
	}
}

// filterList leaves in a list what the caller may use, under the names that
// clients know.
func (e *Endpoint) filterList(dst []byte, caller *identity.Caller, method string, l *mcp.List, owners upstream.Owners) []byte {
	keep := make([]bool, len(l.Items))
	for i := range keep {
		keep[i] = true
	}
	var edits []mcp.Edit
	if e.Policy != nil {
		if method == "tools/list" && owners == nil {
			e.Target.Learn(l.Items)
		}
		e.permit(caller, method, l, owners, keep)
		if l.CacheScope.Present() { // what one caller may see is not for others (MCP 2026-07-28 caching)
			edits = append(edits, mcp.Edit{Span: l.CacheScope, New: []byte(`"private"`)})
		}
	}
	if e.Target.Renames() {
		edits = append(edits, e.Target.Publish(method, l, keep)...)
	}
	return l.AppendRewrite(dst, keep, edits...)
}

// permit unmarks in keep what a caller may not use. Policies name what servers call their
// things, whoever clients have them from.
func (e *Endpoint) permit(caller *identity.Caller, method string, l *mcp.List, owners upstream.Owners, keep []bool) {
	if owners == nil {
		q := policy.Query{Action: listActions[method], Server: e.Name, Backend: e.Name}
		copy(keep, e.Policy.Filter(e.Policy.Principal(caller), &q, l.Items).Keep)
		return
	}
	e.permitGroups(caller, method, owners(l), keep)
}

func (e *Endpoint) permitGroups(caller *identity.Caller, method string, groups []upstream.Group, keep []bool) {
	p := e.Policy.Principal(caller)
	clear(keep) // what is nobody's is not shown
	for _, g := range groups {
		of := policy.Query{Action: listActions[method], Server: e.Name, Backend: g.Member}
		var may []bool
		if !g.Own {
			may = e.Policy.Filter(p, &of, g.Items).Keep
		}
		for i, at := range g.At {
			keep[at] = g.Own || may[i]
		}
	}
}

// May reports which items of a list the caller may use.
func (x *Exchange) May(method string, groups []upstream.Group, items int) []bool {
	keep := make([]bool, items)
	if x.Endpoint.Policy != nil {
		x.Endpoint.permitGroups(x.Caller, method, groups, keep)
		return keep
	}
	for _, g := range groups {
		for _, at := range g.At {
			keep[at] = true
		}
	}
	return keep
}

var listActions = map[string]policy.Action{
	"tools/list":               policy.ListTools,
	"prompts/list":             policy.ListPrompts,
	"resources/list":           policy.ListResources,
	"resources/templates/list": policy.ListResources,
}

// filteredStream is an event stream whose messages are changed as they are read.
type filteredStream struct {
	events *mcp.EventReader
	body   io.Closer
	change func(msg []byte) ([]byte, error)

	pending []byte // of the event that is being handed out
	buf     []byte
}

func (s *filteredStream) Read(p []byte) (int, error) {
	for len(s.pending) == 0 {
		ev, err := s.events.Next()
		if err != nil {
			return 0, err
		}
		if len(ev.Data) > 0 {
			if ev.Data, err = s.change(ev.Data); err != nil {
				return 0, fmt.Errorf("change a message of a stream: %w", err)
			}
		}
		s.buf = mcp.AppendEvent(s.buf[:0], ev)
		s.pending = s.buf
	}
	n := copy(p, s.pending)
	s.pending = s.pending[n:]
	return n, nil
}

func (s *filteredStream) Close() error { return s.body.Close() }
