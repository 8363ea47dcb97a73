package duplex

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/version"
)

const (
	// probeTimeout is how long a server may take to say which revisions it speaks.
	probeTimeout = 5 * time.Second
	// legacyMemory is how long a server that turned out to speak only older
	// revisions is not asked again. It may have been slow, or may be replaced.
	legacyMemory = 5 * time.Minute
)

// errLegacyOnly is a server that does not speak 2026-07-28.
var errLegacyOnly = errors.New("the server speaks only revisions with initialize")

// discoverID cannot be the id of a client's request, which is a number here.
const discoverID = `"sallyport-discover"`

// discover asks a server what it speaks.
func discover() []byte {
	return []byte(`{"jsonrpc":"2.0","id":` + discoverID + `,"method":"server/discover","params":{"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"` + string(mcp.Rev20260728) + `",` +
		`"io.modelcontextprotocol/clientInfo":{"name":"sallyport","version":` + strconv.Quote(version.Version()) + `},` +
		`"io.modelcontextprotocol/clientCapabilities":{}}}}`)
}

// greet implements user: the server is asked before it gets a request, so that
// one of older revisions does not take that for its own (MCP 2026-07-28, stdio,
// Backward Compatibility).
func (s *shared) greet(ctx context.Context) *backend.Failure {
	s.mu.Lock()
	s.users = users{} // a new server knows nobody
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	m, f := s.ask(ctx, []byte(discoverID), outbound{body: discover()})
	if f == nil && speaksModern(m) {
		return nil
	}
	if s.ctx.Err() != nil {
		return f
	}
	s.mu.Lock()
	s.legacyUntil = time.Now().Add(legacyMemory)
	s.mu.Unlock()
	s.log.Debug("server speaks only revisions with initialize")
	return backend.Fail(s.name, http.StatusBadRequest, backend.ReasonBadAnswer, errLegacyOnly, "the server does not speak revision 2026-07-28")
}

// speaksModern reads the answer to discover. An error counts as modern only where
// it lists a modern revision: every other one is what older servers say to a method
// they do not know, and no particular code.
func speaksModern(m message) bool {
	in, key := m.result, "supportedVersions"
	if m.failed() {
		const early = -32004 // before the codes were renumbered
		switch m.code() {
		case mcp.CodeUnsupportedVersion, early:
			in, key = member(m.raw, m.fault, "data"), "supported"
		case mcp.CodeMissingCapability, mcp.CodeHeaderMismatch:
			return true // only a modern server knows these
		default:
			return false
		}
	}
	list := member(m.raw, in, key)
	var versions []mcp.Revision
	if !list.Present() || json.Unmarshal(m.bytes(list), &versions) != nil {
		return false
	}
	return slices.ContainsFunc(versions, mcp.Revision.Modern)
}

// legacyOnly reports whether the server is known not to speak 2026-07-28.
func (s *shared) legacyOnly() bool {
	if !s.opener.modern() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.legacyUntil)
}

// onlyLegacy tells a client of both eras to initialize.
func onlyLegacy(req *backend.Request) *mcp.Error {
	supported := slices.DeleteFunc(mcp.Supported(), mcp.Revision.Modern)
	requested := req.Message.Meta.ProtocolVersion
	if !req.Message.Meta.HasVersion {
		requested = req.Header.Get(mcp.HeaderProtocolVersion)
	}
	e := mcp.Errorf(http.StatusBadRequest, mcp.CodeUnsupportedVersion, "this server speaks only revisions with initialize; see data.supported")
	e.Data, _ = json.Marshal(map[string]any{"supported": supported, "requested": requested}) // strings alone: cannot fail
	return e
}
