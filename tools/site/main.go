// Command site makes the documentation a site: every page of docs as HTML, with what leads from one to the other, and a
// search that needs no server.
package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed page.html style.css search.js
var files embed.FS

var layout = template.Must(template.ParseFS(files, "page.html"))

func main() {
	root := flag.String("root", ".", "the repository")
	out := flag.String("out", "site", "folder to write to; what is in it is replaced")
	diagrams := flag.String("mermaid", "", "mermaid.min.js, which draws the diagrams; without it they stay text")
	source := flag.String("source", "https://github.com/sallyport-dev/sallyport/blob/main/", "where files that are no pages are shown")
	flag.Parse()
	s := &site{root: *root, source: *source, diagrams: *diagrams != ""}
	if err := s.build(*out, *diagrams); err != nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
}

// site is all pages.
type site struct {
	root, source string
	diagrams     bool
	pages        []*page // by path
	parts        []part
}

// page is one file of Markdown.
type page struct {
	path     string // in the repository, with slashes
	title    string
	body     template.HTML
	sections []section
	drawn    bool // it has a diagram
}

// section is what a search finds.
type section struct {
	Page string `json:"p"`
	At   string `json:"a"` // of the page's address, behind #
	Head string `json:"h"`
	Text string `json:"t"`
}

// part is a heading of the index page, and what it lists.
type part struct {
	Title string
	Links []link
}

type link struct{ Title, To string }

// extra are the pages outside docs.
var extra = []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "SUPPORT.md", "bench/README.md", "examples/compose/README.md"}

func (s *site) build(out, diagrams string) error {
	if err := s.read(); err != nil {
		return err
	}
	if err := s.index(); err != nil {
		return err
	}
	var problems []error
	for _, p := range s.pages {
		problems = append(problems, s.convert(p))
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	for _, p := range s.pages {
		if err := s.write(out, p); err != nil {
			return err
		}
	}
	return s.rest(out, diagrams)
}

// read finds the pages.
func (s *site) read() error {
	names := slices.Clone(extra)
	err := filepath.WalkDir(filepath.Join(s.root, "docs"), func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(file, ".md") {
			name, _ := filepath.Rel(s.root, file)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	slices.Sort(names)
	for _, name := range names {
		s.pages = append(s.pages, &page{path: name})
	}
	return err
}

// address is where a page of the repository stands on the site. The index of docs is the site's own beginning.
func address(name string) string {
	if name == "docs/README.md" {
		return "index.html"
	}
	name = strings.TrimPrefix(name, "docs/")
	if dir, ok := strings.CutSuffix(name, "/README.md"); ok {
		return dir + "/index.html"
	}
	if name == "README.md" {
		return "about.html"
	}
	return strings.TrimSuffix(name, ".md") + ".html"
}

func (s *site) pageAt(name string) *page {
	i := slices.IndexFunc(s.pages, func(p *page) bool { return p.path == name })
	if i < 0 {
		return nil
	}
	return s.pages[i]
}

// view is what the layout shows.
type view struct {
	Title   string
	Body    template.HTML
	Parts   []part
	Here    string // the page's address
	Up      string // from the page to the site's beginning: "" or ../
	Drawn   bool
	Edit    string
	Heading []section
}

func (s *site) write(out string, p *page) error {
	at := address(p.path)
	v := view{
		Title: p.title, Body: p.body, Parts: s.parts, Here: at, Up: strings.Repeat("../", strings.Count(at, "/")), Drawn: p.drawn && s.diagrams,
		Edit: s.source + p.path,
	}
	for _, h := range p.sections {
		if h.At != "" {
			v.Heading = append(v.Heading, h)
		}
	}
	var b bytes.Buffer
	if err := layout.Execute(&b, v); err != nil {
		return err
	}
	return writeFile(filepath.Join(out, filepath.FromSlash(at)), b.Bytes())
}

// rest are the files that are no pages.
func (s *site) rest(out, diagrams string) error {
	var found []section
	for _, p := range s.pages {
		found = append(found, p.sections...)
	}
	search, err := json.Marshal(found)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(out, "search.json"), search); err != nil {
		return err
	}
	for _, name := range []string{"style.css", "search.js"} {
		text, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(out, name), text); err != nil {
			return err
		}
	}
	if diagrams != "" {
		text, err := os.ReadFile(diagrams)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(out, "mermaid.js"), text); err != nil {
			return err
		}
	}
	icon, err := os.ReadFile(filepath.Join(s.root, "internal", "page", "icon.svg"))
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(out, "icon.svg"), icon); err != nil {
		return err
	}
	pictures, err := filepath.Glob(filepath.Join(s.root, "docs", "pictures", "*"))
	if err != nil {
		return err
	}
	for _, file := range pictures {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(out, "pictures", path.Base(filepath.ToSlash(file))), text); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}
