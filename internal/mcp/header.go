package mcp

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"
)

// MCP's HTTP headers, in the form of http.Header keys.
const (
	HeaderSessionID       = "Mcp-Session-Id"
	HeaderProtocolVersion = "Mcp-Protocol-Version"
	HeaderMethod          = "Mcp-Method"
	HeaderName            = "Mcp-Name"
	HeaderParamPrefix     = "Mcp-Param-"
	HeaderLastEventID     = "Last-Event-Id"
)

// IsProtocolHeader reports the headers of a request that are the protocol's own. Other
// names that begin like them are not: somebody may have chosen one for an identity.
func IsProtocolHeader(name string) bool {
	switch name {
	case "Accept", "Content-Type", HeaderLastEventID, HeaderSessionID, HeaderProtocolVersion, HeaderMethod, HeaderName:
		return true
	}
	return strings.HasPrefix(name, HeaderParamPrefix)
}

// The markers around a header value that could not stand there as it is. They are
// case-sensitive (MCP 2026-07-28 transports, Value Encoding).
const (
	sentinelStart = "=?base64?"
	sentinelEnd   = "?="
)

var (
	errHeaderChars  = errors.New("decode header value: it has characters that must be base64-encoded")
	errHeaderBase64 = errors.New("decode header value: it is not valid base64")
	errHeaderUTF8   = errors.New("decode header value: it does not decode to UTF-8")
)

// DecodeHeaderValue returns what an Mcp-Name or Mcp-Param-* header value stands
// for. A plain value is visible ASCII, spaces and tabs; everything else has to
// come encoded. The errors do not repeat the value.
func DecodeHeaderValue(v string) (string, error) {
	for i := range len(v) {
		if c := v[i]; (c < 0x20 && c != '\t') || c > 0x7e {
			return "", errHeaderChars
		}
	}
	if !looksEncoded(v) {
		return v, nil
	}
	if len(v) < len(sentinelStart)+len(sentinelEnd) { // "=?base64?=": the markers share a character
		return "", errHeaderBase64
	}
	b, err := base64.StdEncoding.Strict().DecodeString(v[len(sentinelStart) : len(v)-len(sentinelEnd)])
	if err != nil {
		return "", errHeaderBase64
	}
	if !utf8.Valid(b) {
		return "", errHeaderUTF8
	}
	return string(b), nil
}

// EncodeHeaderValue returns v in a form that can stand in a header: itself if it
// is plain, else base64 between the markers. v is UTF-8.
func EncodeHeaderValue(v string) string {
	plain := !looksEncoded(v) && strings.Trim(v, " ") == v
	for i := 0; plain && i < len(v); i++ {
		plain = v[i] >= 0x20 && v[i] <= 0x7e // a tab is legal, but some hop may fold it into a space
	}
	if plain {
		return v
	}
	return sentinelStart + base64.StdEncoding.EncodeToString([]byte(v)) + sentinelEnd
}

func looksEncoded(v string) bool {
	return strings.HasPrefix(v, sentinelStart) && strings.HasSuffix(v, sentinelEnd)
}
