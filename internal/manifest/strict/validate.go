package strict

import (
	"context"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Validate finds all that is wrong with the objects of a set, one by one. It
// fills defaults into [manifest.Object.Raw], marks objects that have problems
// as failed, and decodes the others, so that the set is ready for use.
//
// It keeps nothing: a set of a few objects takes a few milliseconds.
func Validate(set *manifest.Set) manifest.Problems {
	var problems manifest.Problems
	byKind := map[string][]*manifest.Object{}
	for _, o := range set.Objects {
		found := metadata(o)
		o.Failed = o.Failed || len(found) > 0
		problems = append(problems, found...)
		if _, ours := files[o.Kind]; ours {
			byKind[o.Kind] = append(byKind[o.Kind], o)
		}
	}
	// Each kind compiles its own rules, which is what takes the time.
	var kinds sync.WaitGroup
	found := make(chan manifest.Problems, len(byKind))
	for kind, objects := range byKind {
		kinds.Go(func() { found <- validateKind(kind, objects) })
	}
	kinds.Wait()
	close(found)
	for ps := range found {
		problems = append(problems, ps...)
	}
	return append(problems, set.Decode()...).Sort()
}

func validateKind(kind string, objects []*manifest.Object) manifest.Problems {
	var problems manifest.Problems
	k, err := loadSchema(kind)
	if err != nil {
		for _, o := range objects {
			o.Failed = true
			problems = append(problems, o.Problem("", "cannot be checked: %v", err))
		}
		return problems
	}
	values := make([]any, len(objects))
	for i, o := range objects {
		found := k.complete(o)
		o.Failed = o.Failed || len(found) > 0
		problems = append(problems, found...)
		values[i] = o.Raw
	}
	rules := k.rules(values)
	for _, o := range objects {
		found := k.check(o, rules)
		o.Failed = o.Failed || len(found) > 0
		problems = append(problems, found...)
	}
	return problems
}

// complete does what the API server does before it validates: it takes out
// fields that the schema does not know, which here is a problem, and fills in
// defaults. What a file says of status is left out as a cluster does.
func (k *kindSchema) complete(o *manifest.Object) manifest.Problems {
	delete(o.Raw, "status")
	var problems manifest.Problems
	unknown := pruning.PruneWithOptions(o.Raw, k.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	for _, path := range unknown {
		problems = append(problems, o.Problem(path, "unknown field%s", k.suggest(path)))
	}
	defaulting.Default(o.Raw, k.structural)
	defaulting.PruneNonNullableNullsWithoutDefaults(o.Raw, k.structural)
	return problems
}

// check runs the schema and the rules. The API server leaves the rules out
// where the schema is violated; a person wants to hear of everything at once,
// so they run, and what they say of fields that are wrong already is dropped.
// Only where something is too large they do not, since what they cost is
// bounded by the limits.
func (k *kindSchema) check(o *manifest.Object, rules *cel.Validator) manifest.Problems {
	broken := validation.ValidateCustomResource(nil, o.Raw, k.openAPI)
	broken = append(broken, listtype.ValidateListSetsAndMaps(nil, k.structural, o.Raw)...)
	var problems manifest.Problems
	for _, e := range broken {
		problems = append(problems, word(o, e)...)
	}
	if rules == nil || slices.ContainsFunc(broken, isTooLarge) {
		return problems
	}
	violated, _ := rules.Validate(context.Background(), nil, k.structural, o.Raw, nil, celconfig.RuntimeCELCostBudget)
	for _, e := range violated {
		if len(broken) > 0 && (couldNotRun(e) || isBroken(e.Field, broken)) {
			continue
		}
		problems = append(problems, word(o, e)...)
	}
	return problems
}

// couldNotRun tells a rule, or its message, that met a value of another type,
// or none, from one that was broken.
func couldNotRun(e *field.Error) bool {
	return strings.Contains(e.Detail, " evaluating rule: ") || strings.HasPrefix(e.Detail, "failed rule: ") ||
		strings.Contains(e.Detail, "did not match a supported operator")
}

func isTooLarge(e *field.Error) bool {
	return e.Type == field.ErrorTypeTooLong || e.Type == field.ErrorTypeTooMany
}

// isBroken says whether one of the errors is about path, or something around it.
func isBroken(path string, errs field.ErrorList) bool {
	for _, e := range errs {
		if rest, ok := strings.CutPrefix(path, e.Field); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}
