package e2e_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// cliCommand is one command, as its help shows it.
type cliCommand struct {
	name, short, usage, examples string
	flags                        []cliFlag
}

type cliFlag struct {
	group, short, name, kind, text string
}

var (
	listed   = regexp.MustCompile(`(?m)^  ([a-z]+) +(\S.*)$`)
	flagLine = regexp.MustCompile(`^ +(?:(-\w), +)?--([a-z-]+)(?: (\S+))?  +(\S.*)$`)
)

// readCommands asks the binary for every command's help.
func readCommands(t *testing.T) []cliCommand {
	t.Helper()
	help := testkit.Run(t, "--help").Stdout
	_, list, _ := strings.Cut(help, "Available Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	var all []cliCommand
	for _, m := range listed.FindAllStringSubmatch(list, -1) {
		if m[1] == "help" {
			continue // speaks for itself
		}
		c := cliCommand{name: m[1], short: m[2]}
		subs := c.read(t, testkit.Run(t, m[1], "--help").Stdout)
		if m[1] == "completion" || len(subs) == 0 {
			all = append(all, c)
			continue
		}
		if len(c.flags) > 0 { // it does something itself
			all = append(all, c)
		}
		for _, sub := range subs {
			c := cliCommand{name: m[1] + " " + sub[1], short: sub[2]}
			c.read(t, testkit.Run(t, m[1], sub[1], "--help").Stdout)
			all = append(all, c)
		}
	}
	if len(all) < 5 {
		t.Fatalf("the help lists %d commands, want at least 5:\n%s", len(all), help)
	}
	return all
}

// read returns the commands below it: for each a match of listed.
func (c *cliCommand) read(t *testing.T, help string) (subs [][]string) {
	t.Helper()
	for section := range strings.SplitSeq(strings.TrimSpace(help), "\n\n") {
		title, text, _ := strings.Cut(section, "\n")
		switch title {
		case "Usage:":
			c.usage = strings.ReplaceAll(strings.TrimSpace(text), "\n  ", "\n")
		case "Available Commands:": // completion has one for each shell
			var names []string
			subs = listed.FindAllStringSubmatch(text, -1)
			for _, m := range subs {
				names = append(names, m[1])
			}
			c.usage = strings.Replace(c.usage, "[command]", strings.Join(names, "|"), 1)
		case "Examples:":
			c.examples = text
		default: // a group of flags
			for line := range strings.SplitSeq(text, "\n") {
				m := flagLine.FindStringSubmatch(line)
				if m != nil && m[2] != "help" && m[2] != "version" {
					c.flags = append(c.flags, cliFlag{group: strings.TrimSuffix(title, ":"), short: m[1], name: m[2], kind: m[3], text: m[4]})
				}
			}
		}
	}
	return subs
}

func commandLinePage(t *testing.T) string {
	t.Helper()
	commands := readCommands(t)
	var b strings.Builder
	b.WriteString("# Command line\n\n" + generated +
		"| command | |\n| --- | --- |\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", c.name, strings.ReplaceAll(c.name, " ", "-"), c.short)
	}
	b.WriteString(`
Every flag has an environment variable: ` + "`SALLYPORT_` and the flag's name in capitals, hyphens as underscores, such as `SALLYPORT_LOG_LEVEL=debug` for `--log-level debug`. A flag on the command line wins, and an empty variable counts as not set. A flag that may be repeated takes a value from each line of its variable, and one for a list commas." + `

A value that cannot work ends the command before it begins, with exit code 2, wherever it came from. Sizes are bytes or take a unit: ` + "`8388608`, `8MiB`, `8MB`; times take one always: `90s`, `2m30s`" + `. Shells [complete](#completion) commands, flags, their values, and the names of servers.

Exit codes: 0, it did what was asked; 1, it failed while running, or what it verified is not sound; 2, wrong usage or a wrong manifest. The log goes to stderr, what was asked for to stdout, and audit events, too, unless a flag says otherwise.

SIGTERM and SIGINT shut down, SIGHUP reloads: see [Reload and shut down](../how-to/reload-and-shut-down.md). In the environment, ` +
		"`SSL_CERT_FILE` and `SSL_CERT_DIR` say where trusted certificates are, `OTEL_*` what goes [to a collector](../how-to/watch.md#to-a-collector), and `GOGC` and `GOMEMLIMIT` tune the Go runtime. `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` name [the proxies](../how-to/remote-server.md#behind-an-http-proxy) through which connections leave.\n")
	common := sharedFlags(commands)
	for _, c := range commands {
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n", c.name, c.short)
		if c.usage != "" {
			fmt.Fprintf(&b, "\n```text\n%s\n```\n", c.usage)
		}
		if c.examples != "" {
			fmt.Fprintf(&b, "\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.examples, "  "), "\n  ", "\n"))
		}
		own := slices.DeleteFunc(slices.Clone(c.flags), func(f cliFlag) bool { return serves(c) && slices.Contains(common, f) })
		writeFlags(&b, own)
		if serves(c) {
			b.WriteString("\nTakes the [flags of every command that serves](#flags-of-every-command-that-serves), too.\n")
		}
	}
	b.WriteString("\n## Flags of every command that serves\n\n`serve`, `run` and `demo` have these, and so has `sallyportd`. [Limits](../how-to/limits.md) says more about those that are limits.\n")
	writeFlags(&b, common)
	return b.String()
}

func serves(c cliCommand) bool { return c.name == "serve" || c.name == "run" || c.name == "demo" }

// sharedFlags are those that mean the same in every command that serves.
func sharedFlags(commands []cliCommand) []cliFlag {
	var shared []cliFlag
	first := true
	for _, c := range commands {
		switch {
		case !serves(c):
		case first:
			shared, first = slices.Clone(c.flags), false
		default:
			shared = slices.DeleteFunc(shared, func(f cliFlag) bool { return !slices.Contains(c.flags, f) })
		}
	}
	return shared
}

var byDefault = regexp.MustCompile(` \(default (.+)\)$`)

func writeFlags(b *strings.Builder, flags []cliFlag) {
	if len(flags) == 0 {
		return
	}
	for i, f := range flags {
		if i == 0 || f.group != flags[i-1].group {
			if f.group != "Flags" {
				fmt.Fprintf(b, "\n%s:\n", f.group)
			}
			b.WriteString("\n| flag | default | |\n| --- | --- | --- |\n")
		}
		name, value := "`--"+f.name+"`", ""
		if f.short != "" {
			name = "`" + f.short + "`, " + name
		}
		if f.kind != "" {
			name += " " + f.kind
		}
		text := f.text
		if m := byDefault.FindStringSubmatch(text); m != nil && !strings.HasPrefix(m[1], "from ") {
			value, text = "`"+strings.Trim(m[1], `"`)+"`", strings.TrimSuffix(text, m[0])
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", name, value, cell(text))
	}
}

// cell makes text fit to stand in a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
