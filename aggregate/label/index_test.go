package label_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// TestIndex: whatever was put in and taken out, the index yields each thing at
// most once, and all that match.
func TestIndex(t *testing.T) {
	matcher := rapid.Custom(func(t *rapid.T) *label.Matcher {
		kinds := []string{"=", "!=", "=~", "!~"}
		name := rapid.SampledFrom([]string{"alertname", "a", "b", "c"}).Draw(t, "name")
		kind := rapid.SampledFrom(kinds).Draw(t, "kind")
		ms, err := label.ParseMatchers(name + kind + `"` + rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "value") + `"`)
		require.NoError(t, err)
		return ms[0]
	})
	matchers := rapid.SliceOfN(matcher, 0, 3)
	rapid.Check(t, func(t *rapid.T) {
		var x label.Index[int]
		things, under := map[int]label.Matchers{}, map[int]*label.Matcher{}
		for i := range rapid.IntRange(0, 30).Draw(t, "steps") {
			if len(things) > 0 && rapid.Bool().Draw(t, "remove") {
				for gone := range i {
					if _, ok := things[gone]; ok {
						x.Remove(gone, under[gone])
						delete(things, gone)
						break
					}
				}
				continue
			}
			things[i] = matchers.Draw(t, "matchers")
			under[i] = x.Add(i, things[i])
			if under[i] != nil {
				require.Contains(t, things[i], under[i])
			}
		}
		var pairs []string
		for _, name := range []string{"alertname", "a", "b"} {
			if v := rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, name); v != "" {
				pairs = append(pairs, name, v)
			}
		}
		set := label.FromStrings(pairs...)
		var got []int
		x.Each(set, func(i int) bool {
			got = append(got, i)
			return true
		})
		for i, ms := range things {
			if ms.Match(set) {
				require.Contains(t, got, i)
			}
		}
		slices.Sort(got)
		require.Equal(t, slices.Compact(slices.Clone(got)), got)
		for _, i := range got {
			require.Contains(t, things, i)
		}
		n := 0
		x.Each(set, func(int) bool { n++; return false })
		require.Equal(t, min(len(got), 1), n, "yield says stop")
	})
}
