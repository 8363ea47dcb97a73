package operator

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/operator/resource"
)

// Every field that names another object is known, so that a new one is not followed to
// nowhere.
func TestEveryReferenceHasAKind(t *testing.T) {
	t.Parallel()
	n := 0
	for _, k := range kinds() {
		seen := map[reflect.Type]bool{}
		var walk func(typ reflect.Type, field string)
		walk = func(typ reflect.Type, field string) {
			switch typ.Kind() {
			case reflect.Pointer, reflect.Slice, reflect.Map:
				walk(typ.Elem(), field)
			case reflect.Struct:
				if typ == reflect.TypeFor[v1alpha1.ObjectRef]() {
					n++
					if _, ok := resource.Kind(field); !ok {
						t.Errorf("%s: nothing says which kind %s names", k.name, field)
					}
					return
				}
				if seen[typ] {
					return
				}
				seen[typ] = true
				for i := range typ.NumField() {
					if f := typ.Field(i); f.IsExported() {
						name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
						walk(f.Type, name)
					}
				}
			}
		}
		walk(reflect.TypeOf(resource.Spec(k.object())).Elem(), "")
	}
	if n == 0 {
		t.Error("there are no references")
	}
}

func sortedStrings(list []string) []string {
	slices.Sort(list)
	return list
}
