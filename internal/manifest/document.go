package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
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
	// duplicates are the keys that stand twice, as problems without Object.
	duplicates Problems
	bare       []BareWord
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
	fail := func(line int, message string) (*document, Problems) {
		return nil, Problems{{Position: Position{File: file, Line: line + c.skip}, Message: message}}
	}
	var node yaml.Node
	err := yaml.NewDecoder(bytes.NewReader(c.text)).Decode(&node)
	isJSON := bytes.HasPrefix(bytes.TrimSpace(c.text), []byte("{")) && json.Valid(c.text)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		return nil, nil
	case isJSON: // with what YAML has no equal for, such as \ud83d\ude00: only the places are missing
		return fromJSON(file, c)
	default:
		return fail(errorLine(c.text, err), "is not YAML: "+syntaxError(err))
	}
	root := node.Content[0]
	b := placer{file: file, skip: c.skip, anchors: map[*yaml.Node]*placed{}}
	top, limit := b.place(root)
	switch {
	case limit != nil:
		return fail(limit.line, limit.message)
	case root.Kind == yaml.ScalarNode && root.Tag == "!!null":
		return nil, nil
	case root.Kind != yaml.MappingNode:
		return fail(root.Line, "is not a resource: a document is a mapping that begins with apiVersion and kind")
	}
	value, err := decode(c.text)
	if err != nil {
		return fail(root.Line, valueError(err))
	}
	return &document{file: file, line: root.Line + c.skip, value: value, places: top, duplicates: b.problems, bare: b.bare}, nil
}

func fromJSON(file string, c chunk) (*document, Problems) {
	doc := &document{file: file, line: c.skip + 1}
	if err := utiljson.Unmarshal(c.text, &doc.value); err != nil {
		return nil, Problems{{Position: Position{File: file, Line: doc.line}, Message: "holds a number that is out of range"}}
	}
	return doc, nil
}

// decode reads values as kubectl does, with the library that it uses: YAML 1.1
// booleans and octal numbers, merge keys, keys that are always strings.
func decode(text []byte) (map[string]any, error) {
	asJSON, err := sigsyaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	var value map[string]any
	err = utiljson.Unmarshal(asJSON, &value)
	return value, err
}
