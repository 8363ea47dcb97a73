package gateway

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// This file carries what a backend says to the client of a front.

// noteSession remembers the session that an initialize opened.
func (f *front) noteSession(x *Exchange, resp *backend.Response) {
	if x.message.Method == "initialize" && resp.Session.ID != "" {
		f.mu.Lock()
		f.session = resp.Session
		f.mu.Unlock()
	}
}

// pass sends every message of an answer down the client's stream.
func (f *front) pass(x *Exchange, resp *backend.Response) error {
	limit := f.endpoint.server.opts.MaxEventBytes
	if resp.Stream {
		return f.passStream(x, resp.Body, limit)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	switch {
	case err != nil:
		return truncated(f.endpoint.name, err)
	case len(body) > limit:
		return truncated(f.endpoint.name, errEventTooLarge)
	}
	if resp.Status >= http.StatusBadRequest {
		x.fail(reasonBackend, nil)
		body = errorFor(x.message.ID, resp.Status, body)
	}
	f.noteInitialized(x, body)
	return f.answer(x, body)
}

func (f *front) passStream(x *Exchange, body io.Reader, limit int) error {
	events := mcp.NewEventReader(body, limit)
	answered := x == nil // nobody waits for anything on the backend's own stream
	for {
		ev, err := events.Next()
		switch {
		case err != nil && answered:
			return nil
		case err == io.EOF:
			return truncated(f.endpoint.name, errNoAnswer)
		case err != nil:
			return truncated(f.endpoint.name, err)
		}
		if len(ev.Data) == 0 || (ev.Name != "" && ev.Name != "message") {
			continue
		}
		f.noteInitialized(x, ev.Data)
		if !answered && mcp.PeekResponse(ev.Data) {
			answered = true
			f.unclaim(x)
		}
		if err := f.send(ev.Data); err != nil {
			return err
		}
	}
}

// errorFor is a backend's error as the answer to a request. By HTTP the status alone
// may be the answer, or an error that does not know whose it is (its id is null);
// where many requests share a connection, such a one would answer nobody.
func errorFor(id []byte, status int, body []byte) []byte {
	if mcp.CheckAnswer(body, true) == nil && mcp.PeekResponse(body) {
		if own, err := mcp.Member(body, "id"); err == nil && bytes.Equal(own, id) {
			return body
		}
		return mcp.Merge(body, []mcp.Field{{Name: "id", Value: id}})
	}
	if status == http.StatusNotFound {
		return mcp.Errorf(status, mcp.CodeInvalidRequest, "the backend does not know this session any more; connect and initialize again").Append(nil, id)
	}
	return mcp.Errorf(status, mcp.CodeInternal, "the backend answered with status %d", status).Append(nil, id)
}

func truncated(name string, cause error) error {
	return &backend.Failure{
		Public: mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "%s: the backend's answer broke off", name),
		Reason: backend.ReasonBadAnswer,
		Cause:  cause,
	}
}

// noteInitialized remembers the revision that the backend chose.
func (f *front) noteInitialized(x *Exchange, msg []byte) {
	if x == nil || x.message.Method != "initialize" {
		return
	}
	if rev, ok := mcp.NegotiatedRevision(msg); ok {
		f.mu.Lock()
		f.revision, f.elicits = rev, elicitsURL(&x.message)
		f.mu.Unlock()
	}
}

// send sends the client one message.
func (f *front) send(msg []byte) error {
	switch err := f.write(msg); err {
	case nil:
		return nil
	case errNotText:
		return truncated(f.endpoint.name, err)
	default:
		return errClientGone
	}
}

// listen opens the backend's own stream, once, and passes on what comes by it. A
// backend that offers none answers 405. One that ends is opened again.
func (f *front) listen() {
	f.mu.Lock()
	first := !f.listens
	f.listens = true
	req := &backend.Request{Method: http.MethodGet, Session: f.session, Header: http.Header{"Accept": {"text/event-stream"}}}
	if f.revision >= mcp.Rev20250618 {
		req.Header[mcp.HeaderProtocolVersion] = []string{string(f.revision)}
	}
	f.mu.Unlock()
	if !first {
		return
	}
	f.begin(func() {
		for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
			// Each time anew: a credential may have ended with the last stream.
			if f.authorize(f.listening, req) != nil {
				return
			}
			resp, err := f.endpoint.backend.Do(f.listening, req)
			if err == nil {
				ok := resp.Stream && resp.Status == http.StatusOK && f.endpoint.reshape(&Exchange{r: &http.Request{Method: http.MethodGet}, caller: f.who}, resp) == nil
				if ok {
					_ = f.passStream(nil, resp.Body, f.endpoint.server.opts.MaxEventBytes)
				}
				_ = resp.Body.Close()
				if !ok {
					return
				}
			}
			select {
			case <-f.listening.Done():
				return
			case <-time.After(wait):
			}
		}
	})
}
