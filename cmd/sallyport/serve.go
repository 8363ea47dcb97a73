package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
)

func serveCommand() *cobra.Command {
	var flags process.Flags
	var r manifest.Reader
	cmd := &cobra.Command{
		Use:   "serve -f FILE-OR-FOLDER …",
		Short: "Serve every resource in the manifests, and reload them when they change",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(r.Paths) == 0 {
				return process.NoFiles()
			}
			vault, err := signIns()
			if err == nil { // a service without a home has no sign-ins; check says where they are missing
				flags.Accounts(compile.Accounts{Vault: vault})
			}
			flags.KeptKey(keptKey)
			r.Validate = strict.Validate
			src := process.Source{Reader: &r, Load: func() (*manifest.Set, error) { return load(&r) }}
			return process.Serve(cmd.Context(), &flags, src, cmd.OutOrStdout(), cmd.ErrOrStderr(), nil)
		},
	}
	flags.Register(cmd.Flags())
	manifestFlags(cmd, &r)
	process.EachFlag(cmd.Flags(), &r)
	return cmd
}

// load reads manifests and validates them with the API server's own rules.
func load(r *manifest.Reader) (*manifest.Set, error) {
	set, err := r.Load()
	problems, _ := errors.AsType[manifest.Problems](err) // Load has no other errors
	return set, append(problems, strict.Validate(set)...).Sort().Err()
}
