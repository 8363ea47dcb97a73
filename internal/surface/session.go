package surface

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
)

// sessionElicits is a bit of a sealed session's flags.
const sessionElicits = 1

const (
	sessionPurpose  = "mcp-session"
	sessionVersion  = 3
	sessionLifetime = 7 * 24 * time.Hour
)

// sealSession makes the id of a session for its client. The id is the session itself,
// sealed, so the gateway keeps nothing per session and every replica with the key can
// carry on. It is good for the endpoint, the target and the caller it was made for, and
// until it expires. Passthrough values live in it alone (REQ E-5).
func (s *Surfaces) sealSession(e *pipeline.Endpoint, cs *pipeline.Session, caller string, now time.Time) string {
	b := make([]byte, 0, 256)
	b = append(b, sessionVersion)
	b = binary.AppendVarint(b, now.Add(sessionLifetime).Unix())
	if cs.Elicits {
		b = append(b, sessionElicits)
	} else {
		b = append(b, 0)
	}
	for _, f := range []string{e.Name, e.Target.Key(), caller, string(cs.State)} {
		b = appendField(b, f)
	}
	for name, values := range cs.Captured {
		for _, v := range values {
			b = appendField(appendField(b, name), v)
		}
	}
	return s.Ring.Seal(sessionPurpose, b)
}

// openSession is what sealSession sealed.
func (s *Surfaces) openSession(e *pipeline.Endpoint, id, caller string, now time.Time) (cs pipeline.Session, ok bool) {
	plain, ok := s.Ring.Open(sessionPurpose, id)
	if !ok {
		return cs, false
	}
	f := fields{rest: plain}
	if f.byte() != sessionVersion || now.Unix() >= f.varint() {
		return cs, false
	}
	flags := f.byte()
	if string(f.next()) != e.Name || string(f.next()) != e.Target.Key() || string(f.next()) != caller {
		return cs, false
	}
	cs = pipeline.Session{ID: id, State: f.next(), Elicits: flags&sessionElicits != 0}
	for len(f.rest) > 0 && !f.bad {
		if cs.Captured == nil {
			cs.Captured = http.Header{}
		}
		name := string(f.next())
		cs.Captured[name] = append(cs.Captured[name], string(f.next()))
	}
	return cs, !f.bad && e.Target.Knows(cs.State)
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

func (f *fields) next() []byte {
	n, w := binary.Uvarint(f.rest)
	if w <= 0 || n > uint64(len(f.rest)-w) {
		f.bad, f.rest = true, nil
		return nil
	}
	v := f.rest[w : w+int(n) : w+int(n)]
	f.rest = f.rest[w+int(n):]
	return v
}

// sessionHeader is what the client is told of a session id in an answer: its own
// id again where the session is the one it presented, or a new one.
func (q *request) sessionHeader(state []byte) []string {
	if bytes.Equal(state, q.Session.State) {
		return []string{q.Session.ID}
	}
	q.e.Metrics.SessionOpened()
	cs := pipeline.Session{State: state, Captured: q.Call.Captured, Elicits: q.Message.Method == "initialize" && elicitsURL(&q.Message)}
	return []string{q.s.sealSession(q.e, &cs, q.CallerKey(), time.Now())}
}

// elicitsURL reads from an initialize request whether its client can be sent to a
// URL (MCP 2025-11-25 elicitation).
func elicitsURL(m *mcp.Envelope) bool {
	return mcp.HasObject(m.Bytes(m.Params), "capabilities", "elicitation", "url")
}
