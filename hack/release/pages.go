package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// pages asks the program of this machine for its completions and its help, which become man pages.
func (r *release) pages() error {
	here := platform{runtime.GOOS, runtime.GOARCH}
	if !slices.Contains(platforms, here) {
		return fmt.Errorf("there is no program of %s to ask", here)
	}
	program := filepath.Join(r.binaries(here), here.program("sallyport"))
	for _, folder := range []string{"completions", "man"} {
		if err := os.MkdirAll(filepath.Join(r.work(), folder), 0o755); err != nil {
			return err
		}
	}
	for shell, file := range map[string]string{"bash": "sallyport.bash", "zsh": "_sallyport", "fish": "sallyport.fish", "powershell": "sallyport.ps1"} {
		text, err := output(program, "completion", shell)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.work(), "completions", file), []byte(text+"\n"), 0o644); err != nil {
			return err
		}
	}
	return r.manPages(program, "sallyport", nil)
}

var subcommand = regexp.MustCompile(`(?m)^  ([a-z]+) +\S`)

// manPages writes the page of a command and those of the commands below it.
func (r *release) manPages(program, name string, words []string) error {
	help, err := exec.Command(program, append(slices.Clone(words), "--help")...).Output()
	if err != nil {
		return fmt.Errorf("%s --help: %w", name, err)
	}
	if err := os.WriteFile(filepath.Join(r.work(), "man", name+".1"), r.manPage(name, string(help)), 0o644); err != nil {
		return err
	}
	_, commands, _ := strings.Cut(string(help), "Available Commands:\n")
	commands, _, _ = strings.Cut(commands, "\n\n")
	for _, m := range subcommand.FindAllStringSubmatch(commands, -1) {
		if m[1] == "help" || m[1] == "completion" {
			continue
		}
		if err := r.manPages(program, name+"-"+m[1], append(slices.Clone(words), m[1])); err != nil {
			return err
		}
	}
	return nil
}

var section = regexp.MustCompile(`^([A-Z][A-Za-z' -]+):$`)

// manPage sets help as it is, with its headings.
func (r *release) manPage(name, help string) []byte {
	var b bytes.Buffer
	title, rest, _ := strings.Cut(help, "\n")
	fmt.Fprintf(&b, ".TH %s 1 %s %q %q\n.SH NAME\n%s \\- %s\n.SH DESCRIPTION\n.nf\n", strings.ToUpper(name), r.date.Format(time.DateOnly),
		"sallyport "+r.version, "Sallyport", roff(name), roff(title))
	for line := range strings.Lines(rest) {
		line = strings.TrimRight(line, "\n")
		if m := section.FindStringSubmatch(line); m != nil {
			fmt.Fprintf(&b, ".fi\n.SH %s\n.nf\n", strings.ToUpper(m[1]))
			continue
		}
		fmt.Fprintln(&b, roff(line))
	}
	b.WriteString(".fi\n")
	return b.Bytes()
}

// roff keeps text from being taken for instructions.
func roff(line string) string {
	line = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(line)
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		line = `\&` + line
	}
	return line
}

// sbom lists the modules that are in each program, as the linker recorded them (CycloneDX 1.6).
func (r *release) sbom() error {
	for _, name := range []string{"sallyport", "sallyportd"} {
		info, err := buildinfo.ReadFile(filepath.Join(r.binaries(platforms[0]), name))
		if err != nil {
			return err
		}
		components := []any{map[string]string{"type": "library", "name": "std", "version": info.GoVersion, "purl": "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")}}
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			purl := "pkg:golang/" + m.Path + "@" + m.Version
			components = append(components, map[string]string{"type": "library", "bom-ref": purl, "name": m.Path, "version": m.Version, "purl": purl})
		}
		text, err := json.MarshalIndent(map[string]any{
			"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
			"metadata": map[string]any{
				"timestamp": r.date.Format(time.RFC3339),
				"component": map[string]any{"type": "application", "name": name, "version": r.version, "purl": "pkg:golang/" + info.Main.Path + "@" + r.version},
			},
			"components": components,
		}, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.out, name+".cdx.json"), append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}
