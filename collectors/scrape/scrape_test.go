package scrape

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/value"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/metadata"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// store is a sink that keeps every batch.
type store struct {
	mu      sync.Mutex
	batches []map[string]series.Sample
	err     error
}

func (s *store) Append(_ context.Context, batch []series.Sample) (series.Appended, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return series.Appended{}, s.err
	}
	m := map[string]series.Sample{}
	for _, x := range batch {
		m[x.Labels.String()] = x
	}
	s.batches = append(s.batches, m)
	return series.Appended{Stored: len(batch)}, nil
}

func (s *store) last(t testing.TB) batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotEmpty(t, s.batches)
	return batch{t, s.batches[len(s.batches)-1]}
}

func (s *store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.batches)
}

// batch is what one scrape stored.
type batch struct {
	t testing.TB
	m map[string]series.Sample
}

func (b batch) has(key string, v float64) {
	b.t.Helper()
	require.Contains(b.t, b.m, key)
	require.Equal(b.t, v, b.m[key].V, key)
}

func (b batch) stale(key string) {
	b.t.Helper()
	require.Contains(b.t, b.m, key)
	require.True(b.t, value.IsStaleNaN(b.m[key].V), key)
}

func (b batch) lacks(key string) {
	b.t.Helper()
	require.NotContains(b.t, b.m, key)
}

// exporter answers with what it is told.
type exporter struct {
	mu     sync.Mutex
	body   string
	kind   string
	status int
	hang   bool
	seen   []*http.Request
}

func (e *exporter) set(body string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.body = body
}

func (e *exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = append(e.seen, r)
	if e.kind != "" {
		w.Header().Set("Content-Type", e.kind)
	}
	if e.status != 0 {
		w.WriteHeader(e.status)
	}
	_, _ = io.WriteString(w, e.body)
}

// RoundTrip makes the exporter a transport, so that no socket is needed and time can be virtual.
func (e *exporter) RoundTrip(r *http.Request) (*http.Response, error) {
	e.mu.Lock()
	hang := e.hang
	e.mu.Unlock()
	if hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// rig is one target scraped by hand.
type rig struct {
	m    *Manager
	loop *loop
	sink *store
	e    *exporter
	ms   int64
}

func newRig(t testing.TB, c Config, e *exporter) *rig {
	sink := &store{}
	m, err := New(Options{Sink: sink, Transport: e})
	require.NoError(t, err)
	c.JobName = "j"
	if len(c.StaticConfigs) == 0 {
		c.StaticConfigs = []StaticConfig{{Targets: []string{"h:1"}}}
	}
	require.NoError(t, Validate([]Config{c}, 15*time.Second))
	j, err := newJob(c.withDefaults(15*time.Second), nil, e)
	require.NoError(t, err)
	ts := m.targets(j)
	require.Len(t, ts, 1)
	return &rig{m: m, loop: newLoop(m, ts[0], j.client), sink: sink, e: e}
}

func (r *rig) scrape(t testing.TB) batch {
	r.ms += 15000
	r.loop.scrape(t.Context(), time.UnixMilli(r.ms))
	return r.sink.last(t)
}

func name(n string, labels ...string) string {
	all := []string{`__name__="` + n + `"`}
	all = append(all, labels...)
	return "{" + strings.Join(append(all, `instance="h:1"`, `job="j"`), ", ") + "}"
}

const exposition = `# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{code="200"} 10
requests_total{code="500"} 1
# TYPE latency histogram
latency_bucket{le="1"} 3
latency_bucket{le="+Inf"} 4
latency_sum 5.5
latency_count 4
temp NaN
old 1 1000
`

func TestScrape(t *testing.T) {
	e := &exporter{body: exposition, kind: "text/plain; version=0.0.4"}
	r := newRig(t, Config{Params: map[string][]string{"collect[]": {"cpu", "mem"}}}, e)
	got := r.scrape(t)
	got.has(name("requests_total", `code="200"`), 10)
	got.has(`{__name__="latency_bucket", instance="h:1", job="j", le="1.0"}`, 3)
	got.has(name("old"), 1)
	require.Equal(t, int64(1000), got.m[name("old")].T, "its own timestamp is honored")
	require.Equal(t, int64(15000), got.m[name("latency_sum")].T)
	got.has(name("up"), 1)
	got.has(name("scrape_samples_scraped"), 8)
	got.has(name("scrape_samples_post_metric_relabeling"), 8)
	got.has(name("scrape_series_added"), 8)
	require.Contains(t, got.m, name("scrape_duration_seconds"))

	got = r.scrape(t)
	got.has(name("scrape_series_added"), 0)
	require.Equal(t, "/metrics", e.seen[0].URL.Path)
	require.Equal(t, []string{"cpu", "mem"}, e.seen[0].URL.Query()["collect[]"])
	require.Equal(t, "10", e.seen[0].Header.Get("X-Prometheus-Scrape-Timeout-Seconds"))
	require.Contains(t, r.m.Metadata(), metadata.Metric{Name: "requests_total", Type: "counter", Help: "Requests."})
	require.Contains(t, r.m.Metadata(), metadata.Metric{Name: "latency", Type: "histogram"})
}

func TestOpenMetrics(t *testing.T) {
	e := &exporter{kind: "application/openmetrics-text; version=1.0.0; charset=utf-8", body: `# TYPE requests counter
requests_total{code="200"} 10 # {trace_id="x"} 1
# TYPE size_bytes gauge
# UNIT size_bytes bytes
size_bytes 7
# EOF
`}
	r := newRig(t, Config{}, e)
	r.scrape(t).has(name("requests_total", `code="200"`), 10)
	require.Contains(t, r.m.Metadata(), metadata.Metric{Name: "size_bytes", Type: "gauge", Unit: "bytes"})
	e.set("requests_total 1\n") // without its end it may be cut off
	r.scrape(t).has(name("up"), 0)
}

func TestStaleness(t *testing.T) {
	e := &exporter{body: "a 1\nb 2\nold 1 1000\n", kind: "text/plain"}
	r := newRig(t, Config{}, e)
	r.scrape(t)

	e.set("a 1\n")
	got := r.scrape(t)
	got.stale(name("b"))
	got.lacks(name("old")) // series with timestamps of their own get no marker
	got = r.scrape(t)
	got.lacks(name("b"))

	e.status = 500
	got = r.scrape(t)
	got.stale(name("a"))
	got.has(name("up"), 0)
	got.has(name("scrape_samples_scraped"), 0)
	got = r.scrape(t)
	got.lacks(name("a"))

	e.status = 0
	r.scrape(t).has(name("a"), 1)
	e.set("a 1\nthis is not a metric\n")
	got = r.scrape(t)
	got.stale(name("a"))
	got.has(name("up"), 0)

	e.set("")
	got = r.scrape(t)
	got.has(name("up"), 1) // an exporter may have nothing to say

	e.set("a{x=\"1\",y=\"2\"} 1\n")
	r.scrape(t)
	e.set("a{y=\"2\",x=\"1\"} 1\n") // the same series, written otherwise
	got = r.scrape(t)
	require.Len(t, got.m, 6)
	got.has(`{__name__="a", instance="h:1", job="j", x="1", y="2"}`, 1)
}

func TestHonorLabels(t *testing.T) {
	body := `m{job="theirs",instance="there",exported_job="x"} 1` + "\n"
	e := &exporter{body: body}
	got := newRig(t, Config{}, e).scrape(t)
	got.has(`{__name__="m", exported_exported_job="theirs", exported_instance="there", exported_job="x", instance="h:1", job="j"}`, 1)
	got = newRig(t, Config{HonorLabels: true}, e).scrape(t)
	got.has(`{__name__="m", exported_job="x", instance="there", job="theirs"}`, 1)
}

func TestHonorTimestampsOff(t *testing.T) {
	no := false
	e := &exporter{body: "old 1 1000\n"}
	r := newRig(t, Config{HonorTimestamps: &no}, e)
	require.Equal(t, int64(15000), r.scrape(t).m[name("old")].T)
	e.set("")
	r.scrape(t).stale(name("old"))
}

func TestMetricRelabeling(t *testing.T) {
	c := decode(t, `
- job_name: j
  static_configs: [{targets: ["h:1"]}]
  metric_relabel_configs:
  - {source_labels: [__name__], regex: go_.*, action: drop}
  - {source_labels: [path], regex: /api/(.*), target_label: path, replacement: $1}
  - {regex: secret, action: labeldrop}
`)[0]
	e := &exporter{body: "go_info 1\nreq{path=\"/api/x\",secret=\"y\"} 2\n"}
	r := newRig(t, c, e)
	for range 2 { // the second time from memory
		got := r.scrape(t)
		got.has(`{__name__="req", instance="h:1", job="j", path="x"}`, 2)
		got.has(name("scrape_samples_scraped"), 2)
		got.has(name("scrape_samples_post_metric_relabeling"), 1)
	}
}

func TestLimitsFailTheScrape(t *testing.T) {
	for label, tc := range map[string]struct {
		c    Config
		body string
		want string
	}{
		"samples":    {Config{SampleLimit: 2}, "a 1\nb 1\nc 1\n", "sample_limit"},
		"labels":     {Config{LabelLimit: 3}, `a{x="1"} 1` + "\n", "label_limit"},
		"name":       {Config{LabelNameLengthLimit: 8}, `a{xxxxxxxxx="1"} 1` + "\n", "label_name_length_limit"},
		"value":      {Config{LabelValueLengthLimit: 8}, `a{x="123456789"} 1` + "\n", "label_value_length_limit"},
		"body":       {Config{BodySizeLimit: 10}, "a 1\nb 1\nc 1\n", "body_size_limit"},
		"not UTF-8":  {Config{}, "a{x=\"\xff\"} 1\n", "invalid"},
		"garbage":    {Config{}, "<html>\n", ""},
		"half":       {Config{}, "a{", ""},
		"nul":        {Config{}, "a\x00b 1\n", ""},
		"long value": {Config{}, `a{x="` + strings.Repeat("v", 5000) + `"} 1` + "\n", "label_value_length_limit"},
	} {
		t.Run(label, func(t *testing.T) {
			e := &exporter{body: "before 1\n"}
			r := newRig(t, tc.c, e)
			r.scrape(t)
			e.set(tc.body)
			got := r.scrape(t)
			got.has(name("up"), 0)
			got.stale(name("before"))
			require.Len(t, got.m, 6, "nothing of it is stored")
			require.Contains(t, r.loop.state().LastError, tc.want)
			require.Equal(t, "down", r.loop.state().Health)
		})
	}
}

func TestDuplicatesAreCounted(t *testing.T) {
	r := newRig(t, Config{}, &exporter{body: "a 1\na 2\n"})
	got := r.scrape(t)
	got.has(name("a"), 1)
	got.has(name("scrape_samples_scraped"), 2)
	require.Equal(t, 1.0, testutil.ToFloat64(r.m.metrics.duplicates))
}

func TestMemoryIsBoundedUnderChurn(t *testing.T) {
	e := &exporter{}
	r := newRig(t, Config{SampleLimit: 500}, e)
	for i := range 50 {
		var b strings.Builder
		for k := range 500 {
			fmt.Fprintf(&b, "m{x=\"%d-%d\"} 1\n", i, k)
		}
		if i%3 == 2 {
			b.WriteString("broken{\n")
		}
		e.set(b.String())
		r.scrape(t)
		require.LessOrEqual(t, len(r.loop.memory.series), 2500)
	}
}

func TestSinkRefusal(t *testing.T) {
	r := newRig(t, Config{}, &exporter{body: "a 1\n"})
	r.sink.err = series.ErrFull
	r.loop.scrape(t.Context(), time.UnixMilli(15000))
	require.Equal(t, 6.0, testutil.ToFloat64(r.m.metrics.samples.WithLabelValues("refused")))
	require.Equal(t, "up", r.loop.state().Health, "the target can't help it")
}

func jobFor(target string, labels map[string]string) Config {
	return Config{JobName: "j", StaticConfigs: []StaticConfig{{Targets: []string{target}, Labels: labels}}}
}

// run starts a manager in a bubble and stops it at the end.
func run(t *testing.T, e *exporter) (*Manager, *store, func()) {
	sink := &store{}
	m, err := New(Options{Sink: sink, Transport: e})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	synctest.Wait()
	return m, sink, func() {
		cancel()
		require.NoError(t, <-done)
	}
}

func TestRunKeepsTheGrid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, sink, stop := run(t, &exporter{body: "a 1\n"})
		require.NoError(t, m.Apply([]Config{jobFor("h:1", nil)}))
		time.Sleep(61 * time.Second)
		require.Equal(t, 4, sink.count())
		stop()
		first := sink.batches[0][name("a")].T
		for i, b := range sink.batches {
			require.Equal(t, first+int64(i)*15000, b[name("a")].T)
		}
		require.Equal(t, 4, sink.count(), "the end of the node ends no series")
	})
}

func TestHungTargetIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &exporter{hang: true}
		m, sink, stop := run(t, e)
		defer stop()
		require.NoError(t, m.Apply([]Config{jobFor("h:1", nil)}))
		time.Sleep(31 * time.Second)
		got := sink.last(t)
		got.has(name("up"), 0)
		got.has(name("scrape_duration_seconds"), 10)
		require.Contains(t, m.Targets()[0].LastError, "deadline")
	})
}

func TestApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, sink, stop := run(t, &exporter{body: "a 1\n"})
		defer stop()
		require.NoError(t, m.Apply([]Config{jobFor("h:1", nil)}))
		time.Sleep(20 * time.Second)
		before := m.loops
		require.NoError(t, m.Apply([]Config{jobFor("h:1", nil)}))
		for key, l := range m.loops {
			require.Same(t, before[key], l, "an unchanged target goes on undisturbed")
		}

		bad := jobFor("h:1", nil)
		bad.Scheme = "gopher"
		require.ErrorContains(t, m.Apply([]Config{bad}), "scheme")
		require.Len(t, m.Targets(), 1, "a bad list changes nothing")

		// The same series by another configuration: no marker in between.
		n := sink.count()
		other := jobFor("h:1", nil)
		other.SampleLimit = 77
		require.NoError(t, m.Apply([]Config{other}))
		require.Equal(t, n, sink.count())
		time.Sleep(15 * time.Second)
		sink.last(t).has(name("a"), 1)

		// Other series: those of the old target end.
		require.NoError(t, m.Apply([]Config{jobFor("h:1", map[string]string{"env": "x"})}))
		sink.last(t).stale(name("a"))
		sink.last(t).stale(name("up"))
		time.Sleep(15 * time.Second)
		sink.last(t).has(`{__name__="a", env="x", instance="h:1", job="j"}`, 1)

		require.NoError(t, m.Apply(nil))
		sink.last(t).stale(`{__name__="up", env="x", instance="h:1", job="j"}`)
		require.Empty(t, m.Targets())
	})
}

func TestTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, stop := run(t, &exporter{body: "a 1\n"})
		defer stop()
		c := decode(t, `
- job_name: j
  scheme: https
  static_configs: [{targets: ["h:1", "gone:2"], labels: {__metrics_path__: /probe, __param_target: x, role: db}}]
  relabel_configs:
  - {source_labels: [__address__], regex: gone.*, action: drop}
  - {source_labels: [role], target_label: instance, replacement: $1-1}
`)
		require.NoError(t, m.Apply(c))
		ts := m.Targets()
		require.Len(t, ts, 2)
		require.True(t, ts[0].Dropped)
		require.Equal(t, "gone:2", ts[0].Discovered.Get(model.AddressLabel))
		require.Equal(t, "https://h:1/probe?target=x", ts[1].URL)
		require.Equal(t, `{instance="db-1", job="j", role="db"}`, ts[1].Labels.String())
		require.Equal(t, "unknown", ts[1].Health)
		time.Sleep(16 * time.Second)
		require.Equal(t, "up", m.Targets()[1].Health)
	})
}

func TestTooManyTargets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, stop := run(t, &exporter{})
		defer stop()
		m.opts.MaxTargets = 3
		c := jobFor("h:1", nil)
		c.StaticConfigs[0].Targets = []string{"h:1", "h:1", "h:2", "h:3", "h:4", "h:5"}
		require.NoError(t, m.Apply([]Config{c}))
		require.Len(t, m.Targets(), 3)
		require.Equal(t, 2.0, testutil.ToFloat64(m.metrics.refused))
	})
}
