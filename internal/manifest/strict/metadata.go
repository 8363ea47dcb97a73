package strict

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// metadata checks what every object has, as the API server does. Name and
// namespace were judged when the object was read.
func metadata(o *manifest.Object) manifest.Problems {
	raw, ok := o.Raw["metadata"].(map[string]any)
	if !ok {
		return nil // for the schema to say
	}
	problems := textMaps(o, raw)
	rest := maps.Clone(raw)
	delete(rest, "name")
	delete(rest, "namespace")
	if len(problems) > 0 {
		delete(rest, "labels")
		delete(rest, "annotations")
	}
	meta, _, unknown, err := objectmeta.GetObjectMetaWithOptions(map[string]any{"metadata": rest}, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return append(problems, o.Problem("metadata", "does not have the shape of metadata; give it name, namespace, labels and annotations only"))
	}
	for _, path := range unknown {
		name := path[strings.LastIndexByte(path, '.')+1:]
		problems = append(problems, o.Problem(path, "unknown field%s", cmp.Or(manifest.DidYouMean(name, metaFields), "; remove it")))
	}
	meta.Name = "checked"
	for _, e := range apivalidation.ValidateObjectMeta(meta, false, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata")) {
		message, _, _ := strings.Cut(e.Detail, " (e.g. ")
		problems = append(problems, o.Problem(e.Field, "%s", message))
	}
	return problems
}

// metaFields are the fields of metadata that people write.
var metaFields = []string{"name", "namespace", "labels", "annotations"}

// textMaps finds labels and annotations that YAML reads as numbers or booleans,
// which is the usual mistake in them.
func textMaps(o *manifest.Object, meta map[string]any) manifest.Problems {
	var problems manifest.Problems
	for _, name := range []string{"labels", "annotations"} {
		path := "metadata." + name
		switch values := meta[name].(type) {
		case nil:
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(values)) {
				if _, ok := values[key].(string); !ok {
					problems = append(problems, o.Problem(fmt.Sprintf("%s.%s", path, key), "must be text; put it in quotes"))
				}
			}
		default:
			problems = append(problems, o.Problem(path, "must map names to text"))
		}
	}
	return problems
}
