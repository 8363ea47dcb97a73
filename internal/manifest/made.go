package manifest

import (
	"fmt"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// AddSecret adds a Secret that came from no file, to the default namespace.
func (s *Set) AddSecret(name string, data map[string]secret.Value) error {
	o := &Object{APIVersion: "v1", Kind: "Secret", Namespace: DefaultNamespace, Name: name}
	o.typed = &Secret{Object: o, Data: data}
	if s.add(o) != nil {
		return fmt.Errorf("add a Secret: %s is there already", name)
	}
	return nil
}
