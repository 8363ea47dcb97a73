package main

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/gateway"
)

func loginCommand() *cobra.Command {
	var files []string
	var server string
	var forget bool
	var browser browserFlags
	cmd := &cobra.Command{
		Use:   "login -f FILE-OR-FOLDER … --server NAME",
		Short: "Sign in to a remote server for the gateway that serves these manifests on this machine",
		Long: "Signs in to a remote server whose manifest has oauth with grant: authorizationCode.\n" +
			"The sign-in is kept for this user of this machine, encrypted; serve uses it, for every caller.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case len(files) == 0:
				return errNoFiles
			case server == "":
				return process.UsageError{Err: fmt.Errorf("say which server with --server NAME")}
			}
			set, err := load(files)
			if err != nil {
				return err
			}
			vault, err := signIns()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			at := gateway.Accounts{Vault: vault, Browser: browser.browser(cmd.ErrOrStderr())}
			if forget {
				if err := gateway.Forget(ctx, set, server, at); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "signed out of %s\n", server)
				return nil
			}
			if err := gateway.SignIn(ctx, set, server, at); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "signed in to %s\n", server)
			return nil
		},
	}
	fs := cmd.Flags()
	fs.StringArrayVarP(&files, "file", "f", nil, "manifest file, or folder of them; may be repeated")
	fs.StringVar(&server, "server", "", "name of the MCPRemoteProxy or MCPServerEntry")
	fs.BoolVar(&forget, "forget", false, "forget the sign-in and the registration instead")
	browser.register(cmd)
	return cmd
}
