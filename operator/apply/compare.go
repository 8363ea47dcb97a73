package apply

import "slices"

// whole are maps that belong to one writer as a whole: a further key changes what they mean.
var whole = []string{"selector", "podSelector", "namespaceSelector", "matchLabels"}

// lists are those whose items belong to different writers, each known by its own fields.
var lists = []string{"containers", "initContainers", "volumes", "volumeMounts", "env", "ports", "imagePullSecrets", "ownerReferences", "topologySpreadConstraints"}

// holds tells whether what is wanted is there. What is there besides is others', or a
// default; strict is for kinds in which lists belong to one writer.
func holds(want, have any, strict bool) bool {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			return len(w) == 0 && have == nil
		}
		for name, v := range w {
			if !holdsField(name, v, h[name], strict) {
				return false
			}
		}
		return true
	case []any:
		h, ok := have.([]any)
		return ok && holdsList(w, h, strict, false)
	}
	return equal(want, have)
}

func holdsField(name string, want, have any, strict bool) bool {
	if w, ok := want.(map[string]any); ok && slices.Contains(whole, name) {
		h, _ := have.(map[string]any)
		return len(w) == len(h) && holds(want, have, strict)
	}
	if w, ok := want.([]any); ok {
		h, _ := have.([]any)
		return holdsList(w, h, strict, slices.Contains(lists, name))
	}
	return holds(want, have, strict)
}

// holdsList compares item by item; with others' items between them where that may be.
func holdsList(want, have []any, strict, shared bool) bool {
	if !shared || strict {
		return len(want) == len(have) && !slices.ContainsFunc(index(want), func(i int) bool { return !holds(want[i], have[i], strict) })
	}
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h any) bool { return holds(w, h, strict) }) {
			return false
		}
	}
	return true
}

func index(list []any) []int {
	all := make([]int, len(list))
	for i := range all {
		all[i] = i
	}
	return all
}

// equal compares values, numbers whatever their type.
func equal(a, b any) bool {
	if a == b {
		return true
	}
	number := func(v any) (float64, bool) {
		switch v := v.(type) {
		case int64:
			return float64(v), true
		case float64:
			return v, true
		}
		return 0, false
	}
	x, ok := number(a)
	y, also := number(b)
	return ok && also && x == y
}
