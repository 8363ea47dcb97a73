package manifest

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	atLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	// The parsers' messages are fixed but for what they quote of the document,
	// which may be a secret.
	quotes = regexp.MustCompile("(anchor )'[^']*'|`[^`]*`")
)

// syntaxError returns what a YAML parser found wrong, without its idea of the
// line and without anything of the document.
func syntaxError(err error) string {
	message, _, _ := strings.Cut(atLine.ReplaceAllString(err.Error(), ""), "\n")
	return quotes.ReplaceAllString(message, "${1}…")
}

// valueError explains why a document that is YAML cannot be a resource.
func valueError(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "map merge requires"):
		return "has a merge key (<<) that is not followed by a mapping"
	case strings.Contains(text, "base64"):
		return "has a !!binary value that is not base64"
	case strings.Contains(text, "unsupported value"):
		return "holds infinity or NaN, which JSON has no number for"
	case strings.Contains(text, "unsupported map key"):
		return "has a key that is not text; put it in quotes"
	case strings.Contains(text, "cannot decode"):
		return "has a value that does not fit its tag; remove the tag, the word after !!"
	default:
		return "has a key or value that cannot be written as JSON"
	}
}

// errorLine returns the line of a document at which it stops being YAML: the
// one after the longest beginning that is. The parser's own idea, which is the
// line at which the surrounding block began or one beside it, is for documents
// that are too large to try.
func errorLine(text []byte, err error) int {
	lines := bytes.SplitAfter(text, []byte("\n"))
	budget := 4 << 20 // bytes to parse
	end := len(text)
	for n := len(lines) - 1; n > 0; n-- {
		end -= len(lines[n])
		if budget -= end; budget < 0 {
			line, _ := strconv.Atoi(atLine.FindStringSubmatch(err.Error())[1])
			return max(1, line)
		}
		var node yaml.Node
		if err := yaml.NewDecoder(bytes.NewReader(text[:end])).Decode(&node); err == nil || errors.Is(err, io.EOF) {
			return n + 1
		}
	}
	return 1
}
