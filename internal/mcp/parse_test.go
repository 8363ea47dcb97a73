package mcp_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// view is an Envelope with its spans as text.
type view struct {
	Kind               mcp.Kind
	ID, Method, Params string
	Target, TargetRaw  string
	Meta, Version      string
	HasVersion, HasCap bool
	Progress           string
}

func viewOf(e *mcp.Envelope) view {
	return view{
		Kind: e.Kind, ID: string(e.ID), Method: e.Method, Params: string(e.Bytes(e.Params)),
		Target: e.Target, TargetRaw: string(e.Bytes(e.TargetSpan)),
		Meta: string(e.Bytes(e.Meta.Span)), Version: e.Meta.ProtocolVersion,
		HasVersion: e.Meta.HasVersion, HasCap: e.Meta.HasClientCapabilities,
		Progress: string(e.Bytes(e.Meta.ProgressToken)),
	}
}

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	// REQ F-4: unknown keys, methods and extensions are nobody's business.
	tests := map[string]struct {
		in   string
		want view
	}{
		"request":              {`{"jsonrpc":"2.0","id":1,"method":"ping"}`, view{Kind: mcp.KindRequest, ID: "1", Method: "ping"}},
		"string id":            {`{"jsonrpc":"2.0","id":"a\u0062","method":"ping"}`, view{Kind: mcp.KindRequest, ID: `"a\u0062"`, Method: "ping"}},
		"empty string id":      {`{"jsonrpc":"2.0","id":"","method":"ping"}`, view{Kind: mcp.KindRequest, ID: `""`, Method: "ping"}},
		"negative id":          {`{"jsonrpc":"2.0","id":-7,"method":"ping"}`, view{Kind: mcp.KindRequest, ID: "-7", Method: "ping"}},
		"id of 20 digits":      {`{"jsonrpc":"2.0","id":18446744073709551615,"method":"ping"}`, view{Kind: mcp.KindRequest, ID: "18446744073709551615", Method: "ping"}},
		"notification":         {`{"jsonrpc":"2.0","method":"notifications/initialized"}`, view{Kind: mcp.KindNotification, Method: "notifications/initialized"}},
		"result":               {`{"jsonrpc":"2.0","id":1,"result":{}}`, view{Kind: mcp.KindResponse, ID: "1"}},
		"error":                {`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}`, view{Kind: mcp.KindResponse, ID: "1"}},
		"error without id":     {`{"jsonrpc":"2.0","error":{"code":1,"message":"x"}}`, view{Kind: mcp.KindResponse}},
		"white space":          {" \t\r\n{ \"jsonrpc\" : \"2.0\" , \"id\" : 1 , \"method\" : \"ping\" , \"params\" : { } }\n ", view{Kind: mcp.KindRequest, ID: "1", Method: "ping", Params: "{ }"}},
		"unknown method":       {`{"jsonrpc":"2.0","id":1,"method":"x/y","params":{"Other":1,"name":5}}`, view{Kind: mcp.KindRequest, ID: "1", Method: "x/y", Params: `{"Other":1,"name":5}`}},
		"unknown key":          {`{"jsonrpc":"2.0","id":1,"method":"ping","trace":{"ID":1}}`, view{Kind: mcp.KindRequest, ID: "1", Method: "ping"}},
		"escaped keys":         {`{"jsonrp\u0063":"2\u002e0","id":1,"meth\u006fd":"tools\/call","params":{"nam\u0065":"a\u00e9\n"}}`, view{Kind: mcp.KindRequest, ID: "1", Method: "tools/call", Params: `{"nam\u0065":"a\u00e9\n"}`, Target: "aé\n", TargetRaw: `"a\u00e9\n"`}},
		"tool":                 {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","uri":"no","taskId":"no"}}`, view{Kind: mcp.KindRequest, ID: "1", Method: "tools/call", Params: `{"name":"add","uri":"no","taskId":"no"}`, Target: "add", TargetRaw: `"add"`}},
		"params before method": {`{"params":{"uri":"file:///x"},"method":"resources/read","id":1,"jsonrpc":"2.0"}`, view{Kind: mcp.KindRequest, ID: "1", Method: "resources/read", Params: `{"uri":"file:///x"}`, Target: "file:///x", TargetRaw: `"file:///x"`}},
		"prompt":               {`{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"p"}}`, view{Kind: mcp.KindRequest, ID: "1", Method: "prompts/get", Params: `{"name":"p"}`, Target: "p", TargetRaw: `"p"`}},
		"task":                 {`{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t"}}`, view{Kind: mcp.KindRequest, ID: "1", Method: "tasks/get", Params: `{"taskId":"t"}`, Target: "t", TargetRaw: `"t"`}},
		"empty target":         {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":""}}`, view{Kind: mcp.KindRequest, ID: "1", Method: "tools/call", Params: `{"name":""}`, TargetRaw: `""`}},
		"no target":            {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}`, view{Kind: mcp.KindRequest, ID: "1", Method: "tools/call", Params: `{}`}},
		"unused key of a type": {`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"name":7,"uri":null}}`, view{Kind: mcp.KindRequest, ID: "1", Method: "tools/list", Params: `{"name":7,"uri":null}`}},
		"case in arguments":    {`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"Name":1,"METHOD":{"Id":2},"_META":3}}}`, view{Kind: mcp.KindRequest, ID: "1", Method: "tools/call", Params: `{"name":"a","arguments":{"Name":1,"METHOD":{"Id":2},"_META":3}}`, Target: "a", TargetRaw: `"a"`}},
		"case in result":       {`{"jsonrpc":"2.0","id":1,"result":{"Method":1,"_Meta":2}}`, view{Kind: mcp.KindResponse, ID: "1"}},
		"meta": {
			`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta": {"progressToken":"p","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/future":1,"com.example/ProgressToken":1}}}`,
			view{
				Kind: mcp.KindRequest, ID: "1", Method: "ping",
				Params:  `{"_meta": {"progressToken":"p","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/future":1,"com.example/ProgressToken":1}}`,
				Meta:    `{"progressToken":"p","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/future":1,"com.example/ProgressToken":1}`,
				Version: "2026-07-28", HasVersion: true, HasCap: true, Progress: `"p"`,
			},
		},
		// FINDING F8; REQ G-8: null says what leaving it out says.
		"params null":        {`{"jsonrpc":"2.0","id":1,"method":"ping","params":null}`, view{Kind: mcp.KindRequest, ID: "1", Method: "ping"}},
		"_meta null":         {`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":null}}`, view{Kind: mcp.KindRequest, ID: "1", Method: "ping", Params: `{"_meta":null}`}},
		"notification's id":  {`{"jsonrpc":"2.0","id":null,"method":"notifications/initialized"}`, view{Kind: mcp.KindNotification, Method: "notifications/initialized"}},
		"result, null error": {`{"jsonrpc":"2.0","id":1,"result":{},"error":null}`, view{Kind: mcp.KindResponse, ID: "1"}},
		"error, null result": {`{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":1,"message":"x"}}`, view{Kind: mcp.KindResponse, ID: "1"}},
		"error, null id":     {`{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`, view{Kind: mcp.KindResponse}},
		"id with a fraction": {`{"jsonrpc":"2.0","id":-1.00,"method":"ping"}`, view{Kind: mcp.KindRequest, ID: "-1.00", Method: "ping"}},
		"capabilities of another type": {
			`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/clientCapabilities":true}}}`,
			view{Kind: mcp.KindRequest, ID: "1", Method: "ping", Params: `{"_meta":{"io.modelcontextprotocol/clientCapabilities":true}}`, Meta: `{"io.modelcontextprotocol/clientCapabilities":true}`},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := mcp.Parse([]byte(tt.in), mcp.DefaultLimits())
			if err != nil {
				t.Fatalf("Parse(%s) = %v", tt.in, err)
			}
			if diff := cmp.Diff(tt.want, viewOf(&e)); diff != "" {
				t.Errorf("Parse(%s) (-want +got):\n%s", tt.in, diff)
			}
			if string(e.Raw) != tt.in {
				t.Errorf("Raw = %q", e.Raw)
			}
		})
	}
}

func call(params string) string {
	return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":` + params + `}`
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	// REQ F-5
	const withID, noID = "7", ""
	tests := map[string]struct {
		in   string
		code int
		id   string
	}{
		"empty":                  {"", mcp.CodeParse, noID},
		"white space":            {" \n", mcp.CodeParse, noID},
		"no JSON":                {"hello", mcp.CodeParse, noID},
		"HTML":                   {"<html></html>", mcp.CodeParse, noID},
		"cut":                    {`{"jsonrpc":"2.0","id":7,"method":"pi`, mcp.CodeParse, withID},
		"trailing object":        {`{"jsonrpc":"2.0","id":7,"method":"ping"}{}`, mcp.CodeParse, withID},
		"trailing brace":         {`{"jsonrpc":"2.0","id":7,"method":"ping"}}`, mcp.CodeParse, withID},
		"trailing text":          {`{"jsonrpc":"2.0","id":7,"method":"ping"} x`, mcp.CodeParse, withID},
		"trailing NUL":           {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}\x00", mcp.CodeParse, withID},
		"trailing comma":         {`{"jsonrpc":"2.0","id":7,"method":"ping",}`, mcp.CodeParse, withID},
		"comment":                {`{"jsonrpc":"2.0",/**/"id":7,"method":"ping"}`, mcp.CodeParse, noID},
		"single quotes":          {`{'jsonrpc':'2.0'}`, mcp.CodeParse, noID},
		"NaN":                    {call(`{"name":"a","arguments":{"x":NaN}}`), mcp.CodeParse, withID},
		"leading zero":           {call(`{"name":"a","arguments":{"x":01}}`), mcp.CodeParse, withID},
		"plus sign":              {call(`{"name":"a","arguments":{"x":+1}}`), mcp.CodeParse, withID},
		"raw control character":  {call("{\"name\":\"a\nb\"}"), mcp.CodeParse, withID},
		"byte order mark":        {"\ufeff" + call(`{"name":"a"}`), mcp.CodeParse, noID},
		"UTF-16":                 {"\xff\xfe{\x00}\x00", mcp.CodeParse, noID},
		"invalid UTF-8":          {call("{\"name\":\"a\xff\"}"), mcp.CodeParse, withID},
		"invalid UTF-8 deep":     {call("{\"name\":\"a\",\"arguments\":{\"x\":[\"\xc0\xaf\"]}}"), mcp.CodeParse, withID},
		"invalid UTF-8 key":      {call("{\"name\":\"a\",\"arguments\":{\"\x80\":1}}"), mcp.CodeParse, withID},
		"half a surrogate pair":  {call(`{"name":"\ud800"}`), mcp.CodeParse, withID},
		"duplicate id":           {`{"jsonrpc":"2.0","id":7,"id":8,"method":"ping"}`, mcp.CodeParse, noID},
		"duplicate method":       {`{"jsonrpc":"2.0","method":"ping","method":"tools/call","id":7}`, mcp.CodeParse, noID},
		"duplicate name":         {call(`{"name":"a","name":"b"}`), mcp.CodeParse, withID},
		"duplicate name escaped": {call(`{"name":"a","n\u0061me":"b"}`), mcp.CodeParse, withID},
		"duplicate in arguments": {call(`{"name":"a","arguments":{"x":{"y":1,"y":1}}}`), mcp.CodeParse, withID},
		"duplicate in _meta":     {call(`{"name":"a","_meta":{"progressToken":1,"progressToken":2}}`), mcp.CodeParse, withID},
		"duplicate in an array":  {call(`{"name":"a","arguments":[{"y":1,"y":1}]}`), mcp.CodeParse, withID},

		"batch":            {`[` + call(`{"name":"a"}`) + `]`, mcp.CodeInvalidRequest, noID},
		"empty batch":      {`[]`, mcp.CodeInvalidRequest, noID},
		"half a batch":     {`[` + call(`{"name":"a"}`), mcp.CodeParse, noID},
		"string":           {`"hello"`, mcp.CodeInvalidRequest, noID},
		"number":           {`1`, mcp.CodeInvalidRequest, noID},
		"null":             {`null`, mcp.CodeInvalidRequest, noID},
		"empty object":     {`{}`, mcp.CodeInvalidRequest, noID},
		"no jsonrpc":       {`{"id":7,"method":"ping"}`, mcp.CodeInvalidRequest, withID},
		"jsonrpc 1.0":      {`{"jsonrpc":"1.0","id":7,"method":"ping"}`, mcp.CodeInvalidRequest, withID},
		"jsonrpc number":   {`{"jsonrpc":2.0,"id":7,"method":"ping"}`, mcp.CodeInvalidRequest, withID},
		"no method":        {`{"jsonrpc":"2.0","id":7}`, mcp.CodeInvalidRequest, withID},
		"empty method":     {`{"jsonrpc":"2.0","method":"","id":7}`, mcp.CodeInvalidRequest, withID},
		"method number":    {`{"jsonrpc":"2.0","method":7,"id":7}`, mcp.CodeInvalidRequest, withID},
		"method null":      {`{"jsonrpc":"2.0","method":null,"id":7}`, mcp.CodeInvalidRequest, withID},
		"id null, later":   {`{"jsonrpc":"2.0","method":"notifications","id":null}`, mcp.CodeInvalidRequest, noID},
		"result, id null":  {`{"jsonrpc":"2.0","id":null,"result":{}}`, mcp.CodeInvalidRequest, noID},
		"error null alone": {`{"jsonrpc":"2.0","id":7,"error":null}`, mcp.CodeInvalidRequest, withID},
		"id null":          {`{"jsonrpc":"2.0","id":null,"method":"ping"}`, mcp.CodeInvalidRequest, noID},
		"id fraction":      {`{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, mcp.CodeInvalidRequest, noID},
		"id exponent":      {`{"jsonrpc":"2.0","id":1e3,"method":"ping"}`, mcp.CodeInvalidRequest, noID},
		"id bool":          {`{"jsonrpc":"2.0","id":true,"method":"ping"}`, mcp.CodeInvalidRequest, noID},
		"id object":        {`{"jsonrpc":"2.0","id":{},"method":"ping"}`, mcp.CodeInvalidRequest, noID},
		"id array":         {`{"jsonrpc":"2.0","id":[1],"method":"ping"}`, mcp.CodeInvalidRequest, noID},
		"id long string":   {`{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 1025) + `","method":"ping"}`, mcp.CodeInvalidRequest, noID},
		"id long integer":  {`{"jsonrpc":"2.0","id":-123456789012345678901,"method":"ping"}`, mcp.CodeInvalidRequest, noID},
		"response id null": {`{"jsonrpc":"2.0","id":null,"result":{}}`, mcp.CodeInvalidRequest, noID},

		"method and result": {`{"jsonrpc":"2.0","id":7,"method":"ping","result":{}}`, mcp.CodeInvalidRequest, withID},
		"method and error":  {`{"jsonrpc":"2.0","id":7,"method":"ping","error":{}}`, mcp.CodeInvalidRequest, withID},
		"result and error":  {`{"jsonrpc":"2.0","id":7,"result":{},"error":{}}`, mcp.CodeInvalidRequest, withID},
		"result without id": {`{"jsonrpc":"2.0","result":{}}`, mcp.CodeInvalidRequest, noID},
		"params array":      {call(`["a"]`), mcp.CodeInvalidRequest, withID},
		"params string":     {call(`"a"`), mcp.CodeInvalidRequest, withID},

		"number overflows":     {call(`{"name":"a","arguments":{"x":1e999}}`), mcp.CodeInvalidRequest, withID},
		"negative overflow":    {call(`{"name":"a","arguments":{"x":-1E+309}}`), mcp.CodeInvalidRequest, withID},
		"long digits overflow": {call(`{"name":"a","arguments":{"x":1` + strings.Repeat("0", 310) + `}}`), mcp.CodeInvalidRequest, withID},
		"number too long":      {call(`{"name":"a","arguments":{"x":0.` + strings.Repeat("1", 511) + `}}`), mcp.CodeInvalidRequest, withID},
		"number in no JSON":    {call(`{"name":"a","arguments":{"x":1e999,}}`), mcp.CodeParse, withID},

		"name number":    {call(`{"name":7}`), mcp.CodeInvalidParams, withID},
		"name null":      {call(`{"name":null}`), mcp.CodeInvalidParams, withID},
		"name object":    {call(`{"name":{"x":1}}`), mcp.CodeInvalidParams, withID},
		"uri number":     {`{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":1}}`, mcp.CodeInvalidParams, withID},
		"taskId array":   {`{"jsonrpc":"2.0","params":{"taskId":[]},"method":"tasks/cancel","id":7}`, mcp.CodeInvalidParams, withID},
		"_meta array":    {call(`{"name":"a","_meta":[]}`), mcp.CodeInvalidParams, withID},
		"version number": {call(`{"name":"a","_meta":{"io.modelcontextprotocol/protocolVersion":20260728}}`), mcp.CodeInvalidParams, withID},
		"version null":   {call(`{"name":"a","_meta":{"io.modelcontextprotocol/protocolVersion":null}}`), mcp.CodeInvalidParams, withID},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, tt.in, tt.code, tt.id)
		})
	}
}

// wantRefused parses in, and checks the error and the id it is for.
func wantRefused(t *testing.T, in string, code int, id string) {
	t.Helper()
	e, err := mcp.Parse([]byte(in), mcp.DefaultLimits())
	if err == nil {
		t.Fatalf("Parse(%s) accepted it", in)
	}
	if err.Code != code || err.Status != http.StatusBadRequest {
		t.Errorf("Parse(%s) = %d, %v; want 400 and code %d", in, err.Status, err, code)
	}
	if string(e.ID) != id {
		t.Errorf("Parse(%s): id to answer is %s, want %q", in, e.ID, id)
	}
	if strings.Contains(err.Message, "hello") || strings.Contains(err.Message, "html") {
		t.Errorf("the error repeats the message: %s", err.Message)
	}
}

func TestParseRefusesCaseVariants(t *testing.T) {
	t.Parallel()
	// REQ F-5: a reader that ignores case would see another message.
	for _, key := range []string{"jsonrpc", "id", "method", "params", "result", "error"} {
		for _, v := range variants(key) {
			wantRefused(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":"ping",%q:1}`, v), mcp.CodeInvalidRequest, "7")
		}
	}
	for _, key := range []string{
		"name", "uri", "taskId", "_meta", "arguments", "cursor", "ref", "requestState", "inputResponses",
		"protocolVersion", "capabilities", "clientInfo",
	} {
		for _, v := range variants(key) {
			wantRefused(t, call(fmt.Sprintf(`{"name":"a",%q:{"x":1}}`, v)), mcp.CodeInvalidRequest, "7")
		}
	}
	for _, key := range []string{
		"progressToken", "io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities",
		"io.modelcontextprotocol/clientInfo", "io.modelcontextprotocol/logLevel", "io.modelcontextprotocol/subscriptionId",
		"io.modelcontextprotocol/serverInfo", "io.modelcontextprotocol/related-task",
	} {
		for _, v := range variants(key) {
			wantRefused(t, call(fmt.Sprintf(`{"name":"a","_meta":{%q:1}}`, v)), mcp.CodeInvalidRequest, "7")
		}
	}
	for _, in := range []string{
		`{"jsonrpc":"2.0","id":7,"method":"ping","par\u0041ms":{}}`, // compared after unescaping
		call(`{"name":"a","_meta":{"IO.modelcontextprotocol/future":1}}`),
		`{"jsonrpc":"2.0","id":7,"method":"ping","param` + "\u017f" + `":{}}`, // ſ folds to s
		`{"jsonrpc":"2.0","id":7,"method":"tasks/get","params":{"tas` + "\u212a" + `Id":"x"}}`,
		// FINDING S19
		call(`{"name":"a","name\u0000":"b"}`), call(`{"name":"a","na\u0001me":"b"}`), call(`{"name":"a","NAME\u0000":"b"}`), call(`{"name":"a","\u0085uri":"b"}`),
		`{"jsonrpc":"2.0","id":7,"method":"ping","method\u0000":"tools/call"}`,
		call(`{"name":"a","_meta":{"io.modelcontextprotocol/protocolVersion\u0000":"x"}}`),
	} {
		wantRefused(t, in, mcp.CodeInvalidRequest, "7")
	}
}

// variants spells key in other cases: all upper, and each letter by itself.
func variants(key string) []string {
	out := []string{strings.ToUpper(key)}
	for i := range key {
		for _, c := range []string{strings.ToUpper(key[i : i+1]), strings.ToLower(key[i : i+1])} {
			if c != key[i:i+1] {
				out = append(out, key[:i]+c+key[i+1:])
			}
		}
	}
	return out
}

// members is an object of n members.
func members(n int) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%x":0`, i)
	}
	b.WriteByte('}')
	return b.String()
}

func TestParseMembers(t *testing.T) { // FINDING S3; REQ G-2
	t.Parallel()
	all := func(objects, each int) string {
		return call(`{"name":"a","arguments":{"x":[` + strings.Repeat(members(each)+",", objects-1) + members(each) + `]}}`)
	}
	for name, c := range map[string]struct {
		in      string
		lim     mcp.Limits
		refused string
	}{
		"an object at the limit":     {in: call(members(10_000))},
		"an object over it":          {in: call(members(10_001)), refused: "an object of the message has more than 10000 members"},
		"the message itself":         {in: members(10_001), refused: "an object"},
		"many objects at the limit":  {in: all(99, 1010)},
		"many objects over it":       {in: all(100, 1000), refused: "more than 100000 members in all"},
		"objects in objects":         {in: call(strings.Repeat(`{"a":`, 100) + members(9_999) + strings.Repeat("}", 100))},
		"a limit that was set":       {in: call(members(5)), lim: mcp.Limits{MaxObjectMembers: 4}, refused: "more than 4 members"},
		"a limit that was set, all":  {in: call(members(5)), lim: mcp.Limits{MaxMembers: 8}, refused: "more than 8 members in all"},
		"colons in strings":          {in: call(`{"name":"` + strings.Repeat(`:`, 200_000) + `"}`)},
		"deeper than the usual":      {in: call(strings.Repeat(`{"a":`, 400) + "{}" + strings.Repeat("}", 400)), lim: mcp.Limits{MaxDepth: 500}},
		"closed more than was open":  {in: strings.Repeat("}", 200) + `{"a":0}`, refused: "not valid JSON"},
		"elements of a list are not": {in: call(`{"name":"a","arguments":{"x":[` + strings.Repeat("0,", 200_000) + `0]}}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := mcp.Parse([]byte(c.in), c.lim)
			switch {
			case (err != nil) != (c.refused != ""):
				t.Errorf("Parse = %v, want refused: %q", err, c.refused)
			case err != nil && (!strings.Contains(err.Message, c.refused) || err.Status != http.StatusBadRequest):
				t.Errorf("Parse = %d %s, want %q", err.Status, err.Message, c.refused)
			}
		})
	}
}

// What a stranger sends costs no more memory than it has bytes. It is not parallel,
// since it counts all that is allocated.
func TestParseMemory(t *testing.T) { // FINDING S3; REQ G-2
	raw := []byte(call(members(900_000)))
	list := []byte(`{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"a","inputSchema":` + members(900_000) + `}]}}`)
	started := []byte(`{"jsonrpc":"2.0","id":7,"result":{"x":` + members(900_000) + `,"protocolVersion":"2025-11-25"}}`)
	for name, read := range map[string]func(){
		"message":    func() { _, _ = mcp.Parse(raw, mcp.DefaultLimits()) },
		"list":       func() { _, _ = mcp.ReadList(list, "tools/list") },
		"initialize": func() { _, _ = mcp.NegotiatedRevision(started) },
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		read()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("%s: %d bytes were allocated for one of %d", name, n, len(raw))
		}
	}
}

func TestParseLimits(t *testing.T) {
	t.Parallel()
	// REQ F-5: over-deep bodies are refused, not interpreted.
	nest := func(containers int) string { // the message and params are two of them
		n := containers - 2
		return call(`{"name":"a","arguments":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`)
	}
	nestObjects := func(containers int) string {
		n := containers - 2
		return call(`{"name":"a","arguments":` + strings.Repeat(`{"x":`, n-1) + `{}` + strings.Repeat("}", n-1) + `}`)
	}
	for _, deep := range []func(int) string{nest, nestObjects} {
		if _, err := mcp.Parse([]byte(deep(128)), mcp.DefaultLimits()); err != nil {
			t.Errorf("128 levels: %v", err)
		}
		wantRefused(t, deep(129), mcp.CodeInvalidRequest, "")
		wantRefused(t, deep(1_000_000), mcp.CodeInvalidRequest, "")
		if _, err := mcp.Parse([]byte(deep(5)), mcp.Limits{MaxDepth: 4}); err == nil {
			t.Error("5 levels passed a limit of 4")
		}
		if _, err := mcp.Parse([]byte(deep(128)), mcp.Limits{}); err != nil {
			t.Errorf("the zero Limits are not the defaults: %v", err)
		}
	}
	wantRefused(t, strings.Repeat("[", 1_000_000), mcp.CodeInvalidRequest, "")
	if _, err := mcp.Parse([]byte(call(`{"name":"`+strings.Repeat(`[\"{`, 500)+`"}`)), mcp.DefaultLimits()); err != nil {
		t.Errorf("brackets in a string count: %v", err)
	}
	digits := "0." + strings.Repeat("1", 510)
	if _, err := mcp.Parse([]byte(call(`{"name":"a","arguments":{"x":`+digits+`}}`)), mcp.DefaultLimits()); err != nil {
		t.Errorf("a number of %d characters: %v", len(digits), err)
	}
	for _, n := range []string{"1e308", "-1E+308", "1e-999", "0", "-0", strings.Repeat("9", 308)} {
		if _, err := mcp.Parse([]byte(call(`{"name":"a","arguments":{"x":`+n+`}}`)), mcp.DefaultLimits()); err != nil {
			t.Errorf("%s: %v", n, err)
		}
	}
}

func TestParseDoesNotMixMessages(t *testing.T) {
	t.Parallel()
	// The parser is pooled: a refused message must leave nothing for the next one.
	first := []byte(call(`{"name":"secret","uri":"u","_meta":{"progressToken":1,"io.modelcontextprotocol/protocolVersion":"x"},"Name":1}`))
	for range 100 {
		if _, err := mcp.Parse(first, mcp.DefaultLimits()); err == nil {
			t.Fatal("accepted")
		}
		e, err := mcp.Parse([]byte(`{"jsonrpc":"2.0","method":"tools/call"}`), mcp.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(view{Kind: mcp.KindNotification, Method: "tools/call"}, viewOf(&e)); diff != "" {
			t.Fatal(diff)
		}
	}
}
