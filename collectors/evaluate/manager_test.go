package evaluate

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/rule"
	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate/rulefile"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// shelf is a store for synctest bubbles, where a database's goroutines don't
// belong: it answers each expression from a function of the time.
type shelf struct {
	answers map[string]func(time.Time) []string // lines as put takes them
	slow    time.Duration

	mu     sync.Mutex // guards stored: groups write at the same time
	stored []string
}

// written returns what was stored, and forgets it.
func (s *shelf) written() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.stored
	s.stored = nil
	return list
}

func (s *shelf) Instant(ctx context.Context, expr string, when time.Time, _ series.QueryOptions) (series.Result, error) {
	if s.slow > 0 {
		select {
		case <-time.After(s.slow):
		case <-ctx.Done():
			return series.Result{}, ctx.Err()
		}
	}
	res := series.Result{Type: series.TypeVector}
	if answer := s.answers[expr]; answer != nil {
		for _, line := range answer(when) {
			i := strings.LastIndexByte(line, ' ')
			ls, err := series.NewParser().ParseMetric(line[:i])
			if err != nil {
				return res, err
			}
			smp := series.Sample{Labels: ls, T: when.UnixMilli()}
			if _, err := fmt.Sscan(line[i+1:], &smp.V); err != nil {
				return res, err
			}
			res.Vector = append(res.Vector, smp)
		}
	}
	return res, nil
}

func (s *shelf) Append(_ context.Context, batch []series.Sample) (series.Appended, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range batch {
		s.stored = append(s.stored, fmt.Sprint(b.Labels, " ", b.V))
	}
	return series.Appended{Stored: len(batch)}, nil
}

func always(lines ...string) func(time.Time) []string {
	return func(time.Time) []string { return lines }
}

func setOf(t *testing.T, file string) *rulefile.Set {
	t.Helper()
	groups, issues := rulefile.ParseFile("f", []byte(file), 10*time.Second)
	require.Empty(t, issues)
	return &rulefile.Set{Groups: groups, Files: []string{"f"}}
}

// started is a manager at work in a bubble. Its groups' slots are at multiples of
// the interval plus an offset below it.
func started(t *testing.T, s *shelf, file string) (*Manager, *receiver, *prometheus.Registry, func()) {
	t.Helper()
	reg, rec := prometheus.NewRegistry(), &receiver{begin: time.Now()}
	m, err := New(Options{Querier: s, Appender: s, Reporter: rec, Registerer: reg})
	require.NoError(t, err)
	m.Apply(t.Context(), setOf(t, file))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	return m, rec, reg, func() {
		cancel()
		require.NoError(t, <-ended)
	}
}

func TestManagerReportsStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		s := &shelf{answers: map[string]func(time.Time) []string{
			"m": func(when time.Time) []string {
				if when.Sub(begin) < 30*time.Second {
					return []string{`m{i="1"} 1`}
				}
				return nil
			},
		}}
		_, rec, reg, stop := started(t, s, `{groups: [{name: g, rules: [{alert: A, expr: m, for: 10s}, {record: r, expr: m}]}]}`)
		time.Sleep(60 * time.Second)
		synctest.Wait()
		stop()
		calls := rec.take()
		require.Len(t, calls, 6)
		var states []string
		for _, c := range calls {
			_, state, _ := strings.Cut(c, " ")
			states = append(states, state)
		}
		require.Equal(t, []string{"f;g: ", "f;g: A", "f;g: A", "f;g: ", "f;g: ", "f;g: "}, states)
		require.Equal(t, []string{"f;g"}, rec.retained)
		require.InDelta(t, 12, testutil.ToFloat64(mustGather(t, reg, "fenghuo_rule_evaluations_total")), 0)
		require.Contains(t, s.written(), `{__name__="r", i="1"} NaN`, "a staleness marker")
	})
}

// mustGather makes a collector of the one value of a metric.
func mustGather(t *testing.T, reg *prometheus.Registry, name string) prometheus.Collector {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "x"})
	for _, f := range families {
		if f.GetName() == name {
			require.Len(t, f.GetMetric(), 1)
			g.Set(f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	return g
}

func TestManagerRestoresBeforeItReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		state := fmt.Sprintf(`ALERTS_FOR_STATE{alertname="A",i="1"} %d`, begin.Add(-time.Hour).Unix())
		seen := fmt.Sprintf(`{alertname="A",i="1"} %d`, begin.Add(-20*time.Second).Unix())
		s := &shelf{answers: map[string]func(time.Time) []string{
			"m":                               always(`m{i="1"} 1`),
			`ALERTS_FOR_STATE{alertname="A"}`: always(state),
			`timestamp(ALERTS_FOR_STATE{alertname="A"})`: always(seen),
		}}
		_, rec, _, stop := started(t, s, `{groups: [{name: g, rules: [{alert: A, expr: m, for: 30m}]}]}`)
		time.Sleep(40 * time.Second)
		synctest.Wait()
		stop()
		calls := rec.take()
		require.Len(t, calls, 2, "the first two evaluations report nothing: %v", calls)
		require.True(t, strings.HasSuffix(calls[0], "f;g: A"), "it fires on at once: %v", calls)
	})
}

func TestManagerApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{answers: map[string]func(time.Time) []string{"m": always(`m{i="1"} 1`)}}
		m, rec, _, stop := started(t, s, `{groups: [
			{name: same, rules: [{alert: S, expr: m}]},
			{name: changed, rules: [{alert: A, expr: m, for: 40s}, {record: old, expr: m}]},
			{name: gone, rules: [{alert: G, expr: m}]}]}`)
		time.Sleep(35 * time.Second)
		synctest.Wait()
		same := m.groups[0]
		s.written()
		m.Apply(t.Context(), setOf(t, `{groups: [
			{name: fresh, rules: [{alert: F, expr: m}]},
			{name: same, rules: [{alert: S, expr: m}]},
			{name: changed, rules: [{alert: B, expr: m}, {alert: A, expr: m, for: 40s}]}]}`))
		synctest.Wait()
		require.Same(t, same, m.groups[1], "what is the same goes on")
		require.Equal(t, []string{"f;changed f;gone f;same", "f;changed f;fresh f;same"}, rec.retained)
		require.ElementsMatch(t, []string{
			`{__name__="ALERTS", alertname="G", alertstate="firing", i="1"} NaN`, `{__name__="ALERTS_FOR_STATE", alertname="G", i="1"} NaN`,
		}, s.written())
		rec.take()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		require.Contains(t, s.written(), `{__name__="old", i="1"} NaN`)
		last := rec.reports["f;changed"]
		require.Len(t, last, 2, "A kept its time, although the group changed")
		require.Equal(t, "A", last[1].Name())
		require.Len(t, rec.reports["f;fresh"], 1, "a new group has no state to restore")

		groups := m.Groups()
		require.Len(t, groups, 3)
		require.Equal(t, rule.Firing, groups[2].Rules[0].State)
		stop()
		m.Apply(context.Background(), setOf(t, `{groups: [{name: late, rules: [{alert: F, expr: m}]}]}`))
		synctest.Wait()
	})
}

func TestManagerMissesIterations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{slow: 25 * time.Second, answers: map[string]func(time.Time) []string{}}
		_, rec, reg, stop := started(t, s, `{groups: [{name: g, rules: [{record: r, expr: m}]}]}`)
		time.Sleep(100 * time.Second)
		synctest.Wait()
		stop()
		require.InDelta(t, 3, testutil.ToFloat64(mustGather(t, reg, "fenghuo_rule_evaluations_total")), 1)
		require.InDelta(t, 4.5, testutil.ToFloat64(mustGather(t, reg, "fenghuo_rule_group_iterations_missed_total")), 0.6)
		require.NotEmpty(t, rec.take())
	})
}

func TestManagerRepeatsFailedReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{answers: map[string]func(time.Time) []string{"m": always(`m 1`)}}
		_, rec, reg, stop := started(t, s, `{groups: [{name: g, rules: [{alert: A, expr: m}]}]}`)
		rec.mu.Lock()
		rec.fail = true
		rec.mu.Unlock()
		time.Sleep(25 * time.Second)
		synctest.Wait()
		require.Greater(t, testutil.ToFloat64(mustGather(t, reg, "fenghuo_rule_report_failures_total")), 2.0)
		rec.mu.Lock()
		rec.fail = false
		rec.mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		stop()
		require.Len(t, rec.reports["f;g"], 1)
	})
}

func TestOptionsAreChecked(t *testing.T) {
	s := &shelf{}
	for want, o := range map[string]Options{
		"Querier is missing":  {Appender: s},
		"Appender is missing": {Querier: s},
		"QueryOffset":         {Querier: s, Appender: s, QueryOffset: -1},
		"Concurrency":         {Querier: s, Appender: s, Concurrency: -1},
		"MaxAlerts":           {Querier: s, Appender: s, MaxAlerts: -1},
		"Tenant":              {Querier: s, Appender: s, Tenant: strings.Repeat("x", 200)},
		"ExternalURL":         {Querier: s, Appender: s, ExternalURL: "http://a b:c"},
		"TemplateTimeout":     {Querier: s, Appender: s, TemplateTimeout: -1},
	} {
		_, err := New(o)
		require.ErrorContains(t, err, want)
	}
}
