// Command sallyportd is the data plane alone: `serve` for manifests that an API
// server has validated already. It links no Kubernetes machinery.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/version"
)

func main() {
	err := serve(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "sallyportd:", err)
	}
	os.Exit(process.ExitCode(err))
}

const usage = "sallyportd -f FILE-OR-FOLDER … [flags]"

func serve(args []string) error {
	var flags process.Flags
	var r manifest.Reader
	fs := pflag.NewFlagSet("sallyportd", pflag.ContinueOnError)
	flags.Register(fs)
	process.ManifestFlags(fs, &r)
	process.EachFlag(fs, &r)
	says := fs.Bool("version", false, "print the version")
	install := fs.String("install", "", "copy the program to this file, for a container whose server it is to start, and end")
	fs.Usage = func() {
		fmt.Printf("Serves manifests that an API server has validated.\n\nUsage:\n  %s\n\n%s", usage, process.Usages(fs))
	}
	switch err := fs.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return nil
	case err != nil:
		return process.FlagError(fs, err)
	case *says:
		fmt.Println("sallyportd", version.Line())
		return nil
	}
	if *install != "" {
		return copyTo(*install)
	}
	if err := process.FromEnvironment(fs, os.LookupEnv); err != nil {
		return err
	}
	if len(r.Paths) == 0 || fs.NArg() > 0 {
		return process.UsageError{Err: errors.New("usage: " + usage)}
	}
	src := process.Source{Reader: &r, Load: func() (*manifest.Set, error) {
		set, err := r.Load()
		if err != nil {
			return set, err
		}
		return set, set.Decode().Err()
	}}
	return process.Serve(context.Background(), &flags, src, os.Stdout, os.Stderr, nil)
}

// copyTo copies the program to a file that everybody can run: an image has no cp.
func copyTo(path string) error {
	own, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program: %w", err)
	}
	from, err := os.Open(own)
	if err != nil {
		return fmt.Errorf("read the program: %w", err)
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755) //nolint:gosec // it is to be run by another user
	if err != nil {
		return fmt.Errorf("install the program: %w", err)
	}
	if _, err := io.Copy(to, from); err != nil {
		return errors.Join(fmt.Errorf("install the program: %w", err), to.Close())
	}
	if err := to.Close(); err != nil {
		return fmt.Errorf("install the program: %w", err)
	}
	return nil
}
