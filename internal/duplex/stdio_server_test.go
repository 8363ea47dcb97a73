package duplex_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// serverVariable makes the test binary serve MCP on stdio: "legacy" and "modern"
// are the server below in two eras, "sdk" is the official SDK's.
const serverVariable = "SALLYPORT_BACKEND_TEST_SERVER"

func serveStdio(kind string) int {
	if kind == "sdk" {
		if err := sdkServer().Run(context.Background(), &sdk.StdioTransport{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return 0
	}
	s := &stdioServer{modern: kind == "modern", in: bufio.NewReader(os.Stdin)}
	s.run()
	return 0
}

// rpc is any JSON-RPC message.
type rpc struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  any             `json:"result,omitempty"`
	Error   any             `json:"error,omitempty"`
}

// stdioServer does what tools/call names, good and bad.
type stdioServer struct {
	modern bool
	in     *bufio.Reader
}

func (s *stdioServer) run() {
	for {
		line, err := s.in.ReadBytes('\n')
		if err != nil {
			return
		}
		var m rpc
		if err := json.Unmarshal(line, &m); err != nil {
			fmt.Fprintf(os.Stderr, "bad line: %v\n", err)
			continue
		}
		s.handle(m, string(line))
	}
}

func (s *stdioServer) answer(id json.RawMessage, result any) { send(rpc{ID: id, Result: result}) }

func send(m rpc) {
	m.JSONRPC = "2.0"
	text, _ := json.Marshal(m)
	fmt.Printf("%s\n", text)
}

func (s *stdioServer) handle(m rpc, line string) {
	switch {
	case m.Method == "initialize":
		s.answer(m.ID, map[string]any{"protocolVersion": "2025-11-25", "capabilities": map[string]any{}, "serverInfo": map[string]string{"name": "t", "version": "1"}})
	case m.Method == "server/discover" && s.modern:
		s.answer(m.ID, map[string]any{"supportedVersions": []string{"2026-07-28"}, "capabilities": map[string]any{}})
	case m.Method == "tools/call":
		var params struct {
			Name      string `json:"name"`
			Arguments struct {
				Text string `json:"text"`
				N    int    `json:"n"`
			} `json:"arguments"`
			Meta struct {
				Token json.RawMessage `json:"progressToken"`
			} `json:"_meta"`
		}
		_ = json.Unmarshal(m.Params, &params)
		s.tool(m, params.Name, params.Arguments.Text, params.Arguments.N, params.Meta.Token, line)
	case m.ID != nil && m.Method != "":
		send(rpc{ID: m.ID, Error: map[string]any{"code": -32601, "message": "method not found"}})
	}
}

func (s *stdioServer) tool(m rpc, name, text string, n int, token json.RawMessage, line string) {
	switch name {
	case "line": // the request as it came
		s.answer(m.ID, line)
	case "pid":
		s.answer(m.ID, os.Getpid())
	case "env":
		s.answer(m.ID, os.Environ())
	case "exit":
		os.Exit(n)
	case "silent":
	case "progress":
		for i := range n {
			params, _ := json.Marshal(map[string]any{"progressToken": token, "progress": i})
			send(rpc{Method: "notifications/progress", Params: params})
		}
		s.answer(m.ID, "done")
	case "ask":
		send(rpc{ID: json.RawMessage(`"question"`), Method: "sampling/createMessage", Params: json.RawMessage(`{}`)})
		reply, _ := s.in.ReadBytes('\n')
		s.answer(m.ID, string(reply))
	case "long": // n bytes
		s.answer(m.ID, strings.Repeat("x", n))
	case "endless": // n bytes that are nobody's
		fmt.Print(strings.Repeat("x", n), "\n")
		s.answer(m.ID, "done")
	case "print": // text on stdout, before the answer
		fmt.Print(text)
		s.answer(m.ID, "done")
	case "stderr": // n times
		for range n {
			fmt.Fprintln(os.Stderr, text)
		}
		s.answer(m.ID, "done")
	case "last words": // an answer without a line end, and out
		fmt.Printf(`{"jsonrpc":"2.0","id":%s,"result":"bye"}`, m.ID)
		os.Exit(0)
	case "mute": // no stdout any more
		os.Stdout.Close()
		select {}
	case "deaf": // no reading any more
		s.answer(m.ID, "done")
		select {}
	case "stubborn": // neither end of stdin nor SIGTERM ends it
		signal.Ignore(syscall.SIGTERM)
		s.answer(m.ID, "done")
		select {}
	case "child", "daemon": // a process of its own, which holds all our pipes; or in a session of its own
		args := []string{"sh", "-c", "trap '' TERM; sleep 1000 & echo $! >&3; wait"}
		if name == "daemon" {
			args = append([]string{"setsid"}, args...)
		}
		cmd := exec.Command(args[0], args[1:]...)
		r, w, _ := os.Pipe()
		cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = os.Stdin, os.Stdout, os.Stderr, []*os.File{w}
		if err := cmd.Start(); err != nil {
			s.answer(m.ID, err.Error())
			return
		}
		var sleeper int
		_, _ = fmt.Fscan(r, &sleeper)
		s.answer(m.ID, []int{cmd.Process.Pid, sleeper})
	default:
		send(rpc{ID: m.ID, Error: map[string]any{"code": -32602, "message": "unknown tool"}})
	}
}
