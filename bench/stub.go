package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"strings"
)

// stub is an MCP server that costs next to nothing, so that what is measured is
// what stands before it. It finds the few values it needs by looking for their
// keys: enough for the bench's own messages, and for nothing else.
type stub struct {
	list, many, small, big string // results
}

func newStub() *stub {
	var tools []string
	callable := []string{"small", "sse", "sse5", "big", "big-sse"} // which a gateway that knows the list lets through
	for i := range 200 {
		name := fmt.Sprintf("t%03d", i)
		if i < len(callable) {
			name = callable[i]
		}
		tools = append(tools, fmt.Sprintf(`{"name":"%s","title":"Tool %[2]d","description":"Tool number %[2]d of the stub. `+
			`It returns a text whose size and framing are chosen by its name; used for measurements only.",`+
			`"inputSchema":{"type":"object","properties":{"message":{"type":"string","description":"some text"},`+
			`"events":{"type":"integer","minimum":0}},"required":[]},"annotations":{"readOnlyHint":true}}`, name, i))
	}
	text := func(n int) string {
		return `"content":[{"type":"text","text":"` + strings.Repeat("abcdefghij", n/10+1)[:n] + `"}]}`
	}
	list := func(n int) string { return `"tools":[` + strings.Join(tools[:n], ",") + `]}` }
	return &stub{list: list(20), many: list(200), small: text(200), big: text(bigResult)}
}

// serveStub runs until ctx ends.
func serveStub(ctx context.Context, l net.Listener) error {
	context.AfterFunc(ctx, func() { _ = l.Close() })
	s := newStub()
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		go s.serve(c)
	}
}

func (s *stub) serve(c net.Conn) {
	defer c.Close()
	br := bufio.NewReaderSize(c, 4<<10)
	var req stubRequest
	var out []byte
	for {
		if err := req.read(br); err != nil {
			return
		}
		if req.method == "GET" {
			_, err := io.WriteString(c, streamHead+"8\r\n: open\n\n\r\n")
			if err == nil {
				_, _ = io.Copy(io.Discard, br) // until the peer goes away
			}
			return
		}
		out = s.answer(c, out[:0], &req)
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// stubRequest is what the stub reads of a request. The body is reused.
type stubRequest struct {
	method string
	modern bool
	body   []byte
}

func (q *stubRequest) read(br *bufio.Reader) error {
	line, err := br.ReadSlice('\n')
	if err != nil {
		return err
	}
	method, _, _ := bytes.Cut(line, []byte(" "))
	q.method, q.modern = string(method), false
	length, chunked := 0, false
	for {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		switch name, value := headerLine(line); {
		case equalFold(name, "content-length"):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		case equalFold(name, "transfer-encoding"):
			chunked = true
		case equalFold(name, "mcp-protocol-version"):
			q.modern = string(value) == modernRevision
		}
	}
	if chunked {
		if q.body, err = io.ReadAll(httputil.NewChunkedReader(br)); err == nil {
			_, err = br.ReadSlice('\n')
		}
		return err
	}
	q.body = append(q.body[:0], make([]byte, length)...)
	_, err = io.ReadFull(br, q.body)
	return err
}

func headerLine(line []byte) (name, value []byte) {
	name, value, _ = bytes.Cut(line, []byte(":"))
	return name, bytes.TrimSpace(value)
}

func equalFold(b []byte, s string) bool { return len(b) == len(s) && strings.EqualFold(string(b), s) }

// value finds the raw JSON value of a key; strings come without their quotes.
func value(body []byte, key string) string {
	_, rest, ok := bytes.Cut(body, []byte(`"`+key+`":`))
	if !ok {
		return ""
	}
	if rest[0] == '"' {
		v, _, _ := bytes.Cut(rest[1:], []byte(`"`))
		return string(v)
	}
	return string(rest[:max(0, bytes.IndexAny(rest, ",}"))])
}

const (
	streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"
	emptyHead  = "Content-Length: 0\r\n\r\n"
)

// answer appends the answer to out, or the last part of it when the others were
// written to w already.
func (s *stub) answer(w io.Writer, out []byte, q *stubRequest) []byte {
	id, method := value(q.body, "id"), value(q.body, "method")
	switch {
	case q.method == "DELETE":
		return append(out, "HTTP/1.1 200 OK\r\n"+emptyHead...)
	case q.method != "POST":
		return append(out, "HTTP/1.1 405 Method Not Allowed\r\n"+emptyHead...)
	case id == "":
		return append(out, "HTTP/1.1 202 Accepted\r\n"+emptyHead...)
	}
	begin := `{"jsonrpc":"2.0","id":` + id + `,"result":{`
	if q.modern {
		begin += `"resultType":"complete",`
	}
	switch method {
	case "initialize":
		return asJSON(out, "Mcp-Session-Id: "+rand.Text()+"\r\n", begin,
			`"protocolVersion":"`+legacyRevision+`","capabilities":{"tools":{}},"serverInfo":{"name":"stub","version":"1"}}`)
	case "server/discover":
		return asJSON(out, "", begin, `"ttlMs":60000,"cacheScope":"private","supportedVersions":["`+modernRevision+`"],"capabilities":{"tools":{}}}`)
	case "tools/list":
		if q.modern {
			begin += `"ttlMs":60000,"cacheScope":"private",`
		}
		list := s.list
		if value(q.body, "cursor") == manyTools {
			list = s.many
		}
		return asJSON(out, "", begin, list)
	case "tools/call":
		return s.call(w, out, value(q.body, "name"), begin)
	}
	return asJSON(out, "", `{"jsonrpc":"2.0","id":`+id, `,"error":{"code":-32601,"message":"Method not found"}`)
}

func (s *stub) call(w io.Writer, out []byte, tool, begin string) []byte {
	switch tool {
	case "big":
		return asJSON(out, "", begin, s.big)
	case "big-sse":
		return append(event(append(out, streamHead...), begin, s.big), "0\r\n\r\n"...)
	case "sse":
		return append(event(append(out, streamHead...), begin, s.small), "0\r\n\r\n"...)
	case "sse5":
		out = append(out, streamHead...)
		for range 5 { // each in a write of its own, as a server that works would
			out = event(out, `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"a step of the work"}`, "")
			if _, err := w.Write(out); err != nil {
				return nil
			}
			out = out[:0]
		}
		return append(event(out, begin, s.small), "0\r\n\r\n"...)
	}
	return asJSON(out, "", begin, s.small)
}

// asJSON appends a whole answer; the body is begin, end and a closing brace.
func asJSON(out []byte, header, begin, end string) []byte {
	out = append(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "...)
	out = strconv.AppendInt(out, int64(len(begin)+len(end)+1), 10)
	out = append(append(out, "\r\n"...), header...)
	return append(append(append(append(out, "\r\n"...), begin...), end...), '}')
}

// event appends one event in one chunk; its data is begin, end and a closing brace.
func event(out []byte, begin, end string) []byte {
	const frame = "event: message\ndata: }\n\n"
	out = strconv.AppendInt(out, int64(len(frame)+len(begin)+len(end)), 16)
	out = append(append(append(out, "\r\nevent: message\ndata: "...), begin...), end...)
	return append(out, "}\n\n\r\n"...)
}
