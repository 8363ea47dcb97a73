package main

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
)

func loginCommand() *cobra.Command {
	var r manifest.Reader
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
			case len(r.Paths) == 0:
				return process.NoFiles()
			case server == "":
				return noServer()
			}
			set, err := load(&r)
			if err != nil {
				return err
			}
			vault, err := signIns()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			do, done := (*oauthclient.Client).SignIn, "signed in to"
			if forget {
				do, done = (*oauthclient.Client).Forget, "signed out of"
			}
			at := compile.Accounts{Vault: vault, Browser: browser.browser(cmd.ErrOrStderr())}
			at.Browser.Paste = cmd.InOrStdin()
			if err := compile.WithAccount(set, server, at, func(c *oauthclient.Client) error { return do(c, ctx) }); err != nil {
				return usageOfServer(err)
			}
			fmt.Fprintln(cmd.OutOrStdout(), done, server)
			return nil
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	manifestFlags(cmd, &r)
	serverFlag(cmd, &r, &server, "name of the MCPRemoteProxy or MCPServerEntry", "MCPRemoteProxy", "MCPServerEntry")
	fs.BoolVar(&forget, "forget", false, "forget the sign-in and the registration instead")
	browser.register(cmd)
	return cmd
}
