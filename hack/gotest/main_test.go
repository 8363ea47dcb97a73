package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in, want     string
		good, strict bool // whether all is well, here and in CI
	}{
		"all pass": {
			`{"Action":"output","Package":"p","Test":"TestA","Output":"noise\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}`,
			"ok  \tp\t0.1s\n\n1 tests passed, 0 failed, 0 were skipped, in 1 packages\n", true, true,
		},
		"one is skipped": {
			`{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: needs nginx\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}`,
			"ok  \tp\t0.1s\n\nskipped:\n  p TestA: a_test.go:1: needs nginx\n\n1 tests passed, 0 failed, 1 were skipped, in 1 packages\n", true, false,
		},
		"one fails": {
			`{"Action":"output","Package":"p","Test":"TestA","Output":"why\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"FAIL\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}`,
			"why\nFAIL\nFAIL\tp\t0.1s\n\n0 tests passed, 1 failed, 0 were skipped, in 1 packages\n", false, false,
		},
		"a panic": {
			`{"Action":"output","Package":"p","Test":"TestA","Output":"panic: why\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}`,
			"panic: why\nFAIL\tp\t0.1s\n\n0 tests passed, 1 failed, 0 were skipped, in 1 packages\n", false, false,
		},
		"a build that fails": {
			`{"ImportPath":"p [p.test]","Action":"build-output","Output":"p/a.go:1: syntax error\n"}
{"ImportPath":"p [p.test]","Action":"build-fail"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}
{"Action":"pass","Package":"q","Test":"TestA"}`,
			"p/a.go:1: syntax error\nFAIL\tp [build failed]\n\n1 tests passed, 1 failed, 0 were skipped, in 1 packages\n", false, false,
		},
		"nothing ran": {"no such package", "no such package\n\n0 tests passed, 0 failed, 0 were skipped, in 0 packages\n", false, false},
	} {
		for strict, want := range map[bool]bool{false: c.good, true: c.strict} {
			var out strings.Builder
			_, good, err := report(strings.NewReader(c.in), &out, strict)
			got, _, _ := strings.Cut(out.String(), "CI is true")
			if good != want || err != nil {
				t.Errorf("%s, in CI %t: good %t, %v", name, strict, good, err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

// Runs after one another end in their sum.
func TestTotal(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "total")
	var out strings.Builder
	for _, c := range []counts{{5, 1, 0, 2}, {3, 0, 1, 1}} {
		if err := c.addTo(file, &out); err != nil {
			t.Fatal(err)
		}
	}
	if want := "\nin all:\n8 tests passed, 1 failed, 1 were skipped, in 3 packages\n"; out.String() != want {
		t.Errorf("it says %q", out.String())
	}
}
