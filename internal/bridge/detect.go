package bridge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/bridge/era"
	"github.com/sallyport-dev/sallyport/internal/bridge/wire"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// doubt finds out whether the server speaks a modern revision (MCP 2026-07-28
// versioning), after it refused what it was believed to take: server/discover is asked as
// the caller.
func (b *Bridge) doubt(ctx context.Context, believed bool, req *backend.Request) (modern bool, err error) {
	return b.eras.Doubt(ctx, believed, func() (bool, error) {
		_, modern, err := b.discover(ctx, req)
		if err == nil && modern {
			b.tell(mcp.Rev20260728)
		}
		return modern, err
	})
}

// refusesEra reports whether an answer to a modern request may be that of a server that
// does not speak modern revisions, and has not processed it. why is a failure that says
// nothing about it.
func (b *Bridge) refusesEra(req *backend.Request, resp *backend.Response, err error) (refused bool, why error) {
	if b.eras.Fixed() {
		return false, err
	}
	if err != nil {
		if f, ok := errors.AsType[*backend.Failure](err); ok && (f.Reason == backend.ReasonSession || f.Reason == backend.ReasonBadAnswer && convert.ClientsFault(f.Public.Status)) {
			return true, nil
		}
		return false, err
	}
	if resp.Stream && req.Message.Method == "server/discover" {
		return b.refusesByStream(resp), nil
	}
	if resp.Stream || resp.ContentLength > wire.Peeked || isResult(resp) {
		return false, nil
	}
	if convert.ClientsFault(resp.Status) && resp.ContentLength == 0 {
		return true, nil
	}
	if resp.Status >= http.StatusBadRequest || resp.ContentLength >= 0 {
		body, m, ok := wire.Peek(resp.Body)
		resp.Body = body
		if ok && req.Message.Method == "server/discover" {
			return !convert.Speaks(m.Result, m.Fault), nil
		}
		if ok && resp.Status == http.StatusForbidden {
			return false, nil // what is denied says nothing of eras, whatever its code is
		}
		return ok && convert.NotInitialized(m.Fault) || !ok && convert.ClientsFault(resp.Status), nil
	}
	return false, nil
}

// isResult reports whether an answer cannot be an error, as nearly all are: whatever says
// no has the word in it.
func isResult(resp *backend.Response) bool {
	return resp.Status < http.StatusBadRequest && resp.ContentLength > 0 && int64(len(resp.Ahead)) == resp.ContentLength &&
		!bytes.Contains(resp.Ahead, []byte(`error"`))
}

// refusesByStream reads a whole answer to server/discover that comes as a stream, and
// gives the stream a body that has it again.
func (b *Bridge) refusesByStream(resp *backend.Response) bool {
	from := b.source(resp)
	defer from.Close()
	for {
		raw, m, ok, err := from.Next()
		if err != nil {
			resp.Body = io.NopCloser(errorReader{err})
			return false
		}
		if ok && m.Kind == mcp.KindResponse {
			resp.Body = io.NopCloser(bytes.NewReader(mcp.AppendEvent(nil, mcp.Event{Name: "message", Data: raw})))
			return !convert.Speaks(m.Result, m.Fault)
		}
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func (b *Bridge) tell(found mcp.Revision) {
	if b.Found != nil {
		b.Found(found)
	}
}

// discover asks server/discover. It returns the result of a server that speaks a
// modern revision; a server's answer that says it does not is no error, an answer
// that says nothing about it is: no credential, no answer, too busy.
func (b *Bridge) discover(ctx context.Context, of *backend.Request) (result []byte, modern bool, err error) {
	params := convert.ModernParams(nil, []byte("{}"), convert.OwnInfo(), "")
	req, err := b.post(of, request([]byte("1"), "server/discover", params))
	if err != nil {
		return nil, false, err
	}
	setModernHeaders(req)
	resp, err := b.Next.Do(ctx, req)
	if err != nil {
		if says(err) {
			return nil, false, nil
		}
		return nil, false, err
	}
	m, err := b.answerTo(resp, nil)
	if err != nil {
		return nil, false, nil //nolint:nilerr // what is no answer to server/discover is a legacy server's
	}
	return m.Result, convert.Speaks(m.Result, m.Fault), nil
}

// setModernHeaders adds what a modern request says in its headers (MCP 2026-07-28
// transports).
func setModernHeaders(req *backend.Request) {
	req.Header[mcp.HeaderProtocolVersion] = []string{string(mcp.Rev20260728)}
	req.Header[mcp.HeaderMethod] = []string{req.Message.Method}
	switch req.Message.Method {
	case "tools/call", "prompts/get", "resources/read":
		req.Header[mcp.HeaderName] = []string{mcp.EncodeHeaderValue(req.Message.Target)}
	}
}

// says reports whether a failure may be a legacy server's answer to server/discover.
// A refused credential, a server that is not reached or overloaded say nothing.
func says(err error) bool {
	f, ok := errors.AsType[*backend.Failure](err)
	if !ok {
		return false
	}
	switch f.Reason {
	case backend.ReasonSession, backend.ReasonBadRequest:
		return true
	case backend.ReasonBadAnswer:
		return f.Public.Status < http.StatusInternalServerError || f.Public.Status == http.StatusBadGateway
	}
	return false
}

// initialize opens a session for a legacy client: at the server, if it speaks the
// client's era, or one of the gateway's own. A server that takes the client in but gives
// it no session can ask it nothing, so that its modern revision, if it has one, is the
// better choice.
func (b *Bridge) initialize(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	if legacy, known := b.eras.Legacy(); known && !legacy {
		return b.initializeModern(ctx, req, nil)
	}
	resp, err := b.Next.Do(ctx, req)
	refused, why := refusedInitialize(resp, err)
	modern, known := b.eras.Modern()
	switch {
	case why != nil:
		return nil, why
	case !refused && (resp.Session.ID != "" || known && !modern || b.eras.Fixed()):
		b.eras.Found(era.LegacyKnown | era.LegacyYes)
		return resp, err
	}
	discovered, modern, probeErr := b.discover(ctx, req)
	if probeErr != nil || !modern {
		if !refused {
			b.eras.Found(era.ModernKnown | era.LegacyKnown | era.LegacyYes)
		}
		return resp, err // the server's own word about initialize
	}
	if resp != nil {
		_ = resp.Body.Close()
	}
	b.eras.Store(era.ModernKnown | era.ModernYes | era.LegacyKnown)
	b.tell(mcp.Rev20260728)
	return b.initializeModern(ctx, req, discovered)
}

// errNoSession is why a server that gave sessions gives none: it may be of the other era.
var errNoSession = errors.New("initialize refused")

// hasUpgraded reports whether a server refuses what is sent in one of its sessions since
// it is of the era without them by now.
func (b *Bridge) hasUpgraded(resp *backend.Response) bool {
	if b.eras.Fixed() || resp == nil || resp.Stream || resp.Status != http.StatusBadRequest {
		return false
	}
	body, m, ok := wire.Peek(resp.Body)
	resp.Body = body
	return ok && convert.Speaks(nil, m.Fault)
}

// hasDowngraded reports whether a server refuses a modern request since it is of an era
// with sessions by now, and remembers that.
func (b *Bridge) hasDowngraded(ctx context.Context, req *backend.Request, resp *backend.Response, err error) bool {
	if refused, why := b.refusesEra(req, resp, err); !refused || why != nil {
		return false
	}
	modern, err := b.doubt(ctx, true, req)
	return err == nil && !modern
}

// refusedInitialize reports whether an answer to initialize may be that of a server
// without sessions. why is a failure that says nothing about it.
func refusedInitialize(resp *backend.Response, err error) (refused bool, why error) {
	if err != nil {
		if says(err) {
			return true, nil
		}
		return false, err
	}
	if resp.Stream {
		return false, nil
	}
	if resp.Status >= http.StatusBadRequest {
		return true, nil
	}
	body, m, ok := wire.Peek(resp.Body)
	resp.Body = body
	return ok && m.Fault != nil, nil
}
