package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// driverVariable makes the test binary the client that the conformance suite starts:
// its value is the gateway's binary.
const driverVariable = "SALLYPORT_E2E_DRIVER"

// suiteContext is what the suite tells a client beforehand.
type suiteContext struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	PrivateKey   string `json:"private_key_pem"`
	enterprise          // of its scenario; its fields are beside the others
	ToolCalls    []struct {
		Name      string         `json:"name"`
		Arguments map[string]any `json:"arguments"`
	} `json:"toolCalls"`
}

// drive is one scenario: a gateway before the scenario's server, a client before the
// gateway, and a browser.
func drive(binary, server string) error {
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	scenario := os.Getenv("MCP_CONFORMANCE_SCENARIO")
	var told suiteContext
	if text := os.Getenv("MCP_CONFORMANCE_CONTEXT"); text != "" {
		if err := json.Unmarshal([]byte(text), &told); err != nil {
			return err
		}
	}
	home, err := os.MkdirTemp("", "sallyport-driver-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)
	args, env, err := told.settings(scenario, home)
	args = append(append([]string{"run", "--listen", "127.0.0.1:0", "--admin-listen", "", "--no-browser"}, args...), server)
	httpClient := &http.Client{}
	if told.IDToken != "" {
		var token string
		args, token, err = told.enterprise.settings(ctx, &told, server, home)
		env, httpClient.Transport = nil, &bearing{token: token}
	}
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(append(os.Environ(), "XDG_CONFIG_HOME="+home, "SALLYPORT_KEYRING=off"), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	address := make(chan string, 1)
	go watchGateway(ctx, stderr, address)
	select {
	case url := <-address:
		if url == "" {
			return errors.Join(errors.New("the gateway does not serve"), cmd.Wait())
		}
		err = use(ctx, httpClient, url, scenario, told)
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	return errors.Join(err, cmd.Wait())
}

// settings are the flags and the environment for what the suite tells.
func (c *suiteContext) settings(scenario, home string) (args, env []string, err error) {
	if c.ClientID == "" {
		return []string{"--oauth-cimd-url", "https://conformance-test.local/client-metadata.json"}, nil, nil
	}
	args = []string{"--oauth-client-id", c.ClientID}
	if c.ClientSecret != "" {
		env = append(env, "SALLYPORT_OAUTH_CLIENT_SECRET="+c.ClientSecret)
	}
	if strings.HasPrefix(scenario, "auth/client-credentials-") {
		args = append(args, "--oauth-client-credentials")
	}
	if c.PrivateKey != "" {
		path := filepath.Join(home, "client.pem")
		env = append(env, "SALLYPORT_OAUTH_PRIVATE_KEY_FILE="+path)
		err = os.WriteFile(path, []byte(c.PrivateKey), 0o600)
	}
	return args, env, err
}

var mcpAddress = regexp.MustCompile(`\bserving\b.*\bmcp=(http://\S+)`)

// watchGateway reads what the gateway says: where it serves, and the addresses that a
// person is to open, which it opens.
func watchGateway(ctx context.Context, stderr io.Reader, address chan<- string) {
	defer close(address)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		line := lines.Text()
		fmt.Fprintln(os.Stderr, "gateway:", line)
		if m := mcpAddress.FindStringSubmatch(line); m != nil {
			address <- m[1] + "/mcp"
		}
		if u := strings.TrimSpace(line); strings.HasPrefix(u, "http") && strings.Contains(u, "code_challenge=") {
			go browse(ctx, u)
		}
	}
}

// browse follows the redirects of an authorization server that asks nobody, back to
// the gateway.
func browse(ctx context.Context, address string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return
	}
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		return
	}
	defer resp.Body.Close()
	fmt.Fprintln(os.Stderr, "browser: at the end", resp.Status)
}

// use does what a client can do, as far as the scenario has it.
func use(ctx context.Context, httpClient *http.Client, url, scenario string, told suiteContext) error {
	content := map[string]any{}
	if scenario == "sep-2322-client-request-state" {
		content["confirmed"] = true
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, &mcp.ClientOptions{
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: content}, nil
		},
	})
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: httpClient}, nil)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer session.Close()
	if err := useTools(ctx, session, scenario, told); err != nil {
		return err
	}
	capabilities := session.InitializeResult().Capabilities
	if capabilities.Resources != nil {
		if list, err := session.ListResources(ctx, nil); err == nil && len(list.Resources) > 0 {
			_, err = session.ReadResource(ctx, &mcp.ReadResourceParams{URI: list.Resources[0].URI})
			tell(err)
		}
	}
	if capabilities.Prompts != nil {
		if list, err := session.ListPrompts(ctx, nil); err == nil && len(list.Prompts) > 0 {
			_, err = session.GetPrompt(ctx, &mcp.GetPromptParams{Name: list.Prompts[0].Name})
			tell(err)
		}
	}
	return nil
}

func useTools(ctx context.Context, session *mcp.ClientSession, scenario string, told suiteContext) error {
	list, err := session.ListTools(ctx, nil)
	if err != nil {
		return fmt.Errorf("list tools: %w", err)
	}
	var calls []*mcp.CallToolParams
	for _, c := range told.ToolCalls {
		calls = append(calls, &mcp.CallToolParams{Name: c.Name, Arguments: c.Arguments})
	}
	if len(calls) == 0 {
		for _, tool := range list.Tools {
			if tool.Name == "json_schema_2020_12_tool" { // the echo tool is to say what came of its schema
				calls = append(calls, &mcp.CallToolParams{Name: "json_schema_echo", Arguments: map[string]any{"schema": tool.InputSchema}})
				continue
			}
			calls = append(calls, &mcp.CallToolParams{Name: tool.Name, Arguments: arguments(tool.Name)})
		}
	}
	for _, call := range calls {
		_, err := session.CallTool(ctx, call)
		if err != nil && strings.HasPrefix(scenario, "auth/") {
			return fmt.Errorf("call %s: %w", call.Name, err)
		}
		tell(err)
	}
	return nil
}

// arguments are what the scenarios' tools want.
func arguments(tool string) map[string]any {
	switch {
	case tool == "add_numbers":
		return map[string]any{"a": 5, "b": 3}
	case strings.Contains(tool, "header") || strings.Contains(tool, "tool_"):
		return map[string]any{"region": "us-west1"}
	}
	return map[string]any{}
}

// tell says what a call came to, for the log of the run.
func tell(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "client:", err)
	}
}
