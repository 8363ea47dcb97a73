package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

func checkCommand() *cobra.Command {
	var files []string
	var output string
	cmd := &cobra.Command{
		Use:   "check -f FILE-OR-FOLDER …",
		Short: "Say what is wrong with manifests, by the rules the API server applies",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case len(files) == 0:
				return errNoFiles
			case output != "text" && output != "json":
				return process.UsageError{Err: fmt.Errorf("--output is text or json, not %q", output)}
			}
			resources, problems := check(files)
			if output == "json" {
				if err := writeJSON(cmd.OutOrStdout(), resources, problems); err != nil {
					return err
				}
			} else if len(problems) == 0 {
				noun := "resources"
				if resources == 1 {
					noun = "resource"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%d %s, no problems\n", resources, noun)
			}
			return problems.Err()
		},
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "manifest file, or folder of them; may be repeated")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// check finds every problem: those of the schema, and, as far as that left
// something to look at, those between resources.
func check(files []string) (resources int, _ manifest.Problems) {
	set, err := load(files)
	problems, _ := errors.AsType[manifest.Problems](err) // load has no other errors
	return len(set.Objects), append(problems, gateway.Check(set)...).Sort()
}

func writeJSON(w io.Writer, resources int, problems manifest.Problems) error {
	type problem struct {
		File    string `json:"file"`
		Line    int    `json:"line"`
		Column  int    `json:"column"`
		Object  string `json:"object"`
		Field   string `json:"field"`
		Message string `json:"message"`
	}
	out := struct {
		Resources int       `json:"resources"`
		Problems  []problem `json:"problems"`
	}{Resources: resources, Problems: []problem{}}
	for _, p := range problems {
		out.Problems = append(out.Problems, problem{p.File, p.Line, p.Column, p.Object, p.Field, p.Message})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}
