package series

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// epoch is where test clocks start.
var epoch = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// clock is a hand-moved clock.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.set(epoch)
	return c
}

func (c *clock) now() time.Time      { return time.Unix(0, c.ns.Load()) }
func (c *clock) set(t time.Time)     { c.ns.Store(t.UnixNano()) }
func (c *clock) add(d time.Duration) { c.ns.Add(int64(d)) }

func openTest(t testing.TB, o Options) *DB {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	d, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func sample(name string, at time.Time, v float64, kv ...string) Sample {
	return Sample{Labels: labels.FromStrings(append([]string{"__name__", name}, kv...)...), T: at.UnixMilli(), V: v}
}

func mustAppend(t testing.TB, d *DB, batch ...Sample) Appended {
	t.Helper()
	a, err := d.Append(context.Background(), batch)
	require.NoError(t, err)
	require.Equal(t, len(batch), a.Stored+a.Refused(), "every sample is accounted for")
	return a
}

func instant(t testing.TB, d *DB, expr string, at time.Time) Result {
	t.Helper()
	r, err := d.Instant(context.Background(), expr, at, QueryOptions{})
	require.NoError(t, err)
	return r
}

func TestAppendAndQuery(t *testing.T) {
	c := newClock()
	d := openTest(t, Options{Now: c.now})
	for i := range 20 {
		c.add(15 * time.Second)
		a := mustAppend(t, d,
			sample("requests_total", c.now(), float64(i*30), "job", "a"),
			sample("requests_total", c.now(), float64(i*15), "job", "b"))
		require.Equal(t, 2, a.Stored)
	}
	r := instant(t, d, `sum(rate(requests_total[2m]))`, c.now())
	require.Equal(t, TypeVector, r.Type)
	require.Len(t, r.Vector, 1)
	require.InDelta(t, 3, r.Vector[0].V, 1e-9)
	require.Equal(t, c.now().UnixMilli(), r.Vector[0].T)
	require.True(t, r.Vector[0].Labels.IsEmpty())

	r = instant(t, d, `1 + 1`, c.now())
	require.Equal(t, TypeScalar, r.Type)
	require.Equal(t, Point{T: c.now().UnixMilli(), V: 2}, r.Scalar)

	r = instant(t, d, `"text"`, c.now())
	require.Equal(t, TypeString, r.Type)
	require.Equal(t, "text", r.String)

	r = instant(t, d, `requests_total{job="a"}[31s]`, c.now())
	require.Equal(t, TypeMatrix, r.Type)
	require.Len(t, r.Matrix, 1)
	require.Equal(t, []Point{
		{T: c.now().Add(-30 * time.Second).UnixMilli(), V: 17 * 30},
		{T: c.now().Add(-15 * time.Second).UnixMilli(), V: 18 * 30},
		{T: c.now().UnixMilli(), V: 19 * 30},
	}, r.Matrix[0].Points)

	r, err := d.Range(context.Background(), `requests_total`, Window{Start: epoch.Add(time.Minute), End: epoch.Add(2 * time.Minute), Step: 30 * time.Second}, QueryOptions{Stats: true, PerStep: true})
	require.NoError(t, err)
	require.Equal(t, TypeMatrix, r.Type)
	require.Len(t, r.Matrix, 2)
	require.Equal(t, "a", r.Matrix[0].Labels.Get("job"))
	require.Equal(t, []Point{
		{T: epoch.Add(60 * time.Second).UnixMilli(), V: 90}, {T: epoch.Add(90 * time.Second).UnixMilli(), V: 150}, {T: epoch.Add(120 * time.Second).UnixMilli(), V: 210},
	}, r.Matrix[0].Points)
	require.EqualValues(t, 6, r.Stats.Samples.TotalQueryableSamples)
	require.Len(t, r.Stats.Samples.TotalQueryableSamplesPerStep, 3)
	require.Positive(t, r.Stats.Timings.ExecTotalTime)
}

func TestAppendRefusals(t *testing.T) {
	c := newClock()
	d := openTest(t, Options{Now: c.now, MaxSeries: 3, OutOfOrder: time.Minute})
	now := c.now()
	long := make([]byte, MaxLabelValueBytes+1)
	many := []string{}
	for i := range MaxLabels {
		many = append(many, fmt.Sprintf("l%02d", i), "x")
	}
	mustAppend(t, d, sample("up", now, 1))
	for _, tc := range []struct {
		name string
		in   Sample
		want Appended
	}{
		{"same again", sample("up", now, 1), Appended{Stored: 1}},
		{"same time, other value", sample("up", now, 2), Appended{Duplicate: 1}},
		{"late inside the window", sample("up", now.Add(-30*time.Second), 2), Appended{Stored: 1}},
		{"late outside the window", sample("up", now.Add(-2*time.Minute), 2), Appended{TooOld: 1}},
		{"older than retention", sample("up", now.Add(-10*24*time.Hour), 2), Appended{TooOld: 1}},
		{"a little ahead", sample("up", now.Add(5*time.Minute), 2), Appended{Stored: 1}},
		{"far ahead", sample("up", now.Add(11*time.Minute), 2), Appended{TooNew: 1}},
		{"far future", Sample{Labels: labels.FromStrings("__name__", "up"), T: math.MaxInt64}, Appended{TooNew: 1}},
		{"far past", Sample{Labels: labels.FromStrings("__name__", "up"), T: math.MinInt64}, Appended{TooOld: 1}},
		{"no name", Sample{Labels: labels.FromStrings("job", "a"), T: now.UnixMilli()}, Appended{Invalid: 1}},
		{"no labels", Sample{T: now.UnixMilli()}, Appended{Invalid: 1}},
		{"bad UTF-8", sample("up", now, 1, "job", "\xff"), Appended{Invalid: 1}},
		{"label too long", sample("up", now, 1, "job", string(long)), Appended{Invalid: 1}},
		{"too many labels", sample("up", now, 1, many...), Appended{Invalid: 1}},
		{"empty label is no label", sample("up", now.Add(6*time.Minute), 3, "job", ""), Appended{Stored: 1}},
		{"second series", sample("up", now.Add(6*time.Minute), 1, "job", "a"), Appended{Stored: 1}},
		{"third series", sample("up", now.Add(6*time.Minute), 1, "job", "b"), Appended{Stored: 1}},
		{"one series too many", sample("up", now.Add(6*time.Minute), 1, "job", "c"), Appended{OverLimit: 1}},
		{"known series still", sample("up", now.Add(6*time.Minute+time.Second), 1, "job", "b"), Appended{Stored: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.want, mustAppend(t, d, tc.in))
		})
	}
	// A bad sample doesn't stop the rest of its batch.
	later := now.Add(7 * time.Minute)
	require.Equal(t, Appended{Stored: 2, Invalid: 1, OverLimit: 1}, mustAppend(t, d,
		sample("up", later, 1), Sample{T: later.UnixMilli()}, sample("up", later, 1, "job", "z"), sample("up", later, 1, "job", "a")))
}

// The labels of a stored series must not share memory with the caller's, who may decode into a buffer used again.
func TestAppendCopiesLabels(t *testing.T) {
	c := newClock()
	d := openTest(t, Options{Now: c.now})
	var b labels.ScratchBuilder
	b.Add("__name__", "up")
	b.Add("job", "a")
	ls := labels.EmptyLabels()
	b.Overwrite(&ls)
	mustAppend(t, d, Sample{Labels: ls, T: c.now().UnixMilli(), V: 1})
	b.Reset()
	b.Add("__name__", "xx")
	b.Add("job", "z")
	b.Overwrite(&ls)
	r := instant(t, d, `up`, c.now())
	require.Len(t, r.Vector, 1)
	require.Equal(t, `{__name__="up", job="a"}`, r.Vector[0].Labels.String())
}

func TestReopenKeepsSamples(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	d, err := Open(Options{Dir: dir, Now: c.now})
	require.NoError(t, err)
	for range 5 {
		c.add(15 * time.Second)
		mustAppend(t, d, sample("up", c.now(), 1))
	}
	require.NoError(t, d.Close())
	require.NoError(t, d.Close(), "a second Close does nothing")
	_, err = d.Append(context.Background(), []Sample{sample("up", c.now(), 1)})
	require.ErrorIs(t, err, ErrClosed)
	_, err = d.Instant(context.Background(), "up", c.now(), QueryOptions{})
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, d.Maintain(context.Background()), ErrClosed)
	require.Zero(t, d.Status(10))

	d = openTest(t, Options{Dir: dir, Now: c.now})
	require.InDelta(t, 5, instant(t, d, `count_over_time(up[5m])`, c.now()).Vector[0].V, 0)
	require.EqualValues(t, 1, d.Status(10).HeadSeries)
}

func TestOpenRefusesBadOptions(t *testing.T) {
	for field, o := range map[string]Options{
		"Dir":           {},
		"Retention":     {Dir: "x", Retention: time.Minute},
		"MaxBytes":      {Dir: "x", MaxBytes: 1},
		"MaxSeries":     {Dir: "x", MaxSeries: -1},
		"OutOfOrder":    {Dir: "x", OutOfOrder: 2 * time.Hour},
		"QueryTimeout":  {Dir: "x", QueryTimeout: -1},
		"MaxConcurrent": {Dir: "x", MaxConcurrent: -1},
		"Lookback":      {Dir: "x", Lookback: 1},
		"SubqueryStep":  {Dir: "x", SubqueryStep: 1},
	} {
		_, err := Open(o)
		require.ErrorContains(t, err, field)
	}
}

// What guests push leaves room for the host's own series.
func TestGuestLeavesRoom(t *testing.T) {
	d := openTest(t, Options{MaxSeries: 10})
	now := time.Now().UnixMilli()
	var many []Sample
	for i := range 20 {
		many = append(many, Sample{Labels: LabelsOf("__name__", "pushed", "i", strconv.Itoa(i)), T: now, V: 1})
	}
	got, err := GuestOf(d, 0.8).Append(t.Context(), many)
	require.NoError(t, err)
	require.Equal(t, 8, got.Stored)
	require.Equal(t, 12, got.OverLimit)
	got, err = d.Append(t.Context(), []Sample{{Labels: LabelsOf("__name__", "own"), T: now, V: 1}})
	require.NoError(t, err)
	require.Equal(t, 1, got.Stored)
}
