package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// parent is what a command does that only has others below it.
func parent(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return unknownCommand(cmd, args[0])
}

func unknownCommand(cmd *cobra.Command, name string) error {
	var known []string
	for _, c := range cmd.Commands() {
		known = append(known, c.Name())
	}
	hint := manifest.DidYouMean(name, known)
	if hint == "" {
		hint = "; see " + cmd.CommandPath() + " --help"
	}
	return process.UsageError{Err: fmt.Errorf("unknown command %q%s", strings.TrimPrefix(cmd.CommandPath()+" "+name, "sallyport "), hint)}
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, rest, err := cmd.Root().Find(args)
			if err != nil {
				return process.UsageError{Err: err}
			}
			if len(rest) > 0 {
				return unknownCommand(c, rest[0])
			}
			c.InitDefaultHelpFlag()
			return c.Help()
		},
	}
}

// usage shows a command's flags in groups, and not in one long list.
func usage(cmd *cobra.Command) error {
	w := cmd.OutOrStderr()
	fmt.Fprint(w, "Usage:\n")
	if cmd.HasAvailableSubCommands() && !strings.Contains(cmd.Use, " ") { // else it does something itself
		fmt.Fprintf(w, "  %s [command]\n", cmd.CommandPath())
	} else {
		fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(cmd.UseLine(), " | ", "\n  sallyport "))
	}
	if cmd.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprint(w, "\nAvailable Commands:\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(w, "  %-*s %s\n", c.NamePadding(), c.Name(), c.Short)
			}
		}
	}
	fmt.Fprintf(w, "\n%s", process.Usages(cmd.Flags()))
	return nil
}

// finish gives all commands what they have in common: wrong usage is exit code 2, and
// shells complete words.
func finish(cmd *cobra.Command) {
	if args := cmd.Args; args != nil {
		cmd.Args = func(cmd *cobra.Command, all []string) error {
			if err := args(cmd, all); err != nil {
				return process.UsageError{Err: err}
			}
			return nil
		}
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if words := process.Choices(f); words != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) // once for each flag
		}
	})
	for _, c := range cmd.Commands() {
		finish(c)
	}
}

// manifestFlags adds the flags that name manifests.
func manifestFlags(cmd *cobra.Command, r *manifest.Reader) {
	process.ManifestFlags(cmd.Flags(), r)
	_ = cmd.MarkFlagDirname("secrets-folder") // it is there
	cmd.ValidArgsFunction = cobra.NoFileCompletions
}

// usageOfServer tells a server that is not there from what else can fail.
func usageOfServer(err error) error {
	if unknown, ok := errors.AsType[compile.UnknownServerError](err); ok {
		return process.UsageError{Err: unknown}
	}
	return err
}

func noServer() error {
	return process.UsageError{Err: errors.New("say which server with --server NAME")}
}

// outputFlag adds the flag that chooses between text for people and JSON.
func outputFlag(cmd *cobra.Command, output *string) {
	*output = "text"
	process.ChoiceVar(cmd.Flags(), output, "output", "o", "text or json", "text", "json")
}

// serverFlag adds the flag that names one of the manifests' servers; shells complete it.
func serverFlag(cmd *cobra.Command, r *manifest.Reader, server *string, usage string, kinds ...string) {
	cmd.Flags().StringVar(server, "server", "", usage)
	_ = cmd.RegisterFlagCompletionFunc("server", func(*cobra.Command, []string, string) (names []string, _ cobra.ShellCompDirective) {
		set, _ := r.Load() // what can be read of them
		for _, o := range set.Objects {
			for _, kind := range kinds {
				if o.Kind == kind {
					names = append(names, o.Name)
				}
			}
		}
		slices.Sort(names)
		return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
	})
}
