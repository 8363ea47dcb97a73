package optimizer

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// This file has the two tools: what they are, what they are asked and how they answer.

const (
	findTool = "find_tool"
	callTool = "call_tool"
)

// tools are what clients list.
const tools = `{"name":"find_tool","title":"Find tools","description":"Searches the tools that are available here and returns those that fit best, ` +
	`each with its name, description and input schema. Many more tools exist than are listed: search before you conclude that something cannot be done, ` +
	`then run what you found with call_tool.",` +
	`"inputSchema":{"type":"object","properties":{` +
	`"tool_description":{"type":"string","description":"What you want to do, in plain words, like: send an email, list open pull requests"},` +
	`"tool_keywords":{"type":"array","items":{"type":"string"},"description":"Words that the tool's name or description may have, like the name of a product"}},` +
	`"required":["tool_description"]},` +
	`"annotations":{"readOnlyHint":true,"openWorldHint":false}},` +
	`{"name":"call_tool","title":"Call a tool","description":"Runs a tool that find_tool has returned, with arguments that fit its input schema.",` +
	`"inputSchema":{"type":"object","properties":{` +
	`"tool_name":{"type":"string","description":"The name of the tool, exactly as find_tool returned it"},` +
	`"parameters":{"type":"object","description":"The arguments of the tool, by its input schema; {} where it takes none"}},` +
	`"required":["tool_name","parameters"]}}`

// owners says that both are the gateway's own.
func owners(l *mcp.List) []upstream.Group {
	g := upstream.Group{Items: l.Items, Own: true}
	for i := range l.Items {
		g.At = append(g.At, i)
	}
	return []upstream.Group{g}
}

// list answers tools/list.
func list(c *upstream.Call) *upstream.Answer {
	result := `{"tools":[` + tools + `]}`
	if c.Revision.Modern() {
		result = `{"tools":[` + tools + `],"resultType":"complete","ttlMs":0,"cacheScope":"private"}`
	}
	a := answer(c, []byte(result))
	a.Owners = owners
	return a
}

func answer(c *upstream.Call, result []byte) *upstream.Answer {
	raw := append(append([]byte(`{"jsonrpc":"2.0","id":`), c.Message.ID...), `,"result":`...)
	raw = append(append(raw, result...), '}')
	a := c.Answered(&backend.Response{
		Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(raw)), ContentLength: int64(len(raw)),
	})
	a.State = c.State
	return a
}

// said is a tool's result: a text, and what else is given.
func said(c *upstream.Call, text string, more ...mcp.Field) *upstream.Answer {
	fields := append([]mcp.Field{{Name: "content", Value: []byte(`[{"type":"text","text":` + string(mcp.Quote(text)) + `}]`)}}, more...)
	if c.Revision.Modern() {
		fields = append(fields, mcp.Field{Name: "resultType", Value: []byte(`"complete"`)})
	}
	return answer(c, mcp.Merge(nil, fields))
}

// mistake tells a model what is wrong with its arguments, where it reads it.
func mistake(c *upstream.Call, what string) *upstream.Answer {
	return said(c, what, mcp.Field{Name: "isError", Value: []byte("true")})
}

func argumentsOf(m *mcp.Envelope) []byte {
	args, _ := mcp.Member(m.Bytes(m.Params), "arguments") // the message has been read strictly
	return args
}

// called reads the arguments of call_tool: which tool it calls, and with what. bad says
// what is wrong with them. A name that a model has put among the tool's own arguments
// is taken from there.
func called(m *mcp.Envelope) (name string, parameters []byte, bad string) {
	const shape = `call_tool takes {"tool_name": "a name that find_tool returned", "parameters": {…the arguments of that tool…}}`
	args := argumentsOf(m)
	if args == nil {
		return "", nil, "arguments are missing: " + shape
	}
	parameters, _ = mcp.Member(args, "parameters")
	if parameters == nil || string(parameters) == "null" {
		parameters = []byte("{}")
	}
	if parameters[0] != '{' {
		return "", nil, "parameters is no object: " + shape
	}
	value, _ := mcp.Member(args, "tool_name")
	name, _ = mcp.Text(value)
	if name == "" {
		value, _ = mcp.Member(parameters, "tool_name")
		if name, _ = mcp.Text(value); name != "" {
			parameters = mcp.Without(parameters, func(key string) bool { return key == "tool_name" })
		}
	}
	if name == "" {
		return "", nil, "tool_name is missing, or no text: " + shape
	}
	return name, parameters, ""
}

// question reads the arguments of find_tool.
func question(m *mcp.Envelope) (description, words, bad string) {
	args := argumentsOf(m)
	value, _ := mcp.Member(args, "tool_description")
	description, _ = mcp.Text(value)
	value, _ = mcp.Member(args, "tool_keywords")
	keywords, ok := mcp.Texts(value)
	if one, isText := mcp.Text(value); isText { // not a list, but clear enough
		keywords, ok = []string{one}, true
	}
	if value != nil && string(value) != "null" && !ok {
		return "", "", "tool_keywords is no list of texts"
	}
	if strings.TrimSpace(description) == "" {
		return "", "", `tool_description is missing: find_tool takes {"tool_description": "what you want to do"}`
	}
	if len(description) > maxQuestion {
		description = description[:maxQuestion]
	}
	words = description + " " + strings.Join(keywords, " ")
	return description, words[:min(len(words), 2*maxQuestion)], ""
}

// maxQuestion is how much of a question is read, in bytes.
const maxQuestion = 2000
