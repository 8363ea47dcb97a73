package convert

import (
	"net/http"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// This file has by what a server is known to be of one era or the other.

// Common reports the methods that servers of both eras know.
func Common(method string) bool {
	return Asks(method) || mcp.IsList(method) || method == "completion/complete"
}

// ClientsFault reports the statuses by which servers refuse what they do not speak.
func ClientsFault(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusUnsupportedMediaType:
		return true
	}
	return false
}

// NotInitialized reports the errors by which servers refuse a request that belongs to
// no session.
func NotInitialized(fault []byte) bool {
	if fault == nil {
		return false
	}
	switch Code(fault) {
	case mcp.CodeUnsupportedVersion, codeEarlyVersion:
		return !hasModern(mcp.Path(fault, "data", "supported"))
	case mcp.CodeInvalidRequest, mcp.CodeMethodNotFound, mcp.CodeInvalidParams, -32000, -32001:
		return true
	}
	return false
}

// Speaks reports whether an answer to server/discover is that of a server that
// speaks a modern revision which the gateway speaks too.
func Speaks(result, fault []byte) bool {
	switch Code(fault) {
	case mcp.CodeHeaderMismatch, mcp.CodeMissingCapability:
		return result == nil // only a modern server knows these
	case mcp.CodeUnsupportedVersion, codeEarlyVersion:
		return result == nil && hasModern(mcp.Path(fault, "data", "supported"))
	}
	if result == nil {
		return false
	}
	versions := mcp.Path(result, "supportedVersions")
	return versions == nil || hasModern(versions) // whoever answers has understood
}

func hasModern(versions []byte) bool {
	list, ok := mcp.Texts(versions)
	return ok && slices.Contains(list, string(mcp.Rev20260728))
}
