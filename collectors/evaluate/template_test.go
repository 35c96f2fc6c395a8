package evaluate

import (
	"context"
	"math"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/template"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// TestTemplatesAgainstPrometheus expands texts with this package and with
// Prometheus's: the results must be the same, errors included.
func TestTemplatesAgainstPrometheus(t *testing.T) {
	vector := promql.Vector{
		{Metric: labels.FromStrings("__name__", "m", "i", "b", "__value__", "s"), F: 2.5},
		{Metric: labels.FromStrings("__name__", "m", "i", "a"), F: 1234567},
	}
	theirs := func(_ context.Context, q string, _ time.Time) (promql.Vector, error) {
		switch q {
		case "none":
			return nil, nil
		case "fails":
			return nil, errTest
		}
		return vector, nil
	}
	ours := func(ctx context.Context, q string, when time.Time) ([]result, error) {
		v, err := theirs(ctx, q, when)
		out := []result{}
		for _, s := range v {
			out = append(out, result{s.Metric.Map(), s.F})
		}
		return out, err
	}
	ext, now := "http://x.example:9090/prom", at(0).Add(123*time.Millisecond)
	u, err := url.Parse(ext)
	require.NoError(t, err)
	ls := map[string]string{"i": "host.example.org:9100", "n": "42", "t": "two words", "__name__": "m"}
	texts := []string{
		`plain`, ``, `{{ $labels.i }} {{ .Labels.n }} {{ $labels.none }} {{ $value }} {{ .Value }} {{ $externalURL }} {{ $externalLabels.dc }}`,
		`{{ .ExternalURL }}{{ .ExternalLabels.dc }}`, `{{ humanize $value }} {{ humanize1024 $value }} {{ humanizeDuration $value }} {{ humanizePercentage $value }} {{ humanizeTimestamp $value }}`,
		`{{ $labels.n | humanize }} {{ "x" | humanize }}`, `{{ $labels.i | stripPort }} {{ stripDomain $labels.i }} {{ stripDomain "10.0.0.1:80" }} {{ stripDomain "a.b" }} {{ stripPort "x" }} {{ stripDomain "[::1]:9" }}`,
		`{{ title $labels.t }} {{ toUpper "aß" }} {{ toLower "AÉ" }} {{ title "ALL caps" }}`, `{{ reReplaceAll "(.*)\\.example" "$1" $labels.i }}`, `{{ match "^h.*" $labels.i }} {{ if match "x" "y" }}a{{ else }}b{{ end }}`,
		`{{ query "m" | first | value }} {{ range query "m" }}{{ .Labels.i }}={{ .Value }};{{ end }}`, `{{ range sortByLabel "i" (query "m") }}{{ label "i" . }} {{ end }}`,
		`{{ with query "m" }}{{ . | first | label "i" }}{{ strvalue (first .) }}{{ end }}`, `{{ with query "none" }}x{{ else }}none{{ end }}`, `{{ query "none" | first }}`,
		`{{ query "fails" }}`, `{{ now }}`, `{{ graphLink "up > 0" }} {{ tableLink "up{a=\"b\"}" }}`, `{{ pathPrefix }} {{ externalURL }}`, `{{ urlQueryEscape "a b&c" }}`,
		`{{ parseDuration "1h30m" }} {{ parseDuration "-5m" }} {{ parseDuration "x" }}`, `{{ (toTime $value).Year }} {{ toDuration $value }}`, `{{ toTime "NaN" }}`, `{{ toTime 1e300 }}`,
		`{{ define "x" }}[{{ .arg0 }}{{ .arg1 }}]{{ end }}{{ template "x" (args 1 "b") }}`, `{{ block "b" . }}{{ .Value }}{{ end }}`, `{{ "<b>" | safeHtml }} {{ "<b>" }} {{ html "<b>" }}`,
		`{{ printf "%.2f %s" $value $labels.i }}`, `{{ $x := 5 }}{{ $x }}`, `{{/* comment */}}a{{- " b " -}} c`, `{{ $labels }}`, `{{ if gt $value 1.0 }}big{{ else if eq $labels.n "42" }}n{{ end }}`,
		`{{ range $k, $v := $labels }}{{ $k }}{{ end }}`, `{{ . }}`, `{{ $ }}`, `{{ index $labels "i" }} {{ len $labels.t }}`, `{{ $labels.i.x }}`, `{{ template "gone" }}`, `{{ .Nope }}`, `{{ $value.x }}`,
		`{{ `, `{{ nope }}`, `{{ $nope }}`, `{{ 5 | first }}`, `{{ (query "m" | first).Value }}`, `{{ reReplaceAll "(" "" "x" }}`, `{{ humanizeTimestamp 1e300 }}`, `{{ "x" | value }}`,
	}
	for _, value := range []float64{0, 1, -0.00123, 1536, 98765.4321, 1.7e9, math.NaN(), math.Inf(-1), 1e-30, 1e30} {
		s := scope{query: ours, external: map[string]string{"dc": "d1"}, externalURL: ext, timeout: time.Minute}
		s.root = s.newRoot()
		for _, source := range texts {
			smpl := promql.Sample{F: value}
			defs := []string{"{{$labels := .Labels}}", "{{$externalLabels := .ExternalLabels}}", "{{$externalURL := .ExternalURL}}", "{{$value := .Value}}"}
			want, err := template.NewTemplateExpander(t.Context(), strings.Join(append(defs, source), ""), "__alert_A",
				template.AlertTemplateData(ls, s.external, ext, smpl), model.TimeFromUnixNano(now.UnixNano()), theirs, u, nil).Expand()
			if err != nil {
				want = "<error expanding template: " + err.Error() + ">"
			}
			s.begin(t.Context(), now)
			got, _ := newText("a", source).expand(&s, "A", data{ls, s.external, ext, value})
			if strings.HasPrefix(want, "<error") {
				// The words differ where types of other packages are named.
				require.True(t, strings.HasPrefix(got, "<error"), "%s: %s\nwant %s", source, got, want)
				if !strings.Contains(want, "wrong type") && !strings.Contains(source, "reReplace") && !strings.Contains(want, "field") && !strings.Contains(want, "first") {
					require.Equal(t, want, got, source)
				}
				continue
			}
			require.Equal(t, want, got, source)
		}
	}
}

func TestWhatTextsDependOn(t *testing.T) {
	for source, want := range map[string][2]bool{ // value, volatile
		`plain`:                               {false, false},
		`{{ $labels.a }}`:                     {false, false},
		`{{ .Labels.a | toUpper }}`:           {false, false},
		`{{ if eq $labels.a "b" }}x{{ end }}`: {false, false},
		`{{ if eq $labels.a "b" }}x{{ else }}{{ $value }}{{ end }}`: {true, false},
		`{{ .Value }}`:                           {true, false},
		`{{ humanize $value }}`:                  {true, false},
		`{{ $.Value }}`:                          {true, false},
		`{{ now }}`:                              {false, true},
		`{{ if gt now 5.0 }}x{{ end }}`:          {false, true},
		`{{ with query "up" }}x{{ end }}`:        {true, true},
		`{{ . }}`:                                {true, true},
		`{{ range $k, $v := $labels }}{{ end }}`: {true, true},
		`{{ define "x" }}{{ .Value }}{{ end }}{{ template "x" $labels }}`: {true, true},
		`{{ $x := $value }}{{ $x }}`:                                      {true, false},
	} {
		s := scope{timeout: time.Minute}
		s.root = s.newRoot()
		x := newText("a", source)
		if !x.plain() {
			x.compile(&s, "A")
			require.NoError(t, x.err)
		}
		require.Equal(t, want, [2]bool{x.usesValue, x.volatile}, source)
	}
}

func TestTemplatesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context, _ string, _ time.Time) ([]result, error) {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(3 * time.Second):
				return []result{{}}, nil
			}
		}
		s := scope{query: slow, timeout: 5 * time.Second}
		s.root = s.newRoot()
		d := data{Labels: map[string]string{}}
		s.begin(t.Context(), at(0))
		begin := time.Now()
		out, err := newText("a", `{{ query "a" | len }}`).expand(&s, "A", d)
		require.NoError(t, err)
		require.Equal(t, "1", out)
		_, err = newText("b", `{{ query "a" | len }}`).expand(&s, "A", d)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = newText("c", `{{ "x" }}`).expand(&s, "A", d)
		require.Error(t, err)
		require.LessOrEqual(t, time.Since(begin), 5*time.Second+time.Millisecond, "the texts of a rule share one limit")
		s.begin(t.Context(), at(0))
		_, err = newText("c", `{{ "x" }}`).expand(&s, "A", d)
		require.NoError(t, err)
		_, err = newText("d", `{{ printf "%1000000d" 1 }}`).expand(&s, "A", d)
		require.ErrorIs(t, err, ErrTemplate)
		_, err = newText("e", `{{ define "x" }}{{ template "x" }}{{ end }}{{ template "x" }}`).expand(&s, "A", d)
		require.ErrorIs(t, err, ErrTemplate)
		_, err = newText("f", `{{ define "x" }}{{ if true }}{{ template "y" }}{{ end }}{{ end }}{{ define "y" }}{{ range .a }}{{ else }}{{ template "x" }}{{ end }}{{ end }}{{ template "x" }}`).expand(&s, "A", d)
		require.ErrorIs(t, err, ErrTemplate)
	})
}

func TestTemplateQuery(t *testing.T) {
	db := store(t)
	g := groupOf(t, `{groups: [{name: g, rules: [{alert: A, expr: m, annotations: {s: '{{ with query "m * 2" }}{{ . | first | value }}{{ end }}', bad: '{{ query "(" }}'}}]}]}`, options(db))
	put(t, db, at(0), "m 4")
	g.Eval(t.Context(), at(0))
	firing, _ := g.Firing()
	require.Equal(t, "8", firing[0].Annotations.Get("s"))
	require.Contains(t, firing[0].Annotations.Get("bad"), "<error expanding template")
	require.Equal(t, HealthGood, g.Status(at(0)).Rules[0].Health, "a template that fails doesn't fail the rule")
}

func FuzzTemplate(f *testing.F) {
	f.Add(`{{ $labels.a }} {{ range query "up" }}{{ .Value }}{{ end }}`)
	f.Add(`{{ define "x" }}{{ template "x" }}{{ end }}{{ template "x" }}`)
	f.Add(`{{ printf "%100d" $value | humanize }}`)
	none := func(context.Context, string, time.Time) ([]result, error) { return nil, series.ErrBadQuery }
	f.Fuzz(func(t *testing.T, source string) {
		s := scope{query: none, timeout: time.Second}
		s.root = s.newRoot()
		s.begin(t.Context(), at(0))
		out, _ := newText("a", source).expand(&s, "A", data{Labels: map[string]string{"a": "b"}})
		if len(out) > maxExpanded+len(source)*4+4096 {
			t.Fatalf("%d bytes of %q", len(out), source)
		}
		_ = label.MaxAnnotationBytes
	})
}
