package upstream

import (
	"bytes"
	"crypto/sha256"
	"io"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// eventPurpose is what event ids are sealed for.
const eventPurpose = "event id"

// ownerLen is how many bytes tell in a sealed id whose it is.
const ownerLen = 16

// ownerOf tells whose event ids are: those of the server's session that they came in. A
// server that keeps events apart by their ids alone would otherwise replay one caller's
// to another (REQ G-1). Where there are no sessions a server tells callers apart by
// nothing, and ids stay its own.
func ownerOf(s backend.Session) []byte {
	sum := sha256.Sum256([]byte(s.Origin + "\x00" + s.ID))
	return sum[:ownerLen]
}

// resume opens the id of the last event that the client has got. One that was not
// sealed for it is not presented to the server: the stream begins anew.
func (u *Upstream) resume(c *Call) {
	ids := c.Header[mcp.HeaderLastEventID]
	if u.Ring == nil || c.Session.ID == "" || len(ids) == 0 {
		return
	}
	delete(c.Header, mcp.HeaderLastEventID)
	if len(ids) != 1 {
		return
	}
	plain, ok := u.Ring.Open(eventPurpose, ids[0])
	if id, mine := bytes.CutPrefix(plain, ownerOf(c.Session)); ok && mine {
		c.Header[mcp.HeaderLastEventID] = []string{string(id)}
	}
}

// sealIDs seals the ids of an answer's events, in the revisions in which a client may
// come back with one.
func (u *Upstream) sealIDs(c *Call, resp *backend.Response) {
	session := c.Session
	if resp.Session.ID != "" {
		session = resp.Session
	}
	if u.Ring == nil || session.ID == "" || !resp.Stream || c.Revision.Modern() {
		return
	}
	var owner []byte // most streams have no ids
	resp.Body = sealedStream{resp.Body, mcp.ChangeIDs(resp.Body, func(id string) string {
		if owner == nil {
			owner = ownerOf(session)
		}
		return u.Ring.Seal(eventPurpose, append(owner[:ownerLen:ownerLen], id...))
	})}
	resp.ContentLength = -1
}

// sealedStream is an event stream with sealed ids.
type sealedStream struct {
	io.Closer
	io.Reader
}
