package rollup_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rollup"
)

func state(host, name string, p alert.Priority, fires bool) *alert.Alert {
	a := &alert.Alert{Tenant: "t", Labels: label.FromStrings("alertname", name, "host", host), Priority: p, StartsAt: 100}
	if !fires {
		a.EndsAt = 200
	}
	return a
}

func TestAlertsOfManyHostsAreOneRollup(t *testing.T) {
	f := rollup.NewFold()
	for _, h := range []string{"a", "b", "c"} {
		f.Replace(nil, state(h, "Disk", alert.P2, true), false, true)
	}
	got := f.Changed()
	require.Len(t, got, 1)
	require.Equal(t, 3, got[0].Active())
	require.Equal(t, label.FromStrings("alertname", "Disk").Fingerprint(), got[0].Hash)
	require.Empty(t, f.Changed(), "nothing changed since")
}

// Whatever happens to alerts, the rollups are those a recount would give, and
// the sum of what Changed reports is the same.
func TestAgreesWithRecount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rollup.NewFold()
		known := map[[2]string]*alert.Alert{}
		summed := map[rollup.Key]int{}
		look := func() {
			for _, r := range f.Changed() {
				for p := range r.Firing {
					summed[r.Key()] += int(r.Firing[p]) - int(r.Was[p])
				}
			}
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			id := [2]string{
				rapid.SampledFrom([]string{"h1", "h2", "h3"}).Draw(t, "host"),
				rapid.SampledFrom([]string{"A", "B"}).Draw(t, "name"),
			}
			before := known[id]
			was := before != nil && before.Fires()
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				if before != nil && !was {
					f.Replace(before, nil, false, false)
					delete(known, id)
				}
			case 1:
				look()
			default:
				a := state(id[0], id[1], alert.Priority(rapid.IntRange(0, 4).Draw(t, "p")), rapid.Bool().Draw(t, "fires"))
				f.Replace(before, a, was, a.Fires())
				known[id] = a
			}
		}
		look()
		want, firing := map[rollup.Key]int{}, map[rollup.Key][5]uint32{}
		for _, a := range known {
			if k := rollup.KeyOf(a); a.Fires() {
				want[k]++
				n := firing[k]
				n[a.Priority]++
				firing[k] = n
			}
		}
		require.Equal(t, len(want), f.Len())
		for k, n := range want {
			r, ok := f.Get(k)
			require.True(t, ok)
			require.Equal(t, n, r.Active())
			require.Equal(t, firing[k], r.Firing)
			require.Equal(t, n, summed[k], "deltas don't add up")
		}
	})
}

func TestOnsetIsTheFirstSinceQuiet(t *testing.T) {
	f := rollup.NewFold()
	first := state("a", "A", alert.P1, true)
	first.StartsAt = alert.Time(time.Hour)
	f.Replace(nil, first, false, true)
	second := state("b", "A", alert.P1, true)
	second.StartsAt = alert.Time(2 * time.Hour)
	f.Replace(nil, second, false, true)
	f.Replace(first, state("a", "A", alert.P1, false), true, false)
	r, _ := f.Get(rollup.KeyOf(first))
	require.Equal(t, alert.Time(time.Hour), r.Onset)
	f.Replace(second, state("b", "A", alert.P1, false), true, false)
	f.Replace(nil, second, false, true)
	r, _ = f.Get(rollup.KeyOf(first))
	require.Equal(t, alert.Time(2*time.Hour), r.Onset)
}
