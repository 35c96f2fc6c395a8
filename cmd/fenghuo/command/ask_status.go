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
)

func newStatusCommand() *cobra.Command {
	ask := &asking{}
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show how a node is",
		Long:    "Show how a node is: version, uptime, what doesn't work as it should, and its parts.",
		Example: "  fenghuo status\n  fenghuo status --server http://10.0.0.5:7948 -o json",
		Args:    noArgs,
		RunE: ask.run(func(ctx context.Context, c *client.Client, _ []string, out io.Writer) error {
			s, err := c.Status(ctx)
			if err != nil {
				return err
			}
			if ask.form == formJSON {
				return printJSON(out, s)
			}
			ready := "yes"
			if !s.Ready {
				ready = "no"
			}
			err = fields(out, "Node", strings.TrimSpace(s.Node+" "+s.NodeID), "Datacenter", s.Datacenter, "Version", strings.TrimSpace(s.Version+" "+s.GoVersion),
				"Started", ask.when(s.StartedAt), "Ready", ready, "Firing", strconv.Itoa(s.Firing)+" alerts",
				"Open", strconv.Itoa(s.Incidents)+" incidents")
			if err != nil {
				return err
			}
			for _, d := range s.Degraded {
				if _, err := fmt.Fprintf(out, "DEGRADED: %s\n", printable(d)); err != nil {
					return err
				}
			}
			if len(s.Parts) == 0 {
				return nil
			}
			if _, err := fmt.Fprintln(out); err != nil {
				return err
			}
			t := &table{head: []string{"PART", "STATE", "DETAIL", "NUMBERS"}, wide: true}
			for _, p := range s.Parts {
				var numbers []string
				for _, n := range slices.Sorted(maps.Keys(p.Numbers)) {
					numbers = append(numbers, n+"="+strconv.FormatFloat(p.Numbers[n], 'f', -1, 64))
				}
				t.add(p.Name, p.State, p.Detail, strings.Join(numbers, " "))
			}
			return t.print(out)
		}),
	}
	ask.addFlags(cmd)
	return cmd
}
