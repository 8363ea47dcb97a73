package kube

import (
	"os"
	"path"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/hack/release/pack"
)

// WriteImage writes an archive of an image of static programs, in an otherwise empty root file system, and returns its path.
// The first program is what a container without a command runs, as nobody.
func WriteImage(t testing.TB, name string, programs ...string) (archive string) {
	t.Helper()
	root := []pack.Entry{{Name: "tmp/", Mode: 0o1777}}
	for _, program := range programs {
		root = append(root, pack.Entry{Name: filepath.Base(program), Mode: 0o755, From: program})
	}
	text, err := pack.Layout(name, time.Unix(0, 0), pack.Image{
		Arch: runtime.GOARCH, Root: root,
		Config: map[string]any{"Entrypoint": []string{"/" + filepath.Base(programs[0])}, "User": "65532"},
	})
	if err != nil {
		t.Fatal(err)
	}
	archive = filepath.Join(t.TempDir(), path.Base(name)+".tar")
	if err := os.WriteFile(archive, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return archive
}
