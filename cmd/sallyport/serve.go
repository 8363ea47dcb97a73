package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
)

func serveCommand() *cobra.Command {
	var flags process.Flags
	var files []string
	cmd := &cobra.Command{
		Use:   "serve -f FILE-OR-FOLDER …",
		Short: "Serve every resource in the manifests, and reload them when they change",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(files) == 0 {
				return errNoFiles
			}
			vault, err := signIns()
			if err == nil { // a service without a home has no sign-ins; check says where they are missing
				flags.Accounts(gateway.Accounts{Vault: vault})
			}
			src := process.Source{Files: files, Load: func() (*manifest.Set, error) { return load(files) }}
			return process.Serve(&flags, src, cmd.OutOrStdout(), cmd.ErrOrStderr(), nil)
		},
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "manifest file, or folder of them; may be repeated")
	flags.Register(cmd.Flags())
	return cmd
}

var errNoFiles = process.UsageError{Err: errors.New("say which manifests with -f FILE-OR-FOLDER")}

// load reads manifests and validates them with the API server's own rules.
func load(files []string) (*manifest.Set, error) {
	set, err := manifest.Load(files)
	problems, _ := errors.AsType[manifest.Problems](err) // Load has no other errors
	return set, append(problems, strict.Validate(set)...).Sort().Err()
}
