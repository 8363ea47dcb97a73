package main

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

var markdown = goldmark.New(
	goldmark.WithExtensions(extension.Table, extension.Linkify, extension.Strikethrough),
	goldmark.WithRendererOptions(html.WithUnsafe(), renderer.WithNodeRenderers(util.Prioritized(plots{}, 100))), // the pages are the project's own
)

// usable lets a keyboard scroll what a small screen scrolls sideways; a column without a name has no heading.
var usable = strings.NewReplacer("<table>", `<div class="table" tabindex="0"><table>`, "</table>", "</table></div>",
	"<pre>", `<pre tabindex="0">`, "<th></th>", "<td></td>")

// convert makes a page's HTML, and takes it apart for the search. A link that leads nowhere is an error.
func (s *site) convert(p *page) error {
	source, err := os.ReadFile(filepath.Join(s.root, filepath.FromSlash(p.path)))
	if err != nil {
		return err
	}
	tree := markdown.Parser().Parse(text.NewReader(source))
	setIDs(tree, source)
	var problems []error
	at := section{Page: address(p.path)}
	err = ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			p.add(at)
			title := words(n, source)
			if n.Level == 1 {
				p.title = title
				at = section{Page: at.Page, Head: title}
				break
			}
			id, _ := n.AttributeString("id")
			at = section{Page: at.Page, At: fmt.Sprintf("%s", id), Head: title}
		case *ast.Link:
			to, err := s.follow(p, string(n.Destination))
			if err != nil {
				problems = append(problems, err)
			}
			n.Destination = []byte(to)
		case *ast.Image:
			to, err := s.follow(p, string(n.Destination))
			if err != nil {
				problems = append(problems, err)
			}
			n.Destination = []byte(to)
		case *ast.FencedCodeBlock:
			at.Text += lines(n, source) + " "
			p.drawn = p.drawn || string(n.Language(source)) == "mermaid"
		case *ast.Text:
			at.Text += string(n.Segment.Value(source)) + " "
		}
		return ast.WalkContinue, nil
	})
	p.add(at)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := markdown.Renderer().Render(&b, source, tree); err != nil {
		return err
	}
	p.body = template.HTML(usable.Replace(b.String()))
	if p.title == "" {
		problems = append(problems, fmt.Errorf("%s has no title", p.path))
	}
	return errors.Join(problems...)
}

// add keeps what a search finds.
func (p *page) add(at section) {
	at.Text = strings.Join(strings.Fields(strings.TrimPrefix(strings.TrimSpace(at.Text), at.Head)), " ")
	if at.Head != "" {
		p.sections = append(p.sections, at)
	}
}

// follow is where a link of a page leads on the site.
func (s *site) follow(p *page, to string) (string, error) {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Path == "" {
		return to, err
	}
	name := path.Join(path.Dir(p.path), u.Path)
	if other := s.pageAt(name); other != nil {
		rel, err := filepath.Rel(path.Dir(address(p.path)), address(other.path))
		u.Path = filepath.ToSlash(rel)
		return u.String(), err
	}
	if _, err := os.Stat(filepath.Join(s.root, filepath.FromSlash(name))); err != nil {
		return "", fmt.Errorf("%s leads to %s, which is not there", p.path, to)
	}
	if picture, ok := strings.CutPrefix(name, "docs/pictures/"); ok {
		return strings.Repeat("../", strings.Count(address(p.path), "/")) + "pictures/" + picture, nil
	}
	return s.source + name, nil
}

// index reads the parts of the site from the index of docs: its headings, and the lists below them.
func (s *site) index() error {
	source, err := os.ReadFile(filepath.Join(s.root, "docs", "README.md"))
	if err != nil {
		return err
	}
	tree := markdown.Parser().Parse(text.NewReader(source))
	s.parts = []part{{Title: "Start"}} // what stands before the first heading
	for n := tree.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Heading:
			if n.Level == 2 {
				s.parts = append(s.parts, part{Title: words(n, source)})
			}
		case *ast.List, *ast.Paragraph:
			err = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
				if l, ok := n.(*ast.Link); ok && entering {
					name := path.Join("docs", string(l.Destination))
					if s.pageAt(name) != nil {
						last := &s.parts[len(s.parts)-1]
						last.Links = append(last.Links, link{words(l, source), address(name)})
					}
				}
				return ast.WalkContinue, nil
			})
		}
	}
	return err
}

// words are the text below a node.
func words(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
			if t.SoftLineBreak() {
				b.WriteByte(' ')
			}
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

func lines(n ast.Node, source []byte) string {
	var b strings.Builder
	for i := range n.Lines().Len() {
		l := n.Lines().At(i)
		b.Write(l.Value(source))
	}
	return b.String()
}

var notInID = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)

// setIDs names headings as the forge does that shows the same files, so that links to them work in both places.
func setIDs(tree ast.Node, source []byte) {
	used := map[string]int{}
	_ = ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if h, ok := n.(*ast.Heading); ok && entering {
			id := strings.ReplaceAll(notInID.ReplaceAllString(strings.ToLower(strings.TrimSpace(words(h, source))), ""), " ", "-")
			used[id]++
			if n := used[id] - 1; n > 0 {
				id = fmt.Sprintf("%s-%d", id, n)
			}
			h.SetAttributeString("id", []byte(id))
		}
		return ast.WalkContinue, nil
	})
}
