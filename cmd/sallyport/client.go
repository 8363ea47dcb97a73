package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/clientconfig"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

func clientCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "client",
		Short: "Write a server into the configuration of MCP clients, and take it out again",
		Long: "The clients are " + strings.Join(clientconfig.Names(), ", ") + ".\n" +
			"What else a client's file holds stays as it is; the file as it was before is kept beside it.",
		RunE: parent,
		Args: cobra.ArbitraryArgs,
	}
	cmd.AddCommand(clientAdd(), clientRemove(), clientList())
	return cmd
}

// clientFlags say which of a client's files is meant.
type clientFlags struct{ project string }

func (f *clientFlags) register(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&f.project, "project", "", "folder of a project, whose file is meant instead of the person's own")
}

// place is this machine.
func place() (clientconfig.Place, error) {
	home, err := os.UserHomeDir()
	return clientconfig.Place{OS: runtime.GOOS, Home: home, Getenv: os.Getenv}, err
}

// file is the client's file that is meant.
func (f *clientFlags) file(c *clientconfig.Client, p clientconfig.Place) (string, error) {
	switch {
	case f.project == "":
		return c.File(p), nil
	case c.Project == "":
		return "", process.UsageError{Err: fmt.Errorf("%s keeps no servers in projects; leave out --project", c.Title)}
	default:
		return filepath.Join(f.project, c.Project), nil
	}
}

// clientNamed finds a client, or all that were ever started here.
func clientsNamed(name string, p clientconfig.Place) ([]clientconfig.Client, error) {
	if name != "all" {
		c, ok := clientconfig.Find(name)
		if !ok {
			names := clientconfig.Names()
			return nil, process.UsageError{Err: fmt.Errorf("unknown client %q%s; there are %s, and all for those that are here",
				name, manifest.DidYouMean(name, names), strings.Join(names, ", "))}
		}
		return []clientconfig.Client{c}, nil
	}
	var here []clientconfig.Client
	for _, c := range clientconfig.Clients() {
		if c.Installed(p) {
			here = append(here, c)
		}
	}
	if len(here) == 0 {
		return nil, errors.New("none of the clients was ever started here; name one to write its file all the same")
	}
	return here, nil
}

func clientAdd() *cobra.Command {
	var f clientFlags
	var name string
	var replace bool
	cmd := &cobra.Command{
		Use:   "add CLIENT URL",
		Short: "Write a server into a client's configuration; CLIENT may be all",
		Example: "  sallyport client add cursor https://gw.example.com/servers/docs/mcp\n" +
			"  sallyport client add all http://127.0.0.1:8080/servers/docs/mcp --name docs",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 || !isURL(args[1]) {
				return process.UsageError{Err: errors.New("say which client, and the URL of the server: sallyport client add CLIENT URL")}
			}
			u, err := url.Parse(args[1])
			if err != nil || u.Host == "" || u.User != nil {
				return process.UsageError{Err: fmt.Errorf("%q is not a URL, or holds a password; write it like https://gw.example.com/servers/docs/mcp", args[1])}
			}
			if name == "" {
				name = serverNamed(u)
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			s := clientconfig.Server{URL: args[1], Bridge: []string{self, "connect", args[1]}}
			return eachClient(args[0], func(p clientconfig.Place, c *clientconfig.Client) error {
				file, err := f.file(c, p)
				if err != nil {
					return err
				}
				done, err := c.Add(file, name, s, replace)
				if errors.Is(err, clientconfig.ErrTaken) {
					return fmt.Errorf("%s has a server %s already: %s; choose another --name, or add --replace", done.File, name, done.Before)
				}
				return told(cmd.OutOrStdout(), c, done, err, "has "+name+" already", "has "+name+" now")
			})
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&name, "name", "", "what the client calls the server (default from the URL)")
	cmd.Flags().BoolVar(&replace, "replace", false, "give a name that another server has to this one")
	return cmd
}

func clientRemove() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use:   "remove CLIENT NAME",
		Short: "Take a server out of a client's configuration; CLIENT may be all",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return process.UsageError{Err: errors.New("say which client, and what it calls the server: sallyport client remove CLIENT NAME")}
			}
			return eachClient(args[0], func(p clientconfig.Place, c *clientconfig.Client) error {
				file, err := f.file(c, p)
				if err != nil {
					return err
				}
				done, err := c.Remove(file, args[1])
				return told(cmd.OutOrStdout(), c, done, err, "has no "+args[1], "has no "+args[1]+" any more")
			})
		},
	}
	f.register(cmd)
	return cmd
}

func clientList() *cobra.Command {
	var f clientFlags
	cmd := &cobra.Command{
		Use:   "list [CLIENT]",
		Short: "Show the servers that clients have; where they are, and nothing of their secrets",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return process.UsageError{Err: errors.New("list takes one client, or none for all that are here")}
			}
			return eachClient(strings.Join(append(args, "all")[:1], ""), func(p clientconfig.Place, c *clientconfig.Client) error {
				file, err := f.file(c, p)
				if err != nil {
					return err
				}
				servers, err := c.List(file)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s (%s)\n", c.Title, file)
				for _, s := range servers {
					fmt.Fprintf(cmd.OutOrStdout(), "  %s  %s\n", s.Name, s.At)
				}
				if len(servers) == 0 {
					fmt.Fprintln(cmd.OutOrStdout(), "  no servers")
				}
				return nil
			})
		},
	}
	f.register(cmd)
	return cmd
}

// eachClient does something for the clients of a name. One that fails keeps no other from it.
func eachClient(name string, do func(clientconfig.Place, *clientconfig.Client) error) error {
	p, err := place()
	if err != nil {
		return err
	}
	clients, err := clientsNamed(name, p)
	if err != nil {
		return err
	}
	var failed []error
	for _, c := range clients {
		failed = append(failed, do(p, &c))
	}
	return errors.Join(failed...)
}

// told says what became of a client's file.
func told(w io.Writer, c *clientconfig.Client, done clientconfig.Change, err error, nothing, something string) error {
	switch {
	case err != nil:
		return err
	case done.None:
		fmt.Fprintf(w, "%s %s (%s)\n", c.Title, nothing, done.File)
		return nil
	}
	fmt.Fprintf(w, "%s %s (%s)\n", c.Title, something, done.File)
	if done.Copy != "" {
		fmt.Fprintf(w, "  as it was before: %s\n", done.Copy)
	}
	fmt.Fprintf(w, "  next: %s\n", c.Then)
	return nil
}

// serverNamed is what a client calls the server of a URL: its name at a gateway, or its host's.
func serverNamed(u *url.URL) string {
	if parts := strings.Split(strings.Trim(u.Path, "/"), "/"); len(parts) >= 3 && parts[len(parts)-3] == "servers" {
		return parts[len(parts)-2]
	}
	return nameOfHost(u)
}
