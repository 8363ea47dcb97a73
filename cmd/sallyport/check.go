package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/compile/plan/text"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
)

func checkCommand() *cobra.Command {
	var r manifest.Reader
	output, missing := "text", "error"
	cmd := &cobra.Command{
		Use:   "check -f FILE-OR-FOLDER …",
		Short: "Say what is wrong with manifests, by the rules the API server applies",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(r.Paths) == 0 {
				return process.NoFiles()
			}
			set, plans, problems, notices := check(&r)
			problems, warnings := split(problems, missing == "warn")
			for _, p := range plans {
				warnings = append(warnings, p.Advice...)
			}
			warnings = append(warnings, strict.Advice(set)...)
			for _, n := range notices {
				fmt.Fprintln(cmd.ErrOrStderr(), "sallyport:", n)
			}
			if output == "json" {
				if err := writeJSON(cmd.OutOrStdout(), len(set.Objects), problems, warnings); err != nil {
					return err
				}
				return problems.Err()
			}
			for _, w := range warnings {
				fmt.Fprintln(cmd.ErrOrStderr(), w, "(a warning)")
			}
			switch {
			case output == "plan":
				for _, p := range plans {
					fmt.Fprint(cmd.OutOrStdout(), text.Of(p))
				}
			case len(problems) == 0:
				fmt.Fprintf(cmd.OutOrStdout(), "%s, no problems\n", count(len(set.Objects), "resource"))
				aboutGateways(cmd.OutOrStdout(), plans)
			}
			return problems.Err()
		},
	}
	manifestFlags(cmd, &r)
	process.ChoiceVar(cmd.Flags(), &missing, "missing-secrets", "", "what a Secret is that is not there: error, or warn where Secrets live elsewhere", "error", "warn")
	process.ChoiceVar(cmd.Flags(), &output, "output", "o", "text, json, or plan: what the manifests mean, resource by resource", "text", "json", "plan")
	return cmd
}

// aboutGateways says what gateways that resources share mean outside a cluster.
func aboutGateways(w io.Writer, plans []*plan.Plan) {
	for _, p := range plans {
		for _, g := range p.Gateways {
			fmt.Fprintf(w, "MCPGateway %s is for a cluster, where its pods serve %s; here one process serves everything, by its own flags\n", g.Name, count(len(g.Servers), "resource"))
		}
	}
}

// check finds every problem: those of the schema, and, as far as that left something to
// look at, those between resources. Each namespace is one of its own, as in a cluster.
func check(r *manifest.Reader) (set *manifest.Set, plans []*plan.Plan, problems manifest.Problems, notices []string) {
	set, err := load(r)
	problems, _ = errors.AsType[manifest.Problems](err) // load has no other errors
	if left := set.LeftOut(); left != "" {
		notices = append(notices, left)
	}
	namespaces := set.Namespaces()
	for _, ns := range namespaces {
		p, found := compile.Check(set.In(ns))
		plans, problems = append(plans, p), append(problems, found...)
	}
	if len(namespaces) > 1 && len(problems) == 0 {
		if _, found := compile.Check(set); len(found) > 0 {
			notices = append(notices, "each namespace was checked for itself; one gateway cannot serve them all together, so give each one its own: serve --namespace "+namespaces[0])
		}
	}
	return set, plans, problems.Sort(), notices
}

// split takes from problems those that are warnings only: Secrets that are not there.
func split(all manifest.Problems, missingIsFine bool) (problems, warnings manifest.Problems) {
	for _, p := range all {
		if missingIsFine && p.Missing == "Secret" {
			warnings = append(warnings, p)
		} else {
			problems = append(problems, p)
		}
	}
	return problems, warnings
}

func writeJSON(w io.Writer, resources int, problems, warnings manifest.Problems) error {
	type problem struct {
		File    string `json:"file"`
		Line    int    `json:"line"`
		Column  int    `json:"column"`
		Object  string `json:"object"`
		Field   string `json:"field"`
		Message string `json:"message"`
	}
	list := func(all manifest.Problems) []problem {
		out := []problem{}
		for _, p := range all {
			out = append(out, problem{p.File, p.Line, p.Column, p.Object, p.Field, p.Message})
		}
		return out
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Resources int       `json:"resources"`
		Problems  []problem `json:"problems"`
		Warnings  []problem `json:"warnings"`
	}{resources, list(problems), list(warnings)})
}
