package ruletest

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// feed are the input series of a test, from which samples are taken as the time
// of the test goes on.
type feed struct {
	lines []line
}

// line is the samples of one series that have not been stored yet.
type line struct {
	labels labels.Labels
	points []series.Point
}

// readInput reads the series notation. A series that is given twice is what the
// second one says, as in promtool.
func readInput(inputs []input, begin time.Time, step time.Duration) (*feed, error) {
	f, total := &feed{}, 0
	places := map[string]int{}
	for _, in := range inputs {
		if n := repeats(in.Values); n > MaxSamples-total {
			return nil, fmt.Errorf("input_series %s: more than %d samples in one test", in.Series, MaxSamples)
		}
		ls, values, err := series.NewParser().ParseSeriesDesc(in.Series + " " + in.Values)
		if err != nil {
			return nil, fmt.Errorf("input_series %s: %w", in.Series, err)
		}
		if total += len(values); total > MaxSamples {
			return nil, fmt.Errorf("input_series %s: more than %d samples in one test", in.Series, MaxSamples)
		}
		l := line{labels: ls}
		for i, v := range values {
			if v.Histogram != nil {
				return nil, fmt.Errorf("input_series %s: native histograms are not supported", in.Series)
			}
			if !v.Omitted {
				l.points = append(l.points, series.Point{T: begin.Add(time.Duration(i) * step).UnixMilli(), V: v.Value})
			}
		}
		key := string(ls.Bytes(nil))
		if at, ok := places[key]; ok {
			f.lines[at] = l
			continue
		}
		places[key] = len(f.lines)
		f.lines = append(f.lines, l)
	}
	return f, nil
}

// repeats adds up the counts of 1x1000 notation, which the parser would expand
// before anybody could count.
func repeats(values string) int {
	sum := 0
	for _, m := range regexp.MustCompile(`x\s*([0-9]+)`).FindAllStringSubmatch(values, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil || n > MaxSamples {
			return MaxSamples + 1
		}
		if sum += n; sum > MaxSamples {
			return sum
		}
	}
	return sum
}

// until stores the samples up to and including a time.
func (f *feed) until(ctx context.Context, db *series.DB, now time.Time) error {
	var batch []series.Sample
	t := now.UnixMilli()
	for i := range f.lines {
		l := &f.lines[i]
		n, _ := slices.BinarySearchFunc(l.points, t+1, func(p series.Point, t int64) int { return int(p.T - t) })
		for _, p := range l.points[:n] {
			batch = append(batch, series.Sample{Labels: l.labels, T: p.T, V: p.V})
		}
		l.points = l.points[n:]
	}
	// In order of time, so that none is late.
	slices.SortStableFunc(batch, func(a, b series.Sample) int { return int(a.T - b.T) })
	done, err := db.Append(ctx, batch)
	if err != nil {
		return fmt.Errorf("storing input_series: %w", err)
	}
	if done.Refused() > 0 {
		return fmt.Errorf("storing input_series: refused %d of %d samples: %+v", done.Refused(), len(batch), done)
	}
	return nil
}
