package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/token"
)

func explainCommand() *cobra.Command {
	var r manifest.Reader
	var as, arguments, output string
	var q compile.Question
	cmd := &cobra.Command{
		Use:   "explain -f FILE-OR-FOLDER … --server NAME --method M --name N",
		Short: "Say why a call would be allowed or denied",
		Example: "  sallyport explain -f manifests --server docs --method tools/call --name search \\\n" +
			`    --as '{"sub": "alice", "groups": ["eng"]}'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case len(r.Paths) == 0:
				return process.NoFiles()
			case q.Server == "":
				return noServer()
			}
			var err error
			if q.Claims, err = claims(as); err != nil {
				return process.UsageError{Err: err}
			}
			if arguments != "" {
				if q.Arguments, err = jsonArgument("--arguments", arguments); err != nil {
					return process.UsageError{Err: err}
				}
			}
			set, err := load(&r)
			if err != nil {
				return err
			}
			e, err := compile.Explain(set, q)
			if err != nil {
				return usageOfServer(err)
			}
			if output == "json" {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(e)
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), e)
			return err
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	manifestFlags(cmd, &r)
	serverFlag(cmd, &r, &q.Server, "name of the resource that is called", "MCPRemoteProxy", "MCPServer")
	fs.StringVar(&as, "as", "", "who calls: a subject, the claims of a token as JSON, or @FILE with them; nobody in particular if left out")
	fs.StringVar(&q.Method, "method", "tools/call", "MCP method")
	fs.StringVar(&q.Name, "name", "", "name of the tool or prompt, or URI of the resource")
	fs.StringVar(&arguments, "arguments", "", "arguments of the call as JSON, or @FILE with them")
	outputFlag(cmd, &output)
	return cmd
}

// claims reads who calls; nil for nobody in particular.
func claims(as string) (token.Claims, error) {
	if as == "" {
		return nil, nil
	}
	if !strings.HasPrefix(as, "@") && !strings.HasPrefix(strings.TrimSpace(as), "{") {
		return token.Claims{"sub": as}, nil
	}
	text, err := jsonArgument("--as", as)
	if err != nil {
		return nil, err
	}
	c, err := token.ParseClaims(text)
	if err != nil {
		return nil, fmt.Errorf("--as: %w", err)
	}
	return c, nil
}

// jsonArgument is JSON given in place, or in a file named after @.
func jsonArgument(flag, value string) ([]byte, error) {
	text := []byte(value)
	if name, ok := strings.CutPrefix(value, "@"); ok {
		var err error
		if text, err = os.ReadFile(name); err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
	}
	if !json.Valid(text) {
		return nil, errors.New(flag + ": is not JSON")
	}
	return text, nil
}
