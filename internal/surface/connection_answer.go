package surface

import (
	"bytes"
	"io"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// This file carries what a backend says to the client of a connection.

// noteState remembers the session that an initialize opened.
func (c *connection) noteState(x *pipeline.Exchange, a *upstream.Answer) {
	if x.Message.Method == "initialize" && a.State != nil {
		c.mu.Lock()
		c.state = a.State
		c.mu.Unlock()
	}
}

// answer sends every message of an answer to the client, whoever made it.
func (c *connection) answer(x *pipeline.Exchange, a *upstream.Answer) error {
	limit := c.s.MaxEventBytes
	if a.Stream {
		return c.passStream(x, a.Body, limit)
	}
	body, err := io.ReadAll(io.LimitReader(a.Body, int64(limit)+1))
	switch {
	case err != nil:
		return truncated(c.e.Name, err)
	case len(body) > limit:
		return truncated(c.e.Name, errEventTooLarge)
	}
	if a.Status >= http.StatusBadRequest {
		x.Fail(pipeline.ReasonBackend, nil)
		body = errorFor(x.Message.ID, a.Status, body)
	}
	c.noteInitialized(x, body)
	return c.last(x, body)
}

func (c *connection) passStream(x *pipeline.Exchange, body io.Reader, limit int) error {
	events := mcp.NewEventReader(body, limit)
	answered := x == nil // nobody waits for anything on the backend's own stream
	for {
		ev, err := events.Next()
		switch {
		case err != nil && answered:
			return nil
		case err == io.EOF:
			return truncated(c.e.Name, errNoAnswer)
		case err != nil:
			return truncated(c.e.Name, err)
		}
		if len(ev.Data) == 0 || (ev.Name != "" && ev.Name != "message") {
			continue
		}
		c.noteInitialized(x, ev.Data)
		if !answered && mcp.PeekResponse(ev.Data) {
			answered = true
			c.unclaim(x)
		}
		if err := c.send(ev.Data); err != nil {
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
func (c *connection) noteInitialized(x *pipeline.Exchange, msg []byte) {
	if x == nil || x.Message.Method != "initialize" {
		return
	}
	if rev, ok := mcp.NegotiatedRevision(msg); ok {
		c.mu.Lock()
		c.revision, c.elicits = rev, elicitsURL(&x.Message)
		c.mu.Unlock()
	}
}

// last sends what ends a request.
func (c *connection) last(x *pipeline.Exchange, msg []byte) error {
	c.unclaim(x)
	return c.send(msg)
}

// send sends the client one message.
func (c *connection) send(msg []byte) error {
	switch err := c.write(msg); err {
	case nil:
		return nil
	case errNotText:
		return truncated(c.e.Name, err)
	default:
		return errClientGone
	}
}

// listen opens the backend's own stream, once, and passes on what comes by it. A
// backend that offers none answers 405. One that ends is opened again.
func (c *connection) listen() {
	c.mu.Lock()
	first := !c.listens
	c.listens = true
	c.mu.Unlock()
	if !first {
		return
	}
	c.begin(func() {
		for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
			call := c.ownCall() // each time anew: a credential may have ended with the last stream
			call.Method = http.MethodGet
			call.Header["Accept"] = []string{"text/event-stream"}
			if !c.prepare(c.listening, call) {
				return
			}
			if a, err := c.e.Listen(c.listening, call); err == nil {
				ok := a.Stream && a.Status == http.StatusOK
				if ok {
					_ = c.passStream(nil, a.Body, c.s.MaxEventBytes)
				}
				a.End("")
				if !ok {
					return
				}
			}
			select {
			case <-c.listening.Done():
				return
			case <-time.After(wait):
			}
		}
	})
}
