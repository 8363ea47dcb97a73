// Command sallyport is the whole gateway in one binary: it runs and serves
// backends, checks manifests, and shows itself off.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

func main() {
	err := root().Execute()
	if err != nil {
		report(err)
	}
	os.Exit(process.ExitCode(err))
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sallyport",
		Short: "An identity-aware gateway for the Model Context Protocol",
		Long: "Sallyport stands between MCP clients and MCP servers: it learns who calls at its outer door,\n" +
			"shows each server the credential that caller should have at its inner door,\n" +
			"and carries nothing that opened one door through the other.",
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return process.UsageError{Err: fmt.Errorf("unknown command %q; see sallyport --help", args[0])}
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return process.UsageError{Err: err} })
	cmd.AddCommand(serveCommand(), runCommand(), loginCommand(), checkCommand(), explainCommand(), demoCommand(), auditCommand(), versionCommand())
	return cmd
}

// report tells a person what went wrong: problems one a line, with their place in
// front, everything else behind the program's name.
func report(err error) {
	if problems, ok := errors.AsType[manifest.Problems](err); ok {
		for _, p := range problems {
			fmt.Fprintln(os.Stderr, p.String())
		}
		return
	}
	if b, ok := errors.AsType[*audit.Break](err); ok {
		fmt.Fprintln(os.Stderr, b)
		return
	}
	fmt.Fprintln(os.Stderr, "sallyport:", err)
}

// noArgs refuses arguments, as a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return process.UsageError{Err: fmt.Errorf("%s takes no argument %q; see sallyport %s --help", cmd.Name(), args[0], cmd.Name())}
	}
	return nil
}
