// Package command owns the program's subcommands: what each takes, prints and
// returns. It holds no logic of its own beyond that.
package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Exit codes, the same for every subcommand.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// version is stamped by the linker (-X); without it the module's own build
// information is shown.
var version = ""

// errUsage marks mistakes in the command line itself.
var errUsage = errors.New("usage")

// Main runs the program with the given arguments and returns its exit code.
func Main(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitOK
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	fmt.Fprintf(stderr, "fenghuo: %v\n", err)
	if errors.Is(err, errUsage) {
		fmt.Fprintf(stderr, "\nUsage: %s\nMore: %s --help\n", cmd.UseLine(), cmd.CommandPath())
		return exitUsage
	}
	return exitError
}

// exitCode is an error that has been printed already.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "fenghuo",
		Short: "Edge-first alert mesh: sense, judge, accept, fold, tell",
		Long: `Fenghuo (烽火) collects this host's metrics, evaluates Prometheus rules on them,
takes alerts in from other systems, folds repeats, and tells people.

Start a development node:     fenghuo agent --dev
Start a node:                 fenghuo agent --config /etc/fenghuo/fenghuo.yml
Ask it what fires:            fenghuo alerts`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
		RunE:          showHelp,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return fmt.Errorf("%w: %w", errUsage, err)
	})
	root.AddCommand(
		newAgentCommand(), newAlertsCommand(), newIncidentsCommand(), newSilencesCommand(), newQueryCommand(), newStatusCommand(),
		newRulesCommand(), newDecodeCommand(), newConfigCommand(), newVersionCommand(),
	)
	return root
}

// showHelp is what a command does that only holds others.
func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "fenghuo %s (%s, %s/%s)\n", Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// Version is the program's version: the stamped one, or the module's.
func Version() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// tuneMemory sets the collector for a guest on somebody's host: the heap may
// grow by half before it is collected. GOGC overrides it.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}
