package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/importer"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/ownfile"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

func importCommand() *cobra.Command {
	var folder string
	output := "text"
	cmd := &cobra.Command{
		Use:   "import [flags] FILE",
		Short: "Turn another tool's configuration into manifests",
		Long: "FILE is an mcp.json or one of its relatives (Claude, Cursor, VS Code, Windsurf, Gemini, Zed, opencode, Codex),\n" +
			"a manifest of ToolHive, or an export of ContextForge; - is standard input. What it holds is recognised by itself.\n\n" +
			"Manifests go to standard output, or into files with --to; what became of each entry goes to standard error.\n" +
			"Secrets are in no manifest and are never printed: with --to they are in a file of their own, and without it the\n" +
			"variables are named that take them.",
		Example: "  sallyport import ~/.cursor/mcp.json\n" +
			"  sallyport import --to manifests .vscode/mcp.json",
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return process.UsageError{Err: errors.New("say which file: sallyport import FILE, or - for standard input")}
			}
			result, err := readForeign(args[0], cmd.InOrStdin())
			if err != nil {
				return process.UsageError{Err: err}
			}
			if output == "json" {
				return importJSON(cmd.OutOrStdout(), result)
			}
			return importText(cmd, result, folder)
		},
	}
	cmd.Flags().StringVar(&folder, "to", "", "folder that gets a file for each entry, and one of secrets for its owner alone; files that are there are never replaced")
	_ = cmd.MarkFlagDirname("to") // it is there
	process.ChoiceVar(cmd.Flags(), &output, "output", "o", "text, or json: what became of each entry, with its manifests", "text", "json")
	return cmd
}

func readForeign(path string, stdin io.Reader) (*importer.Result, error) {
	if path == manifest.Stdin {
		text, err := io.ReadAll(io.LimitReader(stdin, 16<<20))
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return importer.Read("standard input", text, os.LookupEnv)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return importer.Read(path, text, os.LookupEnv)
}

func importText(cmd *cobra.Command, result *importer.Result, folder string) error {
	fmt.Fprintf(cmd.ErrOrStderr(), "%s\n\n", result.Format)
	taken := 0
	for _, e := range result.Entries {
		entryReport(cmd.ErrOrStderr(), &e, folder != "")
		if e.As != "" {
			taken++
		}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "\n%d taken, %d left out\n", taken, len(result.Entries)-taken)
	if taken == 0 {
		return process.UsageError{Err: errors.New("there is nothing that could be taken")}
	}
	if folder != "" {
		return writeFolder(cmd, result, folder)
	}
	var all bytes.Buffer
	for _, e := range result.Entries {
		if e.Manifests == "" {
			continue
		}
		if all.Len() > 0 {
			all.WriteString("---\n")
		}
		fmt.Fprintf(&all, "# From %s.\n%s", oneLine(e.Name), e.Manifests)
	}
	if _, err := cmd.OutOrStdout().Write(all.Bytes()); err != nil {
		return err
	}
	return checkImported(cmd, &manifest.Reader{Paths: []string{manifest.Stdin}, Stdin: &all})
}

// entryReport says what became of one entry.
func entryReport(w io.Writer, e *importer.Entry, written bool) {
	if e.LeftOut != "" {
		fmt.Fprintf(w, "- %s: left out: %s\n", oneLine(e.Name), oneLine(e.LeftOut))
		return
	}
	fmt.Fprintf(w, "+ %s: %s\n", oneLine(e.Name), e.As)
	for _, n := range e.Notes {
		fmt.Fprintf(w, "    %s\n", oneLine(n))
	}
	for _, s := range e.Secrets {
		variable := manifest.SecretVariable(manifest.DefaultNamespace, s.Name, s.Key)
		switch {
		case s.Missing != "":
			fmt.Fprintf(w, "    set %s for key %s of Secret %s: %s\n", variable, s.Key, s.Name, oneLine(s.Missing))
		case !written:
			fmt.Fprintf(w, "    set %s for key %s of Secret %s to what the file holds\n", variable, s.Key, s.Name)
		}
	}
}

// oneLine keeps a foreign file's text from breaking the line or the terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
}

// writeFolder writes everything or nothing.
func writeFolder(cmd *cobra.Command, result *importer.Result, folder string) error {
	files, values := map[string][]byte{}, map[string]map[string]secret.Value{}
	for _, e := range result.Entries {
		if e.Manifests != "" {
			files[strings.ToLower(strings.ReplaceAll(e.As, "/", "-"))+".yaml"] = fmt.Appendf(nil, "# From %s.\n%s", oneLine(e.Name), e.Manifests)
		}
		for _, s := range e.Secrets {
			if s.Missing != "" {
				continue
			}
			if values[s.Name] == nil {
				values[s.Name] = map[string]secret.Value{}
			}
			values[s.Name][s.Key] = s.Value
		}
	}
	if len(values) > 0 {
		text, err := secretsFile(values)
		if err != nil {
			return err
		}
		files["secrets.yaml"] = text
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(folder, name)); !errors.Is(err, fs.ErrNotExist) {
			return process.UsageError{Err: fmt.Errorf("%s is there already, and nothing was written; choose another folder, or remove it", filepath.Join(folder, name))}
		}
	}
	for _, name := range names {
		if err := ownfile.Create(filepath.Join(folder, name), files[name]); err != nil {
			return err
		}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s in %s: %s\n", count(len(names), "file"), folder, strings.Join(names, ", "))
	return checkImported(cmd, &manifest.Reader{Paths: []string{folder}})
}

func secretsFile(all map[string]map[string]secret.Value) ([]byte, error) {
	text := []byte("# Secrets, readable. Keep this file out of version control.\n")
	for i, name := range slices.Sorted(maps.Keys(all)) {
		doc, err := manifest.MarshalSecret(name, all[name])
		if err != nil {
			return nil, err
		}
		if i > 0 {
			text = append(text, "---\n"...)
		}
		text = append(text, doc...)
	}
	return text, nil
}

// checkImported says what check would. Secrets that are not there were named before.
func checkImported(cmd *cobra.Command, r *manifest.Reader) error {
	_, _, problems, _ := check(r)
	problems, _ = split(problems, true)
	if len(problems) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "sallyport check finds no problems; serve them with: sallyport serve -f FOLDER")
	}
	return problems.Err()
}

func importJSON(w io.Writer, result *importer.Result) error {
	type value struct {
		Secret   string `json:"secret"`
		Key      string `json:"key"`
		Variable string `json:"variable"`
		Missing  string `json:"missing,omitempty"`
	}
	type entry struct {
		Name      string   `json:"name"`
		As        string   `json:"as,omitempty"`
		LeftOut   string   `json:"leftOut,omitempty"`
		Notes     []string `json:"notes,omitempty"`
		Secrets   []value  `json:"secrets,omitempty"`
		Manifests string   `json:"manifests,omitempty"`
	}
	entries := []entry{}
	for _, e := range result.Entries {
		out := entry{Name: e.Name, As: e.As, LeftOut: e.LeftOut, Notes: e.Notes, Manifests: e.Manifests}
		for _, s := range e.Secrets {
			out.Secrets = append(out.Secrets, value{s.Name, s.Key, manifest.SecretVariable(manifest.DefaultNamespace, s.Name, s.Key), s.Missing})
		}
		entries = append(entries, out)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Format  string  `json:"format"`
		Entries []entry `json:"entries"`
	}{result.Format, entries})
}
