package manifest

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// placer turns the nodes of a document into places. It holds the limits, since
// it is the first to walk the tree, and finds duplicate keys.
type placer struct {
	file     string
	skip     int                    // lines before the document
	anchors  map[*yaml.Node]*placed // placed once, shared by their aliases; nil while they are being placed
	path     []byte                 // of the value being placed
	problems Problems               // without Object
	bare     []BareWord
}

// placed is a finished place with the size it would have written out in full.
type placed struct {
	*place
	values, depth int
}

type placeError struct {
	line    int
	message string
}

func (b *placer) place(root *yaml.Node) (*place, *placeError) {
	p, err := b.walk(root, 0)
	if err != nil {
		return nil, err
	}
	return p.place, nil
}

func (b *placer) walk(n *yaml.Node, depth int) (*placed, *placeError) {
	if depth > maxDepth {
		return nil, &placeError{n.Line, fmt.Sprintf("is nested more than %d levels deep", maxDepth)}
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if done, ok := b.anchors[n]; ok {
		if done == nil {
			return nil, &placeError{n.Line, "has an alias within its own anchor"}
		}
		if depth+done.depth > maxDepth {
			return nil, &placeError{n.Line, fmt.Sprintf("is nested more than %d levels deep", maxDepth)}
		}
		return done, nil
	}
	if n.Anchor != "" {
		b.anchors[n] = nil
	}
	p := &placed{place: &place{line: int32(n.Line + b.skip), column: int32(n.Column)}, values: 1}
	var err *placeError
	switch n.Kind {
	case yaml.ScalarNode:
		b.noteBare(n, false)
	case yaml.MappingNode:
		err = b.mapping(p, n, depth)
	case yaml.SequenceNode:
		err = b.sequence(p, n, depth)
	}
	if err != nil {
		return nil, err
	}
	if p.values > maxValues {
		return nil, &placeError{n.Line, fmt.Sprintf("holds more than %d values, aliases written out", maxValues)}
	}
	if n.Anchor != "" {
		b.anchors[n] = p
	}
	return p, nil
}

func (b *placer) sequence(p *placed, n *yaml.Node, depth int) *placeError {
	p.items = make([]*place, 0, len(n.Content))
	for i, item := range n.Content {
		up := len(b.path)
		b.path = fmt.Appendf(b.path, "[%d]", i)
		child, err := b.walk(item, depth+1)
		b.path = b.path[:up]
		if err != nil {
			return err
		}
		p.grow(child)
		at := *child.place
		at.line, at.column = int32(item.Line+b.skip), int32(item.Column)
		p.items = append(p.items, &at)
	}
	return nil
}

func (b *placer) mapping(p *placed, n *yaml.Node, depth int) *placeError {
	p.fields = make(map[string]*place, len(n.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		line, column := int32(key.Line+b.skip), int32(key.Column)
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			return &placeError{key.Line, "has a key that is not plain text; if this is a template, render it first"}
		}
		up := len(b.path)
		b.path = append(append(b.path, "."[:min(up, 1)]...), key.Value...)
		b.noteBare(key, true)
		child, err := b.walk(value, depth+1)
		if err != nil {
			return err
		}
		p.grow(child)
		if key.Tag == "!!merge" {
			merged = append(merged, value)
		} else {
			if first, ok := p.fields[key.Value]; ok {
				b.problems = append(b.problems, Problem{
					Position: Position{File: b.file, Line: int(line), Column: int(column)},
					Field:    string(b.path),
					Message:  fmt.Sprintf("duplicate, first in line %d; keep one", first.line),
				})
			}
			at := *child.place
			at.line, at.column = line, column
			p.fields[key.Value] = &at
		}
		b.path = b.path[:up]
	}
	for _, m := range merged {
		b.merge(p.place, m)
	}
	return nil
}

// merge adds what "<<" brings in: fields that stand in the mapping itself win.
func (b *placer) merge(p *place, n *yaml.Node) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for _, each := range n.Content {
			b.merge(p, each)
		}
	case yaml.MappingNode:
		from, err := b.walk(n, 0)
		if err != nil {
			return
		}
		for name, field := range from.fields {
			if _, ok := p.fields[name]; !ok {
				p.fields[name] = field
			}
		}
	}
}

func (p *placed) grow(child *placed) {
	p.values += child.values
	p.depth = max(p.depth, child.depth+1)
}
