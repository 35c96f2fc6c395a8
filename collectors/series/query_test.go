package series

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestQueryErrors(t *testing.T) {
	c := newClock()
	d := openTest(t, Options{Now: c.now, MaxQuerySeries: 10, MaxSamples: 100, MaxSamplesRead: 1000})
	for i := range 12 {
		mustAppend(t, d, sample("up", c.now(), 1, "i", fmt.Sprint(i)), sample("one", c.now(), 1, "i", fmt.Sprint(i%3), "j", fmt.Sprint(i)))
	}
	for range 2000 {
		c.add(time.Second)
		mustAppend(t, d, sample("long", c.now(), 1))
	}
	now := c.now()
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	late, cancelLate := context.WithTimeout(context.Background(), -1)
	defer cancelLate()
	for _, tc := range []struct {
		name string
		call func() (Result, error)
		want error
		text string
	}{
		{"too many series", func() (Result, error) { return d.Instant(context.Background(), "up", epoch, QueryOptions{}) }, ErrLimit, "too many series"},
		{"too many samples held", func() (Result, error) {
			return d.Instant(context.Background(), "long[30m]", now, QueryOptions{})
		}, ErrLimit, "too many samples"},
		{"too many samples read", func() (Result, error) {
			return d.Range(context.Background(), "sum_over_time(long[80s])", Window{epoch, now, 80 * time.Second}, QueryOptions{})
		}, ErrLimit, "too many samples"},
		{"many to many", func() (Result, error) {
			return d.Instant(context.Background(), `one{i="1"} * on(i) one{i="1"}`, epoch, QueryOptions{})
		}, ErrExecution, "many-to-many"},
		{"caller gone", func() (Result, error) { return d.Instant(gone, "long", now, QueryOptions{}) }, ErrCanceled, "canceled"},
		{"deadline over", func() (Result, error) { return d.Instant(late, "long", now, QueryOptions{}) }, ErrTimeout, "timed out"},
		{"own timeout", func() (Result, error) {
			return d.Instant(context.Background(), "long", now, QueryOptions{Timeout: 1})
		}, ErrTimeout, "timed out"},
		{"endless subquery", func() (Result, error) {
			return d.Instant(context.Background(), "max_over_time(long[9223372036s:1ms])", now, QueryOptions{})
		}, ErrLimit, "steps"},
		{"endless inner subquery", func() (Result, error) {
			return d.Instant(context.Background(), "max_over_time((1 + max_over_time(long[1s:1ms]))[1h:1s])", now, QueryOptions{})
		}, ErrLimit, "steps"},
		{"endless range", func() (Result, error) {
			return d.Range(context.Background(), "vector(1)", Window{epoch, now.Add(1000 * time.Hour), time.Millisecond}, QueryOptions{})
		}, ErrLimit, "steps"},
		{"the end of time", func() (Result, error) {
			return d.Instant(context.Background(), "long", time.Unix(1<<50, 0), QueryOptions{})
		}, ErrBadQuery, "out of range"},
		{"range of a matrix", func() (Result, error) {
			return d.Range(context.Background(), "long[5m]", Window{now, now, time.Second}, QueryOptions{})
		}, ErrBadQuery, "range vector"},
		{"no step", func() (Result, error) {
			return d.Range(context.Background(), "long", Window{now, now, 0}, QueryOptions{})
		}, ErrBadQuery, "step"},
		{"backwards", func() (Result, error) {
			return d.Range(context.Background(), "long", Window{now, epoch, time.Second}, QueryOptions{})
		}, ErrBadQuery, "before"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := tc.call()
			require.ErrorIs(t, err, tc.want)
			require.ErrorContains(t, err, tc.text)
			require.Empty(t, r)
		})
	}
	_, err := d.Instant(context.Background(), "sum(\nup", now, QueryOptions{})
	var pe *ParseError
	require.ErrorAs(t, err, &pe)
	require.Equal(t, ParseError{Query: "sum(\nup", Start: 7, End: 7, Line: 2, Column: 3, Reason: "unclosed left parenthesis"}, *pe)
	require.Equal(t, "2:3: parse error: unclosed left parenthesis", pe.Error())
	_, err = d.Instant(context.Background(), strings.Repeat("1", MaxExprBytes+1), now, QueryOptions{})
	require.ErrorAs(t, err, &pe)
}

func TestQueryOptions(t *testing.T) {
	c := newClock()
	d := openTest(t, Options{Now: c.now})
	mustAppend(t, d, sample("up", c.now(), 1, "i", "a"), sample("up", c.now(), 2, "i", "b"), sample("up", c.now(), 3, "i", "c"))
	r, err := d.Instant(context.Background(), "up", c.now().Add(2*time.Minute), QueryOptions{Limit: 2, Stats: true})
	require.NoError(t, err)
	require.Len(t, r.Vector, 2)
	require.Equal(t, []string{warnTruncated}, r.Warnings)
	require.EqualValues(t, 3, r.Stats.Samples.SeriesTouched)
	r, err = d.Instant(context.Background(), "up", c.now().Add(2*time.Minute), QueryOptions{Lookback: time.Minute})
	require.NoError(t, err)
	require.Empty(t, r.Vector)
	r, err = d.Range(context.Background(), "up", Window{c.now(), c.now(), time.Second}, QueryOptions{Limit: 1})
	require.NoError(t, err)
	require.Len(t, r.Matrix, 1)
	require.Equal(t, []string{warnTruncated}, r.Warnings)

	mustAppend(t, d, sample("gauge", c.now(), 1), sample("gauge", c.now().Add(time.Second), 1))
	r = instant(t, d, `rate(gauge[5m])`, c.now().Add(time.Second))
	require.Len(t, r.Infos, 1)
	require.Contains(t, r.Infos[0], "1:6")
	// A subquery without a step takes SubqueryStep: 20 points in five minutes.
	r = instant(t, d, `count_over_time(vector(1)[5m:])`, c.now())
	require.InDelta(t, 20, r.Vector[0].V, 0)
	require.Len(t, instant(t, d, `up offset -1m`, c.now().Add(-time.Minute)).Vector, 3, "negative offsets are on")
	require.Len(t, instant(t, d, `up @ end()`, c.now()).Vector, 3, "@ is on")
}

func TestStatsJSON(t *testing.T) {
	b, err := json.Marshal(QuerySamples{TotalQueryableSamplesPerStep: []StepCount{{T: 1772409600500, N: 2}}})
	require.NoError(t, err)
	require.Contains(t, string(b), `"totalQueryableSamplesPerStep":[[1772409600.5,2]]`)
}

func TestGate(t *testing.T) {
	c := newClock()
	d := openTest(t, Options{Now: c.now, MaxConcurrent: 1, MaxQueued: 1})
	leave, err := d.gate.enter(context.Background())
	require.NoError(t, err)

	// One waits, and gives up when its time is over.
	_, err = d.Instant(context.Background(), "1", c.now(), QueryOptions{Timeout: time.Millisecond})
	require.ErrorIs(t, err, ErrTimeout)

	// With one waiting, the next is turned away; the node's own rules are not.
	ctx, cancel := context.WithCancel(context.Background())
	waiting := make(chan error, 1)
	go func() {
		_, err := d.Instant(ctx, "1", c.now(), QueryOptions{})
		waiting <- err
	}()
	for len(d.gate.queue) < 2 && len(waiting) == 0 {
		runtime.Gosched()
	}
	_, err = d.Instant(context.Background(), "1", c.now(), QueryOptions{})
	require.ErrorIs(t, err, ErrBusy)
	_, _, err = d.LabelNames(context.Background(), Selection{})
	require.ErrorIs(t, err, ErrBusy)
	_, err = d.Instant(context.Background(), "1", c.now(), QueryOptions{Own: true})
	require.NoError(t, err)
	cancel()
	require.ErrorIs(t, <-waiting, ErrCanceled)
	leave()
	instant(t, d, "1", c.now())
	require.Empty(t, d.gate.queue)
	require.Empty(t, d.gate.places)
}

func TestCloseEndsQueries(t *testing.T) {
	c := newClock()
	d, err := Open(Options{Dir: t.TempDir(), Now: c.now})
	require.NoError(t, err)
	mustAppend(t, d, sample("up", c.now(), 1))
	result := make(chan error, 1)
	go func() { // some 10^10 samples
		_, err := d.Instant(context.Background(), `count_over_time(sum_over_time(vector(1)[1h:30ms])[1h:30ms])`, c.now(), QueryOptions{})
		result <- err
	}()
	for len(d.gate.places) == 0 && len(result) == 0 {
		runtime.Gosched()
	}
	require.NoError(t, d.Close())
	err = <-result
	require.Error(t, err)
	require.True(t, errors.Is(err, ErrStorage) || errors.Is(err, ErrClosed) || errors.Is(err, ErrLimit), err)
}

func TestSelections(t *testing.T) {
	c := newClock()
	d := loaded(t, Options{Now: c.now}, c, 5)
	ctx := context.Background()
	sets, warnings, err := d.Series(ctx, Selection{Matchers: []string{`up{hour=~"00[01]"}`, `total`}})
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, []Labels{
		LabelsOf("__name__", "total"), LabelsOf("__name__", "up", "hour", "000"), LabelsOf("__name__", "up", "hour", "001"),
	}, sets)
	sets, warnings, err = d.Series(ctx, Selection{Matchers: []string{`up`}, Limit: 2})
	require.NoError(t, err)
	require.Len(t, sets, 2)
	require.Equal(t, []string{warnTruncated}, warnings)
	// Blocks are whole: a window selects what the two hours around it hold.
	sets, _, err = d.Series(ctx, Selection{Matchers: []string{`up`}, Start: epoch.Add(4*time.Hour + 30*time.Minute), End: c.now()})
	require.NoError(t, err)
	require.NotContains(t, sets, LabelsOf("__name__", "up", "hour", "000"))
	require.Contains(t, sets, LabelsOf("__name__", "up", "hour", "004"))

	names, _, err := d.LabelNames(ctx, Selection{})
	require.NoError(t, err)
	require.Equal(t, []string{"__name__", "hour"}, names)
	names, _, err = d.LabelNames(ctx, Selection{Matchers: []string{"total"}})
	require.NoError(t, err)
	require.Equal(t, []string{"__name__"}, names)
	values, warnings, err := d.LabelValues(ctx, "hour", Selection{Limit: 3})
	require.NoError(t, err)
	require.Equal(t, []string{"000", "001", "002"}, values)
	require.Equal(t, []string{warnTruncated}, warnings)
	values, _, err = d.LabelValues(ctx, "hour", Selection{Matchers: []string{`up{hour="003"}`, `up{hour="001"}`}})
	require.NoError(t, err)
	require.Equal(t, []string{"001", "003"}, values)

	for _, s := range []Selection{
		{},
		{Matchers: []string{`{a=""}`}},
		{Matchers: []string{"up{"}},
		{Matchers: []string{"up"}, Start: c.now(), End: epoch},
		{Matchers: []string{strings.Repeat("u", MaxExprBytes+1)}},
	} {
		_, _, err := d.Series(ctx, s)
		var pe *ParseError
		require.True(t, errors.Is(err, ErrBadQuery) || errors.As(err, &pe), err)
	}
	far := time.Unix(math.MaxInt64/1000, 0)
	_, _, err = d.Series(ctx, Selection{Matchers: []string{"up"}, Start: far.Add(-1), End: far})
	require.NoError(t, err)
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, _, err = d.LabelNames(gone, Selection{})
	require.ErrorIs(t, err, ErrCanceled)
}

// TestSameAsEngine holds results against upstream's engine run on the database itself.
func TestSameAsEngine(t *testing.T) {
	c := newClock()
	d := loaded(t, Options{Now: c.now}, c, 6)
	exprs := []string{
		`up`, `total`, `rate(total[5m])`, `sum by (hour) (up)`, `topk(2, up)`, `total > 100`, `total[10m]`, `max_over_time(rate(total[5m])[1h:5m])`,
		`absent(nothing)`, `-total`, `1 + 2`, `scalar(total)`, `time()`, `label_replace(up, "x", "$1", "hour", "0(.*)")`, `total offset 1h`, `sort_desc(up)`, `"s"`,
		`count_values("v", up)`, `total and on() up`, `quantile_over_time(0.9, total[1h])`,
	}
	rapid.Check(t, func(rt *rapid.T) {
		expr := rapid.SampledFrom(exprs).Draw(rt, "expr")
		at := epoch.Add(time.Duration(rapid.IntRange(-60, 400).Draw(rt, "minute")) * time.Minute)
		got, err := d.Instant(context.Background(), expr, at, QueryOptions{})
		require.NoError(rt, err)
		q, err := d.engine.NewInstantQuery(context.Background(), d.base, nil, expr, at)
		require.NoError(rt, err)
		defer q.Close()
		require.Equal(rt, asText(q.Exec(context.Background())), resultText(got))

		if got.Type != TypeVector && got.Type != TypeScalar {
			return
		}
		w := Window{at, at.Add(time.Duration(rapid.IntRange(0, 300).Draw(rt, "span")) * time.Minute), time.Duration(rapid.IntRange(1, 3600).Draw(rt, "step")) * time.Second}
		got, err = d.Range(context.Background(), expr, w, QueryOptions{})
		require.NoError(rt, err)
		rq, err := d.engine.NewRangeQuery(context.Background(), d.base, nil, expr, w.Start, w.End, w.Step)
		require.NoError(rt, err)
		defer rq.Close()
		require.Equal(rt, asText(rq.Exec(context.Background())), resultText(got))
	})
}

func asText(r *promql.Result) string {
	if r.Err != nil {
		return r.Err.Error()
	}
	var b strings.Builder
	switch v := r.Value.(type) {
	case promql.Vector:
		for _, s := range v {
			fmt.Fprintln(&b, s.Metric, s.T, s.F)
		}
	case promql.Matrix:
		for _, s := range v {
			fmt.Fprintln(&b, s.Metric)
			for _, p := range s.Floats {
				fmt.Fprintln(&b, p.T, p.F)
			}
		}
	case promql.Scalar:
		fmt.Fprintln(&b, v.T, v.V)
	case promql.String:
		fmt.Fprintln(&b, v.T, v.V)
	}
	return b.String()
}

func resultText(r Result) string {
	var b strings.Builder
	for _, s := range r.Vector {
		fmt.Fprintln(&b, s.Labels, s.T, s.V)
	}
	for _, s := range r.Matrix {
		fmt.Fprintln(&b, s.Labels)
		for _, p := range s.Points {
			fmt.Fprintln(&b, p.T, p.V)
		}
	}
	switch r.Type {
	case TypeScalar:
		fmt.Fprintln(&b, r.Scalar.T, r.Scalar.V)
	case TypeString:
		fmt.Fprintln(&b, r.Scalar.T, r.String)
	}
	return b.String()
}
