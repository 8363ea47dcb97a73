package tasks

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/bridge/wire"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/seal"
)

// Tasks is a server whose tasks have ids of the gateway's own, each good for the caller
// whose it is alone. It is safe for use by many goroutines.
type Tasks struct {
	Name     string // of the resource, as people are told
	Next     backend.Backend
	Ring     *seal.Ring // seals the ids
	Limits   mcp.Limits
	MaxBytes int // of one message of the server
}

const purpose = "mcp-bridge-task"

// isTask reports the requests that are about a task.
func isTask(method string) bool {
	return method == "tasks/get" || method == "tasks/update" || method == "tasks/cancel"
}

// mayTask reports whether the answer to a request may name a task: the client has said that
// it knows them.
func mayTask(m *mcp.Envelope) bool {
	switch m.Method {
	case "tools/call", "subscriptions/listen":
		meta := m.Bytes(m.Meta.Span)
		return bytes.Contains(meta, []byte(convert.MetaTasks)) && mcp.Path(meta, convert.MetaCapabilities, "extensions", convert.MetaTasks) != nil
	}
	return isTask(m.Method)
}

// Do implements [backend.Backend], for requests of 2026-07-28.
func (t *Tasks) Do(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	if m := req.Message; m.Kind != mcp.KindRequest || !mayTask(m) {
		return t.Next.Do(ctx, req)
	}
	out, refused := t.openTasks(req)
	if refused != nil {
		return backend.Refusal(req.Message.ID, refused), nil
	}
	resp, err := t.Next.Do(ctx, out)
	if err != nil {
		return nil, err
	}
	return t.sealTasks(req, resp)
}

// openTasks makes of the ids that a client has those of the server.
func (t *Tasks) openTasks(req *backend.Request) (*backend.Request, *mcp.Error) {
	m := req.Message
	params := m.Bytes(m.Params)
	switch {
	case isTask(m.Method):
		id, ok := t.openTask(req.Caller, m.Target)
		if !ok {
			return nil, mcp.Errorf(http.StatusOK, mcp.CodeInvalidParams, "unknown task: its id is not one that this server gave to this caller")
		}
		out, err := t.changed(req, mcp.Edit{Span: m.TargetSpan, New: mcp.Quote(id)})
		if err == nil && out.Header[mcp.HeaderName] != nil {
			out.Header = out.Header.Clone()
			out.Header[mcp.HeaderName] = []string{mcp.EncodeHeaderValue(id)}
		}
		return out, err
	case m.Method == "subscriptions/listen":
		ids := mcp.Path(params, "notifications", "taskIds")
		if ids == nil {
			return req, nil
		}
		list, _ := mcp.Texts(ids)
		own := make([]string, 0, len(list))
		for _, sealed := range list {
			if id, ok := t.openTask(req.Caller, sealed); ok { // what is not acknowledged is not told
				own = append(own, id)
			}
		}
		notifications := wire.With(mcp.Path(params, "notifications"), wire.Field("taskIds", mcp.QuoteAll(own)))
		return t.changed(req, mcp.Edit{Span: m.Params, New: wire.With(params, wire.Field("notifications", notifications))})
	}
	return req, nil
}

// changed is a request with an edit in its message.
func (t *Tasks) changed(req *backend.Request, edit mcp.Edit) (*backend.Request, *mcp.Error) {
	out := *req
	out.Body = mcp.Splice(req.Message.Raw, edit)
	m, err := mcp.Parse(out.Body, t.Limits)
	out.Message = &m
	return &out, err
}

// sealTask is the same for the same task, since clients compare what they get with what they
// have.
func (t *Tasks) sealTask(caller, id string) string {
	return t.Ring.SealSame(purpose, append(mcp.Quote(caller), id...))
}

func (t *Tasks) openTask(caller, sealed string) (id string, ok bool) {
	plain, ok := t.Ring.Open(purpose, sealed)
	if !ok {
		return "", false
	}
	own, mine := bytes.CutPrefix(plain, mcp.Quote(caller))
	return string(own), mine
}

// sealTasks makes of the ids in an answer those that the client gets.
func (t *Tasks) sealTasks(req *backend.Request, resp *backend.Response) (*backend.Response, error) {
	s := sealer{t, req}
	if resp.Stream {
		st := &stream{s: s, from: wire.NewSource(resp.Body, t.MaxBytes)}
		resp.Body, resp.Ahead, resp.ContentLength = st, nil, -1
		return resp, nil
	}
	status, header := resp.Status, resp.Header
	body, m, ok := wire.Peek(resp.Body)
	resp.Body = body
	if !ok {
		if !isTask(req.Message.Method) {
			return resp, nil // what is larger than that is the tool's own result
		}
		whole, err := io.ReadAll(io.LimitReader(body, int64(t.MaxBytes)+1))
		if err == nil && len(whole) <= t.MaxBytes {
			m, err = wire.Read(whole)
		}
		if err != nil || m.Kind != mcp.KindResponse {
			_ = body.Close()
			return nil, backend.Fail(t.Name, http.StatusBadGateway, backend.ReasonBadAnswer, err, "the backend's answer about a task is too large, or cannot be read")
		}
	}
	sealed := s.result(m.Result)
	if ok && bytes.Equal(sealed, m.Result) {
		return resp, nil // byte for byte
	}
	_ = body.Close()
	raw := wire.Failure(m.ID, m.Fault)
	if m.Result != nil {
		raw = wire.Response(m.ID, sealed)
	}
	out := backend.JSONResponse(status, raw)
	out.Header = header
	delete(header, "Content-Length")
	return out, nil
}

// sealer seals what an answer to one request names.
type sealer struct {
	t   *Tasks
	req *backend.Request
}

// result seals the id in a result: a task instead of a tool's answer, or how a task is.
func (s sealer) result(result []byte) []byte {
	if result == nil || !isTask(s.req.Message.Method) && mcp.PathText(result, "resultType") != "task" {
		return result
	}
	return s.member(result)
}

func (s sealer) member(object []byte) []byte {
	id, ok := mcp.Text(mcp.Path(object, "taskId"))
	if !ok {
		return object
	}
	return wire.With(object, wire.Field("taskId", mcp.Quote(s.t.sealTask(s.req.Caller, id))))
}

// message seals the ids in one message of a stream.
func (s sealer) message(raw []byte, m wire.Message) []byte {
	switch {
	case m.Result != nil:
		return wire.Response(m.ID, s.result(m.Result))
	case m.Kind != mcp.KindNotification || m.Params == nil:
	case m.Method == "notifications/subscriptions/acknowledged":
		asked := mcp.Path(m.Params, "notifications")
		ids, ok := mcp.Texts(mcp.Path(asked, "taskIds"))
		if !ok {
			return raw
		}
		for i, id := range ids {
			ids[i] = s.t.sealTask(s.req.Caller, id)
		}
		return wire.Notification(m.Method, wire.With(m.Params, wire.Field("notifications", wire.With(asked, wire.Field("taskIds", mcp.QuoteAll(ids))))))
	case bytes.Contains(m.Params, []byte(`"taskId"`)):
		return wire.Notification(m.Method, s.member(m.Params))
	}
	return raw
}

// stream is a server's stream with the ids of tasks sealed.
type stream struct {
	wire.Pulled
	s    sealer
	from wire.Source
}

func (t *stream) Read(p []byte) (int, error) { return t.Pull(p, t.next) }

func (t *stream) next() {
	raw, m, ok, err := t.from.Next()
	switch {
	case err != nil:
		t.Err = err
	case ok && m.Kind == mcp.KindResponse:
		t.Emit(t.s.message(raw, m))
		t.Err = io.EOF
	case ok:
		t.Emit(t.s.message(raw, m))
	}
}

func (t *stream) Close() error { return t.from.Close() }
