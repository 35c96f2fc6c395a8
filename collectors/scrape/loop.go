package scrape

import (
	"bytes"
	"context"
	"hash/fnv"
	"log/slog"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// reports are the series made for every scrape.
var reports = []string{
	"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added",
}

// loop scrapes one target.
type loop struct {
	m       *Manager
	target  *target
	client  *http.Client
	memory  *memory
	log     *slog.Logger
	reports []labels.Labels
	size    int // of the last body
	refused bool

	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex // guards what Targets shows
	health string
	err    error
	last   time.Time
	took   time.Duration
}

func newLoop(m *Manager, t *target, client *http.Client) *loop {
	l := &loop{
		m: m, target: t, client: client, memory: newMemory(), done: make(chan struct{}), health: "unknown",
		log: m.opts.Logger.With("job", t.config.JobName, "target", t.url),
	}
	for _, name := range reports {
		b := labels.NewBuilder(t.labels)
		l.reports = append(l.reports, b.Set(model.MetricNameLabel, name).Labels())
	}
	return l
}

// start runs the loop until stop or the end of ctx.
func (l *loop) start(ctx context.Context) {
	ctx, l.cancel = context.WithCancel(ctx)
	go func() {
		defer close(l.done)
		l.run(ctx)
	}()
}

// stop ends the loop and returns when it has ended.
func (l *loop) stop() {
	l.cancel()
	<-l.done
}

func (l *loop) run(ctx context.Context) {
	due := l.next(l.m.opts.Now())
	timer := time.NewTimer(due.Sub(l.m.opts.Now()))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		at := l.m.opts.Now()
		if late := at.Sub(due); late >= 0 && late <= l.target.interval/100 {
			at = due // equal distances between samples cost almost no space
		}
		l.scrape(ctx, at)
		now := l.m.opts.Now()
		due = l.next(now)
		timer.Reset(due.Sub(now))
	}
}

// next is the first due time after now. Targets are spread over the interval by what they are, so that they are always
// scraped at the same phase, whenever the node was started.
func (l *loop) next(now time.Time) time.Time {
	h := fnv.New64a()
	h.Write([]byte(l.m.opts.Seed + "\xff" + l.target.labels.String() + "\xff" + l.target.url)) // never fails
	step := l.target.interval.Nanoseconds()
	offset := int64(h.Sum64() % uint64(step))
	n := now.UnixNano() - offset
	n -= ((n % step) + step) % step
	return time.Unix(0, n+offset+step)
}

// scrape does it once. Samples, markers and reports go to the store in one batch.
func (l *loop) scrape(ctx context.Context, at time.Time) {
	start, ms := l.m.opts.Now(), at.UnixMilli()
	buf := l.m.buffer(l.size)
	contentType, err := l.target.fetch(ctx, l.client, l.m.opts.UserAgent, buf)
	if ctx.Err() != nil {
		return // the loop was stopped, which says nothing about the target
	}
	var y yield
	if err == nil {
		l.size = buf.Len()
		y, err = l.target.parse(l.memory, l.m.book, buf.Bytes(), contentType, ms)
	}
	l.m.release(buf)
	if err != nil {
		y.samples, y.added = l.memory.fail(ms), 0
	}
	took := l.m.opts.Now().Sub(start)
	l.report(&y, ms, err == nil, took)
	l.m.metrics.scraped(&y, err)
	l.note(err, at, took)
	l.store(ctx, y.samples)
}

func (l *loop) report(y *yield, ms int64, up bool, took time.Duration) {
	health := 0.0
	if up {
		health = 1
	}
	for i, v := range []float64{health, took.Seconds(), float64(y.scraped), float64(y.kept), float64(y.added)} {
		y.samples = append(y.samples, series.Sample{Labels: l.reports[i], T: ms, V: v})
	}
}

// note keeps what Targets shows and logs when a target goes down or comes back.
func (l *loop) note(err error, at time.Time, took time.Duration) {
	l.mu.Lock()
	before := l.health
	l.health, l.err, l.last, l.took = "up", err, at, took
	if err != nil {
		l.health = "down"
	}
	now := l.health
	l.mu.Unlock()
	switch {
	case now == before:
	case err != nil:
		l.log.Warn("target is down", "err", err)
	case before == "down":
		l.log.Info("target is up again")
	}
}

func (l *loop) store(ctx context.Context, batch []series.Sample) {
	sum, err := l.m.opts.Sink.Append(ctx, batch)
	if err != nil {
		l.m.metrics.samples.WithLabelValues("refused").Add(float64(len(batch)))
	} else {
		l.m.metrics.samples.WithLabelValues("stored").Add(float64(sum.Stored))
		l.m.metrics.samples.WithLabelValues("refused").Add(float64(sum.Refused()))
	}
	switch {
	case err != nil && !l.refused:
		l.log.Warn("scraped samples are not stored", "err", err)
	case err == nil && l.refused:
		l.log.Info("scraped samples are stored again")
	}
	l.refused = err != nil
}

// farewell are the markers of a target that is scraped no more.
func (l *loop) farewell(ms int64) []series.Sample {
	out := l.memory.fail(ms)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last.IsZero() {
		return out
	}
	for _, ls := range l.reports {
		out = append(out, series.Sample{Labels: ls, T: ms, V: math.Float64frombits(value.StaleNaN)})
	}
	return out
}

// buffer returns a buffer for a body of about that size.
func (m *Manager) buffer(size int) *bytes.Buffer {
	buf, ok := m.buffers.Get().(*bytes.Buffer)
	if !ok {
		buf = &bytes.Buffer{}
	}
	buf.Grow(size + bytes.MinRead)
	return buf
}

// maxIdleBuffer is the largest buffer that is kept for the next scrape.
const maxIdleBuffer = 1 << 20

func (m *Manager) release(buf *bytes.Buffer) {
	if buf.Cap() <= maxIdleBuffer {
		buf.Reset()
		m.buffers.Put(buf)
	}
}
