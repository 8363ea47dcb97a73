package main

import (
	"path/filepath"
	"slices"
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
		"a package without tests": {
			`{"Action":"output","Package":"p","Output":"?   \tp\t[no test files]\n"}
{"Action":"skip","Package":"p"}
{"Action":"pass","Package":"q","Test":"TestA"}
{"Action":"pass","Package":"q"}`,
			"?   \tp\t[no test files]\n\n1 tests passed, 0 failed, 0 were skipped, in 1 packages\n", true, true,
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
		"nothing ran": {"no such package", "no such package\n\n0 tests passed, 0 failed, 0 were skipped, in 0 packages\n", false, false},
	} {
		for strict, want := range map[bool]bool{false: c.good, true: c.strict} {
			good, got := runFake(t, fake{"": c.in}, strict)
			got = strings.Replace(got, "CI is true: a skipped test is a failure\n", "", 1)
			if good != want {
				t.Errorf("%s, in CI %t: good %t", name, strict, good)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
}

// What a failure says, and what the package says of itself after it.
const (
	failedA = `{"Action":"output","Package":"p","Test":"TestA","Output":"why\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
`
	failed = `{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
`
	passedA = `{"Action":"pass","Package":"p","Test":"TestA"}
`
	passedB = `{"Action":"pass","Package":"p","Test":"TestB"}
`
	passed = `{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}
`
	againA = "-count=1 -run ^TestA$ p"
	said   = "why\nFAIL\tp\t0.1s\n"
	rerunA = "\np TestA failed, and is run again by itself:\n"
	none   = "\nnothing is run again: "
)

func TestRunAgain(t *testing.T) {
	t.Parallel()
	unsteadyA := said + rerunA + "ok  \tp\t0.1s\n\nUNSTEADY: p TestA passed only when it was run again. When it failed it said:\nwhy\n\n"
	for name, c := range map[string]struct {
		fake fake
		want string
		good bool
	}{
		"a test that passes when it is run again": {
			fake{"": failedA + passedB + failed, againA: passedA + passed},
			unsteadyA + "2 tests passed, 0 failed, 0 were skipped, in 1 packages\n", true,
		},
		"a test that fails again": {
			fake{"": failedA + passedB + failed, againA: failedA + failed},
			said + rerunA + said + "\n1 tests passed, 1 failed, 0 were skipped, in 1 packages\n", false,
		},
		"a test that is skipped when it is run again": {
			fake{"": failedA + failed, againA: `{"Action":"skip","Package":"p","Test":"TestA"}` + "\n" + passed},
			said + rerunA + "ok  \tp\t0.1s\n\n0 tests passed, 1 failed, 0 were skipped, in 1 packages\n", false,
		},
		"a test that is not found again": {
			fake{"": failedA + failed, againA: passed},
			said + rerunA + "ok  \tp\t0.1s\n\n0 tests passed, 1 failed, 0 were skipped, in 1 packages\n", false,
		},
		"a test that leaves something behind when it is run again": {
			fake{"": failedA + failed, againA: passedA + failed},
			said + rerunA + "FAIL\tp\t0.1s\n\n0 tests passed, 1 failed, 0 were skipped, in 1 packages\n", false,
		},
		"a subtest counts as its test": {
			fake{
				"": `{"Action":"output","Package":"p","Test":"TestA/x","Output":"why\n"}
{"Action":"fail","Package":"p","Test":"TestA/x"}
{"Action":"pass","Package":"p","Test":"TestA/y"}
{"Action":"fail","Package":"p","Test":"TestA"}
` + failed,
				againA: `{"Action":"pass","Package":"p","Test":"TestA/x"}
{"Action":"pass","Package":"p","Test":"TestA/y"}
` + passedA + passed,
			},
			unsteadyA + "3 tests passed, 0 failed, 0 were skipped, in 1 packages\n", true,
		},
		"one of two fails again": {
			fake{
				"": failedA + `{"Action":"fail","Package":"p","Test":"TestB"}` + "\n" + failed, againA: passedA + passed,
				"-count=1 -run ^TestB$ p": `{"Action":"fail","Package":"p","Test":"TestB"}` + "\n" + failed,
			},
			strings.Replace(unsteadyA, "\n\nUNSTEADY", "\n\np TestB failed, and is run again by itself:\nFAIL\tp\t0.1s\n\nUNSTEADY", 1) +
				"1 tests passed, 1 failed, 0 were skipped, in 1 packages\n", false,
		},
		"a package that fails though its tests passed": {
			fake{"": passedA + passedB + failed, "-count=1 p": passedA + passedB + passed},
			"FAIL\tp\t0.1s\n\np failed, and is run again by itself:\nok  \tp\t0.1s\n\n" +
				"UNSTEADY: p passed only when it was run again. When it failed it said:\nFAIL\tp\t0.1s\n\n" +
				"2 tests passed, 0 failed, 0 were skipped, in 1 packages\n", true,
		},
		"a package that somebody killed": {
			fake{
				"": failedA + `{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}` + "\n" + failed, "-count=1 p": passedA + passedB + passed,
			},
			"why\n=== RUN   TestB\nFAIL\tp\t0.1s\n\np failed, and is run again by itself:\nok  \tp\t0.1s\n\n" +
				"UNSTEADY: p passed only when it was run again. When it failed it said:\n=== RUN   TestB\nFAIL\tp\t0.1s\nwhy\n\n" +
				"2 tests passed, 0 failed, 0 were skipped, in 1 packages\n", true,
		},
		"a panic": {
			fake{"": `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: why\n"}` + "\n" + failed},
			"panic: why\nFAIL\tp\t0.1s\n" + none + "p: a panic\n\n0 tests passed, 1 failed, 0 were skipped, in 1 packages\n", false,
		},
		"a panic of a program that the test quotes": {
			fake{"": `{"Action":"output","Package":"p","Test":"TestA","Output":"    goroutine 7 [running]:\n"}` + "\n" + failedA + failed},
			"    goroutine 7 [running]:\n" + said + none + "p TestA: a panic\n\n0 tests passed, 1 failed, 0 were skipped, in 1 packages\n", false,
		},
		"a data race, which another test is said to have said": {
			fake{"": `{"Action":"output","Package":"p","Test":"TestB","Output":"WARNING: DATA RACE\n"}` + "\n" + passedB + failedA + failed},
			said + none + "p TestA: a data race\n\n1 tests passed, 1 failed, 0 were skipped, in 1 packages\n", false,
		},
		"a build that fails": {
			fake{"": `{"ImportPath":"p [p.test]","Action":"build-output","Output":"p/a.go:1: syntax error\n"}
{"ImportPath":"p [p.test]","Action":"build-fail"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}
{"Action":"pass","Package":"q","Test":"TestA"}`},
			"p/a.go:1: syntax error\nFAIL\tp [build failed]\n" + none + "p: it does not build\n\n1 tests passed, 1 failed, 0 were skipped, in 1 packages\n", false,
		},
		"many failures": {
			fake{"": func() (all string) {
				for _, test := range strings.Fields("TestA TestB TestC TestD TestE TestF") {
					all += strings.ReplaceAll(failedA, "TestA", test)
				}
				return all + failed
			}()},
			strings.Repeat("why\n", 6) + "FAIL\tp\t0.1s\n" + none + "6 tests failed\n\n0 tests passed, 6 failed, 0 were skipped, in 1 packages\n", false,
		},
	} {
		good, got := runFake(t, c.fake, true)
		if good != c.good {
			t.Errorf("%s: good %t", name, good)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// fake is what go test says, by the arguments that are added when a test is run again.
type fake map[string]string

func runFake(t *testing.T, f fake, strict bool) (good bool, said string) {
	t.Helper()
	var out strings.Builder
	ran := 0
	r := &runner{flags: []string{"-race"}, out: &out, strict: strict, goTest: func(args []string, line func([]byte)) (bool, error) {
		ran++
		lines, ok := f[strings.TrimPrefix(strings.TrimPrefix(strings.Join(args, " "), "-race "), "./...")]
		if !ok {
			t.Errorf("it runs go test with %q", args)
		}
		for l := range strings.Lines(lines) {
			line([]byte(strings.TrimSuffix(l, "\n")))
		}
		return !strings.Contains(lines, `"fail"`), nil
	}}
	_, good, err := r.run([]string{"./..."})
	if err != nil {
		t.Error(err)
	}
	if ran != len(f) {
		t.Errorf("it ran go test %d times in place of %d", ran, len(f))
	}
	return good, out.String()
}

// A go command that ends badly though no test failed is no success.
func TestGoTestFails(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	r := &runner{out: &out, goTest: func(_ []string, line func([]byte)) (bool, error) {
		for l := range strings.Lines(passedA + passed) {
			line([]byte(l))
		}
		return false, nil
	}}
	if _, good, err := r.run(nil); good || err != nil {
		t.Errorf("good %t, %v\n%s", good, err, out.String())
	}
}

// Runs after one another end in their sum.
func TestTotal(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "total")
	var out strings.Builder
	for _, c := range []counts{{5, 1, 0, 2, []string{"p TestA"}}, {3, 0, 1, 1, nil}, {1, 0, 0, 1, []string{"q"}}} {
		if err := c.addTo(file, &out); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"", "in all:", "UNSTEADY, passed only when run again: p TestA", "8 tests passed, 1 failed, 1 were skipped, in 3 packages",
		"", "in all:", "UNSTEADY, passed only when run again: p TestA, q", "9 tests passed, 1 failed, 1 were skipped, in 4 packages", "",
	}
	if got := strings.Split(out.String(), "\n"); !slices.Equal(got, want) {
		t.Errorf("it says %q", got)
	}
}
