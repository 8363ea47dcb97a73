package mcp

import "net/http"

// Era returns the revision that a POST with header h and message e speaks; "" is
// a legacy client that did not say. It refuses a revision the gateway does not
// know, and header and body that speak different ones (MCP 2026-07-28 transports,
// Protocol Version Header; MCP 2025-11-25 transports).
func Era(h http.Header, e *Envelope) (Revision, *Error) {
	values := h[HeaderProtocolVersion]
	if len(values) > 1 {
		return "", headerMismatch("%s is there more than once", HeaderProtocolVersion)
	}
	if len(values) == 0 {
		if e.Meta.HasVersion {
			return "", headerMismatch("%s is missing, but the message's _meta has a protocol version", HeaderProtocolVersion)
		}
		return "", nil
	}
	rev := Revision(values[0])
	if e.Meta.HasVersion && e.Meta.ProtocolVersion != string(rev) {
		return "", headerMismatch("%s and the protocol version in the message's _meta differ", HeaderProtocolVersion)
	}
	if !rev.Known() {
		return "", UnsupportedVersion(string(rev))
	}
	if !rev.Modern() || e.Kind != KindRequest {
		return rev, nil
	}
	if !e.Meta.HasVersion {
		return "", missingMeta(metaProtocolVersion)
	}
	if !e.Meta.HasClientCapabilities {
		return "", missingMeta(metaClientCapabilities)
	}
	return rev, nil
}

// CheckHeaders refuses a POST whose Mcp-Method or Mcp-Name says something else
// than its message, and a modern request that lacks them. Older revisions have no
// such headers, but whoever sends them must mean them (REQ F-5): somebody on the
// way may have gone by the header. Call it after Era.
func CheckHeaders(h http.Header, e *Envelope) *Error {
	modern := e.Kind == KindRequest && Revision(h.Get(HeaderProtocolVersion)).Modern()
	if err := checkMethod(h[HeaderMethod], e, modern); err != nil {
		return err
	}
	return checkName(h[HeaderName], e, modern)
}

func checkMethod(values []string, e *Envelope, required bool) *Error {
	switch {
	case len(values) > 1:
		return headerMismatch("%s is there more than once", HeaderMethod)
	case len(values) == 0 && required:
		return headerMismatch("%s is missing", HeaderMethod)
	case len(values) == 1 && values[0] != e.Method:
		return headerMismatch("%s is not the message's method", HeaderMethod)
	}
	return nil
}

func checkName(values []string, e *Envelope, required bool) *Error {
	if len(values) > 1 {
		return headerMismatch("%s is there more than once", HeaderName)
	}
	if len(values) == 0 {
		if required && needsNameHeader(e.Method) && e.TargetSpan.Present() {
			return headerMismatch("%s is missing", HeaderName)
		}
		return nil
	}
	if targetParam(e.Method) == "" {
		if e.Method != "" && !isKnownMethod(e.Method) {
			return nil // an extension's method may name something by rules of its own
		}
		return headerMismatch("%s is there, but the message names nothing", HeaderName)
	}
	name, err := DecodeHeaderValue(values[0])
	if err != nil {
		return headerMismatch("%s cannot be read: %v", HeaderName, err)
	}
	if !e.TargetSpan.Present() || name != e.Target {
		return headerMismatch("%s is not the name in the message", HeaderName)
	}
	return nil
}

func headerMismatch(format string, args ...any) *Error {
	return Errorf(http.StatusBadRequest, CodeHeaderMismatch, format, args...)
}

func missingMeta(key string) *Error {
	return Errorf(http.StatusBadRequest, CodeInvalidParams, "params._meta has no valid %s", key)
}
