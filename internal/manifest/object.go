package manifest

import (
	"fmt"
	"strconv"
	"strings"
)

// Object is one document: a resource of ours, a Secret or a ConfigMap.
type Object struct {
	APIVersion, Kind, Namespace, Name string
	// Pos is where the document begins.
	Pos Position
	// Raw is the document as JSON would hold it (int64 and float64 for
	// numbers). Validation fills defaults in. Of a Secret or ConfigMap it holds
	// apiVersion, kind and metadata only.
	Raw map[string]any
	// Failed says that a problem was found in the object. A failed object is
	// not decoded, so that it is reported once and not again for what follows.
	Failed bool
	// Bare are the words in it that YAML takes for true or false.
	Bare []BareWord

	places *place
	typed  any // *v1alpha1.Kind, *Secret or *ConfigMap; nil before decoding
}

// String returns Kind/name, or Kind where there is no name.
func (o *Object) String() string {
	if o.Name == "" {
		return o.Kind
	}
	return o.Kind + "/" + o.Name
}

// Problem returns a problem of one field of the object, at the field's place.
func (o *Object) Problem(field, format string, args ...any) Problem {
	return Problem{Position: o.Position(field), Object: o.String(), Field: field, Message: fmt.Sprintf(format, args...)}
}

// Position returns where a field stands: "spec.remoteUrl",
// "spec.passthroughHeaders[2]", "spec.headerForward.addPlaintextHeaders.X-Key"
// (or "…addPlaintextHeaders[X-Key]"). Of a field that is not there it returns
// the place of the nearest one around it that is.
func (o *Object) Position(field string) Position {
	p, _ := o.places.find(field)
	if p == nil {
		return o.Pos
	}
	return Position{File: o.Pos.File, Line: int(p.line), Column: int(p.column)}
}

// place is where one value of a document stands. For a field of a mapping that
// is where its key stands.
type place struct {
	line, column int32
	fields       map[string]*place
	items        []*place
}

// find returns the place of the deepest part of path that exists, and how much
// of path that covers. Keys may hold dots, so of several readings of path the
// one that covers most wins; there are no more of them than places.
func (p *place) find(path string) (found *place, covered int) {
	if p == nil || path == "" {
		return p, 0
	}
	rest := strings.TrimPrefix(path, ".")
	skipped := len(path) - len(rest)
	if inside, after, ok := strings.Cut(rest, "]"); ok && strings.HasPrefix(inside, "[") {
		if child := p.child(inside[1:]); child != nil {
			deeper, n := child.find(after)
			return deeper, skipped + len(inside) + 1 + n
		}
		return p, 0
	}
	found = p
	for end := 1; end <= len(rest); end++ {
		if end < len(rest) && rest[end] != '.' && rest[end] != '[' {
			continue
		}
		if child := p.fields[rest[:end]]; child != nil {
			deeper, n := child.find(rest[end:])
			if n += skipped + end; n > covered {
				found, covered = deeper, n
			}
		}
	}
	return found, covered
}

// child returns the place of an item by its number, or of a field by its name.
func (p *place) child(name string) *place {
	if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(p.items) {
		return p.items[i]
	}
	return p.fields[name]
}
