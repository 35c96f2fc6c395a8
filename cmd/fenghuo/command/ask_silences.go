package command

import (
	"context"
	"fmt"
	"io"
	"os/user"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fenghuo-mesh/fenghuo/node/api/client"
	v1 "github.com/fenghuo-mesh/fenghuo/node/api/v1"
)

func newSilencesCommand() *cobra.Command {
	ask := &asking{}
	list := newSilencesListCommand(ask)
	cmd := &cobra.Command{
		Use:   "silences",
		Short: "Keep notifications about some alerts back for a time",
		Example: `  fenghuo silences
  fenghuo silences add 'alertname="DiskFull"' 'host=~"db.*"' --duration 2h --comment "disk swap, CHG-12"
  fenghuo silences add 'service="checkout"' --comment "load test" --preview
  fenghuo silences expire 7f2c8a0e-1b3d-4c5e-9f60-718293a4b5c6`,
		Args: noArgs,
		RunE: list.RunE,
	}
	cmd.Flags().AddFlagSet(list.Flags())
	ask.addFlags(cmd)
	cmd.AddCommand(list, newSilencesAddCommand(ask), newSilencesExpireCommand(ask))
	return cmd
}

func newSilencesListCommand(ask *asking) *cobra.Command {
	var states, matchers []string
	var tenant string
	cmd := &cobra.Command{Use: "list", Short: "List silences", Args: noArgs}
	flags := cmd.Flags()
	flags.StringSliceVar(&states, "state", nil, "active, pending, expired (default active,pending)")
	flags.StringArrayVarP(&matchers, "filter", "f", nil, "matcher that a silence must have, exactly so; repeat it for several")
	flags.StringVar(&tenant, "tenant", "", "business line")
	cmd.RunE = ask.run(func(ctx context.Context, c *client.Client, _ []string, out io.Writer) error {
		got, err := c.Silences(ctx, states, matchers, tenant)
		if err != nil {
			return err
		}
		if ask.form == formJSON {
			return printJSON(out, got)
		}
		if len(got.Silences) == 0 {
			_, err := fmt.Fprintln(out, "No silences.")
			return err
		}
		t := &table{head: []string{"STATE", "ENDS", "MATCHERS", "BY", "COMMENT", "ID"}, wide: ask.form == formWide}
		if t.wide {
			t.head = append(t.head, "STARTS", "TENANT")
		}
		for _, s := range got.Silences {
			row := []string{s.State, ask.when(s.EndsAt), strings.Join(s.Matchers, " "), s.CreatedBy, s.Comment, s.ID}
			if t.wide {
				row = append(row, ask.when(s.StartsAt), s.Tenant)
			}
			t.add(row...)
		}
		return t.print(out)
	})
	return cmd
}

func newSilencesAddCommand(ask *asking) *cobra.Command {
	var s v1.NewSilence
	var preview bool
	cmd := &cobra.Command{
		Use:   "add MATCHER...",
		Short: "Silence the alerts that match all matchers",
		Long: `Silence the alerts that match all matchers, and say how many that are now.
With --preview nothing is changed; the alerts are listed.`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
	}
	flags := cmd.Flags()
	flags.StringVarP(&s.Duration, "duration", "d", "1h", "how long, as 90m, 2h30m, 3d")
	flags.StringVarP(&s.Comment, "comment", "c", "", "why; those who come after want to know (required)")
	flags.StringVarP(&s.CreatedBy, "author", "a", "", "who (default: you)")
	flags.StringVar(&s.Tenant, "tenant", "", "business line (default: the node's)")
	flags.BoolVar(&preview, "preview", false, "only show what would be silenced")
	cmd.RunE = ask.run(func(ctx context.Context, c *client.Client, args []string, out io.Writer) error {
		s.Matchers = args
		if s.Comment == "" && !preview {
			return fmt.Errorf("%w: --comment is required: say why", errUsage)
		}
		if _, err := v1.ParseDuration(s.Duration); err != nil {
			return fmt.Errorf("%w: --%w", errUsage, err)
		}
		if s.CreatedBy == "" {
			s.CreatedBy = author()
		}
		hit, err := c.Preview(ctx, v1.PreviewRequest{Tenant: s.Tenant, Matchers: args})
		if err != nil {
			return err
		}
		if preview {
			return ask.preview(out, &hit)
		}
		id, err := c.CreateSilence(ctx, s)
		if err != nil {
			return err
		}
		if ask.form == formJSON {
			return printJSON(out, struct {
				ID     string `json:"id"`
				Total  int    `json:"total"`
				Firing int    `json:"firing"`
			}{id, hit.Total, hit.Firing})
		}
		_, err = fmt.Fprintf(out, "%s\nSilences %d of %d firing alerts for %s.\n", id, hit.Total, hit.Firing, s.Duration)
		return err
	})
	return cmd
}

// preview writes what would be silenced.
func (a *asking) preview(w io.Writer, p *v1.Preview) error {
	if a.form == formJSON {
		return printJSON(w, p)
	}
	if _, err := fmt.Fprintf(w, "Would silence %d of %d firing alerts.\n", p.Total, p.Firing); err != nil || p.Total == 0 {
		return err
	}
	if err := a.alerts(w, p.Alerts); err != nil {
		return err
	}
	if p.Total > len(p.Alerts) {
		_, err := fmt.Fprintf(w, "... and %d more\n", p.Total-len(p.Alerts))
		return err
	}
	return nil
}

// author is the name of whoever runs the command.
func author() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "unknown"
}

func newSilencesExpireCommand(ask *asking) *cobra.Command {
	return &cobra.Command{
		Use:   "expire ID...",
		Short: "End silences now",
		Args:  usageArgs(cobra.MinimumNArgs(1)),
		RunE: ask.run(func(ctx context.Context, c *client.Client, args []string, out io.Writer) error {
			for _, id := range args {
				if err := c.ExpireSilence(ctx, id); err != nil {
					return fmt.Errorf("silence %s: %w", id, err)
				}
				if ask.form == formJSON {
					continue
				}
				if _, err := fmt.Fprintf(out, "%s ended\n", id); err != nil {
					return err
				}
			}
			if ask.form == formJSON {
				return printJSON(out, struct {
					Expired []string `json:"expired"`
				}{args})
			}
			return nil
		}),
	}
}
