package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// event is a line of `go test -json` (go doc test2json), or of the build.
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// place is a test with its subtests, or a package as a whole.
type place struct{ pkg, test string }

func (p place) String() string { return strings.TrimSpace(p.pkg + " " + p.test) }

// outcome is what came of a test and its subtests. That of a package is kept as if it were a test without a name.
type outcome struct {
	passed, failed int
	unfinished     bool // a package that ended before its tests did
	skipped        []string
	said           string // by what failed
}

// results are outcomes by package and test.
type results struct {
	out      io.Writer
	packages map[string]map[string]*outcome
	saying   map[string]map[string]string // what each package's tests under way have said
	raced    map[string]bool              // packages
}

func newResults(out io.Writer) results {
	return results{out, map[string]map[string]*outcome{}, map[string]map[string]string{}, map[string]bool{}}
}

// at is where the outcome of a test is kept.
func (r *results) at(pkg, test string) *outcome {
	test, _, _ = strings.Cut(test, "/")
	if r.packages[pkg] == nil {
		r.packages[pkg] = map[string]*outcome{}
	}
	if r.packages[pkg][test] == nil {
		r.packages[pkg][test] = &outcome{}
	}
	return r.packages[pkg][test]
}

// take takes a line of go test.
func (r *results) take(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		fmt.Fprintf(r.out, "%s\n", line) // the go command's own words
		return
	}
	if r.saying[e.Package] == nil {
		r.saying[e.Package] = map[string]string{}
	}
	said := r.saying[e.Package]
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		said[e.Test] += e.Output
		if strings.Contains(e.Output, "WARNING: DATA RACE") {
			r.raced[e.Package] = true // whichever test spoke last is said to have said so
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e, said)
			delete(r.saying, e.Package)
			return
		}
		r.endTest(e, said[e.Test])
		delete(said, e.Test)
	}
}

func (r *results) endTest(e event, said string) {
	o := r.at(e.Package, e.Test)
	switch e.Action {
	case "pass":
		o.passed++
	case "fail":
		o.failed++
		o.said += said
		fmt.Fprint(r.out, said)
	case "skip":
		o.skipped = append(o.skipped, fmt.Sprintf("  %s %s: %s", e.Package, e.Test, reason(said)))
	}
}

// endPackage prints the package's own line. After a panic, a time limit or a failed
// build there are tests that did not end, and those may say why.
func (r *results) endPackage(e event, said map[string]string) {
	switch e.Action {
	case "pass":
		r.at(e.Package, "").passed++
	case "fail":
		o := r.at(e.Package, "")
		o.failed++
		o.said = ""
		for _, test := range slices.Sorted(maps.Keys(said)) {
			if test != "" {
				o.unfinished = true
				o.said += said[test]
			}
		}
		o.said += said[""]
		fmt.Fprint(r.out, o.said)
		return
	}
	for line := range strings.Lines(said[""]) {
		if strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "? ") {
			fmt.Fprint(r.out, line)
		}
	}
}

// failures are the tests that failed; the package where it failed as a whole, or not all of its tests ran to their end.
func (r *results) failures() (failed []place) {
	for pkg, tests := range r.packages {
		own, whole := r.at(pkg, ""), true
		for test, o := range tests {
			if test != "" && o.failed > 0 && !own.unfinished {
				failed = append(failed, place{pkg, test})
				whole = false
			}
		}
		if whole && own.failed > 0 {
			failed = append(failed, place{pkg, ""})
		}
	}
	slices.SortFunc(failed, func(a, b place) int { return strings.Compare(a.String(), b.String()) })
	return failed
}

// crash is what Go says of a panic, wherever it is caught, and of what is worse. A test's own words are indented, and so
// are those of the programs that it quotes.
var crash = regexp.MustCompile(`(?m)^\s*(panic|fatal error): |\[running[^\]]*\]:`)

// fault is why a failure is not for want of luck, or "".
func (r *results) fault(p place) string {
	said := r.said(p) + r.at(p.pkg, "").said
	switch {
	case r.raced[p.pkg] || strings.Contains(said, "race detected during execution of test"):
		return "a data race"
	case crash.MatchString(said):
		return "a panic"
	case strings.Contains(said, " [build failed]\n") || strings.Contains(said, " [setup failed]\n"):
		return "it does not build"
	}
	return ""
}

// said is what failed at a place has said.
func (r *results) said(p place) string {
	if p.test != "" {
		return r.at(p.pkg, p.test).said
	}
	var all strings.Builder
	for _, test := range slices.Sorted(maps.Keys(r.packages[p.pkg])) {
		all.WriteString(r.packages[p.pkg][test].said)
	}
	return all.String()
}

// passed tells whether a place ran and all of it is well.
func (r *results) passed(p place) bool {
	for test, o := range r.packages[p.pkg] {
		if (p.test == "" || p.test == test) && o.failed > 0 {
			return false
		}
	}
	return r.at(p.pkg, p.test).passed > 0
}

// forget takes the outcomes of a place away, and that of its package, which depends on it. The function that it returns
// puts them back in the place of what has come since.
func (r *results) forget(p place) (putBack func()) {
	before := maps.Clone(r.packages[p.pkg])
	if p.test == "" {
		clear(r.packages[p.pkg])
	}
	delete(r.packages[p.pkg], p.test)
	delete(r.packages[p.pkg], "")
	return func() { r.packages[p.pkg] = before }
}

// numbers adds the outcomes up.
func (r *results) numbers() (n counts, skipped []string) {
	for pkg, tests := range r.packages {
		own, failed := r.at(pkg, ""), 0
		n.packages += min(own.passed+own.failed, 1) // of the others go test has not said how they ended
		for test, o := range tests {
			if test != "" {
				n.passed += o.passed
				failed += o.failed
				skipped = append(skipped, o.skipped...)
			}
		}
		if failed == 0 {
			failed = own.failed
		}
		n.failed += failed
	}
	slices.Sort(skipped)
	n.skips = len(skipped)
	return n, skipped
}

// reason is the last thing that a skipped test said.
func reason(said string) string {
	why := "it does not say why"
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			why = line
		}
	}
	return why
}
