package strict

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// metadata checks what every object has, as the API server does.
func metadata(o *manifest.Object) manifest.Problems {
	if problems := textMaps(o); len(problems) > 0 {
		return problems
	}
	meta, found, unknown, err := objectmeta.GetObjectMetaWithOptions(o.Raw, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return manifest.Problems{o.Problem("metadata", "does not have the shape of metadata; give it name, labels and annotations only")}
	}
	if !found {
		return nil
	}
	var problems manifest.Problems
	for _, path := range unknown {
		name := path[strings.LastIndexByte(path, '.')+1:]
		known := []string{"name", "namespace", "labels", "annotations"}
		problems = append(problems, o.Problem(path, "unknown field%s", manifest.DidYouMean(name, known)))
	}
	// The name and namespace were judged when the object was read.
	nameOK := func(string, bool) []string { return nil }
	for _, e := range apivalidation.ValidateObjectMeta(meta, false, nameOK, field.NewPath("metadata")) {
		if e.Field != "metadata.namespace" {
			problems = append(problems, o.Problem(e.Field, "%s", e.Detail))
		}
	}
	return problems
}

// textMaps finds labels and annotations that YAML reads as numbers or booleans,
// which is the usual mistake in them.
func textMaps(o *manifest.Object) manifest.Problems {
	var problems manifest.Problems
	meta, _ := o.Raw["metadata"].(map[string]any)
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
