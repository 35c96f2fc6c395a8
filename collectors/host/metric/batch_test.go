package metric

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var gauge = New("g", "A gauge.", Gauge, "a", "b")

func TestAdd(t *testing.T) {
	b := NewBatch(labels.FromStrings("job", "node", "a", "base"), 10)
	b.Begin()
	b.Add(gauge, 1, "x", "")
	b.Add(gauge, 2, "x", "")       // twice: the first counts
	b.Add(gauge, 3, "", "y")       // an empty value leaves the base's label
	b.Add(gauge, 4)                // missing values are empty
	b.Add(gauge, 5, "x", "y", "z") // more values than names are ignored
	b.Add(gauge, 6, "\xff", strings.Repeat("ü", maxValue))
	var got []string
	for _, p := range b.End().Points {
		got = append(got, fmt.Sprint(p.Labels.String(), p.V))
		require.True(t, p.Labels.IsValid(1))
	}
	require.Equal(t, []string{
		`{__name__="g", a="x", job="node"}1`,
		`{__name__="g", a="base", b="y", job="node"}3`,
		`{__name__="g", a="base", job="node"}4`,
		`{__name__="g", a="x", b="y", job="node"}5`,
		`{__name__="g", a="` + "\uFFFD" + `", b="` + strings.Repeat("ü", maxValue/2) + `", job="node"}6`,
	}, got)
}

// TestBatchAgainstModel adds random series over many runs and compares with a map: the memory of label sets must never
// show in the result, and never grow with what is gone.
func TestBatchAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 30).Draw(t, "most")
		b := NewBatch(labels.FromStrings("job", "node"), most)
		for run := range rapid.IntRange(1, 20).Draw(t, "runs") {
			b.Begin()
			want, dropped := map[string]float64{}, 0
			for range rapid.IntRange(0, 60).Draw(t, "adds") {
				x, v := fmt.Sprint(rapid.IntRange(run, run+40).Draw(t, "x")), rapid.Float64().Draw(t, "v")
				key := labels.FromStrings("__name__", "g", "a", x, "job", "node").String()
				if _, ok := want[key]; !ok {
					if len(want) < most {
						want[key] = v
					} else {
						dropped++
					}
				}
				b.Add(gauge, v, x)
			}
			r := b.End()
			got := map[string]float64{}
			for _, p := range r.Points {
				got[p.Labels.String()] = p.V
				require.Equal(t, r.Run, p.Seen)
			}
			require.Equal(t, want, got)
			require.Equal(t, dropped, r.Dropped)
			require.LessOrEqual(t, len(b.series), 2*len(r.Points)+64)
		}
	})
}

func TestFamily(t *testing.T) {
	f := NewFamily("p_", Gauge, func(n string) string { return "Field " + n })
	b := NewBatch(labels.EmptyLabels(), 2*MaxFamily)
	b.Begin()
	f.Add(b, "a-b.c", 1)
	for i := range 2 * MaxFamily {
		f.Add(b, fmt.Sprint("x", i), 1)
	}
	points := b.End().Points
	require.Len(t, points, MaxFamily)
	require.Equal(t, "p_a_b_c", points[0].Metric.Name)
	require.Equal(t, "Field a-b.c", points[0].Metric.Help)
}

func BenchmarkAdd(b *testing.B) {
	batch := NewBatch(labels.FromStrings("job", "node", "instance", "h1"), 10_000)
	values := make([]string, 1000)
	for i := range values {
		values[i] = fmt.Sprint("value-", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		batch.Begin()
		for _, v := range values {
			batch.Add(gauge, 1, v, "x")
		}
		batch.End()
	}
}
