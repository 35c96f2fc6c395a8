package scrape

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/metadata"
)

// FuzzExposition reads anything at all as both text formats, twice with the same memory: what is stored must be valid,
// and every series that was alive must be there or end.
func FuzzExposition(f *testing.F) {
	f.Add(exposition, "a 1\n", "text/plain")
	f.Add("a{b=\"c\\\"\\n\"} +Inf 12\n", "# TYPE a histogram\na_bucket{le=\"x\"} 1\n", "")
	f.Add("a_total 1 # {x=\"y\"} 1 2\n# EOF\n", "# EOF\n", "application/openmetrics-text; version=1.0.0")
	f.Add("\x0a\x01a\x18\x04", "", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
	c := Config{JobName: "j", SampleLimit: 1000}.withDefaults(15 * time.Second)
	target, err := newTarget(&c, "h:1", nil)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, first, second, contentType string) {
		m, b := newMemory(), metadata.NewBook(maxMetadata, time.Now)
		for i, text := range []string{first, second} {
			before := m.alive
			y, err := target.parse(m, b, []byte(text), contentType, int64(i))
			if err != nil {
				y.samples = m.fail(int64(i))
			}
			there := map[string]bool{}
			for _, s := range y.samples {
				require.NoError(t, target.admit(s.Labels))
				there[s.Labels.String()] = true
			}
			for _, k := range before {
				require.True(t, k.timed || there[k.labels.String()], "%s neither goes on nor ends", k.labels)
			}
			require.LessOrEqual(t, len(m.alive), 1000)
		}
		for _, md := range b.List() {
			require.LessOrEqual(t, len(md.Help), metadata.MaxHelpBytes)
		}
	})
}

// FuzzFileOfTargets reads anything as a file of targets; what it takes can be made into targets or is refused.
func FuzzFileOfTargets(f *testing.F) {
	f.Add([]byte(`[{"targets": ["h:1"], "labels": {"env": "x", "__metrics_path__": "/p?x"}}]`))
	f.Add([]byte("- targets: [h:2, '[::1]:9', 'a b:1', '%zz:1']\n  labels: {__scrape_interval__: 1s, __scheme__: x}\n"))
	c := Config{JobName: "j"}.withDefaults(15 * time.Second)
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, err := parseGroups(text)
		if err != nil {
			return
		}
		for _, g := range groups {
			for _, addr := range g.Targets {
				if made, err := newTarget(&c, addr, g.Labels); err == nil {
					require.NotEmpty(t, made.url)
					require.Positive(t, made.interval)
				}
			}
		}
	})
}
