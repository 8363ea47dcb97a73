package convert

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// ParamHeader is an argument of a tool that a modern server wants in a header too
// (x-mcp-header, MCP 2026-07-28 tools).
type ParamHeader struct {
	Name string   // of the header, behind the prefix
	Path []string // of the argument
}

// LegacyTools are a modern server's tools as a legacy client wants them. Output schemas
// that are not of an object are left out: legacy clients know no others. So are tools
// whose headers cannot be made, as the specification asks of every client; leftOut says
// which and why. headers are those of every tool that stays, nil for none.
func LegacyTools(result []byte) (converted []byte, headers map[string][]ParamHeader, leftOut []error) {
	l := readTools(result)
	if l == nil {
		return result, nil, nil
	}
	headers = make(map[string][]ParamHeader, len(l.Items))
	var edits []mcp.Edit
	keep := make([]bool, len(l.Items))
	for i, it := range l.Items {
		item := l.Bytes(it.Span)
		wants, err := paramHeaders(mcp.Path(item, "inputSchema"))
		if err != nil {
			leftOut = append(leftOut, fmt.Errorf("tool %q: %w", it.Name, err))
			continue
		}
		keep[i], headers[it.Name] = true, wants
		if schema := mcp.Path(item, "outputSchema"); schema != nil && mcp.PathText(schema, "type") != "object" {
			edits = append(edits, mcp.Edit{Span: it.Span, New: mcp.Without(item, func(key string) bool { return key == "outputSchema" })})
		}
	}
	if edits == nil && leftOut == nil {
		return result, headers, nil
	}
	return mcp.Path(l.Rewrite(keep, edits...), "result"), headers, leftOut
}

// modernTools are a legacy server's tools as a modern client wants them: without what they
// say of tasks, which the client could not have.
func modernTools(result []byte) []byte {
	if !bytes.Contains(result, []byte(`"execution"`)) {
		return result
	}
	l := readTools(result)
	if l == nil {
		return result
	}
	var edits []mcp.Edit
	for _, it := range l.Items {
		if item := l.Bytes(it.Span); mcp.Path(item, "execution") != nil {
			edits = append(edits, mcp.Edit{Span: it.Span, New: mcp.Without(item, func(key string) bool { return key == "execution" })})
		}
	}
	return mcp.Path(l.Rewrite(nil, edits...), "result")
}

func readTools(result []byte) *mcp.List {
	l, err := mcp.ReadList([]byte(`{"jsonrpc":"2.0","id":1,"result":`+string(result)+`}`), "tools/list")
	if err != nil {
		return nil // whoever shows lists reads them again
	}
	return l
}

const (
	headerKeyword  = "x-mcp-header"
	maxHeaderName  = 128
	maxSchemaDepth = 32
)

// paramHeaders finds the arguments that a schema wants in headers. They are properties of
// objects, however deep, of a plain type, and no two have the same name.
func paramHeaders(schema []byte) (found []ParamHeader, err error) {
	if !bytes.Contains(schema, []byte(headerKeyword)) {
		return nil, nil
	}
	if found, err = headersBelow(schema, nil); err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, h := range found {
		name := strings.ToLower(h.Name)
		if names[name] {
			return nil, fmt.Errorf("two arguments have the %s %q", headerKeyword, h.Name)
		}
		names[name] = true
	}
	return found, nil
}

func headersBelow(schema []byte, path []string) (found []ParamHeader, err error) {
	if len(path) > maxSchemaDepth {
		return nil, fmt.Errorf("its input schema is more than %d levels deep", maxSchemaDepth)
	}
	bad := mcp.Members(schema, func(key, value []byte) bool {
		switch keyword := string(key); keyword {
		case headerKeyword, "default", "examples", "const", "enum", "title", "description":
		case "properties":
			var below []ParamHeader
			below, err = propertyHeaders(value, path)
			found = append(found, below...)
		default:
			if bytes.Contains(value, []byte(`"`+headerKeyword+`"`)) {
				err = fmt.Errorf("an argument in %s has an %s, which only properties can have", keyword, headerKeyword)
			}
		}
		return err == nil
	})
	if err == nil && bad != nil && len(path) == 0 {
		err = bad
	}
	return found, err
}

func propertyHeaders(properties []byte, path []string) (found []ParamHeader, err error) {
	_ = mcp.Members(properties, func(key, value []byte) bool { // what is no object has none
		at := slices.Concat(path, []string{string(key)})
		if raw := mcp.Path(value, headerKeyword); raw != nil {
			name, ok := mcp.Text(raw)
			switch {
			case !ok || !isHeaderName(name):
				err = fmt.Errorf("the %s of argument %s is not the name of a header", headerKeyword, strings.Join(at, "."))
				return false
			case !isPlain(mcp.Path(value, "type")):
				err = fmt.Errorf("argument %s has an %s, but is neither string, integer nor boolean", strings.Join(at, "."), headerKeyword)
				return false
			}
			found = append(found, ParamHeader{name, at})
		}
		var below []ParamHeader
		below, err = headersBelow(value, at)
		found = append(found, below...)
		return err == nil
	})
	return found, err
}

// isPlain reports the types whose values can be in a header.
func isPlain(raw []byte) bool {
	name, ok := mcp.Text(raw)
	return ok && (name == "string" || name == "integer" || name == "boolean")
}

// isHeaderName reports whether a name may be part of a header's (RFC 9110 §5.6.2).
func isHeaderName(name string) bool {
	for _, c := range name {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c)) {
			return false
		}
	}
	return name != "" && len(name) <= maxHeaderName
}

// FitForHeaders reports whether what a tool wants to have in headers can be there. Clients
// of HTTP drop a tool of which it cannot (MCP 2026-07-28 tools).
func FitForHeaders(tool []byte) bool {
	if !bytes.Contains(tool, []byte(headerKeyword)) {
		return true
	}
	_, err := paramHeaders(mcp.Path(tool, "inputSchema"))
	return err == nil
}

// SetParamHeaders sets the headers that a modern server wants beside a call of a tool, by
// the schema of its arguments.
func SetParamHeaders(of http.Header, schema, arguments []byte) {
	if headers, err := paramHeaders(schema); err == nil {
		SetHeaders(of, headers, arguments)
	}
}

// SetHeaders sets those of the headers whose arguments are there.
func SetHeaders(of http.Header, headers []ParamHeader, arguments []byte) {
	for _, h := range headers {
		if value, ok := headerValue(mcp.Path(arguments, h.Path...)); ok {
			of[http.CanonicalHeaderKey(mcp.HeaderParamPrefix+h.Name)] = []string{mcp.EncodeHeaderValue(value)}
		}
	}
}

// headerValue is an argument as a header has it; false for what is none, or cannot be in
// one.
func headerValue(raw []byte) (string, bool) {
	if s, ok := mcp.Text(raw); ok {
		return s, true
	}
	switch s := string(raw); s {
	case "true", "false":
		return s, true
	default:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
			return "", false
		}
		return strconv.FormatInt(int64(f), 10), true
	}
}
