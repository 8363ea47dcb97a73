package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	sigsyaml "sigs.k8s.io/yaml"
)

// Limits of one document. What a person writes stays far below; a file of
// nested aliases (a "billion laughs" bomb) does not.
const (
	maxDepth  = 100
	maxValues = 100_000
)

// document is one YAML document: its value as kubectl reads it, and the places
// of its fields.
type document struct {
	file   string
	line   int // the document's first line with content
	value  map[string]any
	places *place
}

// parseFile reads the documents of one file. Each is parsed on its own, so that
// one that is broken does not hide the others.
func parseFile(file string, text []byte) ([]document, Problems) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(text) {
		return nil, Problems{{Position: Position{File: file}, Message: "is not UTF-8 text; save it as UTF-8"}}
	}
	var docs []document
	var problems Problems
	for _, c := range split(text) {
		doc, found := parseChunk(file, c)
		problems = append(problems, found...)
		if doc != nil {
			docs = append(docs, *doc)
		}
	}
	return docs, problems
}

// chunk is the text of one document and how many lines stand before it.
type chunk struct {
	text []byte
	skip int
}

// split cuts a file at its document markers. "---" and "..." at the beginning
// of a line end a document wherever they stand, within a scalar too (YAML 1.2.2
// §9.1.2), so this needs no parser.
func split(text []byte) []chunk {
	var chunks []chunk
	start, line, startLine := 0, 0, 0
	cut := func(end int) {
		if c := text[start:end]; hasContent(c) {
			chunks = append(chunks, chunk{text: c, skip: startLine})
		}
	}
	for pos := 0; pos < len(text); line++ {
		next := len(text)
		if i := bytes.IndexByte(text[pos:], '\n'); i >= 0 {
			next = pos + i + 1
		}
		switch l := text[pos:next]; {
		case isMarker(l, "---"):
			cut(pos)
			start, startLine = pos, line
		case isMarker(l, "..."):
			cut(pos)
			start, startLine = next, line+1
		}
		pos = next
	}
	cut(len(text))
	return chunks
}

func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

// hasContent says whether there is more in text than markers, directives,
// comments and blank lines.
func hasContent(text []byte) bool {
	for l := range bytes.Lines(text) {
		l = bytes.TrimSpace(l)
		if isMarker(l, "---") {
			l = bytes.TrimSpace(l[3:])
		}
		if len(l) > 0 && l[0] != '#' && l[0] != '%' {
			return true
		}
	}
	return false
}

func parseChunk(file string, c chunk) (*document, Problems) {
	fail := func(line int, format string, args ...any) (*document, Problems) {
		p := Position{File: file}
		if line > 0 {
			p.Line = line + c.skip
		}
		return nil, Problems{{Position: p, Message: fmt.Sprintf(format, args...)}}
	}
	var node yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(c.text)).Decode(&node); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		line, message := yamlError(err)
		return fail(line, "is not YAML: %s", message)
	}
	root := node.Content[0]
	b := placer{file: file, skip: c.skip, seen: map[*yaml.Node]*placed{}}
	top, err := b.place(root, 0)
	if err != nil {
		return fail(err.line, "%s", err.message)
	}
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return fail(root.Line, "is not a resource: a document is a mapping that begins with apiVersion and kind")
	}
	value, decodeErr := decode(c.text)
	if decodeErr != nil {
		line, message := yamlError(decodeErr)
		if line == 0 {
			line = root.Line
		}
		return fail(line, "is not YAML: %s", message)
	}
	return &document{file: file, line: root.Line + c.skip, value: value, places: top}, b.problems
}

// decode reads values as kubectl does, with the library that it uses: YAML 1.1
// booleans and octal numbers, merge keys, keys that are always strings.
func decode(text []byte) (map[string]any, error) {
	asJSON, err := sigsyaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	var value map[string]any
	if err := utiljson.Unmarshal(asJSON, &value); err != nil {
		return nil, errors.New("a value cannot be written as JSON")
	}
	return value, nil
}

var (
	yamlLine = regexp.MustCompile(`line (\d+): `)
	// What stands in quotes in an error is text of the document, which may be a
	// secret; the tokens of the YAML grammar are shorter.
	quoted = regexp.MustCompile("`[^`]*`|'[^']{4,}'|\"[^\"]{4,}\"")
)

// yamlError returns the line, zero if unknown, and the text of a parser's
// error, without anything from the document in it.
func yamlError(err error) (line int, message string) {
	message = strings.TrimPrefix(err.Error(), "yaml: ")
	message = strings.TrimPrefix(message, "unmarshal errors:\n  ")
	if m := yamlLine.FindStringSubmatchIndex(message); m != nil {
		line, _ = strconv.Atoi(message[m[2]:m[3]])
		message = message[:m[0]] + message[m[1]:]
	}
	message, _, _ = strings.Cut(message, "\n")
	return line, quoted.ReplaceAllString(message, "…")
}
