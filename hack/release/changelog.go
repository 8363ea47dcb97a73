package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// areas are what a changelog is divided into, by the folders that commits name first. The
// longest folder that fits counts.
var areas = []struct {
	title   string
	folders []string
}{
	{"Endpoints and protocol", []string{
		"gateway", "internal/pipeline", "internal/surface", "internal/mcp", "internal/bridge", "internal/target", "internal/listing",
		"internal/ratelimit", "internal/lines", "internal/listen",
	}},
	{"Servers behind the gateway", []string{
		"internal/backend", "internal/h1", "internal/duplex", "internal/upstream", "internal/virtual", "internal/composite", "internal/optimizer",
		"internal/toollock", "internal/search", "internal/embedding", "internal/netguard",
	}},
	{"Who is calling, and what they may do", []string{
		"internal/authn", "internal/authserver", "internal/idp", "internal/accounts", "internal/identity", "internal/oauth", "internal/token",
		"internal/policy", "internal/seal", "internal/keyring", "internal/certfile",
	}},
	{"What servers are shown", []string{"internal/credential", "internal/oauthclient", "internal/secret"}},
	{"Manifests", []string{"api", "internal/manifest", "internal/compile"}},
	{"Command line, console and clients", []string{
		"cmd", "internal/console", "internal/doctor", "internal/clientconfig", "internal/connect", "internal/importer", "internal/registry",
		"internal/demo", "internal/page", "internal/version",
	}},
	{"State, audit and monitoring", []string{
		"internal/audit", "internal/telemetry", "internal/trace", "internal/otlp", "internal/status", "internal/store", "internal/keep", "internal/ownfile",
		"internal/recent", "deploy/grafana",
	}},
	{"Kubernetes", []string{"operator", "deploy"}},
	{"Packages and images", []string{"deploy/package", "hack/release"}},
	{"Everything else", nil},
	{inside, []string{
		"e2e", "docs", "examples", "bench", "hack", "tools", "tests", "scripts", "golangci", ".golangci.yml", ".ci", "internal/testkit", "internal/rules",
		"CONTRIBUTING", "README", "Makefile",
	}},
}

// inside are changes that nobody sees who only uses what is released. They are counted.
const inside = ""

var subject = regexp.MustCompile(`^([\w./-]+)((?:, [\w./-]+)*): (.+)$`)

// areaOf is where a commit belongs, by its first line.
func areaOf(line string) string {
	m := subject.FindStringSubmatch(line)
	if m == nil {
		return inside
	}
	title, longest := "Everything else", -1
	for _, a := range areas {
		for _, folder := range a.folders {
			if len(folder) > longest && (m[1] == folder || strings.HasPrefix(m[1], folder+"/")) {
				title, longest = a.title, len(folder)
			}
		}
	}
	return title
}

// changelog tells what changed since the version before, area by area.
func (r *release) changelog() error {
	since := "HEAD"
	last, err := output("git", "describe", "--tags", "--abbrev=0", "HEAD^")
	if err == nil {
		since = last + "..HEAD"
	}
	commits, err := output("git", "log", "--no-merges", "--reverse", "--format=%h %s", since)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, "CHANGELOG.md"), r.changes(last, strings.Split(commits, "\n")), 0o644)
}

// changes are commits, each by its short hash and first line, from old to new.
func (r *release) changes(last string, commits []string) []byte {
	of := map[string][]string{}
	for _, c := range commits {
		hash, line, ok := strings.Cut(c, " ")
		if !ok {
			continue
		}
		area, text, where := areaOf(line), line, ""
		if m := subject.FindStringSubmatch(line); m != nil {
			text, where = m[3], m[1]+m[2]+", "
		}
		of[area] = append(of[area], fmt.Sprintf("- %s (%s%s)\n", text, where, hash))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s, %s\n\n", r.version, r.date.Format(time.DateOnly))
	if last == "" {
		b.WriteString("The first release. README.md says what it does; here is everything that led to it.\n")
	} else {
		fmt.Fprintf(&b, "Changes since %s.\n", last)
	}
	for _, a := range areas {
		if lines := of[a.title]; len(lines) > 0 && a.title != inside {
			fmt.Fprintf(&b, "\n## %s\n\n%s", a.title, strings.Join(slices.Compact(lines), ""))
		}
	}
	if n := len(of[inside]); n > 0 {
		fmt.Fprintf(&b, "\nBesides, %d changes of tests, documentation and tools.\n", n)
	}
	return b.Bytes()
}
