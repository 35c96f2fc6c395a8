package command

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate/rulefile"
	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate/ruletest"
)

func newRulesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "rules", Short: "Check and test rule files", Args: noArgs, RunE: showHelp}
	cmd.AddCommand(newRulesCheckCommand(), newRulesTestCommand())
	return cmd
}

func newRulesCheckCommand() *cobra.Command {
	var hints bool
	cmd := &cobra.Command{
		Use:   "check FILES...",
		Short: "Check rule files",
		Long: `Check Prometheus rule files and what Fenghuo adds to them. Every error of every
file is shown with file, line, group, rule and reason. Patterns such as
'rules/*.yml' may be quoted. The exit code is 1 if a file can't be used;
warnings don't count.`,
		Example: "  fenghuo rules check /etc/fenghuo/rules/*.yml\n  fenghuo rules check --hints host.yml",
		Args:    usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			failed, err := rulefile.WriteReports(cmd.OutOrStdout(), rulefile.Check(args, rulefile.DefaultInterval), hints)
			if err == nil && failed {
				err = exitCode(exitError)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&hints, "hints", false, "show advice too, e.g. alerts without severity")
	return cmd
}

func newRulesTestCommand() *cobra.Command {
	var (
		diff bool
		only []string
	)
	cmd := &cobra.Command{
		Use:   "test FILES...",
		Short: "Run unit tests of rules",
		Long: `Run unit tests of rules, written in the format of promtool test rules. Beside
promtool's fields a test may name the host and tenant for which parameters are
resolved: fenghuo_host (labels) and fenghuo_tenant. Native histograms are not
supported. The exit code is 1 if a test failed.`,
		Example: "  fenghuo rules test tests/*.yml\n  fenghuo rules test --run 'disk|memory' --diff host.test.yml",
		Args:    usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := ruletest.Options{Diff: diff}
			if len(only) > 0 {
				re, err := regexp.Compile(strings.Join(only, "|"))
				if err != nil {
					return fmt.Errorf("%w: --run: %w", errUsage, err)
				}
				o.Only = re
			}
			failed, err := ruletest.Write(cmd.OutOrStdout(), ruletest.Run(cmd.Context(), args, o))
			if err == nil && failed {
				err = exitCode(exitError)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&diff, "diff", false, "show only the alerts that differ")
	cmd.Flags().StringArrayVar(&only, "run", nil, "run only the tests whose name matches this regular expression; repeatable")
	return cmd
}
