package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/registry"
)

func registryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "registry",
		Short: "Show the servers as an MCP registry",
		RunE:  parent,
		Args:  cobra.ArbitraryArgs,
	}
	cmd.AddCommand(registryExport())
	return cmd
}

func registryExport() *cobra.Command {
	var r manifest.Reader
	var publicURL, to string
	cmd := &cobra.Command{
		Use:   "export -f FILE-OR-FOLDER … --public-url URL --to FOLDER",
		Short: "Write the registry as files, for any web server whose index is index.json",
		Long: "The gateway itself serves the same with --registry. Files are for whoever wants it elsewhere: the address that\n" +
			"a \"registry only\" policy of editors names. Files of servers that are gone stay; export to a new folder to lose them.",
		Example: "  sallyport registry export -f manifests --public-url https://gw.example.com --to site",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := url.Parse(publicURL)
			switch {
			case len(r.Paths) == 0:
				return process.NoFiles()
			case err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http":
				return process.UsageError{Err: errors.New("say how clients reach the gateway: --public-url https://gw.example.com")}
			case to == "":
				return process.UsageError{Err: errors.New("say which folder to write to: --to FOLDER")}
			}
			set, err := load(&r)
			if err != nil {
				return err
			}
			p := plan.Of(set, plan.Process{PublicURL: publicURL, LookupEnv: os.LookupEnv, Checking: true})
			if len(p.Problems) > 0 {
				return p.Problems
			}
			g := registry.Registry{Since: time.Now()}
			for _, e := range p.Endpoints {
				g.Servers = append(g.Servers, registry.Server{
					Name: e.Name, Title: e.Title, Description: e.About,
					URL: cmp.Or(e.Link.Resource, strings.TrimSuffix(publicURL, "/")+"/servers/"+e.Name+"/mcp"),
				})
			}
			n, err := writeFiles(&g, to)
			if err == nil {
				fmt.Fprintf(cmd.OutOrStdout(), "%s in %s in %s\n", count(len(g.Servers), "server"), count(n, "file"), to)
			}
			return err
		},
	}
	cmd.Flags().SortFlags = false
	manifestFlags(cmd, &r)
	cmd.Flags().StringVar(&publicURL, "public-url", "", "how clients reach the gateway (scheme://host[:port][/prefix])")
	cmd.Flags().StringVar(&to, "to", "", "folder to write to")
	return cmd
}

// writeFiles writes a registry's files into a folder, the list last: it names no file that is not there yet.
func writeFiles(g *registry.Registry, to string) (n int, err error) {
	files, err := g.Files()
	if err != nil {
		return 0, err
	}
	names := slices.SortedFunc(maps.Keys(files), func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	for _, name := range names {
		file := filepath.Join(to, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // for everybody to read
			return n, err
		}
		if err := replaceFile(file, string(files[name])); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
