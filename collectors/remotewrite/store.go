package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

const nameLabel = model.MetricNameLabel

// tally counts what became of a request.
type tally struct {
	stored                series.Appended
	histograms, exemplars int
	invalid               int      // samples of series that can't be stored as they are
	reasons               []string // why, the first few
	badSeries             int
}

// maxReasons bounds what an answer explains.
const maxReasons = 5

func (t *tally) complain(reason string) {
	if len(t.reasons) < maxReasons {
		t.reasons = append(t.reasons, reason)
	}
}

// flushAt is how many samples go to the store at once.
const flushAt = 5000

// check reads all of a message, so that one that is malformed changes nothing.
func (h *Handler) check(m message) error {
	n := 0
	err := m.each(func(*timeseries) error {
		if n++; n > h.limits.maxSeries {
			return fmt.Errorf("%w: more than %d series", errTooLarge, h.limits.maxSeries)
		}
		return nil
	})
	switch {
	case errors.Is(err, errTooLarge):
		return &refusal{code: http.StatusRequestEntityTooLarge, err: err}
	case err != nil:
		return &refusal{code: http.StatusBadRequest, err: err}
	}
	return nil
}

// store hands the samples over. If the store fails half-way the sender is told to send all of it again, which is
// harmless: samples already stored are equal to the repeated ones.
func (h *Handler) store(ctx context.Context, m message) (tally, error) {
	var sum tally
	var batch []series.Sample
	build := labels.NewScratchBuilder(16)
	flush := func() error {
		got, err := h.opts.Sink.Append(ctx, batch)
		if err != nil {
			return err
		}
		sum.stored = sum.stored.Add(got)
		batch = batch[:0]
		return nil
	}
	err := m.each(func(t *timeseries) error {
		sum.histograms += t.histograms
		sum.exemplars += t.exemplars
		if len(t.samples) == 0 && t.histograms > 0 {
			return nil
		}
		ls, why := seriesLabels(t, &build)
		if why != "" {
			sum.invalid += len(t.samples)
			sum.badSeries++
			sum.complain(why)
			return nil
		}
		for _, s := range t.samples {
			batch = append(batch, series.Sample{Labels: ls, T: s.t, V: s.v})
			if len(batch) >= flushAt {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil && len(batch) > 0 {
		err = flush()
	}
	if err != nil {
		return sum, storeError(err)
	}
	return sum, sum.partial()
}

func storeError(err error) error {
	switch {
	case errors.Is(err, series.ErrFull):
		return later(http.StatusServiceUnavailable, 30*time.Second, err)
	case errors.Is(err, series.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return later(http.StatusServiceUnavailable, 5*time.Second, err)
	}
	return fmt.Errorf("store samples: %w", err)
}

// partial is the answer to a request of which something was not stored.
func (t *tally) partial() error {
	for _, c := range []struct {
		n    int
		what string
	}{
		{t.stored.OutOfOrder, "out of order"},
		{t.stored.Duplicate, "with another value for a time that has one"},
		{t.stored.TooOld, "too old"},
		{t.stored.TooNew, "too far in the future"},
		{t.stored.OverLimit, "of new series beyond the limit of series"},
		{t.stored.Invalid, "with labels that can't be stored"},
	} {
		if c.n > 0 {
			t.reasons = append(t.reasons, fmt.Sprintf("%d samples %s", c.n, c.what))
		}
	}
	if len(t.reasons) == 0 {
		return nil
	}
	return refuse(http.StatusBadRequest, "stored %d samples, refused %d samples and %d series: %s", t.stored.Stored,
		t.invalid+t.stored.Refused(), t.badSeries, strings.Join(t.reasons, "; "))
}

// seriesLabels checks and sorts the labels of a series. A label without value is the same as none.
func seriesLabels(t *timeseries, build *labels.ScratchBuilder) (labels.Labels, string) {
	none := labels.EmptyLabels()
	switch {
	case t.bad != "":
		return none, t.bad
	case t.excess:
		return none, fmt.Sprintf("series has more than %d labels", series.MaxLabels)
	}
	build.Reset()
	metric := ""
	for i, name := range t.names {
		value := t.values[i]
		switch {
		case name == "":
			return none, fmt.Sprintf("series %q has a label without name", metric)
		case !utf8.ValidString(name) || !utf8.ValidString(value):
			return none, fmt.Sprintf("label %q is not UTF-8", name)
		case slices.Contains(t.names[:i], name):
			return none, fmt.Sprintf("label %q stands twice", name)
		case name == nameLabel:
			metric = value
		}
		if value != "" {
			build.Add(name, value)
		}
	}
	if metric == "" {
		return none, "series has no metric name"
	}
	build.Sort()
	return build.Labels(), ""
}
