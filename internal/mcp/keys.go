package mcp

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	metaPrefix             = "io.modelcontextprotocol/"
	metaProtocolVersion    = metaPrefix + "protocolVersion"
	metaClientCapabilities = metaPrefix + "clientCapabilities"
	metaProgressToken      = "progressToken"
	metaTraceParent        = "traceparent"
	metaTraceState         = "tracestate"
)

// keySet are the keys of one object that mean something to the protocol. Some
// JSON readers match keys without regard to case (Go's encoding/json does), so a
// key that differs from one of these in case alone is another message to them. So is
// one with control characters, which others end a text at, or leave out.
type keySet uint8

const (
	topKeys   keySet = iota // of the message
	paramKeys               // of params
	metaKeys                // of params._meta
)

// match returns the key of the set that name is. With variant, name is not that
// key but looks like it to a reader that ignores case. "" is none of the set.
func (s keySet) match(name []byte) (key string, variant bool) {
	switch s {
	case topKeys:
		return matchTop(name)
	case paramKeys:
		return matchParam(name)
	default:
		return matchMeta(name)
	}
}

func matchTop(name []byte) (string, bool) {
	switch string(name) {
	case "jsonrpc":
		return "jsonrpc", false
	case "id":
		return "id", false
	case "method":
		return "method", false
	case "params":
		return "params", false
	case "result":
		return "result", false
	case "error":
		return "error", false
	}
	return variantOf(name, "jsonrpc", "id", "method", "params", "result", "error")
}

func matchParam(name []byte) (string, bool) {
	switch string(name) {
	case "name":
		return "name", false
	case "arguments":
		return "arguments", false
	case "_meta":
		return "_meta", false
	case "uri":
		return "uri", false
	case "taskId":
		return "taskId", false
	case "cursor", "ref", "requestState", "inputResponses", "protocolVersion", "capabilities", "clientInfo":
		return "", false
	}
	return variantOf(name, "name", "arguments", "_meta", "uri", "taskId", "cursor", "ref",
		"requestState", "inputResponses", "protocolVersion", "capabilities", "clientInfo")
}

func matchMeta(name []byte) (string, bool) {
	switch string(name) {
	case metaProtocolVersion:
		return metaProtocolVersion, false
	case metaClientCapabilities:
		return metaClientCapabilities, false
	case metaProgressToken:
		return metaProgressToken, false
	case metaTraceParent:
		return metaTraceParent, false
	case metaTraceState:
		return metaTraceState, false
	case metaPrefix + "clientInfo", metaPrefix + "logLevel", metaPrefix + "subscriptionId",
		metaPrefix + "serverInfo", metaPrefix + "related-task":
		return "", false
	}
	if key, variant := variantOf(name, metaProgressToken, metaProtocolVersion, metaClientCapabilities,
		metaPrefix+"clientInfo", metaPrefix+"logLevel", metaPrefix+"subscriptionId",
		metaPrefix+"serverInfo", metaPrefix+"related-task"); variant {
		return key, true
	}
	// A key that the specification may add: its prefix at least has one spelling.
	if i := strings.IndexByte(string(name), '/'); i >= 0 {
		if _, variant := variantOf(name[:i+1], metaPrefix); variant {
			return metaPrefix, true
		}
	}
	return "", false
}

// variantOf returns the key that name equals without regard to case and to control
// characters, if name is not the key itself. For a reader in C a text ends at NUL.
func variantOf(name []byte, keys ...string) (string, bool) {
	seen := name
	if bytes.IndexFunc(name, unicode.IsControl) >= 0 {
		seen = bytes.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return -1
			}
			return r
		}, name)
	}
	for _, k := range keys {
		if string(name) != k && foldEqual(seen, k) {
			return k, true
		}
	}
	return "", false
}

// foldEqual is strings.EqualFold, quick to say no to ASCII of another length or
// beginning. Letters beyond ASCII can fold to ASCII ones: ſ is an s.
func foldEqual(name []byte, key string) bool {
	if len(name) > len(key)*utf8.UTFMax {
		return false
	}
	for i, c := range name {
		if c >= utf8.RuneSelf {
			return strings.EqualFold(string(name), key)
		}
		if i >= len(key) || lower(c) != lower(key[i]) {
			return false
		}
	}
	return len(name) == len(key)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
