package gateway

import (
	"encoding/binary"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/seal"
)

// clientSession is what a session id says that a client presents. The id that the
// client holds is this value sealed, so the gateway keeps nothing per session and
// every replica with the key can carry on.
type clientSession struct {
	presented string // the sealed id as the client sent it; "" when there is no session

	backend backend.Session
	// captured are the passthrough values that the session began with; they do not
	// change in it (REQ E-4). They live in the sealed id alone (REQ E-5).
	captured http.Header
	// elicits says that the client can be sent to a URL (elicitation.url).
	elicits bool
}

// sealer makes and opens one endpoint's session ids. An id is good for the
// endpoint, the backend and the caller it was made for, and until it expires.
type sealer struct {
	ring       *seal.Ring
	endpoint   string
	backendKey string
}

// sessionElicits is a bit of a sealed session's flags.
const sessionElicits = 1

const (
	sessionPurpose  = "mcp-session"
	sessionVersion  = 2
	sessionLifetime = 7 * 24 * time.Hour

	// maxCaptured bounds the passthrough values of one session, in bytes: the
	// client sends them back, inside the id, with every request.
	maxCaptured = 4 << 10
)

// openSession unseals the session id that the client presents. An id the gateway
// did not make, or made for somebody else, is unknown: 404 tells the client to
// begin a new session (L12). Modern requests have no sessions (M1).
func (e *Endpoint) openSession(x *Exchange) *mcp.Error {
	switch {
	case x.socket != nil:
		return x.socket.admit(x)
	case x.surface == surfaceMessages:
		return e.findFront(x)
	case x.surface == surfaceSSE || x.surface == surfaceSocket || x.list != nil || x.revision.Modern():
		return nil
	}
	values := x.r.Header[mcp.HeaderSessionID]
	switch len(values) {
	case 0:
		return nil
	case 1:
	default:
		return mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest, "%s is there more than once", mcp.HeaderSessionID)
	}
	s, ok := e.sessions.open(values[0], x.caller.Key(), time.Now())
	if !ok {
		return unknownSession()
	}
	x.session = s
	return nil
}

func unknownSession() *mcp.Error {
	return mcp.Errorf(http.StatusNotFound, mcp.CodeInvalidRequest, "unknown session; initialize again")
}

// seal makes the session id for a session that the backend opened.
func (s sealer) seal(cs clientSession, caller string, now time.Time) string {
	b := make([]byte, 0, 256)
	b = append(b, sessionVersion)
	b = binary.AppendVarint(b, now.Add(sessionLifetime).Unix())
	if cs.elicits {
		b = append(b, sessionElicits)
	} else {
		b = append(b, 0)
	}
	for _, f := range []string{s.endpoint, s.backendKey, caller, cs.backend.ID, cs.backend.Origin} {
		b = appendField(b, f)
	}
	for name, values := range cs.captured {
		for _, v := range values {
			b = appendField(appendField(b, name), v)
		}
	}
	return s.ring.Seal(sessionPurpose, b)
}

func (s sealer) open(id, caller string, now time.Time) (clientSession, bool) {
	plain, ok := s.ring.Open(sessionPurpose, id)
	if !ok {
		return clientSession{}, false
	}
	f := fields{rest: plain}
	if f.byte() != sessionVersion || now.Unix() >= f.varint() {
		return clientSession{}, false
	}
	flags := f.byte()
	if f.next() != s.endpoint || f.next() != s.backendKey || f.next() != caller {
		return clientSession{}, false
	}
	cs := clientSession{presented: id, backend: backend.Session{ID: f.next(), Origin: f.next()}, elicits: flags&sessionElicits != 0}
	for len(f.rest) > 0 && !f.bad {
		if cs.captured == nil {
			cs.captured = http.Header{}
		}
		name := f.next()
		cs.captured[name] = append(cs.captured[name], f.next())
	}
	return cs, !f.bad
}

// fields reads what appendField wrote. After a field that does not fit, bad is
// set and every further one is empty.
type fields struct {
	rest []byte
	bad  bool
}

func appendField(b []byte, f string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(f))), f...)
}

func (f *fields) byte() byte {
	if len(f.rest) == 0 {
		f.bad = true
		return 0
	}
	c := f.rest[0]
	f.rest = f.rest[1:]
	return c
}

func (f *fields) varint() int64 {
	v, n := binary.Varint(f.rest)
	if n <= 0 {
		f.bad, f.rest = true, nil
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

func (f *fields) next() string {
	n, w := binary.Uvarint(f.rest)
	if w <= 0 || n > uint64(len(f.rest)-w) {
		f.bad, f.rest = true, nil
		return ""
	}
	v := string(f.rest[w : w+int(n)])
	f.rest = f.rest[w+int(n):]
	return v
}

// sessionHeader is what the client is told of a session id in an answer: its own
// id again where the backend repeats the one it was asked with, or a new one.
func (e *Endpoint) sessionHeader(x *Exchange, issued backend.Session, captured http.Header) []string {
	if issued == x.session.backend {
		return []string{x.session.presented}
	}
	e.metrics.SessionOpened()
	cs := clientSession{backend: issued, captured: captured, elicits: x.message.Method == "initialize" && elicitsURL(&x.message)}
	return []string{e.sessions.seal(cs, x.caller.Key(), time.Now())}
}

// headerSize is the size of a header set in bytes.
func headerSize(h http.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n
}
