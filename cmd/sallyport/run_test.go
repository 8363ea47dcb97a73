package main

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// FINDING N6
func TestNames(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://mcp.example.com/mcp":                                           "mcp-example-com",
		"http://127.0.0.1:3000/mcp":                                             "local-3000",
		"http://localhost/mcp":                                                  "local",
		"http://[::1]:8081/mcp":                                                 "local-8081",
		"npx -y @modelcontextprotocol/server-everything@2.0 stdio":              "server-everything",
		"uvx --from git+https://example.com/x mcp-server-git":                   "mcp-server-git",
		"uvx mcp-server-time==1.2":                                              "mcp-server-time",
		"docker run -i --rm -e TOKEN ghcr.io/github/github-mcp-server:v1 stdio": "github-mcp-server",
		"/opt/venv/bin/python3 server.py":                                       "server",
		"./bin/Files_Server --root /srv":                                        "files-server",
		"node":                                                                  "node",
		"go run ./examples/server":                                              "server",
		"pnpm dlx some-mcp":                                                     "some-mcp",
	} {
		if isURL(strings.Fields(text)[0]) {
			set, err := newRunFlags().remote(text)
			if err != nil {
				t.Errorf("%s: %v", text, err)
			} else if got := set.Objects[0].Name; got != want {
				t.Errorf("%s is named %q, want %q", text, got, want)
			}
			continue
		}
		if got := nameOfCommand(strings.Fields(text)); got != want {
			t.Errorf("%s is named %q, want %q", text, got, want)
		}
	}
}

// FINDING N6, FINDING F18
func TestWhatIsRun(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"HTTP://LOCALHOST:3000/Mcp":                         "http://localhost:3000/Mcp",
		"https://mcp.example.com/mcp --listen :0":           "https://mcp.example.com/mcp",
		"mcp.example.com/mcp":                               "!did you mean https://mcp.example.com/mcp?",
		"localhost:3000/mcp":                                "!did you mean http://localhost:3000/mcp?",
		"npx -y some-mcp":                                   "!put -- before a command: sallyport run -- npx",
		"npx some-mcp":                                      "!put -- before a command: sallyport run -- npx some-mcp",
		"https://mcp.example.com/mcp --lsten :0":            "!did you mean --listen?",
		"https://mcp.example.com/mcp more":                  "!takes one URL",
		"https://mcp.example.com/mcp -- true":               "!not both",
		"http://mcp.example.com/mcp":                        "!--allow-private-endpoint",
		"http://mcp.corp/mcp --allow-private-endpoint":      "http://mcp.corp/mcp",
		"ftp://mcp.example.com":                             "!must begin with https://",
		"-- no-such-command-here":                           "!cannot be run: executable file not found",
		"--header Cookie=x https://mcp.example.com":         "!--header: ",
		"--passthrough-header Host https://mcp.example.com": "!--passthrough-header: ",
		"--name NO https://mcp.example.com":                 "!--name: ",
		"":                                                  "!say what to run",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			f := newRunFlags()
			cmd := f.command()
			err := cmd.ParseFlags(strings.Fields(line))
			var set *manifest.Set
			if err != nil {
				err = cmd.FlagErrorFunc()(cmd, err)
			} else {
				set, err = f.manifest(cmd.Flags().Args(), cmd.ArgsLenAtDash())
			}
			problem, refused := strings.CutPrefix(want, "!")
			switch {
			case refused && (err == nil || process.ExitCode(err) != process.ExitRefused || !strings.Contains(err.Error(), problem)):
				t.Errorf("error %v, want %q", err, problem)
			case refused && strings.Contains(err.Error(), "spec."):
				t.Errorf("error %v, in a manifest's words", err)
			case !refused && err != nil:
				t.Error(err)
			case !refused:
				proxies := manifest.All[v1alpha1.MCPRemoteProxy](set)
				if len(proxies) != 1 || string(proxies[0].Value.Spec.RemoteURL) != want {
					t.Errorf("it runs %+v, want %s", proxies, want)
				}
			}
		})
	}
}
