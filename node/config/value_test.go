package config

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

// formats shows a value in every common way.
func formats(v any) []string {
	j, _ := json.Marshal(v)
	y, _ := yaml.Marshal(v)
	return []string{fmt.Sprintf("%v %+v %#v %s %q", v, v, v, v, v), string(j), string(y)}
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "15s": 15 * time.Second, "1h30m": 90 * time.Minute, "8d": 8 * day, "1w": 7 * day, "250ms": 250 * time.Millisecond,
	} {
		var d Duration
		require.NoError(t, d.UnmarshalText([]byte(text)), text)
		require.Equal(t, want, d.Std(), text)
	}
	for _, text := range []string{"", "5", "-5m", "5 m", "1.5h", "m", "5m5m", "9999999999w", "５m"} {
		var d Duration
		require.Error(t, d.UnmarshalText([]byte(text)), "%q", text)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "1B": 1, "512KiB": 512 << 10, "64MiB": 64 << 20, "64 MiB": 64 << 20, "1GiB": 1 << 30, "2TiB": 2 << 40, "500MB": 500e6, "1KB": 1000,
	} {
		var s Size
		require.NoError(t, s.UnmarshalText([]byte(text)), text)
		require.Equal(t, want, s, text)
	}
	for _, text := range []string{"", "MiB", "-1MiB", "1.5GiB", "64M", "64mib", "9223372036854775807KiB", "1e3", "0x10"} {
		var s Size
		require.Error(t, s.UnmarshalText([]byte(text)), "%q", text)
	}
}

func TestValuesSurviveTheirText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Size(rapid.Int64Range(0, 1<<62).Draw(t, "size"))
		var s2 Size
		require.NoError(t, s2.UnmarshalText([]byte(s.String())))
		require.Equal(t, s, s2)
		d := Duration(time.Duration(rapid.Int64Range(0, int64(1e12)).Draw(t, "ms")) * time.Millisecond)
		var d2 Duration
		require.NoError(t, d2.UnmarshalText([]byte(d.String())))
		require.Equal(t, d, d2)
	})
}

// job is a section another package might read.
type job struct {
	Name   string           `yaml:"job_name"`
	Every  Duration         `yaml:"every,omitempty"`
	Params map[string][]int `yaml:"params"`
	Auth   *struct {
		User string
	} `yaml:"auth"`
	inner `yaml:",inline"`
	Any   map[string]any `yaml:"any"`
}

type inner struct {
	Path string `yaml:"path"`
}

func TestRawIsStrict(t *testing.T) {
	parse := func(text string) Raw {
		c, err := Parse("f.yml", []byte(text))
		require.NoError(t, err)
		return c.ScrapeConfigs
	}
	var jobs []job
	require.NoError(t, Raw{}.Decode(&jobs))
	require.NoError(t, parse("scrape_configs:\n- job_name: a\n  path: /x\n  auth: {user: u}\n  any: {x: y}\n").Decode(&jobs))
	require.Equal(t, "/x", jobs[0].Path)
	require.Equal(t, "u", jobs[0].Auth.User)

	err := parse("scrape_configs:\n- job_name: a\n  pat: /x\n  params: {b: [x]}\n- auth:\n    pass: p\n").Decode(&jobs)
	require.EqualError(t, err, `f.yml:3: scrape_configs[0].pat: there is no such setting: did you mean path?
f.yml:4: scrape_configs: cannot unmarshal !!str `+"`x`"+` into int
f.yml:6: scrape_configs[1].auth.pass: there is no such setting`)

	require.ErrorContains(t, parse("scrape_configs:\n- every: soon\n").Decode(&jobs), "f.yml:2: scrape_configs: ")
}
