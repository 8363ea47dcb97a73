package markdown

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Page is one Markdown file.
type Page struct {
	Path   string // from the root, with slashes
	Text   string
	Blocks []Block
}

// Block is a fenced code block.
type Block struct {
	Line int      // of its first line of text
	Info []string // language and what follows it
	Text string
}

// Is tells whether a block is of a kind.
func (b *Block) Is(info ...string) bool { return strings.Join(b.Info, " ") == strings.Join(info, " ") }

// Read reads a page of the repository at root.
func Read(t testing.TB, root, path string) *Page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return Parse(path, string(text))
}

// Parse finds the code blocks of a text.
func Parse(path, text string) *Page {
	p := &Page{Path: path, Text: text}
	var open *Block
	for i, line := range strings.Split(text, "\n") {
		info, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &Block{Line: i + 2, Info: strings.Fields(info)}
		case fence:
			p.Blocks = append(p.Blocks, *open)
			open = nil
		case open != nil:
			open.Text += line + "\n"
		}
	}
	return p
}

// Prose is the text without code blocks.
func (p *Page) Prose() string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(p.Text) {
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

// Command is one line of a console block, and what the page says it prints.
type Command struct{ Line, Prints string }

// Commands are those of a console block: each begins with "$ ".
func (b *Block) Commands() []Command {
	var all []Command
	for line := range strings.Lines(b.Text) {
		if c, ok := strings.CutPrefix(line, "$ "); ok {
			all = append(all, Command{Line: strings.TrimSpace(c)})
		} else if len(all) > 0 {
			all[len(all)-1].Prints += line
		}
	}
	return all
}

// Printed matches output that a page describes: … stands for any text within a line, and a line of it alone for any
// lines. Of a program that goes on, a log say, other lines may stand between.
func Printed(want string, goesOn bool) *regexp.Regexp {
	between := `\n`
	var b strings.Builder
	b.WriteString(`^`)
	if goesOn {
		between = `\n(?:.*\n)*?`
		b.WriteString(`(?:.*\n)*?`)
	}
	for line := range strings.Lines(want) {
		line = strings.TrimSuffix(line, "\n")
		if line == "…" {
			b.WriteString(`(?:.*\n)*`)
			continue
		}
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*") + between)
	}
	if !goesOn {
		b.WriteString(`$`)
	}
	return regexp.MustCompile(b.String())
}
