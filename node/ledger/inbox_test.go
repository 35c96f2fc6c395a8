package ledger

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rollup"
)

// Whoever takes folded changes ends where one who takes each of them does: the
// same last state of every alert, the same rollups, and no begin and no end of
// an episode missing in between.
func TestFoldedChangesSayTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := map[int]*alert.Alert{}
		var changes []Change
		for i := range rapid.IntRange(1, 60).Draw(t, "changes") {
			n := rapid.IntRange(0, 3).Draw(t, "alert")
			before := now[n]
			c := Change{Before: before, WasFiring: before != nil && before.Fires()}
			step := rapid.SampledFrom([]string{"fire", "fire", "end", "renew", "forget"}).Draw(t, "step")
			if before == nil && step != "end" {
				step = "fire"
			}
			after := &alert.Alert{Labels: label.FromStrings("alertname", "A", "host", fmt.Sprint(n/2), "kind", fmt.Sprint(n%2)), Version: uint64(i)}
			if before != nil {
				*after = *before
				after.Version = uint64(i)
			}
			after.Priority = alert.Priority(rapid.IntRange(0, 2).Draw(t, "priority"))
			switch step {
			case "fire":
				if c.Kind = alert.Updated; !c.WasFiring {
					c.Kind, after.Onset = alert.Began, alert.Time(i+1)
				}
				after.EndsAt, after.Lease = 0, 0
			case "renew":
				if !c.WasFiring {
					continue
				}
				after.Priority = before.Priority
				after.EndsAt, after.Lease = alert.Time(1000+i), 1
			case "end":
				if c.Kind = alert.Ended; !c.WasFiring {
					c.Kind = alert.EndedUnknown
				}
				after.EndsAt, after.Lease = alert.Time(i+1), 0
			case "forget":
				if c.WasFiring {
					continue
				}
				after = nil
			}
			if c.After = after; after != nil {
				c.Fires = after.Fires()
			}
			now[n] = after
			changes = append(changes, c)
		}
		take := func(cs []Change) (*rollup.Fold, map[label.Set]*alert.Alert, []string) {
			f, last, episodes := rollup.NewFold(), map[label.Set]*alert.Alert{}, []string{}
			told := map[label.Set]alert.Time{}
			for _, c := range cs {
				f.Replace(c.Before, c.After, c.WasFiring, c.Fires)
				if c.After == nil {
					delete(last, c.Before.Labels)
					continue
				}
				require.Equal(t, c.Before == nil, last[c.After.Labels] == nil, "a chain is broken")
				last[c.After.Labels] = c.After
				if !c.Fires && c.After.Onset != 0 && told[c.After.Labels] != c.After.Onset {
					told[c.After.Labels] = c.After.Onset
					episodes = append(episodes, fmt.Sprint(c.After.Labels, c.After.Onset))
				}
			}
			return f, last, episodes
		}
		one, lastOne, ends := take(changes)
		cut := rapid.IntRange(0, len(changes)).Draw(t, "cut")
		some := folded(append([]Change{}, changes[:cut]...))
		two, lastTwo, endsTwo := take(append(some, changes[cut:]...))
		require.Equal(t, lastOne, lastTwo)
		require.ElementsMatch(t, ends, endsTwo, "an end was swallowed")
		for _, a := range lastOne {
			x, _ := one.Get(rollup.KeyOf(a))
			y, _ := two.Get(rollup.KeyOf(a))
			require.Equal(t, x.Firing, y.Firing)
			require.Equal(t, x.Active() > 0, y.Active() > 0)
		}
	})
}
