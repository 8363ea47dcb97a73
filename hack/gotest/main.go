// The gotest programme reads what `go test -json` prints and prints what a person
// needs of it: a line for each package, everything that failing tests said, and in the
// end how many tests ran and which of them were skipped, with the reasons.
//
//	go test -json ./... | go run ./hack/gotest
//
// Where CI is true a skipped test is a failure: there, everything must be there. Where SALLYPORT_TEST_TOTAL names a file,
// the numbers of several runs are added up in it, and the sum is the last line of each but the first.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

func main() {
	numbers, good, err := report(os.Stdin, os.Stdout, os.Getenv("CI") == "true")
	if file := os.Getenv("SALLYPORT_TEST_TOTAL"); file != "" && err == nil {
		err = numbers.addTo(file, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
	}
	if err != nil || !good {
		os.Exit(1)
	}
}

// event is a line of `go test -json` (go doc test2json), or of the build.
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// run is what was seen of one run.
type run struct {
	out   io.Writer
	said  map[string]map[string]string // what each package's tests under way have said; "" is the package's own
	fails map[string]bool              // packages with a test that failed
	counts
	skipped []string
}

// counts are the numbers of a run.
type counts struct{ passed, failed, skips, packages int }

func (c counts) String() string {
	return fmt.Sprintf("%d tests passed, %d failed, %d were skipped, in %d packages", c.passed, c.failed, c.skips, c.packages)
}

// addTo adds the numbers to those in a file, and says the sum if there were any.
func (c counts) addTo(file string, out io.Writer) error {
	text, err := os.ReadFile(file)
	if err == nil {
		var before counts
		if _, err := fmt.Sscan(string(text), &before.passed, &before.failed, &before.skips, &before.packages); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		c.passed, c.failed, c.skips, c.packages = c.passed+before.passed, c.failed+before.failed, c.skips+before.skips, c.packages+before.packages
		fmt.Fprintf(out, "\nin all:\n%s\n", c)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(file, fmt.Appendf(nil, "%d %d %d %d\n", c.passed, c.failed, c.skips, c.packages), 0o644)
}

// report copies what matters from in to out, and tells the numbers, and whether all is well.
func report(in io.Reader, out io.Writer, strict bool) (numbers counts, good bool, err error) {
	r := &run{out: out, said: map[string]map[string]string{}, fails: map[string]bool{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Fprintln(out, lines.Text()) // the go command's own words
			continue
		}
		r.take(e)
	}
	if len(r.skipped) > 0 {
		slices.Sort(r.skipped)
		fmt.Fprintf(out, "\nskipped:\n%s\n", strings.Join(r.skipped, "\n"))
	}
	r.skips = len(r.skipped)
	fmt.Fprintf(out, "\n%s\n", r.counts)
	if strict && len(r.skipped) > 0 {
		fmt.Fprintln(out, "CI is true: a skipped test is a failure")
	}
	return r.counts, r.failed == 0 && r.passed > 0 && (!strict || len(r.skipped) == 0), lines.Err()
}

func (r *run) take(e event) {
	tests := r.said[e.Package]
	if tests == nil {
		tests = map[string]string{}
		r.said[e.Package] = tests
	}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		tests[e.Test] += e.Output
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e, tests)
			delete(r.said, e.Package)
			return
		}
		r.endTest(e, tests[e.Test])
		delete(tests, e.Test)
	}
}

func (r *run) endTest(e event, said string) {
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.fails[e.Package] = true
		fmt.Fprint(r.out, said)
	case "skip":
		r.skipped = append(r.skipped, fmt.Sprintf("  %s %s: %s", e.Package, e.Test, reason(said)))
	}
}

// endPackage prints the package's own line. After a panic, a time limit or a failed
// build there are tests that did not end, and those may say why.
func (r *run) endPackage(e event, tests map[string]string) {
	if e.Action != "skip" { // for want of tests
		r.packages++
	}
	if e.Action == "fail" {
		if !r.fails[e.Package] {
			r.failed++
		}
		for test, said := range tests {
			if test != "" {
				fmt.Fprint(r.out, said)
			}
		}
		fmt.Fprint(r.out, tests[""])
		return
	}
	for line := range strings.Lines(tests[""]) {
		if strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "? ") {
			fmt.Fprint(r.out, line)
		}
	}
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
