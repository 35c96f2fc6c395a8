package series

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		expr   string
		pretty string
		typ    Type
	}{
		{`up`, `up`, TypeVector},
		{` up{ job = "a" ,x!="y"}  `, `up{job="a",x!="y"}`, TypeVector},
		{`{__name__="a"} + on() {__name__=~"b|c"}`, `{__name__="a"} + on () {__name__=~"b|c"}`, TypeVector},
		{`1+1`, `1 + 1`, TypeScalar},
		{`"x"`, `"x"`, TypeString},
		{`up[5m]`, `up[5m]`, TypeMatrix},
		{`rate(a[5m] offset 1h) / b offset 30m`, `rate(a[5m] offset 1h) / b offset 30m`, TypeVector},
		{`max_over_time(rate(a[5m])[1h:1m] offset 1d)`, `max_over_time(rate(a[5m])[1h:1m] offset 1d)`, TypeVector},
		{`a offset -5m`, `a offset -5m`, TypeVector},
		{`a[1h] @ 1772409600`, `a[1h] @ 1772409600.000`, TypeMatrix},
		{"# why\nsum by(x)(up)", `sum by (x) (up)`, TypeVector},
		{`sum(a) / sum(a)`, `sum(a) / sum(a)`, TypeVector},
	} {
		e, err := Parse(tc.expr)
		require.NoError(t, err, tc.expr)
		require.Equal(t, tc.pretty, e.Pretty)
		require.Equal(t, tc.typ, e.Type)
		require.NoError(t, CheckExpr(tc.expr))
		again, err := Parse(e.Pretty)
		require.NoError(t, err)
		require.Equal(t, e.Pretty, again.Pretty)
	}
}

func TestParseErrors(t *testing.T) {
	for _, tc := range []struct {
		expr string
		want ParseError
	}{
		{``, ParseError{Start: -1, End: -1, Reason: "no expression found in input"}},
		{`up{`, ParseError{Start: 3, End: 3, Line: 1, Column: 4, Reason: "unexpected end of input inside braces"}},
		{"a +\n  * b", ParseError{Start: 6, End: 7, Line: 2, Column: 3, Reason: `unexpected <op:*>`}},
		{`nosuch(up)`, ParseError{Start: 0, End: 6, Line: 1, Column: 1, Reason: `unknown function with name "nosuch"`}},
		{`rate(up)`, ParseError{Start: 5, End: 7, Line: 1, Column: 6, Reason: "expected type range vector in call to function \"rate\", got instant vector"}},
	} {
		err := CheckExpr(tc.expr)
		var pe *ParseError
		require.ErrorAs(t, err, &pe, tc.expr)
		tc.want.Query = tc.expr
		require.Equal(t, tc.want, *pe)
		_, err = Parse(tc.expr)
		require.ErrorAs(t, err, &pe)
		_, err = Format(tc.expr)
		require.ErrorAs(t, err, &pe)
	}
	deep := strings.Repeat("(", maxDepth+10) + "1" + strings.Repeat(")", maxDepth+10)
	require.ErrorContains(t, CheckExpr(deep), "nested deeper")
	require.ErrorContains(t, CheckExpr(strings.Repeat(" ", MaxExprBytes+1)), "longer than")
	_, err := ParseSelector(`up{a="b"} + 1`)
	require.Error(t, err)
	ms, err := ParseSelector(`up{a!~"b.*"}`)
	require.NoError(t, err)
	require.Len(t, ms, 2)
}

func TestFormat(t *testing.T) {
	out, err := Format(strings.Repeat("a_rather_long_metric_name + ", 6) + "1")
	require.NoError(t, err)
	require.Greater(t, strings.Count(out, "\n"), 5)
	require.NoError(t, CheckExpr(out))
}

func TestTree(t *testing.T) {
	v, err := Tree(`-topk(2, a{b="c"} offset 5m) + rate(d[5m]) > bool on(x) group_left(y) (e @ start()) * 1`)
	require.NoError(t, err)
	b, err := json.Marshal(v)
	require.NoError(t, err)
	for _, want := range []string{
		`"type":"binaryExpr"`, `"op":"topk"`, `"offset":300000`, `"startOrEnd":"start"`, `"card":"many-to-one"`, `"type":"matrixSelector"`, `"range":300000`,
		`"type":"unaryExpr"`, `"type":"parenExpr"`,
	} {
		require.Contains(t, string(b), want)
	}
	_, err = Tree(`a[`)
	require.Error(t, err)
}

// FuzzParse: what comes in as an expression never panics, fails with a place inside it, and what is accepted prints to
// something that is accepted again. An accepted expression can be evaluated.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`up`, `rate(a[5m])`, `sum by (a) (b) / on(x) group_left(y) c`, `a[5m:1m] offset 5m @ end()`, `{"a.b", c=~"d"}`, "a # b\n+ c", `"a" + 'b' + ` + "`c`",
		`quantile_over_time(0.5, a[1h])`, `a{b="\xff"}`, `1e999 + Inf - NaN ^ 0x1p-2`, `{`, `((((`, "a\x00b", `label_replace(a,"b","$1","c","(.*)")`, `a[1h:]`, `-1 ^ -2`, `a[9223372036s]`,
	} {
		f.Add(s)
	}
	c := newClock()
	d, err := Open(Options{Dir: f.TempDir(), Volatile: true, Now: c.now, MaxSamples: 10000, MaxSamplesRead: 100000, QueryTimeout: time.Second})
	require.NoError(f, err)
	f.Cleanup(func() { _ = d.Close() })
	mustAppend(f, d, sample("a", c.now(), 1, "b", "c"))
	f.Fuzz(func(t *testing.T, expr string) {
		e, err := Parse(expr)
		if err != nil {
			var pe *ParseError
			require.ErrorAs(t, err, &pe)
			require.NotEmpty(t, pe.Reason)
			require.LessOrEqual(t, pe.Start, len(expr))
			require.GreaterOrEqual(t, pe.Column, 0)
			return
		}
		if _, err := Format(expr); err != nil {
			t.Fatal(err)
		}
		if v, err := Tree(expr); err != nil {
			t.Fatal(err)
		} else if _, err := json.Marshal(v); err != nil {
			t.Fatal(err)
		}
		_, err = d.Instant(context.Background(), expr, c.now(), QueryOptions{})
		if _, ok := errors.AsType[*ParseError](err); ok {
			t.Fatalf("%q was accepted as %q but not evaluated: %v", expr, e.Pretty, err)
		}
	})
}

// FuzzAppend: no labels, time or value from outside breaks the store or its accounting.
func FuzzAppend(f *testing.F) {
	f.Add("up", "job", "a", int64(0), 1.0)
	f.Add("", "", "", int64(-1), 0.0)
	f.Add("a\xffb", "x\x00", "\xf0", int64(1)<<62, 1e300)
	f.Add("__name__", "__name__", "y", int64(60000), 0.5)
	c := newClock()
	d, err := Open(Options{Dir: f.TempDir(), Now: c.now, MaxSeries: 1000})
	require.NoError(f, err)
	f.Cleanup(func() { _ = d.Close() })
	f.Fuzz(func(t *testing.T, name, label, value string, offset int64, v float64) {
		s := Sample{Labels: labels.FromMap(map[string]string{"__name__": name, label: value}), T: epoch.UnixMilli() + offset, V: v}
		a, err := d.Append(context.Background(), []Sample{s, s})
		require.NoError(t, err)
		require.Equal(t, 2, a.Stored+a.Refused())
	})
}
