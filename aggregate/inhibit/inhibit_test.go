package inhibit

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

const t0 = alert.Time(1_700_000_000 * time.Second)

func ms(t testing.TB, text string) label.Matchers {
	t.Helper()
	if text == "" {
		return nil
	}
	m, err := label.ParseMatchers(text)
	require.NoError(t, err)
	return m
}

func firing(tenant string, s label.Set) *alert.Alert {
	return &alert.Alert{Tenant: tenant, Labels: s, StartsAt: t0}
}

func TestRules(t *testing.T) {
	in := New([]Rule{
		{Source: ms(t, `severity="critical"`), Target: ms(t, `severity=~"warning|critical"`), Equal: []string{"alertname", "cluster"}},
		{}, // legal, and mutes nothing since everything is on both sides
	})
	src := label.FromStrings("alertname", "x", "severity", "critical", "i", "1")
	other := label.FromStrings("alertname", "x", "severity", "critical", "i", "2")
	tgt := label.FromStrings("alertname", "x", "severity", "warning")
	mutes := func(l label.Set) bool { return in.Mutes("t", l, t0) }
	require.False(t, mutes(tgt))
	a := firing("t", src)
	in.Observe(a, src.Fingerprint(), t0)
	require.True(t, mutes(tgt), "an absent label counts as empty on both sides")
	require.False(t, in.Mutes("u", tgt, t0), "other tenant")
	require.False(t, mutes(label.FromStrings("alertname", "y", "severity", "warning")))
	require.False(t, mutes(label.FromStrings("alertname", "x", "severity", "warning", "cluster", "c")))
	require.False(t, mutes(src), "it doesn't mute itself")
	require.False(t, mutes(other), "what matches both sides mutes nothing that does too")
	in.Observe(firing("t", other), other.Fingerprint(), t0)
	want := []label.Fingerprint{src.Fingerprint(), other.Fingerprint()}
	slices.Sort(want)
	require.Equal(t, want, in.Sources("t", tgt, t0))
	// One source ends, the other one goes on muting.
	ended := firing("t", src)
	ended.EndsAt = t0 + 1
	in.Observe(ended, src.Fingerprint(), t0+1)
	require.True(t, in.Mutes("t", tgt, t0+1))
	in.Forget(firing("t", other), other.Fingerprint())
	require.False(t, in.Mutes("t", tgt, t0+1))
	require.Empty(t, in.rules[0].buckets, "nothing is kept")
	// An end in the future comes by itself.
	lease := firing("t", src)
	lease.EndsAt = t0 + 10
	in.Observe(lease, src.Fingerprint(), t0)
	require.True(t, in.Mutes("t", tgt, t0+9))
	require.False(t, in.Mutes("t", tgt, t0+10))
	require.Empty(t, in.Sources("t", tgt, t0+10))
}

// TestAgainstModel compares with a scan over all alerts and rules.
func TestAgainstModel(t *testing.T) {
	texts := []string{``, `a="1"`, `a="2",b="1"`, `b=~"1|2"`, `a!="1"`, `alertname="1"`, `c="2"`}
	names := []string{"a", "b", "c", "alertname"}
	set := rapid.Custom(func(t *rapid.T) label.Set {
		m := rapid.MapOfN(rapid.SampledFrom(names), rapid.SampledFrom([]string{"1", "2"}), 1, 4).Draw(t, "labels")
		s, err := label.FromMap(m)
		require.NoError(t, err)
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		var rules []Rule
		for range rapid.IntRange(0, 5).Draw(t, "rules") {
			r := Rule{Equal: rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 2, rapid.ID[string]).Draw(t, "equal")}
			if s := rapid.SampledFrom(texts).Draw(t, "source"); s != "" {
				r.Source, _ = label.ParseMatchers(s)
			}
			if s := rapid.SampledFrom(texts).Draw(t, "target"); s != "" {
				r.Target, _ = label.ParseMatchers(s)
			}
			rules = append(rules, r)
		}
		in := New(rules)
		known := map[alert.Key]*alert.Alert{}
		now := t0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now++
			a := firing(rapid.SampledFrom([]string{"t", "u"}).Draw(t, "tenant"), set.Draw(t, "alert"))
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				a.EndsAt = now
			case 1:
				a.EndsAt = now + alert.Time(rapid.IntRange(1, 5).Draw(t, "lease"))
			}
			in.Observe(a, a.Labels.Fingerprint(), now)
			known[a.Key()] = a
			probe := set.Draw(t, "probe")
			want := model(rules, known, "t", probe, now)
			require.Equal(t, len(want) > 0, in.Mutes("t", probe, now))
			require.True(t, slices.Equal(want[:min(len(want), MaxSources)], in.Sources("t", probe, now)))
		}
	})
}

func model(rules []Rule, known map[alert.Key]*alert.Alert, tenant string, target label.Set, now alert.Time) []label.Fingerprint {
	var out []label.Fingerprint
	for _, r := range rules {
		if !r.Target.Match(target) {
			continue
		}
		for k, a := range known {
			if k.Tenant != tenant || a.ResolvedAt(now) || !r.Source.Match(a.Labels) ||
				r.Source.Match(target) && r.Target.Match(a.Labels) ||
				slices.ContainsFunc(r.Equal, func(n string) bool { return a.Labels.Get(n) != target.Get(n) }) {
				continue
			}
			out = append(out, k.Fingerprint)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestManySources(t *testing.T) {
	in := New([]Rule{{Source: ms(t, `k="s"`), Target: ms(t, `k="t"`)}})
	var all []label.Fingerprint
	for i := range 1000 {
		s := label.FromStrings("k", "s", "i", fmt.Sprint(i))
		in.Observe(firing("t", s), s.Fingerprint(), t0)
		all = append(all, s.Fingerprint())
	}
	slices.Sort(all)
	tgt := label.FromStrings("k", "t")
	require.Equal(t, all[:MaxSources], in.Sources("t", tgt, t0))
	for i := range 1000 {
		require.True(t, in.Mutes("t", tgt, t0))
		s := label.FromStrings("k", "s", "i", fmt.Sprint(i))
		in.Forget(firing("t", s), s.Fingerprint())
	}
	require.False(t, in.Mutes("t", tgt, t0))
}

func Benchmark100Rules(b *testing.B) {
	var rules []Rule
	for i := range 100 {
		rules = append(rules, Rule{
			Source: ms(b, fmt.Sprintf(`alertname="Down%d"`, i)), Target: ms(b, fmt.Sprintf(`severity="warning",service="s%d"`, i)),
			Equal: []string{"instance", "cluster"},
		})
	}
	in := New(rules)
	s := label.FromStrings("alertname", "HighLoad", "instance", "web-17", "job", "node", "service", "s77", "severity", "warning", "team", "team-42", "zone", "a", "cluster", "c1", "env", "prod")
	a := firing("t", s)
	src := label.FromStrings("alertname", "Down77", "instance", "web-18", "cluster", "c1")
	in.Observe(firing("t", src), src.Fingerprint(), t0)
	for b.Loop() {
		in.Observe(a, 1, t0)
		in.Mutes("t", s, t0)
	}
}
