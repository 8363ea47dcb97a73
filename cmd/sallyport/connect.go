package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/connect"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

func connectCommand() *cobra.Command {
	f := newRunFlags()
	cmd := &cobra.Command{
		Use:   "connect [flags] URL",
		Short: "Be a local server, on standard input and output, that stands for a remote one",
		Long: "For clients that only start commands: they start this one, and talk to the server at URL. Signing in there is\n" +
			"this command's, with a browser, once; sallyport login does it beforehand. Messages for people go to stderr.",
		Example: "  sallyport connect https://gw.example.com/servers/docs/mcp\n" +
			"  sallyport client add claude-desktop https://gw.example.com/servers/docs/mcp",
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !isURL(args[0]) {
				return process.UsageError{Err: errors.New("say which server to stand for, by one URL like https://mcp.example.com/mcp")}
			}
			set, err := f.manifest(args, -1)
			if err != nil {
				return err
			}
			if err := f.oauth.ask(&f.Flags, cmd.ErrOrStderr()); err != nil {
				return err
			}
			return inFlags(f.connect(cmd, set))
		},
	}
	// What is about an address has no meaning here, where nobody else comes in.
	var all pflag.FlagSet
	f.Register(&all)
	f.AdminListen = ""
	f.oauth.register(cmd)
	fs := cmd.Flags()
	process.Group(fs, "Signing in to the URL's server")
	f.registerRemote(fs)
	for _, name := range []string{"call-timeout", "audit-file", "log-level", "log-format"} {
		fs.AddFlag(all.Lookup(name))
	}
	f.LogLevel = "warn" // a client shows it to people as if it were trouble
	fs.Lookup("log-level").DefValue = f.LogLevel
	return cmd
}

// connect serves the client on standard input until it ends.
func (f *runFlags) connect(cmd *cobra.Command, set *manifest.Set) error {
	link := connect.NewLink()
	f.Listener = link
	ctx, end := context.WithCancel(cmd.Context())
	defer end()
	carried := make(chan error, 1)
	src := process.Source{Load: func() (*manifest.Set, error) { return set, nil }}
	// Standard output is the client's alone: what is for people, audit events too, goes to standard error.
	err := process.Serve(ctx, &f.Flags, src, cmd.ErrOrStderr(), cmd.ErrOrStderr(), func(string) {
		go func() {
			carried <- connect.Serve(ctx, link, "ws://localhost/ws", connect.Client{In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), MaxLine: int(gateway.DefaultOptions().MaxBodyBytes)})
			end()
		}()
	})
	select {
	case carriedErr := <-carried:
		return errors.Join(carriedErr, err)
	default: // it was told to end, or never served
		return err
	}
}
