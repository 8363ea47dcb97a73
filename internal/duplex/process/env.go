package process

import (
	"cmp"
	"slices"
	"strings"
)

// environment is what a command sees: a few variables that programs need to find
// their way about, and what is configured. The rest of the gateway's environment
// may hold its secrets.
func environment(own, configured []string) []string {
	env := make([]string, 0, len(configured)+8)
	for _, line := range own {
		if name, _, ok := strings.Cut(line, "="); ok && inherited(name) {
			env = append(env, line)
		}
	}
	return append(env, configured...) // the last of a name counts
}

const redacted = "[redacted]"

// hider takes configured values out of text for the log. Short ones stay, since
// hiding every "1" and "true" would hide the text and protect nothing.
func hider(configured []string) *strings.Replacer {
	const short = 8
	var values []string
	for _, line := range configured {
		_, value, _ := strings.Cut(line, "=")
		// The log is written line by line, and so a value of several is hidden.
		for part := range strings.Lines(value) {
			if part = strings.TrimRight(part, "\r\n"); len(part) >= short {
				values = append(values, part)
			}
		}
	}
	// Of two values that begin alike the longer one must win.
	slices.SortFunc(values, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	pairs := make([]string, 0, 2*len(values))
	for _, v := range values {
		pairs = append(pairs, v, redacted)
	}
	return strings.NewReplacer(pairs...)
}
