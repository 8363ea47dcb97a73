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
