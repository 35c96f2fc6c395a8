package command

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/fenghuo-mesh/fenghuo/node"
	"github.com/fenghuo-mesh/fenghuo/node/config"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Work with configuration files", Args: noArgs, RunE: showHelp}
	cmd.AddCommand(&cobra.Command{
		Use:   "check FILE",
		Short: "Check a configuration file and everything it names",
		Long: `Check a configuration file, and the rule files, routes, scrape jobs and mappings
that it names. Every mistake is shown with file, line, field and reason.`,
		Example: "  fenghuo config check /etc/fenghuo/fenghuo.yml",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Load(args[0], config.Environment(os.Getenv))
			if err == nil {
				err = node.Check(c)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", args[0])
			return err
		},
	})
	return cmd
}

// usageArgs makes mistakes in arguments usage errors.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		return nil
	}
}
