// Package ruletest owns unit tests of rules, in the format of promtool test
// rules: series go in, rules are evaluated step by step, and what fires or is
// recorded is compared with what the test expects.
//
// Beside promtool's fields a test may say on which host it runs, for parameters
// that depend on it: fenghuo_host (labels) and fenghuo_tenant. Native histograms
// are not supported, because the node stores none.
package ruletest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate/rulefile"
)

// Bounds of test files, and of what a test may cost.
const (
	MaxFileBytes   = rulefile.MaxFileBytes
	MaxTests       = 2_000
	MaxSamples     = 5_000_000 // of the input series of one test
	MaxEvaluations = 1_000_000 // of the groups of one test
)

// ErrFile: a test file can't be used.
var ErrFile = errors.New("invalid test file")

// file is one test file.
type file struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	GroupEvalOrder     []string       `yaml:"group_eval_order"`
	Tests              []test         `yaml:"tests"`
	FuzzyCompare       bool           `yaml:"fuzzy_compare"`
}

// test is a set of series and what to expect of them.
type test struct {
	Interval        model.Duration    `yaml:"interval"`
	InputSeries     []input           `yaml:"input_series"`
	AlertRuleTests  []alertCase       `yaml:"alert_rule_test"`
	PromqlExprTests []exprCase        `yaml:"promql_expr_test"`
	ExternalLabels  map[string]string `yaml:"external_labels"`
	ExternalURL     string            `yaml:"external_url"`
	Name            string            `yaml:"name"`
	Start           timestamp         `yaml:"start_timestamp"`
	Host            map[string]string `yaml:"fenghuo_host"`
	Tenant          string            `yaml:"fenghuo_tenant"`
}

type input struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

type alertCase struct {
	EvalTime  model.Duration `yaml:"eval_time"`
	Alertname string         `yaml:"alertname"`
	ExpAlerts []struct {
		Labels      map[string]string `yaml:"exp_labels"`
		Annotations map[string]string `yaml:"exp_annotations"`
	} `yaml:"exp_alerts"`
}

type exprCase struct {
	Expr       string         `yaml:"expr"`
	EvalTime   model.Duration `yaml:"eval_time"`
	ExpSamples []struct {
		Labels    string  `yaml:"labels"`
		Value     float64 `yaml:"value"`
		Histogram string  `yaml:"histogram"`
	} `yaml:"exp_samples"`
}

// timestamp is RFC 3339 or Unix seconds.
type timestamp struct{ time.Time }

// UnmarshalYAML implements yaml.Unmarshaler.
func (t *timestamp) UnmarshalYAML(n *yaml.Node) error {
	if f, err := strconv.ParseFloat(n.Value, 64); err == nil {
		seconds, part := math.Modf(f)
		if math.IsNaN(f) || math.Abs(f) > 1e11 {
			return fmt.Errorf("line %d: start_timestamp %s is out of range", n.Line, n.Value)
		}
		t.Time = time.Unix(int64(seconds), int64(part*float64(time.Second))).UTC()
		return nil
	}
	parsed, err := time.Parse(time.RFC3339Nano, n.Value)
	if err != nil {
		return fmt.Errorf("line %d: start_timestamp: %.60q is neither RFC 3339 nor Unix seconds", n.Line, n.Value)
	}
	t.Time = parsed
	return nil
}

// parse reads a test file; rule files are relative to dir.
func parse(content []byte, dir string) (*file, error) {
	if len(content) > MaxFileBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrFile, len(content), MaxFileBytes)
	}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	dec.KnownFields(true)
	f := &file{}
	if err := dec.Decode(f); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if len(f.Tests) > MaxTests {
		return nil, fmt.Errorf("%w: %d tests, at most %d", ErrFile, len(f.Tests), MaxTests)
	}
	if f.EvaluationInterval == 0 {
		f.EvaluationInterval = model.Duration(time.Minute)
	}
	if time.Duration(f.EvaluationInterval) < time.Millisecond {
		return nil, fmt.Errorf("%w: evaluation_interval %v is below 1ms", ErrFile, f.EvaluationInterval)
	}
	seen := map[string]bool{}
	for _, name := range f.GroupEvalOrder {
		if seen[name] {
			return nil, fmt.Errorf("%w: group name repeated in evaluation order: %s", ErrFile, name)
		}
		seen[name] = true
	}
	for i, p := range f.RuleFiles {
		if p != "" && !filepath.IsAbs(p) {
			f.RuleFiles[i] = filepath.Join(dir, p)
		}
	}
	for i := range f.Tests {
		t := &f.Tests[i]
		if t.Interval == 0 {
			t.Interval = f.EvaluationInterval
		}
		if err := t.check(time.Duration(f.EvaluationInterval)); err != nil {
			return nil, fmt.Errorf("%w: test %d: %w", ErrFile, i+1, err)
		}
	}
	return f, nil
}

func (t *test) check(step time.Duration) error {
	if time.Duration(t.Interval) < time.Millisecond {
		return fmt.Errorf("interval %v is below 1ms", t.Interval)
	}
	if n := t.end() / step; n > MaxEvaluations {
		return fmt.Errorf("%d evaluations until the last eval_time, at most %d", n, MaxEvaluations)
	}
	for _, a := range t.AlertRuleTests {
		if a.Alertname == "" {
			return fmt.Errorf("an item under alert_rule_test misses required attribute alertname at eval_time %v%s", a.EvalTime, t.in())
		}
		if a.EvalTime < 0 {
			return fmt.Errorf("eval_time %v is negative", time.Duration(a.EvalTime))
		}
	}
	return nil
}

func (t *test) in() string {
	if t.Name == "" {
		return ""
	}
	return fmt.Sprintf(" (in TestGroup %s)", t.Name)
}

// end is the last time that the test looks at.
func (t *test) end() time.Duration {
	var last model.Duration
	for _, a := range t.AlertRuleTests {
		last = max(last, a.EvalTime)
	}
	for _, e := range t.PromqlExprTests {
		last = max(last, e.EvalTime)
	}
	return time.Duration(last)
}

// begin is the time of the first sample and evaluation.
func (t *test) begin() time.Time {
	if t.Start.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return t.Start.Time
}
