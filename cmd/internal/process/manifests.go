package process

import (
	"errors"
	"os"

	"github.com/spf13/pflag"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// ManifestFlags adds the flags that say which manifests a command reads, and where it
// finds the secrets that are in none of them.
func ManifestFlags(fs *pflag.FlagSet, r *manifest.Reader) {
	r.Stdin, r.LookupEnv = os.Stdin, os.LookupEnv
	fs.StringArrayVarP(&r.Paths, "file", "f", nil, "manifest file, folder of them, or - for standard input; may be repeated")
	fs.StringVar(&r.Namespace, "namespace", "", "only the objects of this namespace")
	fs.StringVar(&r.Secrets, "secrets-folder", "", "folder of secrets that no manifest has: the file NAME/KEY, or NAMESPACE/NAME/KEY, for a key of the Secret NAME; else the environment variable SALLYPORT_SECRET_NAME__KEY")
}

// EachFlag adds the flag that has files served each for itself.
func EachFlag(fs *pflag.FlagSet, r *manifest.Reader) {
	fs.BoolVar(&r.Each, "each-file", false, "take each file for a configuration of its own, beside the others: what is wrong with one costs what that one serves, and nothing is served at /mcp")
}

// NoFiles is what is wrong with a command that names no manifest.
func NoFiles() error { return UsageError{errors.New("say which manifests with -f FILE-OR-FOLDER")} }
