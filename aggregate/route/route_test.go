package route

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

func ms(t testing.TB, text string) label.Matchers {
	t.Helper()
	m, err := label.ParseMatchers(text)
	require.NoError(t, err)
	return m
}

func build(t testing.TB, s *Spec) *Tree {
	t.Helper()
	tree, err := New(s)
	require.NoError(t, err)
	return tree
}

// tree is the example of Alertmanager's documentation, slightly extended.
func tree(t testing.TB) *Tree {
	return build(t, &Spec{
		Receiver: "ops", GroupBy: []string{"job", "alertname"}, GroupWait: new(time.Duration(0)), Labels: map[string]string{"a": "1", "b": "1"},
		Routes: []*Spec{
			{Matchers: ms(t, `owner="team-A"`), Receiver: "team-A", Labels: map[string]string{"b": "2"}, Routes: []*Spec{
				{Matchers: ms(t, `env="testing"`), Receiver: "team-A-testing", GroupBy: []string{"..."}},
				{Matchers: ms(t, `env="production"`), Receiver: "team-A-prod", GroupBy: []string{}, Continue: true, RepeatInterval: new(time.Minute)},
				{Matchers: ms(t, `env=~"produ.*"`), GroupBy: []string{"job"}, MuteIntervals: []string{"night"}},
				{Matchers: ms(t, `env=~"produ.*"`)},
			}},
			{Matchers: ms(t, `zone="x",owner=~"team-(B|C)"`), GroupInterval: new(time.Hour)},
		},
	})
}

func TestMatchAndInherit(t *testing.T) {
	tr := tree(t)
	for _, c := range []struct {
		labels []string
		want   []string
	}{
		{[]string{"x", "y"}, []string{"{} ops [alertname job] false 0s 5m0s 4h0m0s {a=\"1\", b=\"1\"}"}},
		{[]string{"owner", "team-A", "env", "dev"}, []string{`{}/{owner="team-A"} team-A [alertname job] false 0s 5m0s 4h0m0s {a="1", b="2"}`}},
		{[]string{"owner", "team-A", "env", "testing"}, []string{`{}/{owner="team-A"}/{env="testing"} team-A-testing [] true 0s 5m0s 4h0m0s {a="1", b="2"}`}},
		{[]string{"owner", "team-A", "env", "production"}, []string{
			`{}/{owner="team-A"}/{env="production"} team-A-prod [] false 0s 5m0s 1m0s {a="1", b="2"}`,
			`{}/{owner="team-A"}/{env=~"produ.*"} team-A [job] false 0s 5m0s 4h0m0s {a="1", b="2"}`,
		}},
		{[]string{"owner", "team-B", "zone", "x"}, []string{`{}/{owner=~"team-(B|C)",zone="x"} ops [alertname job] false 0s 1h0m0s 4h0m0s {a="1", b="1"}`}},
	} {
		var got []string
		for _, r := range tr.Match(nil, label.FromStrings(c.labels...)) {
			got = append(got, fmt.Sprintf("%s %s %v %v %s %s %s %s", r.Key, r.Receiver, r.GroupBy, r.All, r.GroupWait, r.GroupInterval, r.RepeatInterval, r.Labels))
		}
		require.Equal(t, c.want, got)
	}
	seen := map[int]bool{}
	tr.Walk(func(r *Route) { seen[r.Index] = true })
	require.Len(t, seen, tr.Len())
	require.Equal(t, tr.Len()-1, tr.Root().Index)
	require.Equal(t, []string{"night"}, tr.Root().Routes()[0].Routes()[2].MuteIntervals)
	require.Empty(t, tr.Root().Routes()[0].Routes()[3].MuteIntervals, "intervals aren't inherited")
	d := build(t, &Spec{Receiver: "r"}).Root()
	require.Equal(t, []time.Duration{30 * time.Second, 5 * time.Minute, 4 * time.Hour}, []time.Duration{d.GroupWait, d.GroupInterval, d.RepeatInterval})
}

func TestRefused(t *testing.T) {
	for want, s := range map[string]*Spec{
		"no route provided":                         nil,
		"must specify a default receiver":           {},
		"must not have any matchers":                {Receiver: "a", Matchers: ms(t, `a="b"`)},
		"must not have any mute time intervals":     {Receiver: "a", MuteIntervals: []string{"x"}},
		"must not have any active time intervals":   {Receiver: "a", ActiveIntervals: []string{"x"}},
		"cannot have continue in root route":        {Receiver: "a", Continue: true},
		"route.routes[0]: group_interval cannot be": {Receiver: "a", Routes: []*Spec{{GroupInterval: new(time.Duration(0))}}},
		"repeat_interval cannot be zero":            {Receiver: "a", RepeatInterval: new(time.Duration(0))},
		"route.group_by: duplicated label \"a\"":    {Receiver: "a", GroupBy: []string{"a", "a"}},
		"cannot have wildcard group_by":             {Receiver: "a", GroupBy: []string{"a", "..."}},
		"route.group_by: invalid label name":        {Receiver: "a", GroupBy: []string{""}},
		"route.labels: label \"\": invalid label":   {Receiver: "a", Labels: map[string]string{"": "x"}},
		"route.routes[1]: empty":                    {Receiver: "a", Routes: []*Spec{{}, nil}},
		"group_wait cannot be zero":                 {Receiver: "a", GroupWait: new(time.Duration(-1))},
		"nested deeper than 64":                     nest(100),
	} {
		_, err := New(s)
		require.ErrorIs(t, err, ErrTree, want)
		require.ErrorContains(t, err, want)
	}
}

func nest(n int) *Spec {
	s := &Spec{Receiver: "a"}
	for range n {
		s = &Spec{Receiver: "a", Routes: []*Spec{s}}
	}
	return s
}

// TestGroupKey compares with the type that Alertmanager prints group keys by.
func TestGroupKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOfN(rapid.StringN(1, 5, 20), rapid.String(), 0, 5).Draw(t, "labels")
		s, err := label.FromMap(m)
		if err != nil {
			t.Skip()
		}
		want := model.LabelSet{}
		for n, v := range s.All() {
			want[model.LabelName(n)] = model.LabelValue(v)
		}
		require.Equal(t, fmt.Sprintf("%s:%s", "{}/{a=\"b\"}", want), GroupKey(`{}/{a="b"}`, s))
	})
}

// TestGroups: the hash and the comparison agree with the labels themselves.
func TestGroups(t *testing.T) {
	gen := rapid.Custom(func(t *rapid.T) label.Set {
		s, err := label.FromMap(rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.SampledFrom([]string{"", "1", "2"}), 0, 3).Draw(t, "m"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		by := rapid.SampledFrom([][]string{{}, {"a"}, {"b", "a"}, {"..."}, {"d"}}).Draw(t, "by")
		tr, err := New(&Spec{Receiver: "r", GroupBy: by})
		require.NoError(t, err)
		r := tr.Root()
		x, y := gen.Draw(t, "x"), gen.Draw(t, "y")
		require.Equal(t, r.GroupLabels(x).Fingerprint(), r.GroupHash(x))
		require.Equal(t, r.GroupLabels(x) == r.GroupLabels(y), r.SameGroup(r.GroupLabels(x), y))
	})
}

// dumb matches without any index.
func dumb(r *Route, s label.Set) []*Route {
	var all []*Route
	for _, k := range r.Routes() {
		if !k.Matchers().Match(s) {
			continue
		}
		all = append(all, dumb(k, s)...)
		if !k.Continue() {
			break
		}
	}
	if len(all) == 0 {
		all = append(all, r)
	}
	return all
}

func TestIndexAgainstModel(t *testing.T) {
	texts := []string{`a="1"`, `a="2"`, `a="3",b="1"`, `b="1"`, `b="2"`, `c=~"1|2"`, `a!="1"`, `a=""`, `b="1",c="2"`, ``, `d="1"`}
	var node func(t *rapid.T, depth int) *Spec
	node = func(t *rapid.T, depth int) *Spec {
		s := &Spec{Continue: rapid.Bool().Draw(t, "continue")}
		if text := rapid.SampledFrom(texts).Draw(t, "matchers"); text != "" {
			s.Matchers, _ = label.ParseMatchers(text)
		}
		if depth < 2 {
			for range rapid.IntRange(0, 12).Draw(t, "kids") {
				s.Routes = append(s.Routes, node(t, depth+1))
			}
		}
		return s
	}
	rapid.Check(t, func(t *rapid.T) {
		root := node(t, 0)
		root.Receiver, root.Continue, root.Matchers = "r", false, nil
		tr, err := New(root)
		require.NoError(t, err)
		for range 20 {
			s, err := label.FromMap(rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c", "d"}), rapid.SampledFrom([]string{"1", "2", "3"}), 0, 4).Draw(t, "labels"))
			require.NoError(t, err)
			require.Equal(t, dumb(tr.Root(), s), tr.Match(nil, s))
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	root := &Spec{Receiver: "r"}
	for i := range 50 {
		root.Routes = append(root.Routes, &Spec{
			Receiver: "t", Matchers: ms(b, fmt.Sprintf(`team="team-%d"`, i)),
			Routes: []*Spec{{Matchers: ms(b, `severity="critical"`)}, {Matchers: ms(b, `severity=~"warning|info"`)}},
		})
	}
	tr := build(b, root)
	s := label.FromStrings("alertname", "HighLoad", "instance", "host-17:9100", "job", "node", "severity", "warning", "team", "team-42", "zone", "a", "cluster", "c1", "env", "prod")
	var buf []*Route
	for b.Loop() {
		buf = tr.Match(buf[:0], s)
	}
}
