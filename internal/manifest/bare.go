package manifest

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// BareWord is a word without quotes that YAML 1.1, which kubectl and therefore we read,
// takes for true or false, though it looks like text.
type BareWord struct {
	Position
	Field string // it is the name of this field, or its value
	Word  string
	Key   bool // it is a name: the field is called "true" or "false" instead
}

// Means is what the word is taken for.
func (w *BareWord) Means() string {
	switch strings.ToLower(w.Word) {
	case "y", "yes", "on":
		return "true"
	}
	return "false"
}

// noteBare remembers a scalar that is such a word.
func (b *placer) noteBare(n *yaml.Node, key bool) {
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) != 0 {
		return
	}
	switch n.Value {
	case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF":
		b.bare = append(b.bare, BareWord{
			Position: Position{File: b.file, Line: n.Line + b.skip, Column: n.Column}, Field: string(b.path), Word: n.Value, Key: key,
		})
	}
}
