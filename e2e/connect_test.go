package e2e_test

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// A client that only starts commands has all of a remote server by `sallyport connect`: calls, progress, what the
// server asks back, and an end as soon as the client ends.
func TestConnect(t *testing.T) {
	t.Parallel()
	for name, era := range map[string]testkit.Era{"sessions": testkit.Sessions, "stateless": testkit.Stateless} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := testkit.StartBackend(t, era)
			cmd := exec.Command(testkit.Binary(t), "connect", b.URL)
			said := &testkit.Output{}
			cmd.Stderr = said
			progress := make(chan float64, 3)
			client := mcp.NewClient(&mcp.Implementation{Name: "desktop", Version: "1"}, &mcp.ClientOptions{
				ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
					return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": "Ada"}}, nil
				},
				ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
					progress <- req.Params.Progress
				},
			})
			session, err := client.Connect(t.Context(), &mcp.CommandTransport{Command: cmd}, nil)
			if err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			for tool, want := range map[string]string{"echo": odd, "greet": "Hello, Ada!", "count": "counted"} {
				params := &mcp.CallToolParams{Name: tool, Arguments: map[string]any{"text": odd}}
				params.SetProgressToken(tool)
				result, err := session.CallTool(t.Context(), params)
				if err != nil {
					t.Fatalf("%s: %v\n%s", tool, err, said)
				}
				if got := result.Content[0].(*mcp.TextContent).Text; got != want {
					t.Errorf("%s answers %q", tool, got)
				}
			}
			for range 3 {
				testkit.Receive(t, "progress", progress)
			}
			if err := session.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			if cmd.ProcessState == nil || !cmd.ProcessState.Success() {
				t.Errorf("it ended with %v", cmd.ProcessState)
			}
			if said.String() != "" {
				t.Errorf("it said %s", said)
			}
		})
	}
}

// Messages that come at once are all answered before the command ends, a message a line, and a server that is not
// there is an error of each call.
func TestConnectPiped(t *testing.T) {
	t.Parallel()
	b := testkit.StartBackend(t, testkit.Stateless)
	ping := func(id any) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":%v,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, id)
	}
	for _, tt := range []struct {
		name, url, in string
		answers       []string // one of each, in any order
		code          int
	}{
		{"a server", b.URL, ping(1) + "\n\n" + ping(`"b"`) + "\r\n" + "nonsense\n", []string{`"id":1,"result":`, `"id":"b","result":`, `"code":-32700`}, 0},
		{"nobody there", "http://127.0.0.1:1/mcp", ping(1), []string{`"id":1,"error":`}, 0},
		{"nothing said", b.URL, "", nil, 0},
		{"no URL", "nowhere", "", nil, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := testkit.RunWith(t, testkit.Options{Stdin: tt.in}, "connect", tt.url)
			if got.Code != tt.code {
				t.Errorf("exit code %d: %s", got.Code, got.Stderr)
			}
			lines := strings.Split(strings.TrimSuffix(got.Stdout, "\n"), "\n")
			if len(tt.answers) == 0 && got.Stdout != "" || len(tt.answers) > 0 && len(lines) != len(tt.answers) {
				t.Errorf("%d lines: %s", len(lines), got.Stdout)
			}
			for _, want := range tt.answers {
				if !strings.Contains(got.Stdout, want) {
					t.Errorf("no %s in %s", want, got.Stdout)
				}
			}
		})
	}
}
