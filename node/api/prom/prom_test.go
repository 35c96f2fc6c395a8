package prom

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/metadata"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// epoch is the time of the first sample in tests: 1772409600.
var epoch = time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)

// openStore is a store with ten minutes of three kinds of series.
func openStore(t testing.TB) *series.DB {
	t.Helper()
	now := epoch
	db, err := series.Open(series.Options{Dir: t.TempDir(), Volatile: true, Now: func() time.Time { return now }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	for i := range 41 {
		now = epoch.Add(time.Duration(i) * 15 * time.Second)
		put := func(name string, v float64, kv ...string) series.Sample {
			return series.Sample{Labels: series.LabelsOf(append([]string{"__name__", name}, kv...)...), T: now.UnixMilli(), V: v}
		}
		a, err := db.Append(context.Background(), []series.Sample{
			put("up", 1, "instance", "a:9100", "job", "node"),
			put("up", float64(i%2), "instance", "b:9100", "job", "node"),
			put("requests_total", float64(i*30), "code", "200", "path", `/a"b\c<é>`),
			put("requests_total", float64(i*3), "code", "500", "path", "/"),
			put("odd", math.NaN(), "kind", "nan"),
			put("odd", math.Inf(1), "kind", "inf"),
			put("odd", math.Inf(-1), "kind", "neg"),
			put("odd", 1e-9, "kind", "small"),
			put("odd", 1e21, "kind", "big"),
			put("odd", 0.1, "kind", "tenth"),
		})
		require.NoError(t, err)
		require.Equal(t, 10, a.Stored)
	}
	return db
}

type fakeRules []RuleGroup

func (f fakeRules) RuleGroups() []RuleGroup { return f }

type fakeTargets struct{}

func (fakeTargets) Targets() ([]Target, []DroppedTarget) {
	active := []Target{
		{
			DiscoveredLabels: map[string]string{"__address__": "127.0.0.1:9121", "job": "redis"},
			Labels:           map[string]string{"instance": "127.0.0.1:9121", "job": "redis"},
			ScrapePool:       "redis", ScrapeURL: "http://127.0.0.1:9121/metrics", LastError: "connection refused",
			LastScrape: epoch.Add(time.Second), LastScrapeDuration: 1500 * time.Microsecond, Health: "down",
			ScrapeInterval: 15 * time.Second, ScrapeTimeout: 10 * time.Second,
		},
		{
			ScrapePool: "node", ScrapeURL: "http://127.0.0.1:9100/metrics", GlobalURL: "http://web-1:9100/metrics", Health: "up",
			ScrapeInterval: time.Minute, ScrapeTimeout: 10 * time.Second,
		},
	}
	return active, []DroppedTarget{{DiscoveredLabels: map[string]string{"__address__": "x:1"}, ScrapePool: "node"}}
}

type fakeMetadata struct{}

func (fakeMetadata) Metadata() []metadata.Metric {
	return []metadata.Metric{
		{Name: "up", Type: "gauge", Help: "1 if the target is up."},
		{Name: "requests_total", Type: "counter", Help: "Requests.", Unit: ""},
		{Name: "requests_total", Type: "counter", Help: "All requests."},
		{Name: "requests_total", Type: "counter", Help: "Requests."},
		{Name: "odd", Help: "Odd."},
	}
}

func testRules() fakeRules {
	active := Alert{
		Labels: map[string]string{"alertname": "InstanceDown", "instance": "b:9100", "severity": "page"}, Annotations: map[string]string{"summary": "b is down"},
		State: StateFiring, ActiveAt: epoch.Add(time.Minute), Value: 0,
	}
	kept := active
	kept.KeepFiringSince = epoch.Add(2 * time.Minute)
	kept.Value = 0.25
	return fakeRules{
		{
			Name: "node", File: "rules/node.yml", Interval: 15 * time.Second, EvaluationTime: 1200 * time.Microsecond, LastEvaluation: epoch.Add(3 * time.Minute),
			Rules: []Rule{
				{
					Kind: KindAlerting, Name: "InstanceDown", Query: "up == 0", Labels: map[string]string{"severity": "page"}, Health: HealthOK,
					EvaluationTime: 300 * time.Microsecond, LastEvaluation: epoch.Add(3 * time.Minute), State: StateFiring, For: time.Minute, KeepFiringFor: 5 * time.Minute,
					Annotations: map[string]string{"summary": "{{ $labels.instance }} is down"}, Alerts: []Alert{active, kept},
				},
				{Kind: KindRecording, Name: "job:up:sum", Query: "sum by (job) (up)", Health: HealthBad, LastError: "vector contains metrics with the same labelset"},
			},
		},
		{Name: "idle", File: "rules/idle.yml", Interval: time.Minute, Limit: 10, Rules: []Rule{{Kind: KindAlerting, Name: "Never", Query: "vector(0) > 1"}}},
		{Name: "empty", File: "rules/idle.yml", Interval: time.Minute},
	}
}

func testOptions(q Querier) Options {
	return Options{
		Querier: q, Rules: testRules(), Targets: fakeTargets{}, Metadata: fakeMetadata{},
		Build:   BuildInfo{Revision: "abc", Branch: "main", BuildDate: "20260302", GoVersion: "go1.26", Fenghuo: "0.1.0"},
		Runtime: func() RuntimeInfo { return RuntimeInfo{StartTime: epoch, Hostname: "web-1", GOMAXPROCS: 2} },
		Config:  func() string { return "global:\n  scrape_interval: 15s\n" },
		Flags: func() map[string]string {
			return map[string]string{"http": "127.0.0.1:9911", "data": "/var/lib/fenghuo"}
		},
		Now: func() time.Time { return epoch.Add(10 * time.Minute) },
	}
}

func newTestAPI(t testing.TB) *API {
	t.Helper()
	db := openStore(t)
	a, err := New(testOptions(db))
	require.NoError(t, err)
	return a
}

func get(h http.Handler, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w
}

func post(h http.Handler, path, form string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	h.ServeHTTP(w, r)
	return w
}

// at is epoch plus seconds as a parameter.
func at(seconds float64) string {
	return strconv.FormatFloat(float64(epoch.Unix())+seconds, 'f', -1, 64)
}

func TestGolden(t *testing.T) {
	a := newTestAPI(t)
	q := url.QueryEscape
	for _, tc := range []struct{ name, target string }{
		{"query_vector", "/api/v1/query?query=up&time=2026-03-02T00:10:00Z"},
		{"query_now", "/api/v1/query?query=" + q(`sum by (code) (requests_total)`)},
		{"query_odd", "/api/v1/query?query=sort(odd)&time=2026-03-02T00:10:00.5Z"},
		{"query_escapes", "/api/v1/query?query=" + q(`requests_total{code="200"}`)},
		{"query_scalar", "/api/v1/query?query=" + q("1/3") + "&time=1772409600.123"},
		{"query_string", "/api/v1/query?query=" + q("\"a\\nb\"") + "&time=0"},
		{"query_matrix", "/api/v1/query?query=" + q("up[31s]")},
		{"query_empty", "/api/v1/query?query=nothing"},
		{"query_limit", "/api/v1/query?query=odd&limit=2"},
		{"query_lookback", "/api/v1/query?lookback_delta=10s&query=up&time=" + at(614)},
		{"query_info", "/api/v1/query?query=" + q(`rate(up{instance="a:9100"}[5m])`)},
		{"query_parse_error", "/api/v1/query?query=" + q("sum(up")},
		{"query_missing", "/api/v1/query"},
		{"query_bad_time", "/api/v1/query?query=up&time=yesterday"},
		{"query_bad_timeout", "/api/v1/query?query=up&timeout=-1"},
		{"query_bad_limit", "/api/v1/query?query=up&limit=-1"},
		{"query_bad_lookback", "/api/v1/query?query=up&lookback_delta=x"},
		{"query_execution_error", "/api/v1/query?query=" + q("up * on(job) up")},
		{"range", "/api/v1/query_range?query=up&start=" + at(0) + "&end=" + at(60) + "&step=30"},
		{"range_units", "/api/v1/query_range?query=" + q("1+1") + "&start=2026-03-02T00:00:00Z&end=2026-03-02T00:02:00Z&step=1m"},
		{"range_empty", "/api/v1/query_range?query=nothing&start=" + at(0) + "&end=" + at(60) + "&step=30"},
		{"range_string", "/api/v1/query_range?query=" + q("up[5m]") + "&start=0&end=1&step=1"},
		{"range_no_start", "/api/v1/query_range?query=up&end=1&step=1"},
		{"range_backwards", "/api/v1/query_range?query=up&start=2&end=1&step=1"},
		{"range_no_step", "/api/v1/query_range?query=up&start=1&end=2&step=0"},
		{"range_tiny_step", "/api/v1/query_range?query=up&start=1&end=2&step=0.0001"},
		{"range_small_step", "/api/v1/query_range?query=up&start=1&end=1&step=0.0001"},
		{"range_too_long", "/api/v1/query_range?query=up&start=0&end=11001&step=1"},
		{"exemplars", "/api/v1/query_exemplars?query=up&start=1&end=2"},
		{"exemplars_backwards", "/api/v1/query_exemplars?query=up&start=2&end=1"},
		{"format", "/api/v1/format_query?query=" + q("sum by(code)(rate(requests_total[5m]))/on()group_left()vector(1)")},
		{"format_error", "/api/v1/format_query?query=" + q("foo{")},
		{"parse", "/api/v1/parse_query?query=" + q(`topk(2, a{b!="c"} offset 5m) > bool on(x) group_left(y) max_over_time(rate(d[5m])[1h:30s] @ end()) + -(3)`)},
		{"series", "/api/v1/series?match[]=up&match[]=" + q(`{__name__=~"req.*"}`)},
		{"series_limit", "/api/v1/series?match[]=up&limit=1"},
		{"series_window", "/api/v1/series?match[]=up&start=1&end=2"},
		{"series_no_match", "/api/v1/series"},
		{"series_all", "/api/v1/series?match[]=" + q(`{job=~".*"}`)},
		{"series_bad_match", "/api/v1/series?match[]=" + q(`up{`)},
		{"series_backwards", "/api/v1/series?match[]=up&start=2&end=1"},
		{"labels", "/api/v1/labels"},
		{"labels_match", "/api/v1/labels?match[]=up&limit=2"},
		{"label_values", "/api/v1/label/__name__/values"},
		{"label_values_match", "/api/v1/label/instance/values?match[]=" + q(`up{instance=~"a.*"}`)},
		{"label_values_none", "/api/v1/label/nothing/values"},
		{"label_values_utf8", "/api/v1/label/U__http_2e_code/values"},
		{"label_values_bad", "/api/v1/label/%FF/values"},
		{"rules", "/api/v1/rules"},
		{"rules_alert", "/api/v1/rules?type=alert&exclude_alerts=true"},
		{"rules_record", "/api/v1/rules?type=record"},
		{"rules_name", "/api/v1/rules?rule_name[]=Never&rule_group[]=idle&file[]=rules/idle.yml"},
		{"rules_match", "/api/v1/rules?match[]=" + q(`{severity="page"}`)},
		{"rules_page", "/api/v1/rules?group_limit=1"},
		{"rules_page_2", "/api/v1/rules?group_limit=1&group_next_token=" + groupToken(RuleGroup{File: "rules/idle.yml", Name: "idle"})},
		{"rules_bad_token", "/api/v1/rules?group_limit=1&group_next_token=x"},
		{"rules_no_limit", "/api/v1/rules?group_next_token=x"},
		{"rules_bad_limit", "/api/v1/rules?group_limit=0"},
		{"rules_bad_type", "/api/v1/rules?type=x"},
		{"rules_bad_exclude", "/api/v1/rules?exclude_alerts=x"},
		{"alerts", "/api/v1/alerts"},
		{"metadata", "/api/v1/metadata"},
		{"metadata_metric", "/api/v1/metadata?metric=up"},
		{"metadata_limits", "/api/v1/metadata?limit=2&limit_per_metric=1"},
		{"metadata_bad", "/api/v1/metadata?limit=x"},
		{"targets", "/api/v1/targets"},
		{"targets_active", "/api/v1/targets?state=active&scrapePool=node"},
		{"buildinfo", "/api/v1/status/buildinfo"},
		{"runtimeinfo", "/api/v1/status/runtimeinfo"},
		{"config", "/api/v1/status/config"},
		{"flags", "/api/v1/status/flags"},
		{"tsdb", "/api/v1/status/tsdb?limit=3"},
		{"tsdb_bad", "/api/v1/status/tsdb?limit=0"},
		{"healthy", "/-/healthy"},
		{"ready", "/-/ready"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := get(a, tc.target)
			body := w.Body.String()
			if strings.HasPrefix(tc.target, "/api/") {
				require.True(t, json.Valid(w.Body.Bytes()), body)
				require.Equal(t, "application/json", w.Header().Get("Content-Type"))
				require.Equal(t, fmt.Sprint(len(body)), w.Header().Get("Content-Length"))
			}
			got := fmt.Sprintf("GET %s\n%d\n%s\n", tc.target, w.Code, strings.TrimSuffix(body, "\n"))
			golden(t, tc.name, got)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// Grafana's data source check: a form-encoded POST of an instant query, the build info, the rules.
func TestGrafanaCheck(t *testing.T) {
	a := newTestAPI(t)
	w := post(a, "/api/v1/query", "query=1%2B1&time=1772409600.5")
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"status":"success","data":{"resultType":"scalar","result":[1772409600.5,"2"]}}`, w.Body.String())

	var build struct {
		Data map[string]any `json:"data"`
	}
	require.NoError(t, json.Unmarshal(get(a, "/api/v1/status/buildinfo").Body.Bytes(), &build))
	require.Equal(t, CompatibleVersion, build.Data["version"])
	require.NotContains(t, build.Data, "features", "features would make Grafana take this for Mimir")

	require.Equal(t, http.StatusOK, get(a, "/api/v1/rules").Code)
	w = post(a, "/api/v1/query_range", "query=up&start="+at(0)+"&end="+at(60)+"&step=15")
	require.Equal(t, http.StatusOK, w.Code)
	w = post(a, "/api/v1/labels", "match[]=up&start="+at(0)+"&end="+at(60))
	require.JSONEq(t, `{"status":"success","data":["__name__","instance","job"]}`, w.Body.String())
	w = post(a, "/api/v1/series", "match[]=up")
	require.Equal(t, http.StatusOK, w.Code)
}

func TestStats(t *testing.T) {
	a := newTestAPI(t)
	var out struct {
		Data struct {
			Stats *struct {
				Timings map[string]float64 `json:"timings"`
				Samples map[string]any     `json:"samples"`
			} `json:"stats"`
		} `json:"data"`
	}
	read := func(target string) {
		out.Data.Stats = nil
		require.NoError(t, json.Unmarshal(get(a, target).Body.Bytes(), &out))
	}
	read("/api/v1/query?query=up")
	require.Nil(t, out.Data.Stats)
	read("/api/v1/query?query=up&stats=true")
	require.EqualValues(t, 2, out.Data.Stats.Samples["totalQueryableSamples"])
	require.NotContains(t, out.Data.Stats.Samples, "totalQueryableSamplesPerStep")
	require.Contains(t, out.Data.Stats.Timings, "evalTotalTime")
	read("/api/v1/query_range?query=up&start=" + at(0) + "&end=" + at(30) + "&step=15&stats=all")
	require.Equal(t, []any{
		[]any{float64(epoch.Unix()), 2.0}, []any{float64(epoch.Unix() + 15), 2.0}, []any{float64(epoch.Unix() + 30), 2.0},
	}, out.Data.Stats.Samples["totalQueryableSamplesPerStep"])
}

// A long answer is streamed, and gzip gives the same bytes.
func TestLongAnswerAndGzip(t *testing.T) {
	a := newTestAPI(t)
	target := "/api/v1/query_range?query=" + url.QueryEscape(`{__name__=~".+"}`) + "&start=" + at(0) + "&end=" + at(600) + "&step=1"
	plain := get(a, target)
	require.Equal(t, http.StatusOK, plain.Code)
	require.Greater(t, plain.Body.Len(), 2*flushAt)
	require.Empty(t, plain.Header().Get("Content-Length"), "a streamed answer has no length")
	require.True(t, json.Valid(plain.Body.Bytes()))

	for range 2 { // the second time with a writer used before
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, target, nil)
		r.Header.Set("Accept-Encoding", "deflate, gzip;q=0.5")
		a.ServeHTTP(w, r)
		require.Equal(t, "gzip", w.Header().Get("Content-Encoding"))
		require.Less(t, w.Body.Len(), plain.Body.Len()/2)
		zip, err := gzip.NewReader(w.Body)
		require.NoError(t, err)
		got, err := io.ReadAll(zip)
		require.NoError(t, err)
		require.Equal(t, plain.Body.String(), string(got))
	}
	small := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/api/v1/query?query=1", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	a.ServeHTTP(small, r)
	require.Empty(t, small.Header().Get("Content-Encoding"), "a short answer isn't worth it")

	for header, want := range map[string]bool{"": false, "gzip": true, "gzip;q=0": false, "br, GZIP ; q=0.1": true, "br": false, "gzip; q = 0.0": false} {
		r.Header.Set("Accept-Encoding", header)
		require.Equal(t, want, acceptsGzip(r), header)
	}
}

// failing answers every question with one error.
type failing struct{ err error }

func (f failing) Instant(context.Context, string, time.Time, series.QueryOptions) (series.Result, error) {
	return series.Result{}, f.err
}

func (f failing) Range(context.Context, string, series.Window, series.QueryOptions) (series.Result, error) {
	return series.Result{}, f.err
}

func (f failing) Series(context.Context, series.Selection) ([]series.Labels, []string, error) {
	return nil, nil, f.err
}

func (f failing) LabelNames(context.Context, series.Selection) ([]string, []string, error) {
	return nil, nil, f.err
}

func (f failing) LabelValues(context.Context, string, series.Selection) ([]string, []string, error) {
	return nil, nil, f.err
}

func TestErrorsOfTheStore(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
		kind   string
	}{
		{series.ErrTimeout, 503, "timeout"},
		{series.ErrCanceled, 499, "canceled"},
		{series.ErrBusy, 503, "unavailable"},
		{series.ErrClosed, 503, "unavailable"},
		{series.ErrLimit, 422, "execution"},
		{series.ErrExecution, 422, "execution"},
		{series.ErrStorage, 500, "internal"},
		{series.ErrBadQuery, 400, "bad_data"},
		{&series.ParseError{Reason: "x"}, 400, "bad_data"},
		{errors.New("anything else"), 422, "execution"},
	} {
		a, err := New(Options{Querier: failing{fmt.Errorf("wrapped: %w", tc.err)}})
		require.NoError(t, err)
		for _, target := range []string{
			"/api/v1/query?query=up", "/api/v1/query_range?query=up&start=1&end=2&step=1", "/api/v1/series?match[]=up",
			"/api/v1/labels", "/api/v1/label/a/values",
		} {
			w := get(a, target)
			require.Equal(t, tc.status, w.Code, "%s %v", target, tc.err)
			var out map[string]string
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out))
			require.Equal(t, "error", out["status"])
			require.Equal(t, tc.kind, out["errorType"])
			require.Contains(t, out["error"], tc.err.Error())
		}
	}
}

func TestNotReady(t *testing.T) {
	o := testOptions(failing{})
	starting := errors.New("replaying the log")
	o.Ready = func() error { return starting }
	a, err := New(o)
	require.NoError(t, err)
	require.Equal(t, 200, get(a, "/-/healthy").Code)
	require.Equal(t, 503, get(a, "/-/ready").Code)
	w := get(a, "/api/v1/query?query=up")
	require.Equal(t, 503, w.Code)
	require.JSONEq(t, `{"status":"error","errorType":"unavailable","error":"replaying the log"}`, w.Body.String())
	starting = nil
	require.Equal(t, 200, get(a, "/-/ready").Code)
}

func TestHostileRequests(t *testing.T) {
	a := newTestAPI(t)
	require.Equal(t, http.StatusRequestEntityTooLarge, post(a, "/api/v1/query", "query="+strings.Repeat("1", maxFormBytes)).Code)
	require.Equal(t, http.StatusBadRequest, post(a, "/api/v1/query", "query=%zz").Code)
	require.Equal(t, http.StatusBadRequest, post(a, "/api/v1/query", "query="+strings.Repeat("(", 60000)).Code)
	require.Equal(t, http.StatusBadRequest, post(a, "/api/v1/query", "query="+strings.Repeat("1", series.MaxExprBytes+1)).Code)
	require.Equal(t, http.StatusBadRequest, post(a, "/api/v1/series", strings.Repeat("match[]=up&", maxMatchers+1)).Code)
	deep := strings.Repeat("(", 20000) + "1" + strings.Repeat(")", 20000)
	require.Equal(t, http.StatusBadRequest, post(a, "/api/v1/format_query", "query="+deep).Code)
	require.Equal(t, http.StatusBadRequest, post(a, "/api/v1/parse_query", "query="+deep).Code)
	require.Equal(t, http.StatusMethodNotAllowed, post(a, "/api/v1/rules", "").Code)
	require.Equal(t, http.StatusNotFound, get(a, "/api/v1/nothing").Code)
	w := post(a, "/api/v1/query", "query="+url.QueryEscape("\xff\xfe"))
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.True(t, json.Valid(w.Body.Bytes()))
}

func TestEmptyOptions(t *testing.T) {
	_, err := New(Options{})
	require.ErrorContains(t, err, "Querier")
	reg := prometheus.NewRegistry()
	a, err := New(Options{Querier: failing{}, Registerer: reg})
	require.NoError(t, err)
	for path, want := range map[string]string{
		"rules":         `{"groups":[]}`,
		"alerts":        `{"alerts":[]}`,
		"metadata":      `{}`,
		"targets":       `{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}}`,
		"status/flags":  `{}`,
		"status/config": `{"yaml":""}`,
		"labels":        `[]`,
	} {
		require.JSONEq(t, `{"status":"success","data":`+want+`}`, get(a, "/api/v1/"+path).Body.String(), path)
	}
	require.Equal(t, 200, get(a, "/api/v1/status/tsdb").Code)
	require.Equal(t, 200, get(a, "/api/v1/status/runtimeinfo").Code)
	families, err := reg.Gather()
	require.NoError(t, err)
	require.Len(t, families, 1)
	require.Equal(t, "fenghuo_prom_requests_total", families[0].GetName())
}
