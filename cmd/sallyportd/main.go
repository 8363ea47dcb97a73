// Command sallyportd is the data plane alone: `serve` for manifests that an API
// server has validated already. It links no Kubernetes machinery.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

func main() {
	err := serve(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "sallyportd:", err)
	}
	os.Exit(process.ExitCode(err))
}

func serve(args []string) error {
	var flags process.Flags
	var files []string
	fs := pflag.NewFlagSet("sallyportd", pflag.ContinueOnError)
	fs.StringArrayVarP(&files, "file", "f", nil, "manifest file, or folder of them; may be repeated")
	flags.Register(fs)
	switch err := fs.Parse(args); {
	case errors.Is(err, pflag.ErrHelp):
		return nil
	case err != nil:
		return process.UsageError{Err: err}
	case len(files) == 0 || fs.NArg() > 0:
		return process.UsageError{Err: errors.New("usage: sallyportd -f FILE-OR-FOLDER … [flags]")}
	}
	src := process.Source{Files: files, Load: func() (*manifest.Set, error) {
		set, err := manifest.Load(files)
		if err != nil {
			return nil, err
		}
		return set, set.Decode().Err()
	}}
	return process.Serve(&flags, src, os.Stdout, os.Stderr, nil)
}
