// Command sallyport is the whole gateway in one binary: it runs and serves
// backends, checks manifests, and shows itself off.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

func main() {
	err := root().ExecuteContext(context.Background())
	if err != nil {
		report(err)
	}
	os.Exit(process.ExitCode(err))
}

func root() *cobra.Command {
	var asked *bool
	cmd := &cobra.Command{
		Use:   "sallyport",
		Short: "An identity-aware gateway for the Model Context Protocol",
		Long: "Sallyport stands between MCP clients and MCP servers: it learns who calls at its outer door,\n" +
			"shows each server the credential that caller should have at its inner door,\n" +
			"and carries nothing that opened one door through the other.",
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if *asked {
				return printVersion(cmd, args)
			}
			return parent(cmd, args)
		},
		Args: cobra.ArbitraryArgs,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return process.FromEnvironment(cmd.Flags(), os.LookupEnv)
		},
	}
	// Not cobra's: its template keeps the linker from leaving out any method, 25 MB of them.
	asked = cmd.Flags().Bool("version", false, "print the version, and the MCP revisions it speaks")
	cmd.SetUsageFunc(usage)
	cmd.SetHelpCommand(helpCommand())
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return process.FlagError(cmd.Flags(), err) })
	cmd.AddCommand(serveCommand(), newRunFlags().command(), connectCommand(), loginCommand(), clientCommand(), checkCommand(), doctorCommand(), explainCommand(), lockCommand(), importCommand(), schemaCommand(), registryCommand(), demoCommand(), auditCommand(), operatorCommand(), versionCommand())
	cmd.InitDefaultCompletionCmd()
	finish(cmd)
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
		return fmt.Errorf("%s takes no argument %q; see sallyport %s --help", cmd.Name(), args[0], cmd.Name())
	}
	return nil
}
