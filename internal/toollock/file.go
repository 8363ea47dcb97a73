package toollock

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Lock are the tools of servers, by the names of their resources.
type Lock map[string]Server

// Header stands at the beginning of lock files.
const Header = "# Tools as they were when this was written by sallyport lock, one a line: server, tool, what it is as a hash, and each part of that.\n"

// Format writes a lock file. A server without tools has a line of its own.
func (l Lock) Format() string {
	var b strings.Builder
	b.WriteString(Header)
	for _, server := range slices.Sorted(maps.Keys(l)) {
		if len(l[server]) == 0 {
			b.WriteString(word(server) + "\n")
		}
		for _, name := range slices.Sorted(maps.Keys(l[server])) {
			t := l[server][name]
			b.WriteString(word(server) + " " + word(name) + " sha256:" + t.Hash)
			for i, p := range parts {
				b.WriteString(" " + p.name + ":" + t.Parts[i])
			}
			b.WriteString(" " + string(mcp.Quote(t.Says)) + "\n")
		}
	}
	return b.String()
}

// word is a name as it stands in a line: as it is, or quoted where it would not be one
// word.
func word(name string) string {
	if name == "" || name[0] == '#' || name[0] == '"' || strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return string(mcp.Quote(name))
	}
	return name
}

// Mistake is what is wrong with a line of a lock file.
type Mistake struct {
	Line int // from 1
	What string
}

func (m *Mistake) Error() string { return fmt.Sprintf("line %d %s", m.Line, m.What) }

// Parse reads a lock file. Lines gives the first line of each server.
func Parse(text string) (l Lock, lines map[string]int, mistake *Mistake) {
	l, lines = Lock{}, map[string]int{}
	at := 0
	for line := range strings.Lines(text) {
		at++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		words, ok := split(line)
		if !ok {
			return nil, nil, &Mistake{at, "has a quoted text that does not end"}
		}
		server := words[0]
		if l[server] == nil {
			l[server], lines[server] = Server{}, at
		}
		if len(words) == 1 {
			continue
		}
		t, what := read(words[2:])
		if _, twice := l[server][words[1]]; twice && what == "" {
			what = fmt.Sprintf("has tool %s of %s a second time", words[1], server)
		}
		if what != "" {
			return nil, nil, &Mistake{at, what}
		}
		l[server][words[1]] = t
	}
	return l, lines, nil
}

// read reads what stands behind the names of a line.
func read(words []string) (t Tool, what string) {
	const shape = "is not SERVER TOOL sha256:… description:… input:… output:… annotations:… \"TEXT\""
	if len(words) != partCount+2 {
		return t, shape
	}
	var ok bool
	if t.Hash, ok = strings.CutPrefix(words[0], "sha256:"); !ok || len(t.Hash) != 64 || !isHex(t.Hash) {
		return t, "has no hash of 64 hexadecimal digits behind sha256:"
	}
	for i, p := range parts {
		if t.Parts[i], ok = strings.CutPrefix(words[1+i], p.name+":"); !ok || t.Parts[i] != "-" && !isHex(t.Parts[i]) {
			return t, shape
		}
	}
	t.Says = words[partCount+1]
	return t, ""
}

func isHex(s string) bool { return s != "" && strings.Trim(s, "0123456789abcdef") == "" }

// split takes a line apart into words, some of which are quoted.
func split(line string) (words []string, ok bool) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] != '"' {
			end := strings.IndexFunc(line, unicode.IsSpace)
			if end < 0 {
				end = len(line)
			}
			words, line = append(words, line[:end]), line[end:]
			continue
		}
		end := 1
		for end < len(line) && line[end] != '"' {
			if line[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(line) {
			return nil, false
		}
		text, ok := mcp.Text([]byte(line[:end+1]))
		if !ok {
			return nil, false
		}
		words, line = append(words, text), line[end+1:]
	}
	return words, true
}
