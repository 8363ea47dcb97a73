package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport-dev/sallyport/internal/manifest/jsonschema"
)

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of manifests, for editors",
		Long: "Editors complete and check manifests by it. For those with a YAML language server write it to a file, and begin\n" +
			"each manifest with the line\n\n" +
			"  # yaml-language-server: $schema=PATH-OR-URL\n\n" +
			"References and the rules between fields are for sallyport check.",
		Example: "  sallyport schema > sallyport.schema.json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := jsonschema.Schema()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", text)
			return err
		},
	}
}
