package host

import (
	"bytes"
	"context"
	"errors"
	"math"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
	"github.com/fenghuo-mesh/fenghuo/collectors/metadata"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// memory is a sink that keeps everything.
type memory struct {
	mu      sync.Mutex
	batches [][]series.Sample
	err     error
}

func (m *memory) Append(_ context.Context, batch []series.Sample) (series.Appended, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return series.Appended{}, m.err
	}
	m.batches = append(m.batches, append([]series.Sample(nil), batch...))
	return series.Appended{Stored: len(batch)}, nil
}

// last returns the last batch by series.
func (m *memory) last() map[string]float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]float64{}
	if len(m.batches) > 0 {
		for _, s := range m.batches[len(m.batches)-1] {
			out[s.Labels.String()] = s.V
		}
	}
	return out
}

var testGauge = metric.New("node_test", "A test.", metric.Gauge, "part")

// fake is a collector that does as it is told.
func fake(name string, f func(ctx context.Context, b *Batch) error) Collector {
	return metric.Func(name, f)
}

// only are options that run nothing but these collectors.
func only(sink Sink, cs ...Collector) Options {
	o := Options{Instance: "h1", Sink: sink, Collectors: cs}
	for _, c := range cs {
		o.Enable = append(o.Enable, c.Name())
	}
	return o
}

const (
	upSeries = `{__name__="up", instance="h1", job="node"}`
)

func success(name string) string {
	return `{__name__="node_scrape_collector_success", collector="` + name + `", instance="h1", job="node"}`
}

func TestRunTicksOnTheGridOfTheInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &memory{}
		h, err := New(only(sink, fake("a", func(_ context.Context, b *Batch) error { b.Add(testGauge, 1, "x"); return nil })))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done, start := make(chan error), time.Now()
		go func() { done <- h.Run(ctx) }()
		time.Sleep(61 * time.Second)
		cancel()
		require.NoError(t, <-done)
		require.Len(t, sink.batches, 5)
		require.Equal(t, start.UnixMilli(), sink.batches[0][0].T, "the first tick is at once")
		first := sink.batches[1][0].T
		for i, b := range sink.batches[1:] {
			for _, s := range b {
				require.Equal(t, first+int64(i)*15000, s.T)
			}
		}
		// The offset is a property of the instance, not of the start.
		require.Equal(t, h.next(time.Unix(0, 0)).UnixMilli()%15000, first%15000)
		require.Equal(t, 1.0, sink.last()[upSeries])
		require.Equal(t, 1.0, sink.last()[`{__name__="node_test", instance="h1", job="node", part="x"}`])
	})
}

func TestHungCollectorStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		sink, release := &memory{}, make(chan struct{})
		reg := prometheus.NewRegistry()
		o := only(sink,
			fake("stuck", func(_ context.Context, b *Batch) error {
				run := runs.Add(1)
				b.Add(testGauge, float64(run), "stuck")
				if run == 2 {
					<-release // not even the end of ctx frees it, like a call to a dead server
				}
				return nil
			}),
			fake("sound", func(_ context.Context, b *Batch) error { b.Add(testGauge, 7, "sound"); return nil }))
		o.Registerer = reg
		h, err := New(o)
		require.NoError(t, err)
		stuck := `{__name__="node_test", instance="h1", job="node", part="stuck"}`
		sound := `{__name__="node_test", instance="h1", job="node", part="sound"}`

		h.Tick(t.Context(), time.Now())
		require.Equal(t, 1.0, sink.last()[stuck])
		start := time.Now()
		h.Tick(t.Context(), time.Now())
		require.Equal(t, 5*time.Second, time.Since(start), "a tick waits for the deadline, not longer")
		got := sink.last()
		require.True(t, value.IsStaleNaN(got[stuck]), "the series of a hung collector end")
		require.Equal(t, 0.0, got[success("stuck")])
		require.Equal(t, 1.0, got[success("sound")])
		require.Equal(t, 7.0, got[sound])

		h.Tick(t.Context(), time.Now())
		require.Equal(t, int64(2), runs.Load(), "single flight: it is not started again")
		require.NotContains(t, sink.last(), stuck, "one marker is enough")
		require.Equal(t, 0.0, sink.last()[success("stuck")])
		require.Equal(t, 7.0, sink.last()[sound])
		require.Equal(t, 2.0, testutil.ToFloat64(h.metrics.hung))

		close(release)
		synctest.Wait()
		h.Tick(t.Context(), time.Now())
		require.Equal(t, int64(3), runs.Load())
		require.Equal(t, 3.0, sink.last()[stuck], "the late value of run 2 is not taken for the present one")
		require.Equal(t, 1.0, sink.last()[success("stuck")])
	})
}

func TestRunLeavesAHungCollectorBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h, err := New(only(&memory{}, fake("stuck", func(context.Context, *Batch) error { <-release; return nil })))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.Run(ctx) }()
		time.Sleep(20 * time.Second)
		cancel()
		start := time.Now()
		require.NoError(t, <-done)
		require.LessOrEqual(t, time.Since(start), 5*time.Second)
		close(release)
	})
}

func TestVanishedSeriesGetOneMarker(t *testing.T) {
	sink, present := &memory{}, true
	h, err := New(only(sink, fake("a", func(_ context.Context, b *Batch) error {
		b.Add(testGauge, 1, "stays")
		if present {
			b.Add(testGauge, 2, "goes")
		}
		return nil
	})))
	require.NoError(t, err)
	goes := `{__name__="node_test", instance="h1", job="node", part="goes"}`
	h.Tick(t.Context(), time.UnixMilli(1000))
	require.Equal(t, 2.0, sink.last()[goes])
	present = false
	h.Tick(t.Context(), time.UnixMilli(2000))
	require.True(t, value.IsStaleNaN(sink.last()[goes]))
	h.Tick(t.Context(), time.UnixMilli(3000))
	require.NotContains(t, sink.last(), goes)
	present = true
	h.Tick(t.Context(), time.UnixMilli(4000))
	require.Equal(t, 2.0, sink.last()[goes])
}

func TestFailurePanicAndAbsence(t *testing.T) {
	sink, calls := &memory{}, 0
	h, err := New(only(sink,
		fake("fails", func(_ context.Context, b *Batch) error {
			b.Add(testGauge, 1, "partial")
			return errors.New("no such thing")
		}),
		fake("panics", func(context.Context, *Batch) error { panic("out of range") }),
		fake("absent", func(context.Context, *Batch) error { calls++; return ErrUnavailable })))
	require.NoError(t, err)
	for range retryTicks + 1 {
		h.Tick(t.Context(), time.Now())
	}
	got := sink.last()
	require.Equal(t, 0.0, got[success("fails")])
	require.Equal(t, 0.0, got[success("panics")])
	require.NotContains(t, got, success("absent"), "a collector that is off has no success to lack")
	require.Equal(t, 1, calls)
	require.Equal(t, 1.0, got[`{__name__="node_test", instance="h1", job="node", part="partial"}`], "what was added before the error counts")
	h.Tick(t.Context(), time.Now())
	require.Equal(t, 2, calls, "it is asked again")
}

func TestLimitOfSeries(t *testing.T) {
	sink := &memory{}
	o := only(sink, fake("many", func(_ context.Context, b *Batch) error {
		for i := range 100 {
			b.Add(testGauge, float64(i), strings.Repeat("x", i+1))
		}
		return nil
	}))
	o.MaxSeries = 10
	h, err := New(o)
	require.NoError(t, err)
	h.Tick(t.Context(), time.Now())
	n, _ := h.Last()
	require.Equal(t, 10+3, n)
	require.Equal(t, 90.0, testutil.ToFloat64(h.metrics.dropped))
}

func TestSinkRefusalIsCounted(t *testing.T) {
	sink := &memory{err: errors.New("full")}
	h, err := New(only(sink, fake("a", func(_ context.Context, b *Batch) error { b.Add(testGauge, 1, "x"); return nil })))
	require.NoError(t, err)
	h.Tick(t.Context(), time.Now())
	require.Equal(t, 4.0, testutil.ToFloat64(h.metrics.lost))
	sink.err = nil
	h.Tick(t.Context(), time.Now())
	require.Equal(t, 4.0, testutil.ToFloat64(h.metrics.stored))
}

func TestOptionsNameTheField(t *testing.T) {
	sink := &memory{}
	for name, tc := range map[string]struct {
		o    Options
		want string
	}{
		"instance":  {Options{Sink: sink}, "Instance"},
		"sink":      {Options{Instance: "h"}, "Sink"},
		"interval":  {Options{Instance: "h", Sink: sink, Interval: time.Millisecond}, "Interval"},
		"timeout":   {Options{Instance: "h", Sink: sink, Timeout: time.Hour}, "Timeout"},
		"mount":     {Options{Instance: "h", Sink: sink, MountTimeout: time.Hour}, "MountTimeout"},
		"label":     {Options{Instance: "h", Sink: sink, Labels: map[string]string{"job": "x"}}, "Labels"},
		"bad label": {Options{Instance: "h", Sink: sink, Labels: map[string]string{"a-b": "x"}}, "Labels"},
		"utf-8":     {Options{Instance: "h", Sink: sink, Labels: map[string]string{"a": "\xff"}}, "Labels"},
		"enable":    {Options{Instance: "h", Sink: sink, Enable: []string{"cpuu"}}, "Enable"},
		"disable":   {Options{Instance: "h", Sink: sink, Disable: []string{"cpuu"}}, "Disable"},
		"twice":     {Options{Instance: "h", Sink: sink, Collectors: []Collector{fake("cpu", nil), fake("cpu", nil)}}, "Collectors"},
		"max":       {Options{Instance: "h", Sink: sink, MaxSeries: -1}, "MaxSeries"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(tc.o)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestExposition(t *testing.T) {
	total := metric.New("node_things_total", "Things, \"all\" \\ of them.\nReally.", metric.Counter, "name")
	odd := metric.New("node_odd", "Odd.", metric.Untyped)
	o := only(&memory{}, fake("a", func(_ context.Context, b *Batch) error {
		b.Add(total, 1e21, `C:\ "quoted"`+"\nline")
		b.Add(total, math.Inf(1), "b")
		b.Add(odd, math.NaN())
		return nil
	}))
	o.Labels = map[string]string{"dc": "a"}
	h, err := New(o)
	require.NoError(t, err)

	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	require.Equal(t, 503, rec.Code, "before the first tick")

	h.Tick(t.Context(), time.Now())
	for _, open := range []bool{false, true} {
		rec := httptest.NewRecorder()
		req := httptest.NewRequest("GET", "/", nil)
		if open {
			req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
		}
		h.ServeHTTP(rec, req)
		got, types := parse(t, rec.Body.Bytes(), rec.Header().Get("Content-Type"))
		require.Equal(t, 1e21, got[labels.FromStrings("__name__", "node_things_total", "name", "C:\\ \"quoted\"\nline", "dc", "a").String()])
		require.True(t, math.IsInf(got[labels.FromStrings("__name__", "node_things_total", "name", "b", "dc", "a").String()], 1))
		require.Contains(t, got, labels.FromStrings("__name__", "node_odd", "dc", "a").String())
		name := "node_things_total"
		if open {
			name = "node_things"
		}
		require.Equal(t, "counter", types[name])
		require.NotContains(t, rec.Body.String(), `instance=`)
	}
	meta := h.Metadata()
	require.Contains(t, meta, metadata.Metric{Name: "node_odd", Type: "unknown", Help: "Odd."})
}

// parse reads an exposition with Prometheus's own parser.
func parse(t *testing.T, text []byte, contentType string) (values map[string]float64, types map[string]string) {
	t.Helper()
	values, types = map[string]float64{}, map[string]string{}
	p, err := textparse.New(text, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	require.NoError(t, err)
	for {
		entry, err := p.Next()
		if entry == textparse.EntryInvalid {
			require.ErrorContains(t, err, "EOF")
			return values, types
		}
		require.NoError(t, err)
		switch entry {
		case textparse.EntrySeries:
			var ls labels.Labels
			p.Labels(&ls)
			_, _, v := p.Series()
			require.NotContains(t, values, ls.String(), "a series stands there once")
			values[ls.String()] = v
		case textparse.EntryType:
			name, typ := p.Type()
			types[string(bytes.Clone(name))] = string(typ)
		}
	}
}

// discard is a sink that keeps nothing.
type discard struct{}

func (discard) Append(_ context.Context, batch []series.Sample) (series.Appended, error) {
	return series.Appended{Stored: len(batch)}, nil
}
