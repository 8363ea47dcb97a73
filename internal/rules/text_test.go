package rules_test

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

func mustFiles(t *testing.T) []string {
	t.Helper()
	all, err := files()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// readText returns a file of the repository, or false when it is not text.
func readText(t *testing.T, name string) (string, bool) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text), !strings.Contains(string(text), "\x00")
}

func TestLicence(t *testing.T) {
	t.Parallel()
	text, _ := readText(t, "LICENSE")
	if !strings.Contains(text, "Apache License") || !strings.Contains(text, "Version 2.0, January 2004") {
		t.Error("LICENSE is not the text of the Apache License, Version 2.0")
	}
}

// unwanted are words that have no place in the repository. They are put together here so that this file has none of them.
// A text without any of the hints, by spaces, needs no closer look.
var unwanted = []struct {
	hints   string
	pattern *regexp.Regexp
	remedy  string
}{
	{"TO" + "DO FIX" + "ME XX" + "X HA" + "CK", regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`), "do it now, or open an issue"},
	{"/ho" + "me/ /ro" + "ot/ /wo" + "rk/ /Us" + "ers/", regexp.MustCompile(`(^|[\s"'` + "`" + `(=:])/(ho` + `me|ro` + `ot|wo` + `rk|Us` + `ers)/[a-z]`), "it is a path of one machine"},
	{"npm" + "js.org golang" + ".org", regexp.MustCompile(`registry\.npm` + `js\.org|proxy\.golang` + `\.org`), "where packages come from is each machine's own setting"},
	{".md", regexp.MustCompile(`\b(DESIGN|REQUIREMENTS|CONTRACT|PROTOCOL|TESTBED|ROADMAP|LIBRARIES)` + `\.md\b`), "there is no such page here; say what it says"},
	{"testify mock", regexp.MustCompile(`stretchr/` + `testify|go\.uber\.org/` + `mock|golang/` + `mock`), "tests use the standard library and go-cmp"},
}

func TestNoUnwantedWords(t *testing.T) {
	t.Parallel()
	for _, name := range mustFiles(t) {
		// Sums name every version of every module, ours or not.
		if base := path.Base(name); base == "go.sum" || base == "package-lock.json" || base == "LICENSE" || strings.HasPrefix(name, "tools/") {
			continue
		}
		text, ok := readText(t, name)
		if !ok {
			continue
		}
		for _, u := range unwanted {
			if !containsOne(text, strings.Fields(u.hints)...) {
				continue
			}
			for n, line := range strings.Split(text, "\n") {
				if !containsOne(line, strings.Fields(u.hints)...) {
					continue
				}
				if found := u.pattern.FindString(line); found != "" {
					t.Errorf("%s:%d: %q: %s", name, n+1, strings.TrimSpace(found), u.remedy)
				}
			}
		}
	}
}

// A code that no page defines tells a reader nothing. Findings and requirements say what they are.
var (
	code    = regexp.MustCompile(`\b(L|M|RS|S|C|R|N|F)\d{1,2}\b`)
	defined = regexp.MustCompile(`(FINDING|REQ) [A-Z]?-?\d+(\.\d+)?((,| and) [A-Z]-?\d+)*`)
	// Words that look alike: a service of AWS, and a set of control characters.
	noCodes = []string{"S3", "C1"}
)

func TestNoCodesOfOurOwn(t *testing.T) {
	t.Parallel()
	for _, name := range mustFiles(t) {
		ext := path.Ext(name)
		if ext != ".go" && ext != ".md" || strings.HasPrefix(name, "tools/") || strings.HasPrefix(name, "internal/rules/") {
			continue
		}
		text, _ := readText(t, name)
		for _, at := range code.FindAllStringIndex(text, -1) {
			begin := strings.LastIndexByte(text[:at[0]], '\n') + 1
			line, _, _ := strings.Cut(text[begin:], "\n")
			found := text[at[0]:at[1]]
			if ext == ".go" && !strings.Contains(line[:at[0]-begin], "//") || slices.Contains(noCodes, found) ||
				!strings.Contains(defined.ReplaceAllString(line, ""), found) {
				continue
			}
			t.Errorf("%s:%d: no page defines %s: name the specification and its section, as in MCP 2025-11-25 transports",
				name, strings.Count(text[:begin], "\n")+1, found)
		}
	}
}

// requirements are the letters of the ledger and how many statements each has. Every one is named by a test that would
// fail if it stopped being true.
var requirements = map[string]int{"A": 8, "B": 32, "C": 12, "D": 10, "E": 6, "F": 5, "G": 15}

var (
	requirementComment = regexp.MustCompile(`\bREQ\b[^\n]*`)
	requirementID      = regexp.MustCompile(`\b([A-Z])-(\d+)\b`)
)

func TestRequirementsAreProved(t *testing.T) {
	t.Parallel()
	named := map[string]bool{}
	for _, name := range mustFiles(t) {
		if !strings.HasSuffix(name, "_test.go") && path.Ext(name) != ".mjs" && path.Ext(name) != ".txtar" || strings.HasPrefix(name, "internal/rules/") {
			continue
		}
		text, _ := readText(t, name)
		for _, comment := range requirementComment.FindAllString(text, -1) {
			ids := requirementID.FindAllStringSubmatch(comment, -1)
			if len(ids) == 0 {
				t.Errorf("%s: %q names no requirement: write REQ and its id, as in REQ A-3", name, comment)
			}
			for _, id := range ids {
				if n, _ := strconv.Atoi(id[2]); n < 1 || n > requirements[id[1]] {
					t.Errorf("%s: %q: there is no requirement %s", name, comment, id[0])
				}
				named[id[0]] = true
			}
		}
	}
	for letter, n := range requirements {
		for i := 1; i <= n; i++ {
			if id := letter + "-" + strconv.Itoa(i); !named[id] {
				t.Errorf("no test names REQ %s: write the test that fails when it is not true any more", id)
			}
		}
	}
}

var (
	markdownLink    = regexp.MustCompile(`\]\(([^)\s]+)(?: "[^"]*")?\)`)
	markdownHeading = regexp.MustCompile(`(?m)^#+ +(.+?) *$`)
	markdownCode    = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
)

func TestMarkdownLinksResolve(t *testing.T) {
	t.Parallel()
	for _, name := range mustFiles(t) {
		if path.Ext(name) != ".md" {
			continue
		}
		text, _ := readText(t, name)
		for _, link := range markdownLink.FindAllStringSubmatch(markdownCode.ReplaceAllString(text, ""), -1) {
			if strings.Contains(link[1], "://") || strings.HasPrefix(link[1], "mailto:") {
				continue // what is elsewhere is not for a test
			}
			file, anchor, _ := strings.Cut(link[1], "#")
			target := name
			if file != "" {
				target = path.Join(path.Dir(name), file)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, link[1])
				continue
			}
			if anchor == "" || path.Ext(target) != ".md" {
				continue
			}
			if there, _ := readText(t, target); !slices.Contains(anchors(there), anchor) {
				t.Errorf("%s links to %s: %s has no such heading; it has %q", name, link[1], target, anchors(there))
			}
		}
	}
}

// anchors are the headings of a page as links name them: in lower case, spaces as hyphens, without punctuation.
func anchors(text string) (all []string) {
	for _, heading := range markdownHeading.FindAllStringSubmatch(text, -1) {
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, heading[1]))
	}
	return all
}
