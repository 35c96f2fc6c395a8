package rulefile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/rule"
)

func TestParseFileErrors(t *testing.T) {
	for _, c := range []struct {
		name, file string
		want       []string
	}{
		{"empty", "", nil},
		{"null", "null\n", nil},
		{"no groups", "groups:\n", nil},
		{"comment", "# nothing\n", nil},
		{"syntax", "groups:\n- name: a\n  rules: [\n", []string{"f:3:1: did not find expected node content"}},
		{"tab", "groups:\n\t- name: a\n", []string{"f:2:1: found character that cannot start any token"}},
		{"list", "- a\n", []string{"f:1:1: want a mapping with the key groups"}},
		{"unknown top", "groups: []\nrules: []\n", []string{`f:2:1: unknown field "rules"`}},
		{"group of text", "groups: [a]\n", []string{"f:1:10: a group must be a mapping"}},
		{"unknown in group and rule", `
groups:
- name: a
  evaluate: 5s
- name: b
  rules:
  - alert: A
    expr: up
    severity: page
`, []string{`f:4:3: group "a": unknown field "evaluate"`, `f:9:5: group "b", rule "A": unknown field "severity"`}},
		{"all faults of a rule", `
groups:
- name: g
  rules:
  - alert: A
    record: b
    expr: sum(
    for: 5m
  - alert: B
    expr: up
    labels: {__name__: x}
    annotations:
      a: '{{ $label }}'
  - expr: up
  - record: 'a{b}'
    for: 5m
    expr: up
`, []string{
			`f:6:13: group "g", rule "A": invalid field 'for' in recording rule`,
			`f:6:13: group "g", rule "A": only one of 'record' and 'alert' must be set`,
			`f:7:11: group "g", rule "A": could not parse expression: 1:5: parse error: unclosed left parenthesis`,
			`f:9:5: group "g", rule "B": annotation "a": template: __alert_B:1: undefined variable "$label"`,
			`f:9:5: group "g", rule "B": invalid label name: __name__`,
			`f:14:5: group "g": one of 'record' or 'alert' must be set`,
			`f:15:13: group "g", rule "a{b}": braces present in the recording rule name; should it be in expr?: a{b}`,
			`f:15:13: group "g", rule "a{b}": invalid field 'for' in recording rule`,
		}},
		{"types", `
groups:
- name: g
  limit: many
  rules: []
- name: h
  rules:
  - alert: A
    expr: [1]
  - alert: B
    expr: up
    for: soon
- name: h
  interval: 10ms
  labels: {'': x}
  limit: -1
`, []string{
			"f:4:1: group \"g\": cannot unmarshal !!str `many` into int",
			"f:10:5: group \"h\", rule \"B\": not a valid duration string: \"soon\"",
			"f:9:1: group \"h\", rule \"A\": cannot unmarshal !!seq into string",
			`f:13:3: group "h": invalid label name: `,
			`f:16:10: group "h": limit -1 is negative`,
			`f:13:3: groupname: "h" is repeated in the same file`,
			`f:14:13: group "h": interval 10ms is below 1s`,
		}},
		{"twice", "groups:\n- name: g\n  name: h\n", []string{`f:3:3: group "g": field "name" is given twice`}},
		{"settings", `
groups:
- name: g
  labels: {fenghuo_flap: maybe}
  rules:
  - {alert: A, expr: up}
  - {alert: B, expr: up, labels: {fenghuo_scope: global, fenghuo_flap: '20,30'}}
  - {alert: C, expr: up > $nope}
`, []string{
			`f:6:5: group "g", rule "A": label fenghuo_flap: "maybe": want true, false or thresholds in percent: HIGH,LOW`,
			`f:7:5: group "g", rule "B": label fenghuo_flap: "maybe": want true, false or thresholds in percent: HIGH,LOW`,
			`f:7:5: group "g", rule "B": label fenghuo_flap: low: 30 is not between 0 and high (20)`,
			`f:7:5: group "g", rule "B": label fenghuo_scope: unknown setting; there are fenghuo_flap and fenghuo_tenant`,
			`f:8:22: group "g", rule "C": could not parse expression: unknown parameter $nope`,
		}},
		{"extension", `
fenghuo:
  zone: Middle/Earth
  tenant: ''
  parameters:
    1a: 5
    a: {value: 5m, overrides: [{factor: 2}, {value: 6, when: {days: someday, hours: "9-17"}}, {match: '{', value: 1}, {match: 'a=~"["', value: 1}, {value: ')'}]}
    b: [1]
    c: {valeu: 1}
  rules:
  - {alert: Gone, flap: true}
  - {record: r, flap: true}
  - {tenant: x}
groups:
- name: g
  rules:
  - {alert: A, expr: 'rate(x[$a]) > 1'}
`, []string{
			`f:3:9: zone: "Middle/Earth" is no time zone`,
			`f:4:11: tenant: name has 0 bytes, want 1 to 128`,
			`f:6:5: invalid parameter: name "1a"`,
			`f:7:5: invalid parameter $a: override 1: a factor needs a number as base, not "5m"`,
			`f:7:69: invalid time window: "someday" is no weekday`,
			`f:7:85: invalid time window: "9-17" is no range of hours (09:00-18:00)`,
			`f:7:103: match: invalid matcher "{": no matcher in it`,
			`f:7:127: match: invalid matcher`,
			`f:8:8: parameter "b": want a value, or a mapping with value and overrides`,
			`f:9:9: unknown field "valeu"`,
			`f:11:5: fenghuo: rules: the file has no rule "Gone" here`,
			`f:12:23: flap: a recording rule can't flap`,
			`f:12:5: fenghuo: rules: the file has no rule "r" here`,
			`f:13:5: want either alert or record: the name of the rule`,
			`f:17:22: group "g", rule "A": could not parse expression with $a = ): 1:8: parse error`,
		}},
		{"merged", `
x: &x {for: 1m, bad: 1}
groups: []
`, []string{`f:2:1: unknown field "x"`}},
		{"merges itself", "groups:\n- &a {name: g, <<: {<<: *a}}\n", []string{`f:2:3: group "g": mappings are merged too deep`}},
		{"operator object", "apiVersion: v1\nkind: PrometheusRule\n", []string{"f:2:7: a PrometheusRule of an unknown apiVersion"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			groups, issues := ParseFile("f", []byte(c.file), 0)
			got := []string{}
			for _, i := range issues {
				got = append(got, i.String())
			}
			if len(c.want) > 0 {
				require.Nil(t, groups)
			}
			require.Len(t, got, len(c.want), "%s", strings.Join(got, "\n"))
			for _, w := range c.want {
				found := false
				for _, g := range got {
					found = found || strings.HasPrefix(g, w)
				}
				require.True(t, found, "%s\nnot in\n%s", w, strings.Join(got, "\n"))
			}
		})
	}
}

func TestParseFile(t *testing.T) {
	groups, issues := ParseFile("f", []byte(`
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: x}
spec:
  groups:
  - name: g
    interval: 30s
    query_offset: 5s
    limit: 7
    labels: {a: "1", b: "2"}
    rules:
    - &base
      alert: A
      expr: |
        sum by (job) (up)
          == 0
      for: 1h30m
      keep_firing_for: 5m
      labels: {b: "3", fenghuo_flap: "40,10"}
      annotations: {s: "{{ $value }}"}
    - <<: *base
      alert: B
    - {record: 'a:b', expr: 'vector(1)'}
  - name: h
    rules:
    - {alert: M, expr: 'up[5m]'}
---
more: yes
`), 0)
	require.Len(t, issues, 2)
	require.Equal(t, Warning, issues[0].Severity)
	require.Len(t, groups, 2)
	g := groups[0]
	require.Equal(t, "f;g", g.Key())
	require.Equal(t, 30*time.Second, g.Interval)
	require.Equal(t, 5*time.Second, *g.QueryOffset)
	require.Equal(t, 7, g.Limit)
	require.Equal(t, DefaultInterval, groups[1].Interval)
	a := g.Rules[0]
	require.Equal(t, `{a="1", b="3"}`, a.Labels.String())
	require.Equal(t, "sum by (job) (up) == 0", a.Query)
	require.Equal(t, 90*time.Minute, a.For)
	require.Equal(t, 5*time.Minute, a.KeepFiringFor)
	require.Equal(t, &rule.Flap{High: 40, Low: 10}, a.Flap)
	require.Equal(t, "B", g.Rules[1].Name)
	require.False(t, g.Rules[2].Alerting)
}

func TestDigestSeesMeaningOnly(t *testing.T) {
	one := func(file string) string {
		groups, issues := ParseFile("f", []byte(file), 0)
		require.Empty(t, issues)
		return groups[0].content
	}
	a := one("groups:\n- name: g\n  rules:\n  - {alert: A, expr: up}\n")
	require.Equal(t, a, one("# comment\ngroups: [{rules: [{expr: up, alert: A}], name: g}]\n"))
	require.NotEqual(t, a, one("groups:\n- name: g\n  rules:\n  - {alert: A, expr: up, for: 1m}\n"))
	require.NotEqual(t, a, one("fenghuo: {tenant: x}\ngroups:\n- name: g\n  rules:\n  - {alert: A, expr: up}\n"))
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(p, []byte(text), 0o600))
		return p
	}
	b := write("b.yml", "groups: [{name: g, rules: [{alert: B, expr: up}, {record: r, expr: up}]}]")
	a := write("a.yml", "groups: [{name: g, rules: [{alert: A, expr: up}]}]")
	set, err := Load([]string{b, filepath.Join(dir, "*.yml"), filepath.Join(dir, "*.none")}, 0)
	require.NoError(t, err)
	require.Equal(t, []string{a, b}, set.Files)
	alerting, recording := set.Rules()
	require.Equal(t, [2]int{2, 1}, [2]int{alerting, recording})
	require.Len(t, set.Issues, 1)
	write("c.yml", "groups: [{name: g, rules: [{alert: A, expr: up +}, {alert: A}]}]")
	_, err = Load([]string{filepath.Join(dir, "*"), filepath.Join(dir, "gone"), "["}, 0)
	require.ErrorIs(t, err, ErrRules)
	var all *LoadError
	require.ErrorAs(t, err, &all)
	require.Len(t, all.Issues, 4, "%v", err)
	write("big.yml", strings.Repeat("#", MaxFileBytes+1))
	_, err = Load([]string{filepath.Join(dir, "big.yml")}, 0)
	require.ErrorContains(t, err, "at most")
}

func TestParameterFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("rules.yml", "fenghuo: {parameters: {a: 1, b: 2}}\ngroups: [{name: g, rules: [{alert: A, expr: up > $a + $b + $c}]}]")
	write("site.yml", "fenghuo: {zone: Europe/Berlin, parameters: {b: {value: 20, overrides: [{when: {hours: '00:00-12:00'}, factor: 2}]}, c: 30}}")
	load := func() (*Set, error) { return Load([]string{filepath.Join(dir, "*.yml")}, 0) }
	set, err := load()
	require.NoError(t, err)
	require.Len(t, set.Groups, 1)
	r := set.Groups[0].Rules[0]
	require.Equal(t, "up > 1 + 20 + 30", r.Query)
	query, err := r.Resolve(rule.Scope{At: time.Date(2026, 7, 1, 9, 59, 0, 0, time.UTC)})
	require.NoError(t, err)
	require.Equal(t, "up > 1 + 40 + 30", query, "11:59 in Berlin")

	write("site.yml", "fenghuo: {parameters: {b: 20, c: 31}}")
	changed, err := load()
	require.NoError(t, err)
	require.False(t, set.Groups[0].Same(changed.Groups[0]), "another parameter file changes the groups")

	write("team.yml", "fenghuo: {parameters: {c: 5}}")
	_, err = load()
	require.ErrorContains(t, err, `parameter "c" is given in `+filepath.Join(dir, "site.yml")+" too")
	write("team.yml", "fenghuo: {tenant: x}")
	_, err = load()
	require.ErrorContains(t, err, "tenant: a file without groups has only parameters")
	require.NoError(t, os.Remove(filepath.Join(dir, "team.yml")))
	require.NoError(t, os.Remove(filepath.Join(dir, "site.yml")))
	_, err = load()
	require.ErrorContains(t, err, "unknown parameter $c")
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte("groups: [{name: g, interval: 5s, rules: [{alert: A, expr: up > $x, for: 5m, labels: {a: '{{ $value }}'}}]}]\nfenghuo: {parameters: {x: 5}}\n"))
	f.Add([]byte("fenghuo: {tenant: a, zone: UTC, rules: [{alert: A, flap: {high: 30}, schedule: [{days: mon-fri, hours: ['22:00-06:00']}]}], parameters: {a: {value: 1, overrides: [{match: 'a=b', factor: 2, when: {days: sun}}]}}}\n"))
	f.Add([]byte("groups:\n- &a {name: g, <<: {<<: *a}}\n"))
	f.Add([]byte("kind: PrometheusRule\napiVersion: monitoring.coreos.com/v1\nspec: {groups: [{name: a, rules: [{record: b, expr: 'sum(x)'}]}]}\n---\na: b"))
	f.Add([]byte("a: &a [x,x]\nb: &b [*a,*a]\ngroups: *b"))
	f.Fuzz(func(t *testing.T, content []byte) {
		groups, issues := ParseFile("f", content, 0)
		if len(Errors(issues)) > 0 && groups != nil {
			t.Fatal("groups of a file with errors")
		}
		for _, g := range groups {
			if g.Interval <= 0 || g.content == "" {
				t.Fatalf("incomplete group %+v", g)
			}
			for _, r := range g.Rules {
				if r.Name == "" || r.Query == "" {
					t.Fatalf("incomplete rule %+v", r)
				}
			}
		}
	})
}
