package manifest

import (
	"fmt"
	"maps"

	sigsyaml "sigs.k8s.io/yaml"
)

// FromValues makes a set of objects as a cluster holds them, Secrets and ConfigMaps
// included. They are decoded: the API server has validated them. The values are the
// set's from then on.
func FromValues(values []map[string]any) (*Set, Problems) {
	set := &Set{}
	var problems Problems
	for _, raw := range values {
		problems = append(problems, set.addDocument(document{value: raw})...)
	}
	set.revise()
	return set, append(problems, set.Decode()...)
}

// FromText makes a set of YAML documents that [Object.Text] wrote. They are decoded, not
// validated.
func FromText(text []byte) (*Set, Problems) {
	set := &Set{}
	docs, problems := parseFile("", text)
	for _, doc := range docs {
		problems = append(problems, set.addDocument(doc)...)
	}
	set.revise()
	return set, append(problems, set.Decode()...)
}

// Secrets are the values of Secrets that the set's objects name, there or not.
func (s *Set) Secrets() (all []Use) {
	for _, ref := range s.named() {
		all = append(all, Use{Kind: "Secret", Namespace: ref.namespace, Name: ref.name, Key: ref.key})
	}
	return all
}

// Text writes an object as a YAML document. Secrets are refused: they are not for files.
func (o *Object) Text() ([]byte, error) {
	doc := maps.Clone(o.Raw)
	switch v := o.typed.(type) {
	case *Secret:
		return nil, fmt.Errorf("write %s: a Secret is not written", o)
	case *ConfigMap: // whose data Raw does not hold
		doc["data"] = v.Data
	}
	text, err := sigsyaml.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", o, err)
	}
	return text, nil
}
