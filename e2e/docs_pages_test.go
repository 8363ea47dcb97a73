package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The documentation is tested as it stands. What a page may hold:
//
//	```console              each line that begins with "$ " runs, and prints what follows it
//	```console eventually   the same, but what it prints may take a while to come true
//	```console background   the one command starts, prints this, and runs until the page ends
//	```yaml                 a set of resources that check finds nothing wrong with
//	```yaml refused         one that it refuses, with what the ```problems block after it says
//
// In what is to be printed, … stands for any text within a line, and a line of it
// alone for any lines. Blocks of other kinds (sh, text, json, …) are for reading.

// root is the repository, seen from this package.
const root = ".."

// docPage is one Markdown file.
type docPage struct {
	path   string // from the root, with slashes
	text   string
	blocks []block
}

// block is a fenced code block.
type block struct {
	line int      // of its first line of text
	info []string // language and what follows it
	text string
}

func (b *block) is(info ...string) bool { return strings.Join(b.info, " ") == strings.Join(info, " ") }

// pages reads every Markdown file of the repository.
func pages(t *testing.T) []*docPage {
	t.Helper()
	var all []*docPage
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
			all = append(all, &docPage{path: filepath.ToSlash(rel), text: string(text), blocks: fenced(string(text))})
			return nil
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return all
}

// fenced finds the code blocks of a Markdown text.
func fenced(text string) []block {
	var blocks []block
	var open *block
	for i, line := range strings.Split(text, "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{line: i + 2, info: strings.Fields(info)}
		case fence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	return blocks
}

// prose is the text without code blocks.
func (p *docPage) prose() string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(p.text) {
		if strings.HasPrefix(line, "```") {
			inside = !inside
			line = "\n"
		}
		if !inside {
			b.WriteString(line)
		}
	}
	return b.String()
}
