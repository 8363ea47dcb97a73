package strict

import (
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Advice tells of what is valid and may not be what was meant: words without quotes that
// YAML takes for true or false, as names of fields, and as values where anything may stand.
// (Where text has to stand, such a value is a problem already.)
func Advice(set *manifest.Set) (advice manifest.Problems) {
	for _, o := range set.Objects {
		for _, w := range o.Bare {
			p := manifest.Problem{Position: w.Position, Object: o.String(), Field: w.Field}
			switch {
			case w.Key:
				p.Message = "YAML reads the name " + w.Word + " as " + w.Means() + ", and so the field has that name; put it in quotes"
			case anythingAt(o.Kind, w.Field):
				p.Message = "YAML reads " + w.Word + " as " + w.Means() + "; write " + w.Means() + ", or put it in quotes if it is text"
			default:
				continue
			}
			advice = append(advice, p)
		}
	}
	return advice.Sort()
}

// anythingAt reports whether the schema of a kind says nothing of what stands at a path.
func anythingAt(kind, path string) bool {
	if _, ours := files[kind]; !ours {
		return false
	}
	k, err := loadSchema(kind)
	if err != nil {
		return false
	}
	s := k.structural
	for step := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '.' || r == '[' }) {
		next := below(s, step)
		if next == nil {
			return s.XPreserveUnknownFields
		}
		s = next
	}
	return s.Type == ""
}

// below is the schema of a step of a path; nil where there is none.
func below(s *schema.Structural, step string) *schema.Structural {
	property, ok := s.Properties[step]
	switch {
	case ok:
		return &property
	case s.Items != nil && strings.HasSuffix(step, "]"):
		return s.Items
	case s.AdditionalProperties != nil:
		return s.AdditionalProperties.Structural
	}
	return nil
}
