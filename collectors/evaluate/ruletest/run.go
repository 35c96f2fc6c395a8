package ruletest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rule"
	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate"
	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate/rulefile"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// Options adjust Run.
type Options struct {
	// Only runs the tests whose name matches; nil runs all.
	Only *regexp.Regexp
	// Diff shows only the alerts that differ instead of all expected and got.
	Diff bool
	// TempDir is where the tests' stores live; "" is the system's.
	TempDir string
}

// Result is what became of one test file.
type Result struct {
	File     string
	Tests    int // that were run
	Warnings []string
	Failures []error
}

// Run runs test files one after another.
func Run(ctx context.Context, files []string, o Options) []Result {
	out := make([]Result, 0, len(files))
	for _, name := range files {
		r := Result{File: name}
		content, err := rulefile.ReadFile(name)
		if err != nil {
			r.Failures = []error{err}
			out = append(out, r)
			continue
		}
		out = append(out, RunContent(ctx, name, content, o))
	}
	return out
}

// RunContent runs the tests of one file whose content is at hand; its rule files
// are relative to name.
func RunContent(ctx context.Context, name string, content []byte, o Options) Result {
	r := Result{File: name}
	f, err := parse(content, filepath.Dir(name))
	if err != nil {
		r.Failures = []error{err}
		return r
	}
	for _, p := range f.RuleFiles {
		if found, err := filepath.Glob(p); err == nil && len(found) == 0 {
			r.Warnings = append(r.Warnings, "no file matches pattern "+p)
		}
	}
	for i := range f.Tests {
		t := &f.Tests[i]
		if o.Only != nil && !o.Only.MatchString(t.Name) {
			continue
		}
		if err := ctx.Err(); err != nil {
			r.Failures = append(r.Failures, err)
			break
		}
		r.Tests++
		r.Failures = append(r.Failures, t.run(ctx, f, o)...)
	}
	return r
}

// Write writes results as promtool does and returns whether a test failed.
func Write(w io.Writer, results []Result) (failed bool, err error) {
	for _, r := range results {
		var b strings.Builder
		fmt.Fprintf(&b, "Processing test file: %s\n", r.File)
		for _, m := range r.Warnings {
			fmt.Fprintf(&b, "  WARNING: %s\n", m)
		}
		if len(r.Failures) > 0 {
			failed = true
			b.WriteString("  FAILED:\n")
			for _, f := range r.Failures {
				fmt.Fprintf(&b, "%v\n\n", f)
			}
		} else {
			b.WriteString("  SUCCESS\n\n")
		}
		if _, err := io.WriteString(w, b.String()); err != nil {
			return failed, err
		}
	}
	return failed, nil
}

// bench is one test at work.
type bench struct {
	*test
	file   *file
	o      Options
	db     *series.DB
	feed   *feed
	groups []*evaluate.Group
	fails  []error
}

func (t *test) run(ctx context.Context, f *file, o Options) (failures []error) {
	b := &bench{test: t, file: f, o: o}
	stop, err := b.open()
	if err != nil {
		return []error{err}
	}
	defer func() {
		if err := stop(); err != nil {
			failures = append(failures, err)
		}
	}()
	if b.evaluate(ctx) {
		b.checkExprs(ctx)
	}
	return b.fails
}

// open reads the series and the rules, and makes a store.
func (b *bench) open() (stop func() error, err error) {
	if b.feed, err = readInput(b.InputSeries, b.begin(), time.Duration(b.Interval)); err != nil {
		return nil, err
	}
	set, err := rulefile.Load(b.existing(), time.Duration(b.Interval))
	if err != nil {
		return nil, err
	}
	external, err := label.FromMap(b.ExternalLabels)
	if err != nil {
		return nil, fmt.Errorf("external_labels: %w", err)
	}
	host, err := label.FromMap(b.Host)
	if err != nil {
		return nil, fmt.Errorf("fenghuo_host: %w", err)
	}
	dir, err := os.MkdirTemp(b.o.TempDir, "fenghuo-rules-test-")
	if err != nil {
		return nil, err
	}
	stop = func() error { return os.RemoveAll(dir) }
	end := b.begin().Add(b.end())
	b.db, err = series.Open(series.Options{
		Dir: dir, Volatile: true, SubqueryStep: time.Duration(b.file.EvaluationInterval), Now: func() time.Time { return end },
	})
	if err != nil {
		return nil, joinStop(err, stop)
	}
	stop = func() error { return joinStop(b.db.Close(), func() error { return os.RemoveAll(dir) }) }
	b.groups, err = evaluate.NewGroups(evaluate.Options{
		Querier: b.db, Appender: b.db, ExternalLabels: external, ExternalURL: b.ExternalURL, Host: host, Tenant: b.Tenant,
	}, set)
	if err != nil {
		return nil, joinStop(err, stop)
	}
	b.order()
	return stop, nil
}

func joinStop(err error, stop func() error) error {
	if stopErr := stop(); err == nil {
		return stopErr
	}
	return err
}

// existing are the rule files without patterns that match nothing: those are
// warnings.
func (b *bench) existing() []string {
	return slices.DeleteFunc(slices.Clone(b.file.RuleFiles), func(p string) bool {
		found, err := filepath.Glob(p)
		return err == nil && len(found) == 0
	})
}

// order sorts the groups by group_eval_order; a group that isn't named there
// counts as the first.
func (b *bench) order() {
	places := map[string]int{}
	for i, name := range b.file.GroupEvalOrder {
		places[name] = i
	}
	slices.SortStableFunc(b.groups, func(x, y *evaluate.Group) int { return places[x.Spec().Name] - places[y.Spec().Name] })
}

// evaluate steps through the test's time and checks alerts on the way. It returns
// false if a rule failed, which ends the test.
func (b *bench) evaluate(ctx context.Context) bool {
	step := time.Duration(b.file.EvaluationInterval)
	times := map[model.Duration][]alertCase{}
	var pending []model.Duration
	for _, a := range b.AlertRuleTests {
		if times[a.EvalTime] == nil {
			pending = append(pending, a.EvalTime)
		}
		times[a.EvalTime] = append(times[a.EvalTime], a)
	}
	slices.Sort(pending)
	begin, end := b.begin(), b.end()
	for since := time.Duration(0); since <= end; since += step {
		now := begin.Add(since)
		if err := b.feed.until(ctx, b.db, now); err != nil {
			b.fails = append(b.fails, err)
			return false
		}
		ok := true
		for _, g := range b.groups {
			g.Eval(ctx, now)
			for _, f := range g.Failures() {
				b.fails = append(b.fails, fmt.Errorf("    rule: %s, time: %s, err: %w", f.Rule, now.Sub(time.Unix(0, 0)), f.Err))
				ok = false
			}
		}
		if err := ctx.Err(); err != nil {
			b.fails = append(b.fails, err)
			return false
		}
		if !ok {
			return false
		}
		// An eval_time between two evaluations looks at the one before it.
		for len(pending) > 0 && time.Duration(pending[0]) < since+step {
			for _, c := range times[pending[0]] {
				b.checkAlerts(c, now)
			}
			pending = pending[1:]
		}
	}
	return true
}

func (b *bench) checkAlerts(c alertCase, now time.Time) {
	var want, got []found
	for _, e := range c.ExpAlerts {
		labels := map[string]string{}
		maps.Copy(labels, e.Labels)
		labels[label.AlertName] = c.Alertname
		want = append(want, newFound(labels, e.Annotations))
	}
	for _, g := range b.groups {
		for _, r := range g.Status(now).Rules {
			if !r.Alerting || r.Name != c.Alertname {
				continue
			}
			for _, a := range r.Alerts {
				if a.State == rule.Firing {
					got = append(got, newFound(a.Labels.Map(), a.Annotations.Map()))
				}
			}
		}
	}
	slices.SortFunc(want, compareFound)
	slices.SortFunc(got, compareFound)
	if slices.EqualFunc(want, got, func(a, b found) bool { return compareFound(a, b) == 0 }) {
		return
	}
	name := ""
	if b.Name != "" {
		name = fmt.Sprintf("    name: %s,\n", b.Name)
	}
	if b.o.Diff {
		b.fails = append(b.fails, fmt.Errorf("%s    alertname: %s, time: %s,\n        diff: %s", name, c.Alertname, c.EvalTime, indent(differences(want, got), "            ")))
		return
	}
	b.fails = append(b.fails, fmt.Errorf("%s    alertname: %s, time: %s,\n        exp:%s,\n        got:%s", name, c.Alertname, c.EvalTime,
		indent(list(want), "            "), indent(list(got), "            ")))
}
