package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/audit"
)

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Read audit events, and verify that nobody changed them",
		RunE:  parent,
		Args:  cobra.ArbitraryArgs,
	}
	cmd.AddCommand(tailCommand(), verifyCommand())
	return cmd
}

func verifyCommand() *cobra.Command {
	var keyFile string
	var anchors []string
	cmd := &cobra.Command{
		Use:   "verify FILE…",
		Short: "Verify the chain in audit files, in any order; name the first line that breaks it",
		Args:  someFiles,
		RunE: func(cmd *cobra.Command, files []string) error {
			opts, err := verifyOptions(keyFile, anchors)
			if err != nil {
				return process.UsageError{Err: err}
			}
			report, err := audit.Verify(files, opts)
			if _, broken := errors.AsType[*audit.Break](err); err != nil && !broken {
				return process.UsageError{Err: err}
			}
			sayVerified(cmd.OutOrStdout(), report)
			if err != nil {
				return err
			}
			sayWhole(cmd.OutOrStdout(), report)
			return nil
		},
	}
	cmd.Flags().StringVar(&keyFile, "key-file", "", "file of base64 keys, one a line; every file has to be sealed with one of them")
	cmd.Flags().StringArrayVar(&anchors, "anchor", nil, "head of the chain at some time, as the gateway's log says it, that has to be in the chain; may be repeated")
	return cmd
}

func verifyOptions(keyFile string, anchors []string) (opts audit.VerifyOptions, err error) {
	if opts.Keys, err = process.ReadKeys("--key-file", keyFile); err != nil {
		return opts, err
	}
	for _, a := range anchors {
		link, err := audit.ParseLink(a)
		if err != nil {
			return opts, fmt.Errorf("--anchor: %w", err)
		}
		opts.Anchors = append(opts.Anchors, link)
	}
	return opts, nil
}

// sayVerified says what is sound, a line for each file.
func sayVerified(w io.Writer, report audit.Report) {
	for i, f := range report.Files {
		fmt.Fprintf(w, "%s: %s", f.Name, count(f.Events, "event"))
		if f.Lost > 0 {
			fmt.Fprintf(w, ", %d more were lost", f.Lost)
		}
		if f.Torn {
			fmt.Fprint(w, ", and a line that is torn or still being written")
		}
		if i == 0 && f.Prev != (audit.Link{}) {
			fmt.Fprintf(w, "; it goes on from a file that was not given, number %d", f.Number-1)
		}
		fmt.Fprintln(w)
	}
}

func sayWhole(w io.Writer, report audit.Report) {
	last := report.Files[len(report.Files)-1]
	sealed := "no key"
	if last.Keyed {
		sealed = "sealed with a key"
	}
	fmt.Fprintf(w, "the chain holds (%s): %s in %s, head %s\n", sealed, count(report.Events, "event"), count(len(report.Files), "file"), last.Head)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// someFiles wants files as arguments.
func someFiles(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("say which file; see %s --help", cmd.CommandPath())
	}
	return nil
}
