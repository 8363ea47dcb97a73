package bridge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/era"
	"github.com/sallyport-dev/sallyport/internal/bridge/tasks"
	"github.com/sallyport-dev/sallyport/internal/bridge/wire"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/seal"
)

// Config is all of a [Bridge].
type Config struct {
	Name string // of the resource, as people are told
	Next backend.Backend
	// Speaks is the one revision that the server speaks; "" finds out.
	Speaks mcp.Revision
	// Found, if not nil, hears what the server was found to speak; "" when it has been
	// forgotten.
	Found func(mcp.Revision)
	// Ring seals what clients hold of a conversation. Replicas share its keys.
	Ring     *seal.Ring
	MaxBytes int           // of one message of the server
	Patience time.Duration // that a person has to answer a question; 10 minutes if zero
	Limits   mcp.Limits
	Log      *slog.Logger // nil for none
}

// Bridge is one server, for clients of every revision. It is safe for use by many
// goroutines.
type Bridge struct {
	Config
	eras    *era.Memory
	pool    pool    // sessions of the gateway's own, for modern clients of a legacy server
	waiting waiting // calls of modern clients that a legacy server has a question about
	clients clients // sessions of legacy clients with a modern server
	params  paramHeaders
	tasks   tasks.Tasks // what modern clients reach a modern server by
}

var _ backend.Backend = (*Bridge)(nil)

// New makes a bridge. Nothing is dialled. The bridge closes cfg.Next.
func New(cfg Config) *Bridge {
	if cfg.Patience == 0 {
		cfg.Patience = 10 * time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	b := &Bridge{Config: cfg, eras: era.New(cfg.Speaks), tasks: tasks.Tasks{Name: cfg.Name, Next: cfg.Next, Ring: cfg.Ring, Limits: cfg.Limits, MaxBytes: cfg.MaxBytes}}
	b.pool.init(b)
	b.waiting.init(b)
	b.clients.init(b)
	return b
}

// Do implements [backend.Backend].
func (b *Bridge) Do(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	if isModern(req) {
		return b.doModern(ctx, req)
	}
	return b.doLegacy(ctx, req)
}

// Close implements [backend.Backend].
func (b *Bridge) Close() error {
	b.waiting.close()
	b.clients.close()
	b.pool.close()
	return b.Next.Close()
}

// isModern reports whether a request is of the revisions without sessions.
func isModern(req *backend.Request) bool {
	if req.Message == nil {
		return false
	}
	if req.Message.Meta.HasVersion {
		return mcp.Revision(req.Message.Meta.ProtocolVersion).Modern()
	}
	return mcp.Revision(req.Header.Get(mcp.HeaderProtocolVersion)).Modern()
}

// doModern serves a client without sessions. What the server speaks is not asked before
// it has to be: the request goes as it is, and where it is refused as by a server of the
// other era, it has not been processed.
func (b *Bridge) doModern(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	modern, known := b.eras.Modern()
	if known && !modern {
		resp, err := b.modernToLegacy(ctx, req)
		if !errors.Is(err, errNoSession) {
			return resp, err
		}
		if modern, doubtErr := b.doubt(ctx, false, req); doubtErr != nil || !modern {
			return nil, err
		}
		return b.tasks.Do(ctx, req) // it has become another server since
	}
	resp, err := b.tasks.Do(ctx, req)
	refused, why := b.refusesEra(req, resp, err)
	switch {
	case why != nil:
		return nil, why
	case !refused:
		if !known {
			b.eras.Found(era.ModernKnown | era.ModernYes)
			b.tell(mcp.Rev20260728)
		}
		return resp, err
	}
	modern, doubtErr := b.doubt(ctx, true, req)
	if doubtErr != nil || modern {
		return resp, err // the server's own word about the request
	}
	if resp != nil {
		_ = resp.Body.Close()
	}
	return b.modernToLegacy(ctx, req)
}

// doLegacy serves a client with sessions.
func (b *Bridge) doLegacy(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	if isClientSession(req.Session) {
		return b.legacyToModern(ctx, req)
	}
	if req.Session.ID != "" { // of the server's own
		resp, err := b.Next.Do(ctx, req)
		if req.Message != nil && b.hasUpgraded(resp) {
			_ = resp.Body.Close()
			return nil, b.unknownSession()
		}
		return resp, err
	}
	if req.Message != nil && req.Message.Method == "initialize" {
		return b.initialize(ctx, req)
	}
	if legacy, known := b.eras.Legacy(); known && !legacy {
		return b.legacyToModern(ctx, req)
	}
	return b.Next.Do(ctx, req)
}

// bad is a server's answer that makes no sense.
func (b *Bridge) bad(cause error, what string) *backend.Failure {
	return &backend.Failure{
		Public: mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "%s: %s", b.Name, what),
		Reason: backend.ReasonBadAnswer, Cause: cause,
	}
}

// answerTo reads the response to a request out of an answer, JSON or stream, and
// closes it. What else a stream carries goes to other, which may be nil.
func (b *Bridge) answerTo(resp *backend.Response, other func(message)) (message, error) {
	defer resp.Body.Close()
	if !resp.Stream {
		body, err := io.ReadAll(io.LimitReader(resp.Body, int64(b.MaxBytes)+1))
		switch {
		case err != nil:
			return message{}, b.bad(err, "the backend's answer broke off")
		case len(body) > b.MaxBytes:
			return message{}, b.bad(nil, "the backend's answer is too large")
		}
		batch := [][]byte{body}
		if body := bytes.TrimLeft(body, " \t\r\n"); len(body) > 0 && body[0] == '[' {
			if batch, err = wire.Split(body); err != nil {
				return message{}, b.bad(err, "the backend's answer cannot be read")
			}
		}
		return b.answerIn(batch, other)
	}
	from := b.source(resp)
	for {
		_, m, ok, err := from.Next()
		switch {
		case err != nil:
			return m, b.bad(err, "the backend's answer broke off or cannot be read")
		case !ok:
		case m.Kind == mcp.KindResponse:
			return m, nil
		case other != nil:
			other(m)
		}
	}
}

// answerIn is the response among the messages of an answer.
func (b *Bridge) answerIn(batch [][]byte, other func(message)) (answer message, err error) {
	for _, raw := range batch {
		m, err := wire.Read(raw)
		switch {
		case err != nil:
			return m, b.bad(err, "the backend's answer cannot be read")
		case m.Kind == mcp.KindResponse:
			answer = m
		case other != nil:
			other(m)
		}
	}
	if answer.Kind != mcp.KindResponse {
		return answer, b.bad(nil, "the backend's answer cannot be read")
	}
	return answer, nil
}

// derived is a request that goes out in place of a client's, or by itself: with the
// same private headers.
func derived(of *backend.Request, method string) *backend.Request {
	return &backend.Request{
		Method: method, Header: http.Header{}, Private: of.Private, Signing: of.Signing, Challenges: of.Challenges, Caller: of.Caller,
		Redirected: of.Redirected, Sent: of.Sent,
	}
}

// post makes a request of a message of the gateway's own making.
func (b *Bridge) post(of *backend.Request, raw []byte) (*backend.Request, error) {
	m, refused := mcp.Parse(raw, b.Limits)
	if refused != nil {
		return nil, &backend.Failure{Public: refused, Reason: backend.ReasonBadRequest, Cause: errors.New("a message cannot be made for the other revision")}
	}
	out := derived(of, http.MethodPost)
	out.Header["Accept"] = []string{"application/json, text/event-stream"}
	out.Header["Content-Type"] = jsonType
	out.Body, out.Message = raw, &m
	return out, nil
}

var jsonType = []string{"application/json"}

// source reads a server's stream.
func (b *Bridge) source(resp *backend.Response) source {
	return wire.NewSource(resp.Body, b.MaxBytes)
}
