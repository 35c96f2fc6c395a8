package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenghuo-mesh/fenghuo/node/api/client"
)

// serverVariable names the environment variable for the node to ask.
const serverVariable = "FENGHUO_SERVER"

// Forms of output.
const (
	formTable = "table"
	formWide  = "wide"
	formJSON  = "json"
)

// asking is what the commands that ask a node share.
type asking struct {
	server string
	form   string
	now    func() time.Time
}

// addFlags adds the shared flags to a command and those below it.
func (a *asking) addFlags(cmd *cobra.Command) {
	a.now = time.Now
	flags := cmd.PersistentFlags()
	flags.StringVar(&a.server, "server", "", "node to ask (default $"+serverVariable+" or "+client.DefaultServer+")")
	flags.StringVarP(&a.form, "output", "o", formTable, "form of the output: table, wide or json")
	// Completion of a flag that exists can't fail.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{formTable, formWide, formJSON}, cobra.ShellCompDirectiveNoFileComp))
}

// connect checks the shared flags and makes the client.
func (a *asking) connect() (*client.Client, error) {
	if !slices.Contains([]string{formTable, formWide, formJSON}, a.form) {
		return nil, fmt.Errorf("%w: --output %q: want table, wide or json", errUsage, a.form)
	}
	server := a.server
	if server == "" {
		server = os.Getenv(serverVariable)
	}
	c, err := client.New(client.Options{Server: server, UserAgent: "fenghuo/" + Version()})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	return c, nil
}

// run wraps what a command does with a client.
func (a *asking) run(do func(ctx context.Context, c *client.Client, args []string, out io.Writer) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		return explain(do(ctx, c, args, cmd.OutOrStdout()))
	}
}

// explain adds what helps to errors that everybody meets.
func explain(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%w\nIs a node running there? Start one with \"fenghuo agent --dev\", or name another with --server or $%s", err, serverVariable)
	}
	var e *client.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return fmt.Errorf("%w; try again in %v", err, e.RetryAfter)
	}
	return err
}

// noArgs refuses arguments, and knows mistyped subcommands.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("%w: %s has no %q; did you mean %q?", errUsage, cmd.CommandPath(), args[0], near[0])
	}
	return fmt.Errorf("%w: %s takes no argument %q", errUsage, cmd.CommandPath(), args[0])
}

// printJSON writes v for programs to read.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// when is a time in the local zone with its distance from now.
func (a *asking) when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := a.now().Sub(t)
	if d < 0 {
		return t.Local().Format("2006-01-02 15:04:05 MST") + " (in " + age(-d) + ")"
	}
	return t.Local().Format("2006-01-02 15:04:05 MST") + " (" + age(d) + " ago)"
}

// since is the distance of a past time from now.
func (a *asking) since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return age(a.now().Sub(t))
}

// age writes a duration with two units at most: 45s, 3m, 2h5m, 4d3h.
func age(d time.Duration) string {
	d = max(d, 0)
	two := func(big, small time.Duration, b, s string) string {
		n, rest := d/big, d%big/small
		if rest == 0 {
			return fmt.Sprintf("%d%s", n, b)
		}
		return fmt.Sprintf("%d%s%d%s", n, b, rest, s)
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 10*time.Minute:
		return two(time.Minute, time.Second, "m", "s")
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 24*time.Hour:
		return two(time.Hour, time.Minute, "h", "m")
	case d < 10*24*time.Hour:
		return two(24*time.Hour, time.Hour, "d", "h")
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// labelText writes labels as Prometheus does.
func labelText(labels map[string]string) string {
	names := make([]string, 0, len(labels))
	for n := range labels {
		names = append(names, n)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteByte('{')
	for i, n := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s=%q", n, labels[n])
	}
	b.WriteByte('}')
	return b.String()
}
