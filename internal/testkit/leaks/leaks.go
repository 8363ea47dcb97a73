// Package leaks fails the tests of a package that leave goroutines behind.
//
// It is the one place that knows goleak. That one gives goroutines less than half a second to end after the tests, which
// is too short for two kinds that are no leaks: those that end by themselves, but were not given a core yet by a busy
// machine; and those of libraries that look at the end of their work whether there is still somebody to do it for (the
// client of a Redis Cluster sleeps up to a second before it looks at the cluster again, closed or not). So they are
// waited for, and none is excused by name. What has not ended after [Limit] does not end.
package leaks

import (
	"fmt"
	"os"
	"time"

	"go.uber.org/goleak"
)

// Limit is how long goroutines may take to end. Without a leak nobody waits for so long.
const Limit = 30 * time.Second

// Tests is a *testing.M, or what runs one.
type Tests interface{ Run() int }

// Main is the whole TestMain of a package:
//
//	func TestMain(m *testing.M) { leaks.Main(m) }
func Main(m Tests) { os.Exit(Run(m)) }

// Run runs the tests, and returns what to exit with: they must have passed and left nothing behind.
func Run(m Tests) int {
	code := m.Run()
	if code != 0 {
		return code // what failed tests leave behind says nothing
	}
	if err := find(Limit); err != nil {
		fmt.Fprintf(os.Stderr, "the tests passed, but after %s there are goroutines of theirs: %v\n", Limit, err)
		return 1
	}
	return 0
}

// Watch fails the test when what runs now leaves more goroutines behind than there were; the function that it returns
// looks. The test must not be parallel: goroutines of others would look like its own.
func Watch(t goleak.TestingT) (look func()) {
	before := goleak.IgnoreCurrent()
	return func() {
		if err := find(Limit, before); err != nil {
			t.Error(err)
		}
	}
}

// find is what goleak finds after the limit, if it has found something each time before.
func find(limit time.Duration, but ...goleak.Option) error {
	for begun := time.Now(); ; {
		err := goleak.Find(but...) // tries for some 0.4 s
		if err == nil || time.Since(begun) > limit {
			return err
		}
	}
}
