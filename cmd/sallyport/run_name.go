package main

import (
	"cmp"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/netguard"
)

// nameOfHost names a server at a URL after its host; one on this machine after its port.
func nameOfHost(u *url.URL) string {
	if netguard.IsLocalName(u.Hostname()) {
		return asName(strings.Trim("local-"+u.Port(), "-"))
	}
	return asName(u.Hostname())
}

// nameOfCommand names a server after the package, image or script that is run, and not
// after what runs it.
func nameOfCommand(command []string) string {
	name := program(command[0])
	if words, ok := runners[name]; ok {
		if what := operand(command[1:], words); what != "" {
			name = packageName(what)
		}
	}
	return asName(cmp.Or(strings.TrimSuffix(name, path.Ext(name)), name))
}

// runners are programs that run something else, with the words between them and it.
var runners = map[string][]string{
	"npx": nil, "bunx": nil, "uvx": nil, "pipx": {"run"}, "pnpm": {"dlx", "exec"}, "yarn": {"dlx"}, "npm": {"exec", "x"}, "bun": {"run", "x"},
	"uv": {"run", "tool"}, "node": nil, "deno": {"run"}, "tsx": nil, "python": nil, "python3": nil, "ruby": nil, "java": nil, "go": {"run"},
	"docker": {"run", "container"}, "podman": {"run", "container"}, "nerdctl": {"run"}, "sh": nil, "bash": nil, "env": nil,
}

// withValue are flags of runners whose value stands behind them.
var withValue = []string{
	"-e", "--env", "-v", "--volume", "-p", "--publish", "--name", "--mount", "--network", "--env-file", "-u", "--user", "-w", "--workdir",
	"--entrypoint", "-l", "--label", "--from", "--with", "--package", "--python", "--directory", "--project", "-cp", "--require", "-r",
}

// operand is the first word that is neither a flag, nor a flag's value, nor one of skip.
func operand(words, skip []string) string {
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case slices.Contains(withValue, w):
			i++
		case strings.HasPrefix(w, "-"), slices.Contains(skip, w), w == "":
		default:
			return w
		}
	}
	return ""
}

var packageVersion = regexp.MustCompile(`[@:=][^/]*$`)

// packageName is a package, image or path without scope, registry and version.
func packageName(text string) string {
	if i := strings.LastIndexByte(text, '/'); i >= 0 {
		text = text[i+1:]
	}
	return cmp.Or(packageVersion.ReplaceAllString(text, ""), text)
}

func program(command string) string {
	return strings.TrimSuffix(filepath.Base(filepath.FromSlash(command)), ".exe")
}

// asName makes a name of a resource out of text.
func asName(text string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(text), "-"), "-")
	return cmp.Or(strings.Trim(name[:min(len(name), 63)], "-"), "server")
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)
