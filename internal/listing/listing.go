package listing

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/version"
)

// Client asks one backend for lists. It is safe for use by many goroutines.
type Client struct {
	name   string
	limits Limits
}

// Limits bound one list.
type Limits struct {
	MaxPages     int // 100 if zero
	MaxBytes     int // of all pages
	MaxPageBytes int
}

// New makes a client of the backend that the resource name stands for.
func New(name string, l Limits) *Client {
	if l.MaxPages == 0 {
		l.MaxPages = 100
	}
	return &Client{name: name, limits: l}
}

// Query is one question.
type Query struct {
	Method string // tools/list, prompts/list or resources/list
	// Speaks is the revision that the backend is known to speak; "" when it is not.
	// Found is told what it was found to speak, "" when it does not speak what it did.
	Speaks mcp.Revision
	Found  func(mcp.Revision)
	// Do sends a request as whoever asks.
	Do func(ctx context.Context, req *backend.Request) (*backend.Response, error)
	// Change makes of each page what may be seen of it.
	Change func(page []byte) ([]byte, error)
}

// All returns the raw items of all pages. A server that does not know the method has
// no items. An error is a *[backend.Failure], or one of Do's.
func (c *Client) All(ctx context.Context, q Query) ([][]byte, error) {
	if q.Speaks != "" && !q.Speaks.Modern() {
		items, err := c.inSession(ctx, q)
		if err != nil {
			q.Found("") // the next one finds out anew
		}
		return items, err
	}
	items, err := c.pages(ctx, q, session{revision: mcp.Rev20260728})
	if err == nil || !otherEra(err) {
		return items, err
	}
	items, legacyErr := c.inSession(ctx, q)
	switch {
	case legacyErr == nil:
		return items, nil
	case isUnknownMethod(err): // of a modern server, then, that has no such list
		return nil, nil
	}
	return nil, legacyErr
}

// session is what a list is asked for in.
type session struct {
	backend  backend.Session
	revision mcp.Revision
}

// refused is the backend's own no.
type refused struct {
	status int
	code   int // JSON-RPC's; 0 when the status is all there is
}

func (r *refused) Error() string { return fmt.Sprintf("status %d, error %d", r.status, r.code) }

// otherEra reports whether a failure may mean that the backend speaks another
// revision. What says so differs from server to server, so anything does that is an
// answer and not the lack of one (MCP 2026-07-28 versioning).
func otherEra(err error) bool {
	if _, ok := errors.AsType[*refused](err); ok {
		return true
	}
	f, ok := errors.AsType[*backend.Failure](err)
	return ok && (f.Reason == backend.ReasonSession || f.Public.Status == http.StatusBadRequest)
}

func isUnknownMethod(err error) bool {
	r, ok := errors.AsType[*refused](err)
	return ok && r.code == mcp.CodeMethodNotFound
}

// inSession asks in a session of its own, which ends with the answer.
func (c *Client) inSession(ctx context.Context, q Query) ([][]byte, error) {
	hello := fmt.Appendf(nil, `{"protocolVersion":%q,"capabilities":{},"clientInfo":{"name":"sallyport","version":%q}}`, mcp.Rev20251125, version.Version())
	var s session
	answer, opened, err := c.ask(ctx, q, s, "initialize", hello)
	s.backend = opened
	defer func() { c.end(ctx, q, s) }()
	if err != nil {
		return nil, c.failure(err)
	}
	s.revision, _ = mcp.NegotiatedRevision(answer)
	q.Found(cmp.Or(s.revision, mcp.Rev20241105))
	if !offers(answer, q.Method) {
		return nil, nil
	}
	if err := c.tell(ctx, q, s, `{"jsonrpc":"2.0","method":"notifications/initialized"}`); err != nil {
		return nil, err
	}
	items, err := c.pages(ctx, q, s)
	if isUnknownMethod(err) {
		return nil, nil
	}
	return items, c.failure(err)
}

// offers reports whether a server's capabilities have what the method lists.
func offers(initialized []byte, method string) bool {
	value := initialized
	for _, key := range []string{"result", "capabilities", map[string]string{
		"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources",
	}[method]} {
		var err error
		if value, err = mcp.Member(value, key); err != nil || value == nil {
			return false
		}
	}
	return true
}

// pages asks for one page after the other.
func (c *Client) pages(ctx context.Context, q Query, s session) ([][]byte, error) {
	var items [][]byte
	cursor, size := []byte(nil), 0
	seen := map[string]bool{}
	for range c.limits.MaxPages {
		page, _, err := c.ask(ctx, q, s, q.Method, params(s, cursor))
		if err != nil {
			return nil, err
		}
		if size += len(page); size > c.limits.MaxBytes {
			return nil, c.bad("is larger than the gateway passes on", nil)
		}
		if cursor, err = next(page); err != nil {
			return nil, c.bad("cannot be read", err)
		}
		if page, err = q.Change(page); err != nil {
			return nil, c.bad("cannot be read", err)
		}
		list, err := mcp.ReadList(page, q.Method)
		if err != nil || list == nil {
			return nil, c.bad("cannot be read", err)
		}
		for _, it := range list.Items {
			items = append(items, list.Bytes(it.Span))
		}
		if cursor == nil || seen[string(cursor)] { // a server that goes in circles has said what it has
			return items, nil
		}
		seen[string(cursor)] = true
	}
	return nil, c.bad("has too many pages", nil)
}

// params are the parameters of a page's request.
func params(s session, cursor []byte) []byte {
	members := []mcp.Field{}
	if s.revision.Modern() {
		members = append(members, mcp.Field{Name: "_meta", Value: fmt.Appendf(nil,
			`{"io.modelcontextprotocol/protocolVersion":%q,"io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"sallyport","version":%q}}`,
			s.revision, version.Version())})
	}
	if cursor != nil {
		members = append(members, mcp.Field{Name: "cursor", Value: cursor})
	}
	return mcp.Merge([]byte("{}"), members)
}

// next is the raw cursor of the next page, nil after the last.
func next(page []byte) ([]byte, error) {
	result, err := mcp.Member(page, "result")
	if err != nil || result == nil {
		return nil, err
	}
	cursor, err := mcp.Member(result, "nextCursor")
	if err != nil {
		return nil, err
	}
	if _, ok := mcp.Text(cursor); !ok { // absent, or null as some write it
		return nil, nil
	}
	return cursor, nil
}

// ask sends a request and returns its answer.
func (c *Client) ask(ctx context.Context, q Query, s session, method string, params []byte) ([]byte, backend.Session, error) {
	raw := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params)
	resp, err := c.send(ctx, q, s, raw)
	if err != nil {
		return nil, backend.Session{}, err
	}
	defer resp.Body.Close()
	answer, err := c.read(resp)
	if err != nil {
		return nil, resp.Session, err
	}
	failed, err := mcp.Member(answer, "error")
	switch {
	case resp.Status >= http.StatusBadRequest || err == nil && failed != nil:
		no := &refused{status: resp.Status}
		if code, err := mcp.Member(failed, "code"); err == nil && failed != nil {
			_, _ = fmt.Sscan(string(code), &no.code) // 0 for what is no number
		}
		return nil, resp.Session, no
	case err != nil:
		return nil, resp.Session, c.bad("cannot be read", err)
	}
	return answer, resp.Session, nil
}

// tell sends a notification.
func (c *Client) tell(ctx context.Context, q Query, s session, raw string) error {
	resp, err := c.send(ctx, q, s, []byte(raw))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (c *Client) send(ctx context.Context, q Query, s session, raw []byte) (*backend.Response, error) {
	m, refusal := mcp.Parse(raw, mcp.DefaultLimits())
	if refusal != nil { // a cursor that the gateway would not take from a client either
		return nil, c.bad("has a cursor that cannot be sent", refusal)
	}
	h := http.Header{"Accept": {"application/json, text/event-stream"}, "Content-Type": {"application/json"}}
	if s.revision >= mcp.Rev20250618 {
		h[mcp.HeaderProtocolVersion] = []string{string(s.revision)}
	}
	if s.revision.Modern() {
		h[mcp.HeaderMethod] = []string{m.Method}
	}
	return q.Do(ctx, &backend.Request{
		Method: http.MethodPost, Header: h, Session: s.backend, Body: raw, Message: &m,
	})
}

// read returns the response of an answer; what else a stream carries is for nobody.
func (c *Client) read(resp *backend.Response) ([]byte, error) {
	if !resp.Stream {
		body, err := io.ReadAll(io.LimitReader(resp.Body, int64(c.limits.MaxPageBytes)+1))
		switch {
		case err != nil:
			return nil, c.bad("broke off", err)
		case len(body) > c.limits.MaxPageBytes:
			return nil, c.bad("is larger than the gateway passes on", nil)
		}
		return body, nil
	}
	events := mcp.NewEventReader(resp.Body, c.limits.MaxPageBytes)
	for {
		ev, err := events.Next()
		if err != nil {
			return nil, c.bad("broke off", err)
		}
		if mcp.PeekResponse(ev.Data) {
			return bytes.Clone(ev.Data), nil // the reader has it
		}
	}
}

// end ends a session at the backend. The answer is with whoever asked already.
func (c *Client) end(ctx context.Context, q Query, s session) {
	if s.backend.ID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	h := http.Header{}
	if s.revision >= mcp.Rev20250618 {
		h[mcp.HeaderProtocolVersion] = []string{string(s.revision)}
	}
	resp, err := q.Do(ctx, &backend.Request{Method: http.MethodDelete, Header: h, Session: s.backend})
	if err == nil {
		_ = resp.Body.Close()
	}
}

// failure is err as whoever asked may hear of it.
func (c *Client) failure(err error) error {
	if r, ok := errors.AsType[*refused](err); ok {
		return c.bad(fmt.Sprintf("was refused with status %d and the error %d", r.status, r.code), nil)
	}
	return err
}

func (c *Client) bad(what string, cause error) error {
	return &backend.Failure{
		Public: mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "%s: the backend's list %s", c.name, what),
		Reason: backend.ReasonBadAnswer, Cause: cause,
	}
}
