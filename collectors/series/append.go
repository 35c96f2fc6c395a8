package series

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// Bounds of the labels of a series. They are looked at once, when the series is new.
const (
	MaxLabels          = 64
	MaxLabelNameBytes  = 256
	MaxLabelValueBytes = 4096
)

// Append stores a batch in one commit. A sample that can't be stored is counted and doesn't stop the others.
// Samples of one series should be in order of time; two samples of one series with the same time in one batch count
// as Stored although the first wins.
//
// After it returns the samples survive the death of the process. A loss of power may take the last seconds: the log
// is written but not synced on every commit.
//
// The error is ErrFull while the disk is full, ErrClosed, ctx's error, or that of a failed write; then nothing of the
// batch is stored.
func (d *DB) Append(ctx context.Context, batch []Sample) (Appended, error) {
	return (&Guest{d, d.opts.MaxSeries}).Append(ctx, batch)
}

// Guest appends for senders that must not use up all room for series.
type Guest struct {
	db  *DB
	max int
}

// GuestOf returns an appender that opens new series only while there are fewer
// than share (0..1) of Options.MaxSeries, so that this host's own series always
// find room beside what others push.
func GuestOf(d *DB, share float64) *Guest {
	return &Guest{d, int(share * float64(d.opts.MaxSeries))}
}

// Append is DB.Append with the guest's bound.
func (g *Guest) Append(ctx context.Context, batch []Sample) (Appended, error) {
	d := g.db
	var sum Appended
	if len(batch) == 0 {
		return sum, nil
	}
	base, leave, err := d.enter()
	if err != nil {
		return sum, err
	}
	defer leave()
	d.appending.Lock()
	defer d.appending.Unlock()
	if err := ctx.Err(); err != nil {
		return sum, fmt.Errorf("append: %w", err)
	}
	if err := d.guard.admit(); err != nil {
		return sum, err
	}
	app := base.Appender(ctx)
	b := d.newBatch(base, app)
	b.max = uint64(g.max)
	for i := range batch {
		if err := b.add(&batch[i], &sum); err != nil {
			if rerr := app.Rollback(); rerr != nil {
				d.guard.writeFailed(rerr)
			}
			return Appended{}, fmt.Errorf("append sample %d: %w", i, err)
		}
	}
	if err := app.Commit(); err != nil {
		return Appended{}, d.guard.writeFailed(err)
	}
	d.metrics.count(sum)
	return sum, nil
}

// batch is the state of one Append.
type batch struct {
	app    storage.Appender
	refs   storage.GetRef
	known  uint64 // series in the head, and those this batch opens
	max    uint64
	oldest int64 // Unix milliseconds
	newest int64
}

func (d *DB) newBatch(base *tsdb.DB, app storage.Appender) *batch {
	now := d.opts.Now()
	b := &batch{
		app:    app,
		known:  base.Head().NumSeries(),
		oldest: now.Add(-d.opts.Retention).UnixMilli(),
		newest: now.Add(d.opts.MaxAhead).UnixMilli(),
	}
	if d.opts.Volatile {
		b.oldest = minTime
	}
	b.refs, _ = app.(storage.GetRef)
	return b
}

// add hands one sample to the appender. It returns only errors that end the batch.
func (b *batch) add(s *Sample, sum *Appended) error {
	switch {
	case s.T > b.newest:
		sum.TooNew++
		return nil
	case s.T < b.oldest:
		sum.TooOld++
		return nil
	}
	// The head's own map is the reference cache: a second one would cost memory for every series again.
	ls, ref := s.Labels, storage.SeriesRef(0)
	if b.refs != nil {
		ref, ls = b.refs.GetRef(s.Labels, s.Labels.Hash())
	}
	if ref == 0 {
		ls = s.Labels.WithoutEmpty()
		if !validLabels(ls) {
			sum.Invalid++
			return nil
		}
		if b.refs != nil {
			ref, _ = b.refs.GetRef(ls, ls.Hash())
		}
		if ref == 0 {
			if b.known >= b.max {
				sum.OverLimit++
				return nil
			}
			b.known++
			// The store keeps the labels; the caller's may lie in a buffer that it uses again.
			ls = ls.Copy()
		}
	}
	_, err := b.app.Append(ref, ls, s.T, s.V)
	switch {
	case err == nil:
		sum.Stored++
	case errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
		sum.Duplicate++
	case errors.Is(err, storage.ErrOutOfOrderSample):
		sum.OutOfOrder++
	case errors.Is(err, storage.ErrTooOldSample), errors.Is(err, storage.ErrOutOfBounds):
		sum.TooOld++
	case errors.Is(err, tsdb.ErrInvalidSample):
		sum.Invalid++
	default:
		return err
	}
	return nil
}

// validLabels says whether a new series may have these labels: a metric name, UTF-8 throughout, bounded, no name twice.
func validLabels(ls labels.Labels) bool {
	if ls.Len() > MaxLabels || ls.Get(model.MetricNameLabel) == "" {
		return false
	}
	last, ok := "", true
	ls.Range(func(l labels.Label) {
		ok = ok && l.Name != "" && l.Name > last &&
			len(l.Name) <= MaxLabelNameBytes && len(l.Value) <= MaxLabelValueBytes &&
			utf8.ValidString(l.Name) && utf8.ValidString(l.Value)
		last = l.Name
	})
	return ok
}
