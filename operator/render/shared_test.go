package render

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// Files stay where they are: a file more, fewer, or another text, changes one ConfigMap, and none is too large.
func TestDivide(t *testing.T) {
	t.Parallel()
	want := map[string]string{}
	for i := range 1000 {
		want[fmt.Sprintf("mcpremoteproxy.docs-%04d.yaml", i)] = strings.Repeat("x", 2<<10)
	}
	all := Divide(nil, want)
	if len(all) < 3 || len(all) > 4 {
		t.Errorf("2 MiB are in %d ConfigMaps", len(all))
	}
	check := func(what string, next []map[string]string, want map[string]string, changed int) {
		t.Helper()
		together, differ := map[string]string{}, 0
		for i, files := range next {
			for name, text := range files {
				if _, twice := together[name]; twice {
					t.Errorf("%s: %s is there twice", what, name)
				}
				together[name] = text
			}
			if n := size(files); n > growTo {
				t.Errorf("%s: a ConfigMap has %d bytes", what, n)
			}
			if i >= len(all) || !maps.Equal(all[i], files) {
				differ++
			}
		}
		if !maps.Equal(want, together) {
			t.Errorf("%s: there are other files than there should be", what)
		}
		if differ > changed {
			t.Errorf("%s: %d ConfigMaps change, want %d", what, differ, changed)
		}
	}
	check("again", Divide(all, want), want, 0)
	more := maps.Clone(want)
	more["a-first.yaml"] = "x"
	check("one more", Divide(all, more), more, 1)
	fewer := maps.Clone(want)
	delete(fewer, "mcpremoteproxy.docs-0007.yaml")
	check("one fewer", Divide(all, fewer), fewer, 1)
	grown := maps.Clone(want)
	grown["mcpremoteproxy.docs-0007.yaml"] = strings.Repeat("y", 100<<10)
	check("one that has grown", Divide(all, grown), grown, 1)
	huge := maps.Clone(want)
	huge["mcpremoteproxy.docs-0007.yaml"] = strings.Repeat("y", LongestFile-100)
	check("one that fills a ConfigMap", Divide(all, huge), huge, len(all)+1)
	if none := Divide(all, nil); len(none) != 1 || len(none[0]) != 0 {
		t.Errorf("of nothing %d are left over", len(none))
	}
}
