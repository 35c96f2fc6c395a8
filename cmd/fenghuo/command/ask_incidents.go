package command

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fenghuo-mesh/fenghuo/node/api/client"
)

func newIncidentsCommand() *cobra.Command {
	ask := &asking{}
	list := newIncidentsListCommand(ask)
	cmd := &cobra.Command{
		Use:   "incidents",
		Short: "Show incidents: alerts that are judged to be one fault",
		Example: `  fenghuo incidents
  fenghuo incidents --state all --sort priority
  fenghuo incidents show 01KATX5V7Y8ZQ2M3N4P5R6S7T8`,
		Args: noArgs,
		RunE: list.RunE,
	}
	cmd.Flags().AddFlagSet(list.Flags())
	ask.addFlags(cmd)
	cmd.AddCommand(list, newIncidentsShowCommand(ask))
	return cmd
}

func newIncidentsListCommand(ask *asking) *cobra.Command {
	var q client.IncidentQuery
	cmd := &cobra.Command{Use: "list", Short: "List incidents", Args: noArgs}
	flags := cmd.Flags()
	flags.StringVar(&q.State, "state", "open", "open, closed or all")
	flags.StringVar(&q.Tenant, "tenant", "", "business line")
	flags.StringSliceVarP(&q.Priorities, "priority", "p", nil, "priorities, as P0,P1")
	flags.StringVar(&q.Sort, "sort", "newest", "newest, oldest, priority or updated")
	flags.IntVar(&q.Limit, "limit", 100, "how many to show, 1 to 1000")
	cmd.RunE = ask.run(func(ctx context.Context, c *client.Client, _ []string, out io.Writer) error {
		got, err := c.Incidents(ctx, q)
		if err != nil {
			return err
		}
		if ask.form == formJSON {
			return printJSON(out, got)
		}
		if len(got.Incidents) == 0 {
			_, err := fmt.Fprintln(out, "No incidents.")
			return err
		}
		t := &table{head: []string{"PRI", "STATUS", "AGE", "ALERTS", "TITLE", "ID"}, wide: ask.form == formWide}
		if t.wide {
			t.head = append(t.head, "TENANT", "ROLLUPS", "WORST", "UPDATED", "ENDED")
		}
		for _, x := range got.Incidents {
			row := []string{x.Priority, x.Status, ask.since(x.OnsetAt), strconv.Itoa(x.Active), x.Title, x.ID}
			if t.wide {
				row = append(row, x.Tenant, strconv.Itoa(x.Rollups), x.Worst, ask.since(x.UpdatedAt), ask.when(x.EndedAt))
			}
			t.add(row...)
		}
		if err := t.print(out); err != nil {
			return err
		}
		return rest(out, len(got.Incidents), got.Total, "incidents")
	})
	return cmd
}

func newIncidentsShowCommand(ask *asking) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show an incident, what it consists of and on what evidence",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE: ask.run(func(ctx context.Context, c *client.Client, args []string, out io.Writer) error {
			x, err := c.Incident(ctx, args[0])
			if err != nil {
				return err
			}
			if ask.form == formJSON {
				return printJSON(out, x)
			}
			ended := ""
			if !x.EndedAt.IsZero() {
				ended = ask.when(x.EndedAt)
			}
			err = fields(out, "Incident", x.Title, "ID", x.ID, "Status", x.Status, "Priority", x.Priority, "Worst", x.Worst,
				"Tenant", x.Tenant, "Onset", ask.when(x.OnsetAt), "Updated", ask.when(x.UpdatedAt), "Ended", ended,
				"Firing", fmt.Sprintf("%d alerts in %d rollups", x.Active, x.Rollups))
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(out, "\nConsists of:"); err != nil {
				return err
			}
			t := &table{head: []string{"AGE", "NAME", "SERVICE", "RESOURCE", "SUMMARY", "EVIDENCE"}, wide: ask.form == formWide}
			for _, m := range x.Members {
				t.add(ask.since(m.OnsetAt), m.Name, m.Service, m.Resource, m.Summary, m.Evidence)
			}
			if err := t.print(out); err != nil {
				return err
			}
			if _, err := fmt.Fprintln(out, "\nAlerts:"); err != nil {
				return err
			}
			if err := ask.alerts(out, x.Alerts); err != nil {
				return err
			}
			if x.Total > len(x.Alerts) {
				_, err = fmt.Fprintf(out, "\n%d of %d; all: fenghuo alerts --state all --all --incident %s\n", len(x.Alerts), x.Total, x.ID)
			}
			return err
		}),
	}
}
