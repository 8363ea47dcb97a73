package names

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/seal"
)

// Tasks are the ids of tasks as clients know them (MCP 2026-07-28, extension for tasks): each
// says, sealed, which member's it is and who may have it.
type Tasks struct{ Ring *seal.Ring }

const (
	taskPurpose = "mcp-virtual-task"
	holderBytes = 16
)

// Public is the id by which a client knows a member's task: always the same.
func (t Tasks) Public(client, member, own string) string {
	holder := sha256.Sum256([]byte(client))
	b := binary.AppendUvarint(holder[:holderBytes:holderBytes], uint64(len(member)))
	return t.Ring.SealSame(taskPurpose, append(append(b, member...), own...))
}

// Own finds the member of a task, and its id there. It finds nothing for an id that was not
// given to this client.
func (t Tasks) Own(client, public string) (member, own string, ok bool) {
	plain, ok := t.Ring.Open(taskPurpose, public)
	holder := sha256.Sum256([]byte(client))
	if !ok || len(plain) < holderBytes || string(plain[:holderBytes]) != string(holder[:holderBytes]) {
		return "", "", false
	}
	n, w := binary.Uvarint(plain[holderBytes:])
	rest := plain[holderBytes+max(w, 0):]
	if w <= 0 || n > uint64(len(rest)) {
		return "", "", false
	}
	return string(rest[:n]), string(rest[n:]), true
}

// Rename has an object name its task as the client knows it.
func (t Tasks) Rename(client, member string, object []byte) []byte {
	own, ok := mcp.Text(mcp.Path(object, "taskId"))
	if !ok {
		return object
	}
	return mcp.Merge(object, []mcp.Field{{Name: "taskId", Value: mcp.Quote(t.Public(client, member, own))}})
}
