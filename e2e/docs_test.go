package e2e_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/markdown"
)

func TestExamplesPassCheck(t *testing.T) {
	t.Parallel()
	dirs, err := filepath.Glob(filepath.Join(root, "examples", "*"))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, dir := range dirs {
		if files, _ := filepath.Glob(filepath.Join(dir, "*.yaml")); len(files) == 0 {
			continue // a program
		}
		checked++
		paths := []string{dir}
		if filepath.Base(dir) == "providers" { // to be taken one by one
			paths, _ = filepath.Glob(filepath.Join(dir, "*.yaml"))
		}
		for _, path := range paths {
			if r := testkit.Run(t, "check", "-f", path); r.Code != 0 {
				t.Errorf("check %s: exit code %d\n%s", path, r.Code, r.Stderr)
			}
		}
	}
	if checked < 4 {
		t.Errorf("%d examples were checked, want at least 4", checked)
	}
}

// TestManifestsInDocs checks every manifest that a page shows, good or bad.
func TestManifestsInDocs(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, p := range pages(t) {
		for i, b := range p.Blocks {
			if len(b.Info) == 0 || b.Info[0] != "yaml" {
				continue
			}
			checked++
			var want string
			if !b.Is("yaml") {
				if !b.Is("yaml", "refused") || i+1 == len(p.Blocks) || !p.Blocks[i+1].Is("problems") {
					t.Errorf("%s:%d: a block of yaml is checked as it is; say refused, and put a block of problems behind it", p.Path, b.Line)
					continue
				}
				want = p.Blocks[i+1].Text
			}
			checkBlock(t, p, b, want)
		}
	}
	if checked < 10 {
		t.Errorf("%d manifests were checked, want at least 10", checked)
	}
}

// checkBlock checks the manifest of a block, which has to be found to have the
// wanted problems.
func checkBlock(t *testing.T, p *markdown.Page, b markdown.Block, want string) {
	t.Helper()
	name, _, _ := strings.Cut(want, ":")
	if name == "" {
		name = "manifest.yaml"
	}
	dir := t.TempDir()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(b.Text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := testkit.Run(t, "check", "-f", file)
	got := strings.ReplaceAll(r.Stderr, dir+string(filepath.Separator), "")
	wantCode := 0
	if want != "" {
		wantCode = 2
	}
	if diff := cmp.Diff(want, got); diff != "" || r.Code != wantCode {
		t.Errorf("%s:%d: check ends with %d, want %d; problems (-page +check):\n%s", p.Path, b.Line, r.Code, wantCode, diff)
	}
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)`)

// TestEveryPageIsLinked finds pages that nobody would. (That links lead somewhere
// is a rule of internal/rules.)
func TestEveryPageIsLinked(t *testing.T) {
	t.Parallel()
	all := pages(t)
	linked := map[string]bool{"README.md": true}
	for _, p := range all {
		for _, m := range link.FindAllStringSubmatch(p.Prose(), -1) {
			linked[filepath.ToSlash(filepath.Join(filepath.Dir(p.Path), m[1]))] = true
		}
	}
	for _, p := range all {
		if !linked[p.Path] {
			t.Errorf("%s: no page links to it", p.Path)
		}
	}
}

// TestFlagsInDocs knows every flag that a page speaks of.
func TestFlagsInDocs(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"--help": true}
	for _, c := range readCommands(t) {
		for _, f := range c.flags {
			known["--"+f.name] = true
		}
	}
	inline := regexp.MustCompile("`(--[a-z][a-z-]+)")
	flag := regexp.MustCompile(`(?:^| )(--[a-z][a-z-]+)`)
	for _, p := range pages(t) {
		if strings.HasPrefix(p.Path, "bench/") {
			continue // another program
		}
		var flags []string
		for _, m := range inline.FindAllStringSubmatch(p.Prose(), -1) {
			flags = append(flags, m[1])
		}
		for _, b := range p.Blocks {
			for line := range strings.Lines(b.Text) {
				line = strings.TrimPrefix(line, "$ ")
				if !strings.HasPrefix(line, "sallyport ") && !strings.HasPrefix(line, "bin/sallyport ") {
					continue
				}
				line, _, _ = strings.Cut(line, " -- ") // what follows is another program's
				line, _, _ = strings.Cut(line, " | ")  // and so is this
				for _, m := range flag.FindAllStringSubmatch(line, -1) {
					flags = append(flags, m[1])
				}
			}
		}
		slices.Sort(flags)
		for _, f := range slices.Compact(flags) {
			if !known[f] {
				t.Errorf("%s speaks of the flag %s, which no command has", p.Path, f)
			}
		}
	}
}

// TestMetricsInDocs compares the names of metrics, and of the reasons of failures,
// with the pages that explain them.
func TestMetricsInDocs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ what, files, page, row string }{
		{`(?:counter|gauge)\(\s*"([a-z_]+)"|"sallyport_([a-z_]+)"`, "internal/telemetry/*.go", "metrics-and-audit.md", "(?m)^\\| `sallyport_([a-z_]+)` \\|"},
		{`Reason = "([a-z_]+)"`, "internal/backend/backend.go", "errors.md", "(?m)^\\| `([a-z_]+)` \\| [0-9]"},
	} {
		files, err := filepath.Glob(filepath.Join(root, tc.files))
		if err != nil {
			t.Fatal(err)
		}
		inCode := map[string]bool{}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, m := range regexp.MustCompile(tc.what).FindAllStringSubmatch(read(t, file), -1) {
				inCode[strings.Join(m[1:], "")] = true
			}
		}
		inPage := map[string]bool{}
		for _, m := range regexp.MustCompile(tc.row).FindAllStringSubmatch(read(t, filepath.Join(root, "docs", "reference", tc.page)), -1) {
			inPage[m[1]] = true
		}
		if len(inCode) < 5 {
			t.Fatalf("%s: found %d names, want more", tc.files, len(inCode))
		}
		delete(inPage, "truncated") // the gateway's own: an answer that had begun
		if diff := cmp.Diff(slices.Sorted(maps.Keys(inCode)), slices.Sorted(maps.Keys(inPage))); diff != "" {
			t.Errorf("%s (-code +page):\n%s", tc.page, diff)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
