package ruletest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// found is an alert as expected or as got.
type found struct{ labels, annotations labels.Labels }

// newFound leaves out empty values: to Prometheus they are absent.
func newFound(ls, annotations map[string]string) found {
	return found{labels.FromMap(ls).WithoutEmpty(), labels.FromMap(annotations).WithoutEmpty()}
}

func compareFound(a, b found) int {
	if c := labels.Compare(a.labels, b.labels); c != 0 {
		return c
	}
	return labels.Compare(a.annotations, b.annotations)
}

func (f found) String() string {
	return "Labels:" + f.labels.String() + "\nAnnotations:" + f.annotations.String()
}

// list writes alerts as promtool does.
func list(fs []found) string {
	if len(fs) == 0 {
		return "[]"
	}
	parts := make([]string, 0, len(fs))
	for i, f := range fs {
		parts = append(parts, strconv.Itoa(i)+":"+indent("\n"+f.String(), "  "))
	}
	return "[\n" + strings.Join(parts, ",\n") + "\n]"
}

// differences writes the alerts that are only on one side: - expected, + got.
func differences(want, got []found) string {
	var b strings.Builder
	only := func(sign string, these, others []found) {
		for _, f := range these {
			if !slices.ContainsFunc(others, func(o found) bool { return compareFound(f, o) == 0 }) {
				b.WriteString("\n" + sign + " " + indent(f.String(), sign+" "))
			}
		}
	}
	only("-", want, got)
	only("+", got, want)
	if b.Len() == 0 {
		fmt.Fprintf(&b, "\nthe same alerts in other numbers: %d expected, %d got", len(want), len(got))
	}
	return b.String()
}

// indent puts a prefix before each line but the first.
func indent(text, prefix string) string { return strings.ReplaceAll(text, "\n", "\n"+prefix) }

// point is a sample as expected or as got.
type point struct {
	labels labels.Labels
	value  float64
}

func (p point) String() string {
	return p.labels.String() + " " + strconv.FormatFloat(p.value, 'E', -1, 64)
}

func points(ps []point) string {
	if len(ps) == 0 {
		return "nil"
	}
	parts := make([]string, 0, len(ps))
	for _, p := range ps {
		parts = append(parts, p.String())
	}
	return strings.Join(parts, ", ")
}

// checkExprs compares the results of queries with what is expected of them.
func (b *bench) checkExprs(ctx context.Context) {
	for _, c := range b.PromqlExprTests {
		got, err := b.ask(ctx, c.Expr, b.begin().Add(time.Duration(c.EvalTime)))
		if err != nil {
			b.fails = append(b.fails, fmt.Errorf("    expr: %q, time: %s, err: %w", c.Expr, c.EvalTime, err))
			continue
		}
		want, err := expected(c)
		if err != nil {
			b.fails = append(b.fails, fmt.Errorf("    expr: %q, time: %s, err: %w", c.Expr, c.EvalTime, err))
			continue
		}
		byLabels := func(a, b point) int { return labels.Compare(a.labels, b.labels) }
		slices.SortStableFunc(want, byLabels)
		slices.SortStableFunc(got, byLabels)
		if !slices.EqualFunc(want, got, func(x, y point) bool { return byLabels(x, y) == 0 && b.equal(x.value, y.value) }) {
			b.fails = append(b.fails, fmt.Errorf("    expr: %q, time: %s,\n        exp: %v\n        got: %v", c.Expr, c.EvalTime, points(want), points(got)))
		}
	}
}

func expected(c exprCase) ([]point, error) {
	var want []point
	for _, s := range c.ExpSamples {
		if s.Histogram != "" {
			return nil, errors.New("native histograms are not supported")
		}
		ls, err := series.NewParser().ParseMetric(s.Labels)
		if err != nil {
			return nil, fmt.Errorf("labels %q: %w", s.Labels, err)
		}
		want = append(want, point{ls, s.Value})
	}
	return want, nil
}

func (b *bench) ask(ctx context.Context, expr string, at time.Time) ([]point, error) {
	res, err := b.db.Instant(ctx, expr, at, series.QueryOptions{Own: true})
	if err != nil {
		return nil, err
	}
	switch res.Type {
	case series.TypeVector:
		var out []point
		for _, s := range res.Vector {
			out = append(out, point{s.Labels, s.V})
		}
		return out, nil
	case series.TypeScalar:
		return []point{{value: res.Scalar.V}}, nil
	}
	return nil, errors.New("rule result is not a vector or scalar")
}

// equal compares values; with fuzzy_compare they may be neighbours. NaN equals
// nothing, as in promtool.
func (b *bench) equal(x, y float64) bool {
	return x == y || (b.file.FuzzyCompare && (math.Nextafter(x, math.Inf(-1)) == y || math.Nextafter(x, math.Inf(1)) == y))
}
