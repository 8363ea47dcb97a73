package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit/markdown"
)

// The documentation is tested as it stands. What a page may hold:
//
//	```console              each line that begins with "$ " runs, and prints what follows it
//	```console eventually   the same, but what it prints may take a while to come true
//	```console background   the one command starts, prints this, and runs until the page ends
//	```console cluster      what follows is for a cluster: e2e/cluster follows it
//	```yaml                 a set of resources that check finds nothing wrong with
//	```yaml refused         one that it refuses, with what the ```problems block after it says
//
// In what is to be printed, … stands for any text within a line, and a line of it
// alone for any lines. Blocks of other kinds (sh, text, json, …) are for reading.

// root is the repository, seen from this package.
const root = ".."

// pages reads every Markdown file of the repository.
func pages(t *testing.T) []*markdown.Page {
	t.Helper()
	var all []*markdown.Page
	for _, dir := range []string{".", "docs", "examples", "bench"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() && dir == "." && filepath.Clean(path) != root {
				if err == nil {
					err = filepath.SkipDir // the folders are listed above
				}
				return err
			}
			if filepath.Ext(path) != ".md" {
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			all = append(all, markdown.Parse(filepath.ToSlash(rel), string(text)))
			return nil
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return all
}
