package main

import (
	"fmt"
	"html"
	"strconv"
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/renderer"
	markup "github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/util"
)

// plots draws code blocks of the language bars: a caption behind it, and then a bar a line, "name | value" or
// "name | value | budget". A name in brackets is what the others are compared with. Where nothing draws them they are
// tables that can be read.
type plots struct{}

// RegisterFuncs implements renderer.NodeRenderer.
func (plots) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	usual := markup.NewRenderer(markup.WithUnsafe())
	others := functions{}
	usual.RegisterFuncs(others)
	r.Register(ast.KindFencedCodeBlock, func(w util.BufWriter, source []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		block := n.(*ast.FencedCodeBlock)
		if string(block.Language(source)) != "bars" {
			return others[ast.KindFencedCodeBlock](w, source, n, entering)
		}
		if !entering {
			return ast.WalkContinue, nil
		}
		_, caption, _ := strings.Cut(string(block.Info.Segment.Value(source)), " ")
		text, err := plot(caption, lines(block, source))
		_, _ = w.WriteString(text)
		return ast.WalkSkipChildren, err
	})
}

type functions map[ast.NodeKind]renderer.NodeRendererFunc

func (f functions) Register(kind ast.NodeKind, do renderer.NodeRendererFunc) { f[kind] = do }

type bar struct {
	name          string
	value, budget float64
	other         bool
}

// plot draws bars on one scale.
func plot(caption, text string) (string, error) {
	var bars []bar
	most := 0.0
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		if len(fields) < 2 {
			return "", fmt.Errorf("bars: %q is not: name | value | budget", line)
		}
		b := bar{name: strings.TrimSpace(fields[0])}
		b.name, b.other = strings.CutPrefix(b.name, "[")
		b.name = strings.TrimSuffix(b.name, "]")
		var err error
		if b.value, err = strconv.ParseFloat(strings.TrimSpace(fields[1]), 64); err != nil {
			return "", fmt.Errorf("bars: %q: %w", line, err)
		}
		if len(fields) > 2 {
			if b.budget, err = strconv.ParseFloat(strings.TrimSpace(fields[2]), 64); err != nil {
				return "", fmt.Errorf("bars: %q: %w", line, err)
			}
		}
		most = max(most, b.value, b.budget)
		bars = append(bars, b)
	}
	const width, left, row, thick = 720, 8, 46, 14
	scale := (width - left - 70) / most
	var out strings.Builder
	fmt.Fprintf(&out, `<figure class="plot"><figcaption>%s</figcaption><svg viewBox="0 0 %d %d" role="img" aria-label="%s">`,
		html.EscapeString(caption), width, row*len(bars), html.EscapeString(caption+": "+strings.Join(strings.Fields(text), " ")))
	for i, b := range bars {
		y := i * row
		class := ""
		if b.other {
			class = ` class="other"`
		}
		fmt.Fprintf(&out, `<text x="%d" y="%d">%s</text><rect%s x="%d" y="%d" width="%.1f" height="%d" rx="3"/><text x="%.1f" y="%d">%s</text>`,
			left, y+16, html.EscapeString(b.name), class, left, y+22, b.value*scale, thick, left+b.value*scale+8, y+34, strconv.FormatFloat(b.value, 'f', -1, 64))
		if b.budget > 0 {
			x := left + b.budget*scale
			fmt.Fprintf(&out, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d"><title>budget %g</title></line>`, x, y+18, x, y+22+thick+4, b.budget)
		}
	}
	out.WriteString("</svg></figure>\n")
	return out.String(), nil
}
