package manifest

import (
	"cmp"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// addDocument reads the envelope of a document and adds its object to the set.
// An object with problems is added too, as failed, so that others can refer to it.
func (s *Set) addDocument(doc document) Problems {
	if items, ok := doc.value["items"].([]any); ok && doc.value["apiVersion"] == "v1" && doc.value["kind"] == "List" {
		return s.addList(doc, items)
	}
	o := &Object{Raw: doc.value, Pos: Position{File: doc.file, Line: doc.line}, Bare: doc.bare, places: doc.places}
	if doc.places != nil {
		o.Pos.Column = int(doc.places.column)
	}
	o.APIVersion, _ = doc.value["apiVersion"].(string)
	o.Kind, _ = doc.value["kind"].(string)
	problems := doc.duplicates
	switch field, message := checkType(o.APIVersion, o.Kind); {
	case field == foreign:
		s.foreign = append(s.foreign, o)
		return nil
	case message != "":
		problems = append(problems, o.Problem(field, "%s", message))
	default:
		problems = append(problems, o.readName()...)
		if o.APIVersion == "v1" {
			problems = append(problems, o.readData()...)
		}
		problems = append(problems, s.add(o)...)
		o.Failed = len(problems) > 0
	}
	for i := range problems {
		problems[i].Object = o.String()
	}
	return problems
}

// addList adds the objects of a List, which is how kubectl writes out several.
func (s *Set) addList(doc document, items []any) Problems {
	problems := doc.duplicates
	for i, item := range items {
		part := document{file: doc.file, line: doc.line}
		if p, _ := doc.places.find(fmt.Sprintf("items[%d]", i)); p != nil {
			part.line, part.places = int(p.line), p
		}
		for _, w := range doc.bare {
			if field, ok := strings.CutPrefix(w.Field, fmt.Sprintf("items[%d].", i)); ok {
				w.Field = field
				part.bare = append(part.bare, w)
			}
		}
		var ok bool
		if part.value, ok = item.(map[string]any); !ok {
			problems = append(problems, Problem{
				Position: Position{File: doc.file, Line: part.line}, Object: "List",
				Field: fmt.Sprintf("items[%d]", i), Message: "is not a resource",
			})
			continue
		}
		problems = append(problems, s.addDocument(part)...)
	}
	return problems
}

// readName reads name and namespace, by the rules of a cluster for both.
func (o *Object) readName() Problems {
	var problems Problems
	meta, _ := o.Raw["metadata"].(map[string]any)
	text := func(field string) string {
		value, ok := meta[field].(string)
		if !ok && meta[field] != nil {
			problems = append(problems, o.Problem("metadata."+field, "must be text, and is %s; put it in quotes", typeName(meta[field])))
		}
		return value
	}
	o.Name = text("name")
	switch {
	case o.Name == "" && len(problems) == 0:
		problems = append(problems, o.Problem("metadata.name", "is required; give the %s a name", o.Kind))
	case o.Name != "" && o.APIVersion != "v1" && len(validation.IsDNS1123Label(o.Name)) > 0:
		problems = append(problems, o.Problem("metadata.name", "must be lower-case letters, digits and hyphens, begin and end with a letter or digit, and have at most 63 characters"))
	case o.Name != "" && o.APIVersion == "v1" && len(validation.IsDNS1123Subdomain(o.Name)) > 0:
		problems = append(problems, o.Problem("metadata.name", "must be lower-case letters, digits, hyphens and dots, begin and end with a letter or digit, and have at most 253 characters"))
	}
	o.Namespace = cmp.Or(text("namespace"), DefaultNamespace)
	if len(validation.IsDNS1123Label(o.Namespace)) > 0 {
		problems = append(problems, o.Problem("metadata.namespace", "must be lower-case letters, digits and hyphens, begin and end with a letter or digit, and have at most 63 characters"))
	}
	return problems
}
