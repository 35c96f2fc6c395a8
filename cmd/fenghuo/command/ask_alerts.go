package command

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fenghuo-mesh/fenghuo/node/api/client"
	v1 "github.com/fenghuo-mesh/fenghuo/node/api/v1"
)

// pageSize is how many items are asked for at once when all are wanted.
const pageSize = 1000

// alertFilterFlags adds the flags that select alerts.
func alertFilterFlags(cmd *cobra.Command, f *client.AlertFilter) {
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.Matchers, "filter", "f", nil, `matcher on labels, as 'severity=~"critical|warning"'; repeat it for several`)
	flags.StringSliceVarP(&f.Priorities, "priority", "p", nil, "priorities, as P0,P1")
	flags.StringVar(&f.Tenant, "tenant", "", "business line")
	flags.StringVar(&f.Source, "source", "", "kind of sender")
	flags.StringVar(&f.Service, "service", "", "logical service")
	flags.StringVar(&f.Resource, "resource", "", "host, pod, device... the alert is about")
	flags.StringVarP(&f.Text, "text", "q", "", "words that occur in name, summary, description, labels...")
}

func newAlertsCommand() *cobra.Command {
	ask := &asking{}
	list := newAlertsListCommand(ask)
	cmd := &cobra.Command{
		Use:   "alerts",
		Short: "Show alerts, and why what became of them",
		Long: `Show the alerts that a node holds.

"fenghuo alerts" alone lists what fires. "show" answers why somebody was told
of an alert, or wasn't. "history" finds alerts that ended long ago.`,
		Example: `  fenghuo alerts
  fenghuo alerts --filter 'severity="critical"' --filter 'host=~"db.*"'
  fenghuo alerts list --state all --priority P0,P1 --sort priority
  fenghuo alerts show a3f08bc2d41e5f67
  fenghuo alerts history --from 7d -q disk -o json`,
		Args: noArgs,
		RunE: list.RunE,
	}
	cmd.Flags().AddFlagSet(list.Flags())
	ask.addFlags(cmd)
	cmd.AddCommand(list, newAlertsShowCommand(ask), newAlertsHistoryCommand(ask))
	return cmd
}

func newAlertsListCommand(ask *asking) *cobra.Command {
	var q client.AlertQuery
	var all bool
	cmd := &cobra.Command{Use: "list", Short: "List alerts that the node holds", Args: noArgs}
	alertFilterFlags(cmd, &q.AlertFilter)
	flags := cmd.Flags()
	flags.StringVar(&q.State, "state", "firing", "firing, resolved or all")
	flags.StringVar(&q.Muted, "muted", "any", "true: only silenced, inhibited or muted ones; false: only others")
	flags.StringVar(&q.Incident, "incident", "", "ID of an incident: only its alerts")
	flags.StringVar(&q.Sort, "sort", "newest", "newest, oldest, priority, updated or name")
	flags.IntVar(&q.Limit, "limit", 100, "how many to show, 1 to 1000")
	flags.BoolVar(&all, "all", false, "show all, however many")
	cmd.RunE = ask.run(func(ctx context.Context, c *client.Client, _ []string, out io.Writer) error {
		if all {
			q.Limit = pageSize
		}
		got, err := c.Alerts(ctx, q)
		for err == nil && all && got.Next != "" {
			var more v1.AlertList
			q.Cursor = got.Next
			more, err = c.Alerts(ctx, q)
			got.Alerts, got.Next = append(got.Alerts, more.Alerts...), more.Next
		}
		if err != nil {
			return err
		}
		if ask.form == formJSON {
			return printJSON(out, got)
		}
		if err := ask.alerts(out, got.Alerts); err != nil {
			return err
		}
		return rest(out, len(got.Alerts), got.Total, "alerts")
	})
	return cmd
}

// rest says how much isn't shown.
func rest(w io.Writer, shown, total int, what string) error {
	if shown >= total {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%d of %d %s; use --limit or --all, or narrow it down\n", shown, total, what)
	return err
}

// alerts writes alerts as a table.
func (a *asking) alerts(w io.Writer, list []v1.Alert) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "No alerts.")
		return err
	}
	t := &table{head: []string{"PRI", "STATE", "AGE", "NAME", "RESOURCE", "SUMMARY", "FINGERPRINT"}, wide: a.form == formWide}
	if t.wide {
		t.head = append(t.head, "SERVICE", "SOURCE", "TENANT", "COUNT", "RECEIVERS", "MUTED BY", "LABELS")
	}
	for _, x := range list {
		row := []string{x.Priority, state(&x), a.since(x.StartsAt), x.Name, x.Resource, x.Summary, x.Fingerprint}
		if t.wide {
			row = append(row, x.Service, x.Origin.Source, x.Tenant, strconv.FormatUint(uint64(x.Timing.Count), 10),
				strings.Join(x.Receivers, ","), strings.Join(mutedBy(&x), ","), labelText(x.Labels))
		}
		t.add(row...)
	}
	return t.print(w)
}

// state is one word for how an alert stands.
func state(x *v1.Alert) string {
	if x.Muted && x.Status == "firing" {
		return "muted"
	}
	return x.Status
}

// mutedBy names everything that keeps notifications back.
func mutedBy(x *v1.Alert) (out []string) {
	for _, by := range []struct {
		kind string
		ids  []string
	}{{"silence ", x.SilencedBy}, {"alert ", x.InhibitedBy}, {"interval ", x.MutedBy}} {
		for _, id := range by.ids {
			out = append(out, by.kind+id)
		}
	}
	return out
}

func newAlertsShowCommand(ask *asking) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show an alert and every decision about it",
		Long: `Show an alert and its why-trail: every decision about it, in order, with the
reason. ID is the ID of an episode, or a fingerprint (then the newest episode).`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: ask.run(func(ctx context.Context, c *client.Client, args []string, out io.Writer) error {
			x, err := c.Alert(ctx, args[0])
			if err != nil {
				return err
			}
			if ask.form == formJSON {
				return printJSON(out, x)
			}
			return ask.alert(out, &x)
		}),
	}
}

// alert writes one alert with its trail.
func (a *asking) alert(w io.Writer, x *v1.AlertDetail) error {
	ends := "-"
	if !x.EndsAt.IsZero() {
		ends = a.when(x.EndsAt)
	}
	pairs := []string{
		"Alert", x.Name, "ID", x.ID, "State", state(&x.Alert), "Priority", x.Priority, "Severity", x.SeverityRaw, "Summary", x.Summary,
		"Description", x.Description, "Service", x.Service, "Resource", x.Resource, "Error code", x.ErrorCode, "Tenant", x.Tenant,
		"Labels", labelText(x.Labels), "Starts", a.when(x.StartsAt), "Ends", ends, "Received", a.when(x.Timing.ReceivedAt),
		"Updated", a.when(x.Timing.UpdatedAt), "Reports", strconv.FormatUint(uint64(x.Timing.Count), 10),
		"Source", strings.TrimSpace(x.Origin.Source + " " + x.Origin.Integration), "Node", x.Origin.Node, "Generator", x.Origin.GeneratorURL,
		"External", strings.TrimSpace(x.Origin.ExternalID + " " + x.Origin.ExternalURL), "Incident", x.Incident,
		"Receivers", strings.Join(x.Receivers, ", "), "Muted by", strings.Join(mutedBy(&x.Alert), ", "),
	}
	for _, n := range slices.Sorted(maps.Keys(x.Annotations)) {
		pairs = append(pairs, "Annotation "+printable(n), x.Annotations[n])
	}
	err := fields(w, pairs...)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w, "\nWhy:"); err != nil {
		return err
	}
	t := &table{head: []string{"TIME", "WHAT", "BY OR TO", "REASON"}, wide: true}
	for _, e := range x.Trail {
		t.add(a.when(e.At), e.Kind, e.Subject, e.Detail)
	}
	if err := t.print(w); err != nil {
		return err
	}
	if x.TrailDropped > 0 {
		_, err = fmt.Fprintf(w, "(%d decisions between the first four and these are not kept)\n", x.TrailDropped)
	}
	return err
}

func newAlertsHistoryCommand(ask *asking) *cobra.Command {
	var q client.SearchQuery
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Search alerts that were active in a span of time",
		Example: `  fenghuo alerts history --from 7d --filter 'service="checkout"'
  fenghuo alerts history --from 2026-11-01T00:00:00+08:00 --to 2026-11-02T00:00:00+08:00`,
		Args: noArgs,
	}
	alertFilterFlags(cmd, &q.AlertFilter)
	flags := cmd.Flags()
	flags.StringVar(&q.From, "from", "24h", "begin: a time ago like 2h or 7d, RFC 3339, or Unix seconds")
	flags.StringVar(&q.To, "to", "", "end, written like --from (default now)")
	flags.IntVar(&q.Limit, "limit", 100, "how many to show, 1 to 1000")
	flags.StringVar(&q.Cursor, "cursor", "", "go on where a page ended")
	cmd.RunE = ask.run(func(ctx context.Context, c *client.Client, _ []string, out io.Writer) error {
		got, err := c.Search(ctx, q)
		if err != nil {
			return err
		}
		if ask.form == formJSON {
			return printJSON(out, got)
		}
		if err := ask.alerts(out, got.Alerts); err != nil {
			return err
		}
		if got.Partial != "" {
			if _, err := fmt.Fprintf(out, "\nThis may not be all: %s\n", got.Partial); err != nil {
				return err
			}
		}
		if got.Next != "" {
			_, err = fmt.Fprintf(out, "\nThere is more: --cursor %s\n", got.Next)
		}
		return err
	})
	return cmd
}
