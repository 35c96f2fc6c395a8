package ruletest

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite testdata/*.out")

func files(names ...string) []string {
	for i, n := range names {
		names[i] = filepath.Join("testdata", n)
	}
	return names
}

func TestPass(t *testing.T) {
	results := Run(t.Context(), files("pass.yml", "parameters.test.yml"), Options{TempDir: t.TempDir()})
	for _, r := range results {
		for _, f := range r.Failures {
			t.Errorf("%s:\n%v", r.File, f)
		}
	}
	require.Equal(t, 2, results[0].Tests)
	require.Equal(t, 4, results[1].Tests)
}

// TestFail compares what a failing file prints with testdata/fail.out and, as
// differences, with fail.diff.out.
func TestFail(t *testing.T) {
	for name, o := range map[string]Options{"fail.out": {}, "fail.diff.out": {Diff: true}} {
		var b strings.Builder
		failed, err := Write(&b, Run(t.Context(), files("fail.yml", "gone.yml"), o))
		require.NoError(t, err)
		require.True(t, failed)
		got := filepath.ToSlash(b.String())
		got, _, _ = strings.Cut(got, "Processing test file: testdata/gone.yml\n  FAILED:\nopen ")
		golden := filepath.Join("testdata", name)
		if *update {
			require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.Equal(t, string(want), got)
	}
}

func TestOnly(t *testing.T) {
	r := Run(t.Context(), files("pass.yml"), Options{Only: regexp.MustCompile("^down$")})
	require.Equal(t, 1, r[0].Tests)
	require.Empty(t, r[0].Failures)
}

func TestNothingIsLeftBehind(t *testing.T) {
	dir := t.TempDir()
	Run(t.Context(), files("pass.yml", "fail.yml"), Options{TempDir: dir})
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = os.Stat(filepath.Join(dir, "nowhere"))
	require.Error(t, err)
	r := Run(t.Context(), files("pass.yml"), Options{TempDir: filepath.Join(dir, "nowhere")})
	require.Len(t, r[0].Failures, 2)
}

func TestStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := Run(ctx, files("pass.yml"), Options{})
	require.ErrorIs(t, r[0].Failures[0], context.Canceled)
}

func TestBadFiles(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"unknown field": {"tests: [{naem: x}]", "field naem not found"},
		"no alertname":  {"tests: [{name: n, alert_rule_test: [{eval_time: 5m}]}]", "misses required attribute alertname at eval_time 5m (in TestGroup n)"},
		"order":         {"group_eval_order: [a, b, a]", "group name repeated in evaluation order: a"},
		"start":         {"tests: [{start_timestamp: soon}]", "neither RFC 3339 nor Unix seconds"},
		"steps":         {"evaluation_interval: 1ms\ntests: [{alert_rule_test: [{eval_time: 1d, alertname: a}]}]", "86400000 evaluations"},
		"series":        {"tests: [{input_series: [{series: 'a{', values: '1'}]}]", "input_series a{"},
		"no name":       {"tests: [{input_series: [{series: '{a=\"b\"}', values: '1'}]}]", "refused 1 of 1"},
		"bomb":          {"tests: [{input_series: [{series: a, values: '1x99999999999999999999'}]}]", "more than 5000000 samples"},
		"bombs":         {"tests: [{input_series: [{series: a, values: '1x3000000 1x 3000000'}]}]", "more than 5000000 samples"},
		"histogram":     {"tests: [{input_series: [{series: a, values: '{{schema:0 count:1 sum:1 buckets:[1]}}'}]}]", "native histograms are not supported"},
		"external":      {"tests: [{external_labels: {'': x}}]", "external_labels"},
		"rules":         {"rule_files: [testdata/pass.yml]\ntests: [{}]", `unknown field "tests"`},
		"failing rule":  {"rule_files: [testdata/rules.yml]\ntests: [{input_series: [{series: 'up{a=\"1\"}', values: 1}, {series: 'up{b=\"1\"}', values: 1}], promql_expr_test: [{expr: 'up * on () up', eval_time: 1m}]}]", "many-to-many"},
	} {
		t.Run(name, func(t *testing.T) {
			r := RunContent(t.Context(), "x.yml", []byte(c.file), Options{})
			require.NotEmpty(t, r.Failures)
			require.ErrorContains(t, r.Failures[0], c.want)
		})
	}
}

func FuzzFile(f *testing.F) {
	for _, name := range files("pass.yml", "fail.yml", "parameters.test.yml") {
		content, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(content)
	}
	f.Add([]byte("tests: [{input_series: [{series: a, values: '1+1x10 _x3 stale'}], start_timestamp: 1e99}]"))
	f.Fuzz(func(_ *testing.T, content []byte) {
		parsed, err := parse(content, "testdata")
		if err != nil {
			return
		}
		for i := range parsed.Tests {
			total := 0
			for _, in := range parsed.Tests[i].InputSeries {
				total += repeats(in.Values)
			}
			if total > 10_000 {
				continue
			}
			_, _ = readInput(parsed.Tests[i].InputSeries, parsed.Tests[i].begin(), 1)
		}
	})
}
