package host

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// retryTicks is after how many ticks an unavailable collector is asked again (10 min at 15 s): modules get loaded.
const retryTicks = 40

var (
	upMetric       = metric.New("up", "1 while this node samples its host.", metric.Gauge)
	successMetric  = metric.New("node_scrape_collector_success", "node_exporter: Whether a collector succeeded.", metric.Gauge, "collector")
	durationMetric = metric.New("node_scrape_collector_duration_seconds", "node_exporter: Duration of a collector scrape.",
		metric.Gauge, "collector")
)

// Host samples this machine. Make it with New; its methods are safe for concurrent use, Run may be called once.
type Host struct {
	opts    Options
	base    labels.Labels // of every series
	slots   []*slot
	own     *Batch // up, success and duration
	metrics *metrics
	hung    sync.WaitGroup

	samples []series.Sample // reused between ticks
	failing bool            // the sink refused the last batch

	mu   sync.Mutex
	last []metric.Point // the last tick, for those who scrape this node
	at   time.Time
}

// slot is the place of one collector.
type slot struct {
	c     Collector
	log   *slog.Logger
	batch *Batch           // owned by the running collector
	busy  atomic.Bool      // a run has not returned
	done  chan outcome     // the outcome of the run that was started last
	start time.Time        // of that run
	prev  []*metric.Series // series of the last tick, for staleness
	off   int              // ticks until an unavailable collector is asked again
	state string           // what was logged last, so that it is logged once
}

type outcome struct {
	metric.Result
	took time.Duration
	err  error
}

// New makes the collectors of this system. The error names the field of Options that is wrong.
func New(opts Options) (*Host, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	cs, err := chosen(o)
	if err != nil {
		return nil, err
	}
	base := labels.NewBuilder(labels.EmptyLabels())
	for name, v := range o.Labels {
		base.Set(name, v)
	}
	base.Set("job", o.Job).Set("instance", o.Instance)
	h := &Host{opts: o, base: base.Labels(), metrics: newMetrics(o.Registerer)}
	h.own = metric.NewBatch(h.base, math.MaxInt)
	for _, c := range cs {
		h.add(c)
	}
	return h, nil
}

func (h *Host) add(c Collector) {
	h.slots = append(h.slots, &slot{
		c: c, log: h.opts.Logger.With("collector", c.Name()), batch: metric.NewBatch(h.base, h.opts.MaxSeries), done: make(chan outcome, 1),
	})
}

// chosen returns the collectors that the options ask for.
func chosen(o Options) ([]Collector, error) {
	all := append(catalog(o.portable()), o.Collectors...)
	var names []string
	for _, c := range all {
		if slices.Contains(names, c.Name()) {
			return nil, fmt.Errorf("host: Collectors: there are two named %q", c.Name())
		}
		names = append(names, c.Name())
	}
	for _, list := range []struct {
		field string
		names []string
	}{{"Enable", o.Enable}, {"Disable", o.Disable}} {
		for _, n := range list.names {
			if !slices.Contains(names, n) && !slices.Contains(Names(), n) {
				return nil, fmt.Errorf("host: %s: there is no collector %q; there are %v", list.field, n, names)
			}
		}
	}
	return slices.DeleteFunc(all, func(c Collector) bool {
		return len(o.Enable) > 0 && !slices.Contains(o.Enable, c.Name()) || slices.Contains(o.Disable, c.Name())
	}), nil
}

// Run samples the host until ctx ends and returns nil then. The first tick is at once, so that a node that has just
// started knows its host; the others lie on multiples of the interval, shifted by an offset made of the instance, so
// that many hosts don't work in step. At the end it waits up to the timeout for running collectors; one
// that hangs in the kernel can't be ended and is left behind.
func (h *Host) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	if now := h.opts.Now(); h.next(now).Sub(now) > minInterval && ctx.Err() == nil {
		h.Tick(ctx, now)
	}
	for {
		now := h.opts.Now()
		due := h.next(now)
		timer.Reset(due.Sub(now))
		select {
		case <-ctx.Done():
			h.waitForRuns()
			return nil
		case <-timer.C:
		}
		h.Tick(ctx, h.stamp(due))
	}
}

// next is the first due time after now.
func (h *Host) next(now time.Time) time.Time {
	f := fnv.New64a()
	f.Write([]byte(h.opts.Instance)) // never fails
	step := h.opts.Interval.Nanoseconds()
	offset := int64(f.Sum64() % uint64(step))
	n := now.UnixNano() - offset
	n -= ((n % step) + step) % step
	return time.Unix(0, n+offset+step)
}

// stamp is the time of the samples of a tick that was due: the due time itself if the tick is in time, because equal
// distances between samples cost almost no space.
func (h *Host) stamp(due time.Time) time.Time {
	now := h.opts.Now()
	if late := now.Sub(due); late >= 0 && late < h.opts.Interval/100 {
		return due
	}
	return now
}

func (h *Host) waitForRuns() {
	ended := make(chan struct{})
	go func() {
		h.hung.Wait()
		close(ended)
	}()
	timer := time.NewTimer(h.opts.Timeout)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		h.opts.Logger.Warn("collectors still hang and are left behind")
	}
}

// Tick runs every collector once and hands the samples, stamped with at, to the sink. Run calls it; it must not run
// twice at a time.
func (h *Host) Tick(ctx context.Context, at time.Time) {
	start := h.opts.Now()
	deadline, cancel := context.WithTimeout(ctx, h.opts.Timeout)
	defer cancel()
	asked, started := make([]bool, len(h.slots)), make([]bool, len(h.slots))
	for i, s := range h.slots {
		if s.off > 0 {
			s.off--
			continue
		}
		asked[i], started[i] = true, h.start(deadline, s)
	}
	ms := at.UnixMilli()
	h.own.Begin()
	h.own.Add(upMetric, 1)
	h.samples = h.samples[:0]
	points := make([]metric.Point, 0, cap(h.last)+16)
	for i, s := range h.slots {
		if !asked[i] {
			continue
		}
		out := h.await(deadline, s, started[i])
		if ctx.Err() != nil {
			return // the tick was cut short by the end of the node, which says nothing about the host
		}
		points = append(points, out.Points...)
		h.settle(s, out, ms)
	}
	points = append(points, h.own.End().Points...)
	for _, p := range points {
		h.samples = append(h.samples, series.Sample{Labels: p.Labels, T: ms, V: p.V})
	}
	h.mu.Lock()
	h.last, h.at = points, at
	h.mu.Unlock()
	h.store(ctx)
	h.metrics.ticks.Inc()
	h.metrics.seconds.Set(h.opts.Now().Sub(start).Seconds())
}

// start runs a collector unless its last run has not returned.
func (h *Host) start(ctx context.Context, s *slot) bool {
	if !s.busy.CompareAndSwap(false, true) {
		return false
	}
	select {
	case <-s.done: // a late outcome that nobody waits for any more
	default:
	}
	s.start = h.opts.Now()
	h.hung.Go(func() {
		s.batch.Begin()
		err := collect(ctx, s)
		s.done <- outcome{Result: s.batch.End(), took: h.opts.Now().Sub(s.start), err: err}
		s.busy.Store(false)
	})
	return true
}

// collect keeps a panic in one collector, made by a file nobody has foreseen, from ending the node.
func collect(ctx context.Context, s *slot) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return s.c.Collect(ctx, s.batch)
}

// errHung is the outcome of a collector that has not returned in time.
var errHung = errors.New("collector hangs")

func (h *Host) await(ctx context.Context, s *slot, started bool) outcome {
	if started {
		select {
		case out := <-s.done:
			return out
		default:
		}
		select {
		case out := <-s.done:
			return out
		case <-ctx.Done():
		}
	}
	h.metrics.hung.Inc()
	return outcome{err: errHung, took: h.opts.Now().Sub(s.start)}
}

// settle judges the outcome of one collector: success, duration, staleness markers, the log.
func (h *Host) settle(s *slot, out outcome, ms int64) {
	ok := 0.0
	switch {
	case errors.Is(out.err, ErrUnavailable):
		s.off = retryTicks
		if s.changed("off", out.err) {
			s.log.Info("collector is off", "err", out.err)
		}
	case out.err != nil:
		if s.changed("failed", out.err) {
			s.log.Warn("collector failed", "err", out.err)
		}
	default:
		ok = 1
		if s.changed("", nil) {
			s.log.Info("collector works again")
		}
	}
	if out.Dropped > 0 {
		h.metrics.dropped.Add(float64(out.Dropped))
	}
	if s.off == 0 {
		h.own.Add(successMetric, ok, s.c.Name())
		h.own.Add(durationMetric, out.took.Seconds(), s.c.Name())
	}
	// A hung collector's entries are its own until it returns: they may not be looked into, and all of them are stale.
	hung := errors.Is(out.err, errHung)
	for _, e := range s.prev {
		if hung || e.Seen != out.Run {
			h.samples = append(h.samples, series.Sample{Labels: e.Labels, T: ms, V: math.Float64frombits(value.StaleNaN)})
		}
	}
	s.prev = s.prev[:0]
	for _, p := range out.Points {
		s.prev = append(s.prev, p.Series)
	}
}

// changed notes a collector's state and reports whether it is another than before, so that it is logged once.
func (s *slot) changed(state string, err error) bool {
	if err != nil {
		state += ": " + err.Error()
	}
	before := s.state
	s.state = state
	return state != before
}

// store hands the samples of a tick over. A refusal is logged when it begins and when it ends.
func (h *Host) store(ctx context.Context) {
	sum, err := h.opts.Sink.Append(ctx, h.samples)
	switch {
	case err != nil:
		h.metrics.lost.Add(float64(len(h.samples)))
		if !h.failing {
			h.opts.Logger.Warn("samples of the host are not stored", "err", err)
		}
	default:
		h.metrics.stored.Add(float64(sum.Stored))
		h.metrics.lost.Add(float64(sum.Refused()))
		if h.failing {
			h.opts.Logger.Info("samples of the host are stored again")
		}
	}
	h.failing = err != nil
	clear(h.samples)
}
