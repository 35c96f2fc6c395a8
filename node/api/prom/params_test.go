package prom

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

func TestParseTime(t *testing.T) {
	for in, want := range map[string]time.Time{
		"0":                                   time.Unix(0, 0),
		"1772409600.123":                      time.UnixMilli(1772409600123),
		"-1.5":                                time.UnixMilli(-1500),
		"1.7724096e9":                         epoch,
		"2026-03-02T00:00:00Z":                epoch,
		"2026-03-02T08:00:00+08:00":           epoch,
		"2026-03-02T00:00:00.25Z":             epoch.Add(250 * time.Millisecond),
		"-292273086-05-16T16:47:06Z":          minTime,
		"292277025-08-18T07:12:54.999999999Z": maxTime,
	} {
		got, err := parseTime(in)
		require.NoError(t, err, in)
		require.Equal(t, want.UTC(), got.UTC(), in)
	}
	for _, in := range []string{"", "x", "NaN", "Inf", "1e300", "-1e300", "2026-03-02", "2026-03-02T00:00:00", "292277025-08-18T07:12:55Z"} {
		_, err := parseTime(in)
		require.ErrorContains(t, err, strconv.Quote(in))
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"15": 15 * time.Second, "0.5": 500 * time.Millisecond, "1e3": 1000 * time.Second, "-3": -3 * time.Second,
		"5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "1d": 24 * time.Hour, "1w2d": 9 * 24 * time.Hour, "1y": 365 * 24 * time.Hour, "10ms": 10 * time.Millisecond,
	} {
		got, err := parseDuration(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "x", "NaN", "Inf", "1e30", "1h1d", "5 m", "300y", "1.5h"} {
		_, err := parseDuration(in)
		require.ErrorContains(t, err, strconv.Quote(in))
	}
}

// Times survive the trip through either notation, to the millisecond.
func TestTimesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(-4e12, 4e12).Draw(t, "ms")
		want := time.UnixMilli(ms).UTC()
		seconds := string(appendMillis(nil, ms))
		got, err := parseTime(seconds)
		require.NoError(t, err)
		require.Equal(t, ms, got.Round(time.Millisecond).UnixMilli(), seconds)
		got, err = parseTime(want.Format(time.RFC3339Nano))
		require.NoError(t, err)
		require.Equal(t, want, got.UTC())
	})
}

// Numbers mean to encoding/json what was put in.
func TestEncodingMeansTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64().Draw(t, "float")
		back, err := strconv.ParseFloat(string(appendFloat(nil, f)), 64)
		require.NoError(t, err)
		require.Equal(t, math.Float64bits(f), math.Float64bits(back))

		ms := rapid.Int64().Draw(t, "ms")
		require.True(t, json.Valid(appendMillis(nil, ms)))
	})
}

// What the API answers is what the store answered, for instant and range queries of every type.
func TestAnswersAreTheStores(t *testing.T) {
	db := openStore(t)
	a, err := New(testOptions(db))
	require.NoError(t, err)
	exprs := []string{
		"up", "odd", "rate(requests_total[2m])", "requests_total > 100", "sum by (job) (up)", "1/0", "-1/0", "0/0", "time()", "up[1m]", `"a\u0001b"`,
		"topk(1, requests_total)", "absent(nothing)", "sort_desc(odd)", "1e-7", "123456789012345678901234567890", `label_replace(up, "x", "<$1>\n\"", "job", "(.*)")`,
	}
	rapid.Check(t, func(t *rapid.T) {
		expr := rapid.SampledFrom(exprs).Draw(t, "expr")
		when := epoch.Add(time.Duration(rapid.IntRange(-1000, 900_000).Draw(t, "ms")) * time.Millisecond)
		want, err := db.Instant(context.Background(), expr, when, series.QueryOptions{})
		require.NoError(t, err)
		w := get(a, "/api/v1/query?query="+url.QueryEscape(expr)+"&time="+string(appendMillis(nil, when.UnixMilli())))
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, flatten(want), decodeFlat(t, w.Body.Bytes()))
		if want.Type != series.TypeVector && want.Type != series.TypeScalar {
			return
		}
		step := time.Duration(rapid.IntRange(1, 200).Draw(t, "step")) * time.Second
		window := series.Window{Start: when, End: when.Add(10 * time.Minute), Step: step}
		want, err = db.Range(context.Background(), expr, window, series.QueryOptions{})
		require.NoError(t, err)
		w = post(a, "/api/v1/query_range", url.Values{
			"query": {expr}, "start": {string(appendMillis(nil, window.Start.UnixMilli()))}, "end": {window.End.Format(time.RFC3339Nano)}, "step": {fmt.Sprint(step.Seconds())},
		}.Encode())
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		require.Equal(t, flatten(want), decodeFlat(t, w.Body.Bytes()))
	})
}

// flatten writes a result as lines of labels, milliseconds and value.
func flatten(r series.Result) (lines []string) {
	line := func(ls series.Labels, t int64, v string) {
		lines = append(lines, fmt.Sprintf("%v %d %s", ls.Map(), t, v))
	}
	for _, s := range r.Vector {
		line(s.Labels, s.T, number(s.V))
	}
	for _, s := range r.Matrix {
		for _, p := range s.Points {
			line(s.Labels, p.T, number(p.V))
		}
	}
	switch r.Type {
	case series.TypeScalar:
		line(series.LabelsOf(), r.Scalar.T, number(r.Scalar.V))
	case series.TypeString:
		line(series.LabelsOf(), r.Scalar.T, r.String)
	}
	return lines
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func decodeFlat(t *rapid.T, body []byte) (lines []string) {
	var out struct {
		Data struct {
			ResultType string          `json:"resultType"`
			Result     json.RawMessage `json:"result"`
		} `json:"data"`
	}
	require.NoError(t, json.Unmarshal(body, &out))
	point := func(metric map[string]string, p []any, isNumber bool) {
		text := p[1].(string)
		if isNumber {
			v, err := strconv.ParseFloat(text, 64)
			require.NoError(t, err)
			text = number(v)
		}
		if metric == nil {
			metric = map[string]string{}
		}
		lines = append(lines, fmt.Sprintf("%v %d %s", metric, int64(math.Round(p[0].(float64)*1000)), text))
	}
	switch out.Data.ResultType {
	case "scalar", "string":
		var p []any
		require.NoError(t, json.Unmarshal(out.Data.Result, &p))
		point(nil, p, out.Data.ResultType == "scalar")
	default:
		var list []struct {
			Metric map[string]string `json:"metric"`
			Value  []any             `json:"value"`
			Values [][]any           `json:"values"`
		}
		require.NoError(t, json.Unmarshal(out.Data.Result, &list))
		for _, s := range list {
			if s.Value != nil {
				point(s.Metric, s.Value, true)
			}
			for _, p := range s.Values {
				point(s.Metric, p, true)
			}
		}
	}
	return lines
}

// FuzzRequest: whatever comes as parameters, the answer is a well-formed envelope whose status fits its error type.
func FuzzRequest(f *testing.F) {
	for _, s := range []string{
		"query=up&time=1772409600", "query=up&start=0&end=1&step=1", "match[]=up&limit=1", "query=up&time=1e18", "query=rate(up[5m])&time=-1e15",
		"query=up&start=-9e15&end=9e15&step=1e9", "match[]=up&start=-292273086-05-16T16:47:06Z&end=292277025-08-18T07:12:54.999999999Z",
		"query=up&start=0&end=1e9&step=1e-4", "query=up&timeout=1ns&lookback_delta=-1", "query=%ff&stats=all", "group_limit=1&group_next_token=x&type=alert",
		"query=up offset 9223372036s&time=9e15", "query=up[9223372036s:1ms]&time=0", "limit=999999999999999999999", "query=vector(1) @ 1e300",
	} {
		f.Add(s)
	}
	a := fuzzAPI(f)
	paths := []string{"query", "query_range", "query_exemplars", "format_query", "parse_query", "series", "labels", "label/job/values", "rules", "alerts", "metadata", "targets", "status/tsdb"}
	kinds := map[string]int{"bad_data": 400, "execution": 422, "timeout": 503, "canceled": 499, "internal": 500, "unavailable": 503}
	f.Fuzz(func(t *testing.T, params string) {
		u := &url.URL{Path: "/", RawQuery: params}
		if _, err := url.ParseRequestURI(u.String()); err != nil || strings.ContainsAny(params, " #\r\n") {
			params = url.QueryEscape(params)
		}
		for _, p := range paths {
			w := get(a, "/api/v1/"+p+"?"+params)
			var out struct {
				Status, ErrorType, Error string
				Data                     json.RawMessage
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &out), w.Body.String())
			if w.Code == http.StatusOK {
				require.Equal(t, "success", out.Status)
				require.NotEmpty(t, out.Data)
				continue
			}
			require.Equal(t, "error", out.Status)
			require.Equal(t, kinds[out.ErrorType], w.Code, w.Body.String())
			require.NotEqual(t, http.StatusInternalServerError, w.Code, w.Body.String())
			require.NotEmpty(t, out.Error)
		}
	})
}

// fuzzAPI is an API whose store gives up early.
func fuzzAPI(f *testing.F) *API {
	f.Helper()
	now := epoch
	db, err := series.Open(series.Options{
		Dir: f.TempDir(), Volatile: true, Now: func() time.Time { return now }, QueryTimeout: 200 * time.Millisecond, MaxSamples: 20000, MaxSamplesRead: 100000,
	})
	require.NoError(f, err)
	f.Cleanup(func() { _ = db.Close() })
	for range 10 {
		now = now.Add(15 * time.Second)
		_, err := db.Append(context.Background(), []series.Sample{{Labels: series.LabelsOf("__name__", "up", "job", "a"), T: now.UnixMilli(), V: 1}})
		require.NoError(f, err)
	}
	a, err := New(testOptions(db))
	require.NoError(f, err)
	return a
}
