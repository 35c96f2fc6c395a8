package evaluate

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rule"
)

func TestAlertingRule(t *testing.T) {
	db := store(t)
	o := options(db)
	o.ExternalURL, o.Node, o.Datacenter = "http://node:7948/", "n1", "d1"
	o.ExternalLabels = label.FromStrings("dc", "d1", "severity", "lost")
	g := groupOf(t, `
groups:
- name: g
  labels: {team: ops, severity: info}
  rules:
  - alert: Hot
    expr: temperature > 80
    for: 30s
    labels:
      severity: page
      where: '{{ $labels.instance }}-{{ $externalLabels.dc }}'
      empty: '{{ $labels.nothing }}'
    annotations:
      summary: '{{ $labels.instance }} has {{ $value | printf "%.1f" }} degrees'
      plain: no template
`, o)
	steps := []struct {
		value string
		want  []string
	}{
		{"70", nil},
		{"81", []string{`{alertname="Hot", alertstate="pending"`}},
		{"82", []string{`{alertname="Hot", alertstate="pending"`}},
		{"83", []string{`{alertname="Hot", alertstate="firing"`}},
		{"50", nil},
	}
	var fired *alert.Alert
	for i, s := range steps {
		now := at(i * 15)
		put(t, db, now, `temperature{instance="a:1"} `+s.value)
		g.Eval(t.Context(), now)
		got := ask(t, db, `ALERTS`, now)
		require.Len(t, got, len(s.want), "%v", got)
		firing, ok := g.Firing()
		require.True(t, ok)
		require.Equal(t, len(s.want) > 0 && strings.Contains(s.want[0], "firing"), len(firing) == 1)
		if len(firing) == 1 {
			fired = firing[0]
			// As Prometheus does, the series keeps the text of a label that became empty.
			require.Equal(t, []string{
				`{__name__="ALERTS", alertname="Hot", alertstate="firing", empty="{{ $labels.nothing }}", instance="a:1", severity="page", team="ops", where="a:1-d1"} 1`,
			}, got)
			require.Equal(t, []string{
				`{__name__="ALERTS_FOR_STATE", alertname="Hot", empty="{{ $labels.nothing }}", instance="a:1", severity="page", team="ops", where="a:1-d1"} 1.700000015e+09`,
			}, ask(t, db, `ALERTS_FOR_STATE`, now))
		}
	}
	require.Equal(t, &alert.Alert{
		Tenant:       alert.DefaultTenant,
		Labels:       label.FromStrings("alertname", "Hot", "instance", "a:1", "severity", "page", "team", "ops", "where", "a:1-d1", "dc", "d1"),
		Annotations:  label.FromStrings("summary", "a:1 has 83.0 degrees", "plain", "no template"),
		GeneratorURL: "http://node:7948/graph?g0.expr=temperature+%3E+80&g0.tab=1",
		Origin:       &alert.Origin{Source: "rule", Node: "n1", Datacenter: "d1"},
		Extra:        &alert.Extra{RuleGroup: "rules.yml;g"},
		StartsAt:     alert.At(at(45)), // when it began to fire, not when it became active
		Priority:     alert.P1,
	}, fired)
	require.NoError(t, fired.Validate())
}

func TestUnchangedAlertIsTheSame(t *testing.T) {
	db := store(t)
	g := groupOf(t, `{groups: [{name: g, rules: [{alert: A, expr: 'm > 0', annotations: {v: '{{ $value }}', i: '{{ $labels.i }}'}}]}]}`, options(db))
	var last []*alert.Alert
	for i, v := range []string{"1", "1", "2"} {
		put(t, db, at(i*15), `m{i="x"} `+v)
		g.Eval(t.Context(), at(i*15))
		firing, _ := g.Firing()
		require.Len(t, firing, 1)
		require.Equal(t, v, firing[0].Annotations.Get("v"))
		if i == 1 {
			require.Same(t, last[0], firing[0])
		}
		last = firing
	}
}

func TestRecordingRule(t *testing.T) {
	db := store(t)
	g := groupOf(t, `
groups:
- name: g
  rules:
  - record: job:m:sum
    expr: sum by (job, i) (m)
    labels: {l: x, i: ''}
  - record: next
    expr: job:m:sum * 2
  - record: one
    expr: 1
`, options(db))
	put(t, db, at(0), `m{job="a", i="1"} 3`, `m{job="b", i="1"} 4`)
	g.Eval(t.Context(), at(0))
	require.Equal(t, []string{`{__name__="job:m:sum", job="a", l="x"} 3`, `{__name__="job:m:sum", job="b", l="x"} 4`}, ask(t, db, "job:m:sum", at(0)))
	require.Equal(t, []string{`{__name__="next", job="a", l="x"} 6`, `{__name__="next", job="b", l="x"} 8`}, ask(t, db, "next", at(0)), "rules see what earlier ones recorded")
	require.Equal(t, []string{`{__name__="one"} 1`}, ask(t, db, "one", at(0)))

	put(t, db, at(15), `m{job="a", i="1"} 5`, `m{job="b", i="1"} stale`)
	g.Eval(t.Context(), at(15))
	require.Equal(t, []string{`{__name__="job:m:sum", job="a", l="x"} 5`}, ask(t, db, "job:m:sum", at(15)), "what vanished is stale at once")
	require.Equal(t, []string{`{__name__="next", job="a", l="x"} 10`}, ask(t, db, "next", at(15)))

	put(t, db, at(30), `m{job="a", i="1"} 5`, `m{job="a", i="2"} 6`)
	g.Eval(t.Context(), at(30))
	st := g.Status(at(30))
	require.Equal(t, HealthBad, st.Rules[0].Health)
	require.Contains(t, st.Rules[0].LastError, ErrDuplicateSeries.Error())
	require.Equal(t, HealthGood, st.Rules[1].Health)
}

func TestQueryOffsetAndLimit(t *testing.T) {
	db := store(t)
	g := groupOf(t, `
groups:
- name: g
  query_offset: 30s
  limit: 1
  rules:
  - {record: r, expr: m}
  - {alert: A, expr: m > 1}
`, options(db))
	put(t, db, at(0), `m{i="1"} 2`)
	put(t, db, at(30), `m{i="1"} 9`, `m{i="2"} 9`)
	g.Eval(t.Context(), at(30))
	require.Equal(t, []string{`{__name__="r", i="1"} 2`}, ask(t, db, "r", at(0)), "looks and writes 30 s in the past")
	firing, _ := g.Firing()
	require.Len(t, firing, 1)
	require.Equal(t, alert.At(at(30)), firing[0].StartsAt)
	g.Eval(t.Context(), at(60))
	for _, r := range g.Status(at(60)).Rules {
		require.Equal(t, HealthBad, r.Health)
		require.Contains(t, r.LastError, "exceeded limit of 1 with 2")
	}
	firing, _ = g.Firing()
	require.Empty(t, firing)
}

func TestFailingRuleKeepsItsAlerts(t *testing.T) {
	db := &failing{DB: store(t)}
	g := groupOf(t, `{groups: [{name: g, rules: [{alert: A, expr: m > 0}, {record: r, expr: m}]}]}`, Options{Querier: db, Appender: db})
	put(t, db, at(0), `m 1`)
	g.Eval(t.Context(), at(0))
	db.query = true
	g.Eval(t.Context(), at(15))
	firing, ok := g.Firing()
	require.True(t, ok)
	require.Len(t, firing, 1)
	st := g.Status(at(15))
	require.Equal(t, HealthBad, st.Rules[0].Health)
	require.Equal(t, errTest.Error(), st.Rules[0].LastError)
	require.Equal(t, rule.Firing, st.Rules[0].State)
	db.query, db.write = false, true
	g.Eval(t.Context(), at(30))
	require.Equal(t, "storing the result: "+errTest.Error(), g.Status(at(30)).Rules[1].LastError)
	db.write = false
	g.Eval(t.Context(), at(45))
	require.Equal(t, HealthGood, g.Status(at(45)).Rules[0].Health)
}

func TestDuplicateAlerts(t *testing.T) {
	db := store(t)
	g := groupOf(t, `{groups: [{name: g, rules: [{alert: A, expr: m, labels: {i: same}}]}]}`, options(db))
	put(t, db, at(0), `m{i="1"} 1`, `m{i="2"} 1`)
	g.Eval(t.Context(), at(0))
	require.Contains(t, g.Status(at(0)).Rules[0].LastError, "vector contains metrics with the same labelset after applying alert labels")
}

func TestParametersScheduleAndTenant(t *testing.T) {
	db := store(t)
	o := options(db)
	o.Host = label.FromStrings("role", "db")
	g := groupOf(t, `
fenghuo:
  tenant: shop
  parameters:
    hot: 80
    cold:
      value: 10
      overrides:
      - {match: 'role="db"', value: 20}
      - {when: {hours: "22:15-22:30"}, factor: 3}   # 2023-11-14 22:13:20 UTC is second 0
  rules:
  - {alert: Off, schedule: [{days: sun}]}
  - {alert: Cold, tenant: cellar}
groups:
- name: g
  rules:
  - {alert: Hot, expr: m > $hot, labels: {fenghuo_tenant: kitchen}}
  - {alert: Cold, expr: m < $cold}
  - {alert: Off, expr: m}
  - {alert: Shop, expr: m}
`, o)
	firing := func(seconds int, value string) map[string]string {
		put(t, db, at(seconds), "m "+value)
		g.Eval(t.Context(), at(seconds))
		alerts, ok := g.Firing()
		require.True(t, ok)
		out := map[string]string{}
		for _, a := range alerts {
			require.Equal(t, label.FromStrings("alertname", a.Name()), a.Labels, "settings are no labels")
			out[a.Name()] = a.Tenant
		}
		return out
	}
	require.Equal(t, map[string]string{"Hot": "kitchen", "Shop": "shop"}, firing(0, "81"))
	require.Equal(t, map[string]string{"Cold": "cellar", "Shop": "shop"}, firing(15, "19"))
	require.Equal(t, map[string]string{"Shop": "shop"}, firing(30, "25"))
	require.Equal(t, map[string]string{"Cold": "cellar", "Shop": "shop"}, firing(120, "25"), "22:15: the factor of the base")
	st := g.Status(at(120))
	require.Equal(t, "m < 30", st.Rules[1].Query)
	require.Equal(t, map[string]string{"cold": "30"}, st.Rules[1].Parameters)
	require.True(t, st.Rules[2].Off)
}

func TestFlappingAlert(t *testing.T) {
	db := store(t)
	g := groupOf(t, `{groups: [{name: g, rules: [{alert: A, expr: m > 0, labels: {fenghuo_flap: "true"}, annotations: {s: x}}]}]}`, options(db))
	held := 0
	for i := range 12 {
		put(t, db, at(i*15), []string{"m 0", "m 1"}[i%2])
		g.Eval(t.Context(), at(i*15))
		firing, _ := g.Firing()
		if i%2 == 0 && len(firing) == 1 {
			held++
			require.Equal(t, label.FromStrings("s", "x", "fenghuo_flapping", "true"), firing[0].Annotations)
			require.Equal(t, label.FromStrings("alertname", "A"), firing[0].Labels)
		}
	}
	require.Equal(t, 3, held)
}

func TestLongAnnotationIsCut(t *testing.T) {
	db := store(t)
	g := groupOf(t, `{groups: [{name: g, rules: [{alert: A, expr: m, annotations: {
		a: '{{ printf "%40000d" 1 }}é', b: '{{ printf "%31000d" 1 }}', c: '{{ printf "%31000d" 1 }}', d: short}}]}]}`, options(db))
	put(t, db, at(0), "m 1")
	g.Eval(t.Context(), at(0))
	firing, _ := g.Firing()
	require.Len(t, firing, 1)
	require.NoError(t, firing[0].Validate())
	require.Len(t, firing[0].Annotations.Get("a"), label.MaxAnnotationBytes)
	require.True(t, strings.HasSuffix(firing[0].Annotations.Get("a"), cutNote))
	require.Len(t, firing[0].Annotations.Get("b"), 31000)
	require.Less(t, len(firing[0].Annotations.Get("c")), 31000)
}

func TestHugeLabelFailsTheRule(t *testing.T) {
	db := store(t)
	g := groupOf(t, `{groups: [{name: g, rules: [{alert: A, expr: m, labels: {a: '{{ printf "%5000d" 1 }}'}}]}]}`, options(db))
	put(t, db, at(0), "m 1")
	g.Eval(t.Context(), at(0))
	require.Contains(t, g.Status(at(0)).Rules[0].LastError, ErrLabels.Error())
}

func TestRestore(t *testing.T) {
	db := store(t)
	file := `
groups:
- name: g
  rules:
  - {alert: Long, expr: m > 0, for: 1h, labels: {severity: page, v: 'x{{ $labels.i }}'}}
  - {alert: None, expr: m > 5, for: 1h}
  - {alert: Now, expr: m > 0}
`
	before := groupOf(t, file, options(db))
	for i := range 121 { // half an hour
		put(t, db, at(i*15), `m{i="1"} 1`)
		before.Eval(t.Context(), at(i*15))
	}
	// The node is down for ten minutes.
	after := groupOf(t, file, options(db))
	for _, r := range after.rules {
		r.(*alerting).restored = false
	}
	down, up := 1800, 2400
	for i := range 2 {
		put(t, db, at(up+i*15), `m{i="1"} 1`)
		after.Eval(t.Context(), at(up+i*15))
		require.Equal(t, i == 1, after.Restore(t.Context(), at(up+i*15), i == 0))
		_, ok := after.Firing()
		require.Equal(t, i == 1, ok, "a rule with a memory waits for the second evaluation")
	}
	st := after.Status(at(up + 15))
	require.Equal(t, at(up+15-down), st.Rules[0].Alerts[0].ActiveAt, "the time down doesn't count")
	require.Equal(t, at(0), st.Rules[2].Alerts[0].ActiveAt)
	after.Eval(t.Context(), at(up+30))
	firing, _ := after.Firing()
	require.Len(t, firing, 1)
	// As with Prometheus it fires anew; who keeps alerts knows the earlier start.
	require.Equal(t, alert.At(at(up)), firing[0].StartsAt)

	// An outage longer than the tolerance, or a memory that ended, is no memory.
	late := groupOf(t, file, options(db))
	late.rules[0].(*alerting).restored = false
	put(t, db, at(up+30+3700), `m{i="1"} 1`)
	late.Eval(t.Context(), at(up+30+3700))
	require.False(t, late.Restore(t.Context(), at(up+30+3700), true))
	_, ok := late.Firing()
	require.True(t, ok)
	require.Equal(t, at(up+30+3700), late.Status(at(0)).Rules[0].Alerts[0].ActiveAt)
}

func TestSlots(t *testing.T) {
	db := store(t)
	g := groupOf(t, `{groups: [{name: g, interval: 1m, rules: []}]}`, options(db))
	s := g.slot(at(0))
	require.False(t, s.After(at(0)))
	require.Less(t, at(0).Sub(s), time.Minute)
	require.Equal(t, s, g.slot(s))
	require.Equal(t, s.Add(-time.Minute), g.slot(s.Add(-1)))
	next := func(now, last time.Time) (time.Duration, int) {
		n, missed := g.next(now, last)
		return n.Sub(s), int(missed)
	}
	for _, c := range []struct {
		name      string
		now, last time.Time
		want      time.Duration
		missed    int
	}{
		{"start", s.Add(time.Second), time.Time{}, time.Minute, 0},
		{"in time", s.Add(time.Second), s, time.Minute, 0},
		{"timer was early", s.Add(-time.Millisecond), s, time.Minute, 0},
		{"took a minute and a half", s.Add(90 * time.Second), s, time.Minute, 0},
		{"took three minutes and a half", s.Add(210 * time.Second), s, 3 * time.Minute, 2},
		{"clock set back an hour", s.Add(-time.Hour), s, -59 * time.Minute, 0},
	} {
		got, missed := next(c.now, c.last)
		require.Equal(t, c.want, got, c.name)
		require.Equal(t, c.missed, missed, c.name)
	}
}

func TestReportWaitsForARuleThatFailsFromTheStart(t *testing.T) {
	db := &failing{DB: store(t), query: true}
	g := groupOf(t, `{groups: [{name: g, rules: [{alert: A, expr: m > 0}]}]}`, Options{Querier: db, Appender: db})
	put(t, db, at(0), `m 1`)
	for i := range patience {
		_, ok := g.Firing()
		require.False(t, ok, "no evidence that A has ended")
		g.Eval(t.Context(), at(i*15))
	}
	_, ok := g.Firing()
	require.True(t, ok, "one broken rule doesn't silence its group for ever")
}

func TestStatusWhileEvaluating(t *testing.T) {
	db := store(t)
	g := groupOf(t, `{groups: [{name: g, rules: [{alert: A, expr: 'm > 0', annotations: {v: '{{ $value }}'}}, {record: r, expr: m}]}]}`, options(db))
	put(t, db, at(0), `m{i="1"} 1`, `m{i="2"} 2`)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			g.Eval(t.Context(), at(i))
		}
	}()
	alerts := 0
	for {
		alerts = max(alerts, len(g.Status(at(0)).Rules[0].Alerts))
		g.Failures()
		select {
		case <-done:
			require.Equal(t, 2, max(alerts, len(g.Status(at(0)).Rules[0].Alerts)))
			return
		default:
		}
	}
}
