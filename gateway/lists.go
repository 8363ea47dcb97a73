package gateway

import (
	"fmt"
	"io"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

// listMethods are the methods whose answers are lists.
var listMethods = []string{"tools/list", "prompts/list", "resources/list", "resources/templates/list"}

// reshapes reports whether lists that pass this endpoint have to be looked at.
func (e *Endpoint) reshapes() bool { return e.tools != nil || e.policy != nil }

// reshape makes a backend's answer show what the caller may see. Only answers that
// can hold a list are touched: that to a list method, and a listening stream, on
// which a server may send again what was lost of such an answer (MCP 2025-11-25
// transports, resumability). A list that cannot be read strictly is not passed on.
func (e *Endpoint) reshape(x *Exchange, resp *backend.Response) error {
	if !e.reshapes() {
		return nil
	}
	methods := listMethods
	if x.r.Method == http.MethodPost {
		if !mcp.IsList(x.message.Method) {
			return nil
		}
		methods = []string{x.message.Method}
	}
	if resp.Stream {
		resp.Body = &reshapedStream{
			events: mcp.NewEventReader(resp.Body, e.server.opts.MaxEventBytes),
			body:   resp.Body,
			change: func(msg []byte) ([]byte, error) {
				return e.reshapeMessage(nil, x.caller, methods, msg)
			},
		}
		return nil
	}
	if x.r.Method != http.MethodPost || resp.ContentLength == 0 {
		return nil
	}
	limit := int64(e.server.opts.MaxEventBytes)
	in, out := keep.Borrow(), keep.Borrow()
	defer keep.Return(in)
	_, err := in.ReadFrom(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return badList(e.name, "broke off", err)
	case int64(in.Len()) > limit:
		return badList(e.name, "is too large to be looked at", nil)
	}
	changed, err := e.reshapeMessage(out.AvailableBuffer(), x.caller, methods, in.Bytes())
	if err != nil {
		return badList(e.name, "cannot be read", err)
	}
	out.Write(changed)
	_ = resp.Body.Close() // it was read to its end
	resp.Body, resp.ContentLength = keep.Lend(out), int64(len(changed))
	return nil
}

func badList(name, what string, cause error) error {
	return &backend.Failure{
		Public: mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "%s: the backend's list %s", name, what),
		Reason: backend.ReasonBadAnswer,
		Cause:  cause,
	}
}

// reshapeMessage changes one message if it is the answer to one of methods. What it
// returns is the message, or appended to dst.
func (e *Endpoint) reshapeMessage(dst []byte, caller *identity.Caller, methods []string, msg []byte) ([]byte, error) {
	for _, method := range methods {
		l, err := e.lists.Read(msg, method)
		if err != nil {
			return nil, err
		}
		if l == nil { // no result: nothing to see
			return msg, nil
		}
		if len(l.Items) > 0 {
			msg = e.reshapeList(dst, caller, method, l)
		}
	}
	return msg, nil
}

// reshapeList leaves in a list what the caller may use, under the names that
// clients know.
func (e *Endpoint) reshapeList(dst []byte, caller *identity.Caller, method string, l *mcp.List) []byte {
	keep := make([]bool, len(l.Items))
	for i := range keep {
		keep[i] = true
	}
	var edits []mcp.Edit
	if e.policy != nil {
		if method == "tools/list" {
			e.hints.learn(l.Items)
		}
		q := policy.Query{Action: listActions[method], Server: e.name, Backend: e.name}
		copy(keep, e.policy.Filter(e.policy.Principal(caller), &q, l.Items).Keep)
		if l.CacheScope.Present() { // what one caller may see is not for others (MCP 2026-07-28 caching)
			edits = append(edits, mcp.Edit{Span: l.CacheScope, New: []byte(`"private"`)})
		}
	}
	if e.tools != nil && method == "tools/list" {
		for i, it := range l.Items {
			if keep[i] = keep[i] && e.tools.shown(it.Name); keep[i] {
				edits = append(edits, e.tools.edit(l, it)...)
			}
		}
	}
	return l.AppendRewrite(dst, keep, edits...)
}

var listActions = map[string]policy.Action{
	"tools/list":               policy.ListTools,
	"prompts/list":             policy.ListPrompts,
	"resources/list":           policy.ListResources,
	"resources/templates/list": policy.ListResources,
}

// reshapedStream is an event stream whose messages are changed as they are read.
type reshapedStream struct {
	events *mcp.EventReader
	body   io.Closer
	change func(msg []byte) ([]byte, error)

	pending []byte // of the event that is being handed out
	buf     []byte
}

func (s *reshapedStream) Read(p []byte) (int, error) {
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

func (s *reshapedStream) Close() error { return s.body.Close() }
