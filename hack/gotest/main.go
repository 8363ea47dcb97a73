// The gotest programme runs `go test -json` and prints what a person needs of it: a line for each package, everything that
// failing tests said, and in the end how many tests ran and which of them were skipped, with the reasons. What stands
// before the two dashes are flags of go test:
//
//	go run ./hack/gotest -race -- ./...
//
// A test that fails is run once more, alone, after all others (docs/decisions/0072-unsteady-tests.md): if it passes then,
// the summary names it as unsteady, with all that it said when it failed, and the run is good. A panic, a data race and a
// failed build are never tried again, and neither is anything where more than a few tests failed.
//
// Where CI is true a skipped test is a failure: there, everything must be there. Where SALLYPORT_TEST_TOTAL names a file,
// the numbers of several runs are added up in it, and the sum is the last line of each but the first.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	args := os.Args[1:]
	dashes := slices.Index(args, "--")
	if dashes < 0 {
		fmt.Fprintln(os.Stderr, "usage: gotest [flags of go test] -- packages")
		os.Exit(2)
	}
	r := &runner{goTest: goTest, flags: args[:dashes], out: os.Stdout, strict: os.Getenv("CI") == "true"}
	numbers, good, err := r.run(args[dashes+1:])
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

// goTest runs `go test -json` and hands over each line that it prints. That tests fail is no error; that it ended badly
// is said by ok.
func goTest(args []string, line func([]byte)) (ok bool, err error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		line(lines.Bytes())
	}
	_, _ = io.Copy(io.Discard, stdout) // or it would not end
	err = cmd.Wait()
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		return false, lines.Err()
	}
	return err == nil, errors.Join(err, lines.Err())
}

// mostAgain is how many tests may be run again. Where more fail it is not for want of luck.
const mostAgain = 5

// runner runs the tests of one command.
type runner struct {
	goTest func(args []string, line func([]byte)) (ok bool, err error)
	flags  []string
	out    io.Writer
	strict bool // a skipped test is a failure
	results
	unsteady []unsteady
}

// unsteady is a test that passed only when it was run again.
type unsteady struct {
	place
	said string // when it failed
}

// run runs the tests of packages, and tells the numbers, and whether all is well.
func (r *runner) run(packages []string) (numbers counts, good bool, err error) {
	r.results = newResults(r.out)
	ok, err := r.goTest(slices.Concat(r.flags, packages), r.take)
	if err != nil {
		return numbers, false, err
	}
	failed := r.failures()
	for _, p := range r.worthAgain(failed) {
		if err := r.again(p); err != nil {
			return numbers, false, err
		}
	}
	if ok = ok || len(failed) > 0; !ok {
		fmt.Fprintln(r.out, "\ngo test failed, and no test did")
	}
	numbers, skipped := r.numbers()
	r.summary(&numbers, skipped)
	return numbers, ok && numbers.failed == 0 && numbers.passed > 0 && (!r.strict || len(skipped) == 0), nil
}

// worthAgain is what of the failures may be bad luck: all of them, or none.
func (r *runner) worthAgain(failed []place) []place {
	if len(failed) > mostAgain {
		fmt.Fprintf(r.out, "\nnothing is run again: %d tests failed\n", len(failed))
		return nil
	}
	for _, p := range failed {
		if why := r.fault(p); why != "" {
			fmt.Fprintf(r.out, "\nnothing is run again: %s: %s\n", p, why)
			return nil
		}
	}
	return failed
}

// again runs one test by itself, or the package where that failed as a whole. What it comes to now is what counts, if
// it passes.
func (r *runner) again(p place) error {
	args := append(slices.Clone(r.flags), "-count=1") // a result that go test has kept proves nothing
	if p.test != "" {
		args = append(args, "-run", "^"+p.test+"$")
	}
	fmt.Fprintf(r.out, "\n%s failed, and is run again by itself:\n", p)
	u := unsteady{p, r.said(p)}
	putBack := r.forget(p)
	if ok, err := r.goTest(append(args, p.pkg), r.take); err != nil {
		return err
	} else if !ok || !r.passed(p) {
		putBack()
		return nil
	}
	r.unsteady = append(r.unsteady, u)
	return nil
}

func (r *runner) summary(numbers *counts, skipped []string) {
	if len(skipped) > 0 {
		fmt.Fprintf(r.out, "\nskipped:\n%s\n", strings.Join(skipped, "\n"))
		if r.strict {
			fmt.Fprintln(r.out, "CI is true: a skipped test is a failure")
		}
	}
	for _, u := range r.unsteady {
		numbers.unsteady = append(numbers.unsteady, u.String())
		fmt.Fprintf(r.out, "\nUNSTEADY: %s passed only when it was run again. When it failed it said:\n%s", u.place, u.said)
	}
	fmt.Fprintf(r.out, "\n%s\n", numbers)
}
