package evaluate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/fenghuo-mesh/fenghuo/aggregate/rule"
	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate/rulefile"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// ErrDuplicateSeries: two results of a recording rule have the same labels.
var ErrDuplicateSeries = errors.New("vector contains metrics with the same labelset after applying rule labels")

// evaluator is one rule at work: *alerting or *recording.
type evaluator interface {
	// eval evaluates the rule and returns the samples to store.
	eval(ctx context.Context, at moment) ([]series.Sample, error)
	// specOf is the rule as written.
	specOf() *rulefile.Rule
}

// moment is one evaluation of a group.
type moment struct {
	now    time.Time     // the slot
	offset time.Duration // how far in the past the samples are looked at
	limit  int
}

// at is the time at which samples are read and written.
func (m moment) at() time.Time { return m.now.Add(-m.offset) }

// recording is a recording rule. A result's labels are worked out once, and kept
// as long as the result comes back.
type recording struct {
	spec  *rulefile.Rule
	env   *env
	known map[uint64]*recorded
	round uint32
	out   []series.Sample
}

// recorded is one series that the rule writes.
type recorded struct {
	from, to labels.Labels
	hash     uint64 // of to
	round    uint32
}

func newRecording(spec *rulefile.Rule, e *env) *recording {
	return &recording{spec: spec, env: e, known: map[uint64]*recorded{}}
}

func (r *recording) specOf() *rulefile.Rule { return r.spec }

func (r *recording) eval(ctx context.Context, at moment) ([]series.Sample, error) {
	r.out = r.out[:0]
	if !rule.InAny(r.spec.Schedule, at.now) {
		return nil, nil
	}
	found, err := r.env.query(ctx, r.spec, at)
	if err != nil {
		return nil, err
	}
	r.round++
	written := make(map[uint64]struct{}, len(found))
	for i := range found {
		k := r.recorded(found[i].Labels)
		if _, twice := written[k.hash]; twice {
			return nil, fmt.Errorf("%w: %v", ErrDuplicateSeries, k.to)
		}
		written[k.hash] = struct{}{}
		r.out = append(r.out, series.Sample{Labels: k.to, T: at.at().UnixMilli(), V: found[i].V})
	}
	for h, k := range r.known {
		if k.round != r.round {
			delete(r.known, h)
		}
	}
	if at.limit > 0 && len(r.out) > at.limit {
		return nil, fmt.Errorf("%w of %d with %d series", rule.ErrLimit, at.limit, len(r.out))
	}
	return r.out, nil
}

func (r *recording) recorded(from labels.Labels) *recorded {
	h := from.Hash()
	k := r.known[h]
	if k == nil || !labels.Equal(k.from, from) {
		b := labels.NewBuilder(from)
		b.Set(model.MetricNameLabel, r.spec.Name)
		r.spec.Labels.Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
		to := b.Labels()
		k = &recorded{from: from, to: to, hash: to.Hash()}
		r.known[h] = k
	}
	k.round = r.round
	return k
}

// written remembers the series that a rule wrote in its last evaluation, so that
// those that vanish get a staleness marker.
type written struct {
	last  map[uint64]*mark
	round uint32
}

type mark struct {
	labels labels.Labels
	round  uint32
}

// settle takes the samples of an evaluation and returns a marker for every
// series of the one before that isn't among them.
func (w *written) settle(samples []series.Sample, at int64) (markers []series.Sample) {
	if len(samples) == 0 && len(w.last) == 0 {
		return nil
	}
	if w.last == nil {
		w.last = make(map[uint64]*mark, len(samples))
	}
	w.round++
	for i := range samples {
		h := samples[i].Labels.Hash()
		if m := w.last[h]; m != nil {
			m.labels, m.round = samples[i].Labels, w.round
		} else {
			w.last[h] = &mark{samples[i].Labels, w.round}
		}
	}
	for h, m := range w.last {
		if m.round != w.round {
			markers = append(markers, stale(m.labels, at))
			delete(w.last, h)
		}
	}
	return markers
}

// all lists the series in no order.
func (w *written) all() []labels.Labels {
	out := make([]labels.Labels, 0, len(w.last))
	for _, m := range w.last {
		out = append(out, m.labels)
	}
	return out
}

func stale(ls labels.Labels, at int64) series.Sample {
	return series.Sample{Labels: ls, T: at, V: math.Float64frombits(value.StaleNaN)}
}
