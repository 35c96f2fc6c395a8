package command

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenghuo-mesh/fenghuo/node/api/client"
	v1 "github.com/fenghuo-mesh/fenghuo/node/api/v1"
)

func newQueryCommand() *cobra.Command {
	ask := &asking{}
	var at, start, end, step string
	cmd := &cobra.Command{
		Use:   "query EXPR",
		Short: "Evaluate a PromQL expression on the node's samples",
		Long: `Evaluate a PromQL expression: now, at --time, or from --start to --end every
--step. Times are a time ago like 2h or 7d, RFC 3339, or Unix seconds.`,
		Example: `  fenghuo query 'node_load1'
  fenghuo query '100 * (1 - node_filesystem_avail_bytes / node_filesystem_size_bytes)' --time 1h
  fenghuo query 'rate(node_cpu_seconds_total{mode="user"}[5m])' --start 6h --step 5m -o json`,
		Args: usageArgs(cobra.ExactArgs(1)),
	}
	ask.addFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&at, "time", "", "evaluate at this time (default now)")
	flags.StringVar(&start, "start", "", "begin of a range")
	flags.StringVar(&end, "end", "", "end of a range (default now)")
	flags.StringVar(&step, "step", "", "distance of a range's points, as 30s or 5m (default: 60 points)")
	cmd.RunE = ask.run(func(ctx context.Context, c *client.Client, args []string, out io.Writer) error {
		got, err := ask.query(ctx, c, args[0], span{at, start, end, step})
		if err != nil {
			return err
		}
		if ask.form == formJSON {
			return printJSON(out, got.Raw)
		}
		if err := ask.result(out, &got); err != nil {
			return err
		}
		for _, w := range got.Warnings {
			if _, err := fmt.Fprintf(out, "Warning: %s\n", printable(w)); err != nil {
				return err
			}
		}
		return nil
	})
	return cmd
}

// span is when a query is evaluated, as the flags say.
type span struct{ at, start, end, step string }

func (a *asking) query(ctx context.Context, c *client.Client, expr string, s span) (r client.Result, err error) {
	now := a.now()
	parse := func(flag, text string, otherwise time.Time) (t time.Time) {
		if t = otherwise; text != "" && err == nil {
			if t, err = v1.ParseTime(text, now); err != nil {
				err = fmt.Errorf("%w: --%s: %w", errUsage, flag, err)
			}
		}
		return t
	}
	if s.start == "" {
		if s.end != "" || s.step != "" {
			return r, fmt.Errorf("%w: --end and --step need --start", errUsage)
		}
		at := parse("time", s.at, time.Time{})
		if err != nil {
			return r, err
		}
		return c.Query(ctx, expr, at)
	}
	if s.at != "" {
		return r, fmt.Errorf("%w: --time and --start: give one of them", errUsage)
	}
	start, end := parse("start", s.start, now), parse("end", s.end, now)
	if err != nil {
		return r, err
	}
	if !start.Before(end) {
		return r, fmt.Errorf("%w: --start is not before --end", errUsage)
	}
	step := max(end.Sub(start)/60, time.Second).Round(time.Second)
	if s.step != "" {
		if step, err = v1.ParseDuration(s.step); err != nil || step <= 0 {
			return r, fmt.Errorf("%w: --step %q: want a duration like 30s or 5m", errUsage, s.step)
		}
	}
	return c.QueryRange(ctx, expr, start, end, step)
}

// result writes the answer to a query.
func (a *asking) result(w io.Writer, r *client.Result) error {
	switch r.Type {
	case "scalar", "string":
		_, err := fmt.Fprintln(w, printable(r.Single.Value))
		return err
	}
	if len(r.Series) == 0 {
		_, err := fmt.Fprintln(w, "No data.")
		return err
	}
	t := &table{head: []string{"SERIES", "VALUE"}, wide: true}
	if r.Type == "matrix" {
		t.head = []string{"SERIES", "TIME", "VALUE"}
	}
	slices.SortStableFunc(r.Series, func(x, y client.Series) int { return strings.Compare(metric(x.Metric), metric(y.Metric)) })
	for _, s := range r.Series {
		if r.Type != "matrix" {
			t.add(metric(s.Metric), s.Value.Value)
			continue
		}
		for _, v := range s.Values {
			t.add(metric(s.Metric), v.At.Local().Format("2006-01-02 15:04:05"), v.Value)
		}
	}
	return t.print(w)
}

// metric writes a series as PromQL does.
func metric(labels map[string]string) string {
	rest := make(map[string]string, len(labels))
	for n, v := range labels {
		if n != "__name__" {
			rest[n] = v
		}
	}
	if name := labels["__name__"]; name != "" && len(rest) == 0 {
		return name
	}
	return labels["__name__"] + labelText(rest)
}
