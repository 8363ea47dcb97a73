package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// counts are the numbers of a run, and the names of what was unsteady in it.
type counts struct {
	passed, failed, skips, packages int
	unsteady                        []string
}

func (c counts) String() string {
	return fmt.Sprintf("%d tests passed, %d failed, %d were skipped, in %d packages", c.passed, c.failed, c.skips, c.packages)
}

// addTo adds the numbers to those in a file, and says the sum if there were any.
func (c counts) addTo(file string, out io.Writer) error {
	text, err := os.ReadFile(file)
	if err == nil {
		numbers, names, _ := strings.Cut(string(text), "\n")
		var before counts
		if _, err := fmt.Sscan(numbers, &before.passed, &before.failed, &before.skips, &before.packages); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		c.passed, c.failed, c.skips, c.packages = c.passed+before.passed, c.failed+before.failed, c.skips+before.skips, c.packages+before.packages
		c.unsteady = append(strings.FieldsFunc(names, func(r rune) bool { return r == '\n' }), c.unsteady...)
		fmt.Fprintf(out, "\nin all:\n")
		if len(c.unsteady) > 0 {
			fmt.Fprintf(out, "UNSTEADY, passed only when run again: %s\n", strings.Join(c.unsteady, ", "))
		}
		fmt.Fprintf(out, "%s\n", c)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines := append([]string{fmt.Sprintf("%d %d %d %d", c.passed, c.failed, c.skips, c.packages)}, c.unsteady...)
	return os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}
