package mcp

// Revision is a protocol revision, named by its date. The empty Revision is that
// of a client that did not say.
type Revision string

// The revisions there are.
const (
	Rev20241105 Revision = "2024-11-05" // HTTP+SSE
	Rev20250326 Revision = "2025-03-26" // Streamable HTTP
	Rev20250618 Revision = "2025-06-18" // the MCP-Protocol-Version header
	Rev20251125 Revision = "2025-11-25"
	Rev20260728 Revision = "2026-07-28" // stateless: metadata with every request
)

// Supported returns the revisions the gateway speaks, newest first (REQ F-1).
func Supported() []Revision {
	return []Revision{Rev20260728, Rev20251125, Rev20250618, Rev20250326, Rev20241105}
}

// Known reports whether the gateway speaks r.
func (r Revision) Known() bool {
	switch r {
	case Rev20241105, Rev20250326, Rev20250618, Rev20251125, Rev20260728:
		return true
	}
	return false
}

// Modern reports whether r is of the stateless era, 2026-07-28 or later; r need
// not be known for that.
func (r Revision) Modern() bool {
	return r.isDate() && r >= Rev20260728
}

func (r Revision) isDate() bool {
	if len(r) != len("2026-07-28") {
		return false
	}
	for i := range len(r) {
		if i == 4 || i == 7 {
			if r[i] != '-' {
				return false
			}
		} else if r[i] < '0' || r[i] > '9' {
			return false
		}
	}
	return true
}

// internRevision is Revision(b) as a string, without a copy for known ones.
func internRevision(b []byte) string {
	switch Revision(b) {
	case Rev20260728:
		return string(Rev20260728)
	case Rev20251125:
		return string(Rev20251125)
	case Rev20250618:
		return string(Rev20250618)
	case Rev20250326:
		return string(Rev20250326)
	case Rev20241105:
		return string(Rev20241105)
	}
	return string(b)
}
