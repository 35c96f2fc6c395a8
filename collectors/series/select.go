package series

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// Series returns the label sets of the series that a selection picks, sorted, and warnings.
// At least one matcher is needed. Options.MaxQuerySeries bounds the result even without a limit.
func (d *DB) Series(ctx context.Context, s Selection) ([]labels.Labels, []string, error) {
	sets, err := s.parse()
	if err != nil {
		return nil, nil, err
	}
	if len(sets) == 0 {
		return nil, nil, &queryError{ErrBadQuery, "no match[] parameter provided"}
	}
	var out []labels.Labels
	limit := d.bound(s.Limit)
	warnings, err := d.look(ctx, s, func(ctx context.Context, q storage.Querier, mint, maxt int64) ([]string, error) {
		hints := &storage.SelectHints{Start: mint, End: maxt, Func: "series", Limit: limit + 1}
		parts := make([]storage.SeriesSet, 0, len(sets))
		for _, ms := range sets {
			parts = append(parts, q.Select(ctx, true, hints, ms...))
		}
		set := parts[0]
		if len(parts) > 1 {
			set = storage.NewMergeSeriesSet(parts, limit+1, storage.ChainedSeriesMerge)
		}
		for set.Next() {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if len(out) == limit {
				return []string{warnTruncated}, nil
			}
			out = append(out, set.At().Labels())
		}
		return nil, set.Err()
	})
	return out, warnings, err
}

// LabelNames returns the names of the labels of the selected series, or of all, sorted, and warnings.
func (d *DB) LabelNames(ctx context.Context, s Selection) ([]string, []string, error) {
	return d.labelStrings(ctx, s, func(ctx context.Context, q storage.Querier, h *storage.LabelHints, ms []*labels.Matcher) ([]string, error) {
		names, _, err := q.LabelNames(ctx, h, ms...)
		return names, err
	})
}

// LabelValues returns the values of one label of the selected series, or of all, sorted, and warnings.
func (d *DB) LabelValues(ctx context.Context, name string, s Selection) ([]string, []string, error) {
	return d.labelStrings(ctx, s, func(ctx context.Context, q storage.Querier, h *storage.LabelHints, ms []*labels.Matcher) ([]string, error) {
		values, _, err := q.LabelValues(ctx, name, h, ms...)
		return values, err
	})
}

type labelCall func(context.Context, storage.Querier, *storage.LabelHints, []*labels.Matcher) ([]string, error)

func (d *DB) labelStrings(ctx context.Context, s Selection, call labelCall) (out, warnings []string, err error) {
	sets, err := s.parse()
	if err != nil {
		return nil, nil, err
	}
	if len(sets) == 0 {
		sets = [][]*labels.Matcher{nil}
	}
	limit := d.bound(s.Limit)
	warnings, err = d.look(ctx, s, func(ctx context.Context, q storage.Querier, _, _ int64) ([]string, error) {
		for _, ms := range sets {
			part, err := call(ctx, q, &storage.LabelHints{Limit: limit + 1}, ms)
			if err != nil {
				return nil, err
			}
			for _, v := range part {
				// The strings may lie in a block's mapped file, which can go away.
				out = append(out, strings.Clone(v))
			}
		}
		slices.Sort(out)
		out = slices.Compact(out)
		if len(out) > limit {
			out = out[:limit]
			return []string{warnTruncated}, nil
		}
		return nil, nil
	})
	return out, warnings, err
}

// bound is the highest number of entries that a metadata call may return.
func (d *DB) bound(limit int) int {
	if limit <= 0 || limit > d.opts.MaxQuerySeries {
		return d.opts.MaxQuerySeries
	}
	return limit
}

// look runs a metadata call as a query: with a place, a timeout and an open querier.
func (d *DB) look(ctx context.Context, s Selection, call func(context.Context, storage.Querier, int64, int64) ([]string, error)) (warnings []string, err error) {
	mint, maxt := s.bounds()
	if maxt < mint {
		return nil, &queryError{ErrBadQuery, "end is before start"}
	}
	defer func() { d.metrics.queries.WithLabelValues(outcome(err)).Inc() }()
	ctx, cancel := context.WithTimeout(ctx, d.opts.QueryTimeout)
	defer cancel()
	leaveGate, err := d.gate.enter(ctx)
	if err != nil {
		return nil, queryFailed("", err, ErrStorage, "query queue")
	}
	defer leaveGate()
	base, leave, err := d.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	defer context.AfterFunc(d.life, cancel)()

	warnings, err = withQuerier(base, mint, maxt, func(q storage.Querier) ([]string, error) { return call(ctx, q, mint, maxt) })
	switch {
	case err == nil:
		return warnings, nil
	case d.life.Err() != nil:
		return nil, fmt.Errorf("%w: the store was closed or reopened", ErrStorage)
	case ctx.Err() != nil:
		return nil, queryFailed("", ctx.Err(), ErrStorage, "series lookup")
	}
	return nil, fmt.Errorf("%w: %w", ErrStorage, err)
}

func withQuerier(base *tsdb.DB, mint, maxt int64, call func(storage.Querier) ([]string, error)) (w []string, err error) {
	q, err := base.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := q.Close(); err == nil {
			err = cerr
		}
	}()
	return call(q)
}

func (s Selection) bounds() (mint, maxt int64) {
	mint, maxt = minTime, -minTime
	if !s.Start.IsZero() {
		mint = clampMilli(s.Start)
	}
	if !s.End.IsZero() {
		maxt = clampMilli(s.End)
	}
	return mint, maxt
}

// clampMilli is t in Unix milliseconds, kept inside what the store can compute with.
func clampMilli(t time.Time) int64 { return min(max(t.UnixMilli(), minTime), -minTime) }

// parse reads the matchers. A selector that matches everything is refused, as upstream does.
func (s Selection) parse() ([][]*labels.Matcher, error) {
	var sets [][]*labels.Matcher
	for _, text := range s.Matchers {
		ms, err := ParseSelector(text)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches("") }) {
			return nil, &queryError{ErrBadQuery, "match[] must contain at least one non-empty matcher"}
		}
		sets = append(sets, ms)
	}
	return sets, nil
}
