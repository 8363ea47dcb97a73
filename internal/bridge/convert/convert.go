package convert

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/version"
)

// Keys of _meta (MCP 2026-07-28 basic).
const (
	metaPrefix       = "io.modelcontextprotocol/"
	metaVersion      = metaPrefix + "protocolVersion"
	MetaCapabilities = metaPrefix + "clientCapabilities"
	MetaClientInfo   = metaPrefix + "clientInfo"
	metaServerInfo   = metaPrefix + "serverInfo"
	MetaLogLevel     = metaPrefix + "logLevel"
	MetaSubscription = metaPrefix + "subscriptionId"
)

// Codes that some revisions alone know.
const (
	codeResourceNotFound = -32002 // until 2025-11-25; -32602 since
	codeEarlyCapability  = -32003 // what -32021 was in drafts
	codeEarlyVersion     = -32004 // what -32022 was in drafts
)

// OwnInfo is what the gateway calls itself where it is a client or a server itself.
func OwnInfo() []byte {
	return append(mcp.AppendQuote([]byte(`{"name":"sallyport","version":`), version.Version()), '}')
}

// cacheable reports whether complete results of a method have caching hints
// (MCP 2026-07-28 caching).
func cacheable(method string) bool {
	return mcp.IsList(method) || method == "resources/read" || method == "server/discover"
}

// Asks reports whether the answer to a method may be that the server needs to know
// something first (MCP 2026-07-28 multi round-trip requests).
func Asks(method string) bool {
	return method == "tools/call" || method == "prompts/get" || method == "resources/read"
}

// IsQuestion reports whether a server may ask this of a client.
func IsQuestion(method string) bool {
	return method == "elicitation/create" || method == "sampling/createMessage" || method == "roots/list"
}

// ModernParams are a legacy request's params as a modern server wants them.
func ModernParams(params, capabilities, info []byte, level string) []byte {
	fields := []mcp.Field{field(metaVersion, mcp.Quote(string(mcp.Rev20260728))), field(MetaCapabilities, capabilities)}
	if info != nil {
		fields = append(fields, field(MetaClientInfo, info))
	}
	if level != "" {
		fields = append(fields, field(MetaLogLevel, mcp.Quote(level)))
	}
	return with(params, field("_meta", with(mcp.Path(params, "_meta"), fields...)))
}

// LegacyParams are a modern request's params as a legacy server wants them, with the
// progress token under which the server is to report; nil for none.
func LegacyParams(params, token []byte) []byte {
	if params == nil {
		return nil
	}
	meta := mcp.Without(mcp.Path(params, "_meta"), func(key string) bool {
		return strings.HasPrefix(key, metaPrefix)
	})
	if token != nil {
		meta = with(meta, field("progressToken", token))
	}
	params = mcp.Without(params, func(key string) bool {
		return key == "inputResponses" || key == "requestState" || key == "_meta" && (meta == nil || string(meta) == "{}")
	})
	if meta != nil && string(meta) != "{}" {
		params = with(params, field("_meta", meta))
	}
	return params
}

// ModernResult is a legacy server's result as a modern client wants it.
func ModernResult(method string, result, serverInfo []byte) []byte {
	if method == "tools/list" {
		result = modernTools(result)
	}
	fields := []mcp.Field{field("resultType", []byte(`"complete"`))}
	if cacheable(method) {
		// Nothing is known of how long it is good, nor whether it is for everybody.
		fields = append(fields, field("ttlMs", []byte("0")), field("cacheScope", []byte(`"private"`)))
	}
	if serverInfo != nil && mcp.Path(result, "_meta", metaServerInfo) == nil {
		fields = append(fields, field("_meta", with(mcp.Path(result, "_meta"), field(metaServerInfo, serverInfo))))
	}
	return with(result, fields...)
}

// LegacyResult is a modern server's complete result as a legacy client wants it, but for
// tools, which are [LegacyTools].
func LegacyResult(method string, result []byte) []byte {
	result = mcp.Without(result, func(key string) bool {
		return key == "resultType" || key == "ttlMs" || key == "cacheScope"
	})
	if method == "tools/call" {
		return legacyStructured(result)
	}
	return result
}

// legacyStructured makes text of structured content that is no object.
func legacyStructured(result []byte) []byte {
	structured := mcp.Path(result, "structuredContent")
	if structured == nil || mcp.HasObject(structured) {
		return result
	}
	result = mcp.Without(result, func(key string) bool { return key == "structuredContent" })
	if content := mcp.Path(result, "content"); content == nil || string(content) == "[]" {
		block := append(mcp.AppendQuote([]byte(`[{"type":"text","text":`), string(structured)), `}]`...)
		result = with(result, field("content", block))
	}
	return result
}

// DiscoverResult makes the answer to server/discover of that to initialize.
func DiscoverResult(initialized []byte) []byte {
	versions := []byte{'['}
	for i, r := range mcp.Supported() {
		if i > 0 {
			versions = append(versions, ',')
		}
		versions = mcp.AppendQuote(versions, string(r))
	}
	fields := []mcp.Field{
		field("resultType", []byte(`"complete"`)),
		field("supportedVersions", append(versions, ']')),
		field("capabilities", CommonCapabilities(mcp.Path(initialized, "capabilities"))),
		field("ttlMs", []byte("0")), field("cacheScope", []byte(`"private"`)),
	}
	if instructions := mcp.Path(initialized, "instructions"); instructions != nil {
		fields = append(fields, field("instructions", instructions))
	}
	if info := mcp.Path(initialized, "serverInfo"); info != nil {
		fields = append(fields, field("_meta", with(nil, field(metaServerInfo, info))))
	}
	return with(nil, fields...)
}

// InitializeResult makes the answer to initialize of that to server/discover.
func InitializeResult(discovered []byte, rev mcp.Revision) []byte {
	info := mcp.Path(discovered, "_meta", metaServerInfo)
	if info == nil {
		info = OwnInfo()
	}
	fields := []mcp.Field{
		field("protocolVersion", mcp.Quote(string(rev))),
		field("capabilities", CommonCapabilities(mcp.Path(discovered, "capabilities"))),
		field("serverInfo", info),
	}
	if instructions := mcp.Path(discovered, "instructions"); instructions != nil {
		fields = append(fields, field("instructions", instructions))
	}
	return with(nil, fields...)
}

// MetaTasks is the extension for tasks (MCP 2026-07-28). Those of 2025-11-25 differ on
// the wire, so that neither is offered to the other era.
const MetaTasks = metaPrefix + "tasks"

// CommonCapabilities are those, of a client or a server, that are the same in both
// eras.
func CommonCapabilities(capabilities []byte) []byte {
	if !mcp.HasObject(capabilities) {
		return []byte("{}")
	}
	capabilities = mcp.Without(capabilities, func(key string) bool { return key == "tasks" })
	if extensions := mcp.Path(capabilities, "extensions"); mcp.Path(extensions, MetaTasks) != nil {
		extensions = mcp.Without(extensions, func(key string) bool { return key == MetaTasks })
		capabilities = with(capabilities, field("extensions", extensions))
	}
	return capabilities
}

// ClientCapabilities are a client's capabilities for a server of the other era, as far as
// the older of the two revisions, rev, has them.
func ClientCapabilities(capabilities []byte, rev mcp.Revision) []byte {
	capabilities = CommonCapabilities(capabilities)
	if rev < mcp.Rev20250618 {
		capabilities = mcp.Without(capabilities, func(key string) bool { return key == "elicitation" })
	}
	if rev < mcp.Rev20251125 { // neither addresses to open, nor tools for the model
		for _, of := range []string{"elicitation", "sampling"} {
			if mcp.Path(capabilities, of) != nil {
				capabilities = with(capabilities, field(of, []byte("{}")))
			}
		}
	}
	if mcp.Path(capabilities, "roots") != nil { // a change of them cannot be told
		capabilities = with(capabilities, field("roots", []byte("{}")))
	}
	return capabilities
}

// Negotiated is the revision to answer an initialize with.
func Negotiated(asked string) mcp.Revision {
	if rev := mcp.Revision(asked); rev.Known() && !rev.Modern() {
		return rev
	}
	return mcp.Rev20251125
}

// Code is the code of a raw error.
func Code(fault []byte) int {
	n, _ := strconv.Atoi(string(mcp.Path(fault, "code")))
	return n
}

// ModernFault is a legacy server's error, about target, as a modern client wants it, with
// its status.
func ModernFault(fault []byte, target string) (converted []byte, status int) {
	c := Code(fault)
	if c == codeResourceNotFound {
		c = mcp.CodeInvalidParams
		fault = with(fault, field("code", strconv.AppendInt(nil, int64(c), 10)))
		if data := mcp.Path(fault, "data"); mcp.Path(data, "uri") == nil && (data == nil || mcp.HasObject(data)) {
			fault = with(fault, field("data", with(data, field("uri", mcp.Quote(target)))))
		}
	}
	switch c {
	case mcp.CodeMethodNotFound:
		return fault, http.StatusNotFound
	case mcp.CodeParse, mcp.CodeInvalidRequest, mcp.CodeHeaderMismatch, mcp.CodeMissingCapability, mcp.CodeUnsupportedVersion:
		return fault, http.StatusBadRequest
	}
	return fault, http.StatusOK
}

// LegacyFault is a modern server's error as a legacy client wants it.
func LegacyFault(method string, fault []byte) []byte {
	switch Code(fault) {
	case mcp.CodeMissingCapability, codeEarlyCapability:
		e := mcp.Errorf(0, mcp.CodeInvalidParams, "the server needs something that this client cannot do: %s", strings.Join(missing(fault), ", "))
		return mcp.Path(e.Append(nil, []byte("1")), "error")
	case mcp.CodeUnsupportedVersion, codeEarlyVersion, mcp.CodeHeaderMismatch:
		e := mcp.Errorf(0, mcp.CodeInternal, "the gateway and the server do not understand each other (error %d)", Code(fault))
		return mcp.Path(e.Append(nil, []byte("1")), "error")
	case mcp.CodeInvalidParams:
		if method == "resources/read" && mcp.Path(fault, "data", "uri") != nil {
			return with(fault, field("code", []byte(strconv.Itoa(codeResourceNotFound))))
		}
	}
	return fault
}

// missing are the names of the capabilities that an error asks for.
func missing(fault []byte) (names []string) {
	required := mcp.Path(fault, "data", "requiredCapabilities")
	_ = mcp.Members(required, func(key, value []byte) bool {
		of := len(names)
		_ = mcp.Members(value, func(part, _ []byte) bool { // such as elicitation.url, or which extension
			names = append(names, string(key)+"."+string(part))
			return true
		})
		if len(names) == of {
			names = append(names, string(key))
		}
		return true
	})
	slices.Sort(names)
	if names == nil {
		names = []string{"a capability that it does not name"}
	}
	return names
}

// Can reports whether a client that declared capabilities can be asked something.
func Can(capabilities []byte, question string, params []byte) bool {
	switch question {
	case "elicitation/create":
		elicitation := mcp.Path(capabilities, "elicitation")
		if elicitation == nil {
			return false
		}
		form, url := mcp.Path(elicitation, "form"), mcp.Path(elicitation, "url")
		if mcp.PathText(params, "mode") == "url" {
			return url != nil
		}
		return form != nil || url == nil // {} is form alone (MCP 2025-11-25 elicitation)
	case "sampling/createMessage":
		tools := mcp.Path(params, "tools") != nil || mcp.Path(params, "toolChoice") != nil
		return mcp.Path(capabilities, "sampling") != nil && (!tools || mcp.Path(capabilities, "sampling", "tools") != nil)
	case "roots/list":
		return mcp.Path(capabilities, "roots") != nil
	}
	return false
}

func with(object []byte, fields ...mcp.Field) []byte { return mcp.Merge(object, fields) }

func field(name string, value []byte) mcp.Field { return mcp.Field{Name: name, Value: value} }
