package series

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/stats"
)

// maxSteps bounds the evaluation steps of one query, those of its subqueries included. The engine sets memory aside for
// each step of a subquery before any of its own limits is looked at: x[292y:1ms] would end the process.
// 500,000 are 30 days at 5 s, and 8 MB.
const maxSteps = 500_000

// maxMilli bounds the times of a query in Unix milliseconds, so that ranges and offsets can't overflow.
const maxMilli = 1 << 55

// maxNotes bounds the warnings and the infos of one result, as upstream's API does.
const maxNotes = 10

// Instant evaluates an expression at one time. The error is a *ParseError or wraps one of this package's.
func (d *DB) Instant(ctx context.Context, expr string, at time.Time, o QueryOptions) (Result, error) {
	return d.query(ctx, expr, o, func(ctx context.Context, q storage.Queryable, qo promql.QueryOpts) (promql.Query, error) {
		return d.engine.NewInstantQuery(ctx, q, qo, expr, at)
	})
}

// Range evaluates an expression at every step of a window. The expression must be a vector or a scalar; the result is
// always TypeMatrix. The error is a *ParseError or wraps one of this package's.
func (d *DB) Range(ctx context.Context, expr string, w Window, o QueryOptions) (Result, error) {
	if w.Step < time.Millisecond {
		return Result{}, &queryError{ErrBadQuery, fmt.Sprintf("step %v is below 1ms", w.Step)}
	}
	if w.End.Before(w.Start) {
		return Result{}, &queryError{ErrBadQuery, "end is before start"}
	}
	return d.query(ctx, expr, o, func(ctx context.Context, q storage.Queryable, qo promql.QueryOpts) (promql.Query, error) {
		return d.engine.NewRangeQuery(ctx, q, qo, expr, w.Start, w.End, w.Step)
	})
}

type makeQuery func(context.Context, storage.Queryable, promql.QueryOpts) (promql.Query, error)

func (d *DB) query(ctx context.Context, expr string, o QueryOptions, make makeQuery) (res Result, err error) {
	if len(expr) > MaxExprBytes {
		return Result{}, tooLong(expr)
	}
	begin := time.Now()
	defer func() {
		d.metrics.seconds.Observe(time.Since(begin).Seconds())
		d.metrics.queries.WithLabelValues(outcome(err)).Inc()
	}()
	timeout := d.opts.QueryTimeout
	if o.Timeout > 0 {
		timeout = min(timeout, o.Timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if !o.Own {
		leave, err := d.gate.enter(ctx)
		if err != nil {
			return Result{}, queryFailed(expr, err, ErrBadQuery, "query queue")
		}
		defer leave()
	}
	queued := time.Since(begin)
	base, leave, err := d.enter()
	if err != nil {
		return Result{}, err
	}
	defer leave()
	stop := context.AfterFunc(d.life, cancel)
	defer stop()

	res, err = d.evaluate(ctx, base, expr, o, make)
	if err != nil && d.life.Err() != nil {
		return Result{}, fmt.Errorf("%w: the store was closed or reopened", ErrStorage)
	}
	if res.Stats != nil {
		res.Stats.Timings.ExecQueueTime = queued.Seconds()
	}
	return res, err
}

func (d *DB) evaluate(ctx context.Context, q storage.Queryable, expr string, o QueryOptions, make makeQuery) (res Result, err error) {
	// The engine catches its own panics, but not those of the steps before evaluation. Expressions come from outside.
	defer func() {
		if p := recover(); p != nil {
			d.opts.Logger.Error("query panicked", "query", expr, "panic", p, "stack", string(debug.Stack()))
			res, err = Result{}, &queryError{ErrBadQuery, fmt.Sprintf("the engine failed on this expression: %v", p)}
		}
	}()
	query, err := make(ctx, q, promql.NewPrometheusQueryOpts(o.PerStep, o.Lookback, nil))
	if err != nil {
		return Result{}, queryFailed(expr, err, ErrBadQuery, "query preparation")
	}
	// Closing hands the result's memory to the next query, so everything is copied out first.
	defer query.Close()
	if stmt, ok := query.Statement().(*parser.EvalStmt); ok {
		if err := checkSteps(stmt, d.opts.SubqueryStep); err != nil {
			return Result{}, err
		}
	}
	out := query.Exec(ctx)
	if out.Err != nil {
		return Result{}, queryFailed(expr, out.Err, ErrExecution, "expression evaluation")
	}
	if res, err = copyValue(out.Value); err != nil {
		return Result{}, err
	}
	res.Warnings, res.Infos = out.Warnings.AsStrings(expr, maxNotes, maxNotes)
	slices.Sort(res.Warnings)
	slices.Sort(res.Infos)
	res.truncate(o.Limit)
	if o.Stats {
		res.Stats = copyStats(query.Stats())
	}
	return res, nil
}

// checkSteps refuses a query of too many steps, or of times that can't be computed with.
func checkSteps(stmt *parser.EvalStmt, defaultStep time.Duration) error {
	for _, t := range [...]time.Time{stmt.Start, stmt.End} {
		if sec := t.Unix(); sec > maxMilli/1000 || sec < -maxMilli/1000 {
			return &queryError{ErrBadQuery, "time is out of range"}
		}
	}
	outer := float64(stmt.End.UnixMilli() - stmt.Start.UnixMilli())
	steps := 1.0
	if stmt.Interval > 0 {
		steps += outer / float64(max(stmt.Interval.Milliseconds(), 1))
	}
	parser.Inspect(stmt.Expr, func(n parser.Node, path []parser.Node) error {
		sub, ok := n.(*parser.SubqueryExpr)
		if !ok {
			return nil
		}
		// A subquery covers its range before each step of what it stands in.
		span := outer + float64(sub.Range.Milliseconds())
		for _, p := range path {
			if around, ok := p.(*parser.SubqueryExpr); ok {
				span += float64(around.Range.Milliseconds())
			}
		}
		step := sub.Step
		if step <= 0 {
			step = defaultStep
		}
		steps += span / float64(max(step.Milliseconds(), 1))
		return nil
	})
	if steps > maxSteps {
		return &queryError{ErrLimit, fmt.Sprintf("query of %.0f steps, subqueries included, exceeds %d", steps, maxSteps)}
	}
	return nil
}

// truncate keeps the first limit series, with upstream's warning.
func (r *Result) truncate(limit int) {
	if limit <= 0 || (len(r.Vector) <= limit && len(r.Matrix) <= limit) {
		return
	}
	r.Vector = r.Vector[:min(len(r.Vector), limit)]
	r.Matrix = r.Matrix[:min(len(r.Matrix), limit)]
	r.Warnings = append(r.Warnings, warnTruncated)
}

const warnTruncated = "results truncated due to limit"

func copyValue(v parser.Value) (Result, error) {
	switch v := v.(type) {
	case promql.Vector:
		out := make([]Sample, 0, len(v))
		for _, s := range v {
			if s.H == nil { // the store holds no native histograms
				out = append(out, Sample{Labels: s.Metric, T: s.T, V: s.F})
			}
		}
		return Result{Type: TypeVector, Vector: out}, nil
	case promql.Matrix:
		out := make([]Series, 0, len(v))
		for _, s := range v {
			points := make([]Point, len(s.Floats))
			for i, p := range s.Floats {
				points[i] = Point{T: p.T, V: p.F}
			}
			out = append(out, Series{Labels: s.Metric, Points: points})
		}
		return Result{Type: TypeMatrix, Matrix: out}, nil
	case promql.Scalar:
		return Result{Type: TypeScalar, Scalar: Point{T: v.T, V: v.V}}, nil
	case promql.String:
		return Result{Type: TypeString, String: v.V, Scalar: Point{T: v.T}}, nil
	}
	return Result{}, fmt.Errorf("%w: unexpected result of type %T", ErrStorage, v)
}

func copyStats(s *stats.Statistics) *QueryStats {
	b := stats.NewQueryStats(s).Builtin()
	out := &QueryStats{Timings: QueryTimings{
		EvalTotalTime:        b.Timings.EvalTotalTime,
		ResultSortTime:       b.Timings.ResultSortTime,
		QueryPreparationTime: b.Timings.QueryPreparationTime,
		InnerEvalTime:        b.Timings.InnerEvalTime,
		ExecTotalTime:        b.Timings.ExecTotalTime,
	}}
	if b.Samples == nil {
		return out
	}
	out.Samples = QuerySamples{
		TotalQueryableSamples: b.Samples.TotalQueryableSamples,
		SamplesRead:           b.Samples.SamplesRead,
		SeriesTouched:         b.Samples.SeriesTouched,
		PeakSamples:           b.Samples.PeakSamples,
	}
	for _, p := range b.Samples.TotalQueryableSamplesPerStep {
		out.Samples.TotalQueryableSamplesPerStep = append(out.Samples.TotalQueryableSamplesPerStep, StepCount{p.T, p.V})
	}
	for _, p := range b.Samples.SamplesReadPerStep {
		out.Samples.SamplesReadPerStep = append(out.Samples.SamplesReadPerStep, StepCount{p.T, p.V})
	}
	return out
}

// queryError keeps the engine's own words, which people know, and says which of this package's errors it is.
type queryError struct {
	kind error
	text string
}

func (e *queryError) Error() string { return e.text }
func (e *queryError) Unwrap() error { return e.kind }

// queryFailed sorts an error of the engine, or of waiting for it in phase, into this package's; kind is for what fits nowhere else.
func queryFailed(expr string, err, kind error, phase string) error {
	if _, ok := errors.AsType[parser.ParseErrors](err); ok {
		return asParseError(expr, err)
	}
	if _, ok := errors.AsType[*parser.ParseErr](err); ok {
		return asParseError(expr, err)
	}
	switch {
	case errors.Is(err, ErrBusy):
		return err
	case is[promql.ErrQueryTimeout](err):
		kind = ErrTimeout
	case is[promql.ErrQueryCanceled](err):
		kind = ErrCanceled
	case errors.Is(err, context.DeadlineExceeded):
		return &queryError{ErrTimeout, promql.ErrQueryTimeout(phase).Error()}
	case errors.Is(err, context.Canceled):
		return &queryError{ErrCanceled, promql.ErrQueryCanceled(phase).Error()}
	case is[promql.ErrTooManySamples](err), is[promql.ErrTooManySeries](err), is[promql.ErrTooManySamplesRead](err):
		kind = ErrLimit
	case is[promql.ErrStorage](err):
		kind = ErrStorage
	}
	return &queryError{kind, err.Error()}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func outcome(err error) string {
	_, parse := errors.AsType[*ParseError](err)
	switch {
	case err == nil:
		return "ok"
	case parse, errors.Is(err, ErrBadQuery):
		return "bad"
	case errors.Is(err, ErrTimeout):
		return "timeout"
	case errors.Is(err, ErrCanceled):
		return "canceled"
	case errors.Is(err, ErrLimit):
		return "limit"
	case errors.Is(err, ErrExecution):
		return "execution"
	case errors.Is(err, ErrBusy):
		return "busy"
	}
	return "failed"
}
