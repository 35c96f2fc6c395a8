package label_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// anyMap draws label maps with values long enough for two-byte lengths.
func anyMap(t *rapid.T) map[string]string {
	return rapid.MapOfN(rapid.StringMatching(`[a-zé_][a-z0-9_]{0,20}`), rapid.StringN(0, 60, 300), 0, 12).Draw(t, "labels")
}

// The dumb model of a set is a map without empty values.
func TestSetAgreesWithMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anyMap(t)
		s, err := label.FromMap(m)
		require.NoError(t, err)
		maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
		require.Equal(t, m, s.Map())
		require.Equal(t, len(m), s.Len())
		for n, v := range m {
			require.Equal(t, v, s.Get(n))
		}
		require.Empty(t, s.Get("absent0"))

		want := model.LabelSet{}
		for n, v := range m {
			want[model.LabelName(n)] = model.LabelValue(v)
		}
		require.Equal(t, uint64(want.Fingerprint()), uint64(s.Fingerprint()), "not Prometheus's fingerprint")

		back, err := label.Decode(s.Encoded())
		require.NoError(t, err)
		require.Equal(t, s, back)

		js, err := json.Marshal(s)
		require.NoError(t, err)
		var viaJSON map[string]string
		require.NoError(t, json.Unmarshal(js, &viaJSON))
		require.Equal(t, m, viaJSON)

		drop := func(n string) bool { return n < "m" }
		require.Equal(t, s.Without(drop).Fingerprint(), s.FingerprintWithout(drop))
	})
}

func TestCompareOrdersLikePairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, err := label.FromMap(anyMap(t))
		require.NoError(t, err)
		b, err := label.FromMap(anyMap(t))
		require.NoError(t, err)
		require.Equal(t, a == b, label.Compare(a, b) == 0)
		require.Equal(t, label.Compare(a, b) < 0, label.Compare(b, a) > 0)
	})
}

func TestBounds(t *testing.T) {
	long := strings.Repeat("x", label.MaxValueBytes+1)
	many := make([]label.Pair, label.MaxLabels+1)
	for i := range many {
		many[i] = label.Pair{Name: "l" + strings.Repeat("x", i), Value: "v"}
	}
	for name, c := range map[string]struct {
		pairs []label.Pair
		want  error
	}{
		"value too long":  {[]label.Pair{{Name: "a", Value: long}}, label.ErrValue},
		"name too long":   {[]label.Pair{{Name: long, Value: "a"}}, label.ErrName},
		"no name":         {[]label.Pair{{Name: "", Value: "a"}}, label.ErrName},
		"name not UTF-8":  {[]label.Pair{{Name: "a\xff", Value: "a"}}, label.ErrName},
		"value not UTF-8": {[]label.Pair{{Name: "a", Value: "\xff"}}, label.ErrValue},
		"twice":           {[]label.Pair{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}, label.ErrDuplicate},
		"too many":        {many, label.ErrTooMany},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := label.New(c.pairs)
			require.ErrorIs(t, err, c.want)
		})
	}
	_, err := label.NewAnnotations([]label.Pair{{Name: "a", Value: long}})
	require.NoError(t, err, "annotations have wider bounds")
}

func TestString(t *testing.T) {
	require.Equal(t, `{a="1", "b c"="x\"y"}`, label.FromStrings("b c", `x"y`, "a", "1").String())
	require.Equal(t, `{}`, label.Set{}.String())
}

func TestMatchers(t *testing.T) {
	s := label.FromStrings("env", "prod", "host", "db1")
	for text, want := range map[string]bool{
		`env="prod"`: true, `env=prod`: true, `{env="prod",host=~"db.*"}`: true, `env!="prod"`: false,
		`host!~"web.*"`: true, `absent=""`: true, `absent!=""`: false, `"host"=~"d|db1"`: true, `host=~"b1"`: false,
	} {
		ms, err := label.ParseMatchers(text)
		require.NoError(t, err, text)
		require.Equal(t, want, ms.Match(s), text)
	}
	for _, text := range []string{`{`, `=x`, `env=~"("`, strings.Repeat("x", label.MaxMatcherBytes+1)} {
		_, err := label.ParseMatchers(text)
		require.ErrorIs(t, err, label.ErrMatcher, text)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(label.FromStrings("a", "b", "cc", strings.Repeat("d", 200)).Encoded())
	f.Add("\x01a\x00")
	f.Add("\xff\xff\xff\xff")
	f.Fuzz(func(t *testing.T, enc string) {
		s, err := label.Decode(enc)
		if err != nil {
			return
		}
		again, err := label.FromMap(s.Map())
		if err == nil && again != s {
			t.Errorf("%q decodes to a set that is encoded otherwise", enc)
		}
	})
}

func BenchmarkNewEightLabels(b *testing.B) {
	pairs := []label.Pair{
		{Name: "severity", Value: "critical"},
		{Name: "dc", Value: "dc1"},
		{Name: "team", Value: "team12"},
		{Name: "service", Value: "svc55"},
		{Name: "alertname", Value: "Alert33"},
		{Name: "id", Value: "12345"},
		{Name: "host", Value: "host-00123"},
		{Name: "instance", Value: "host-00123.example.net:9100"},
	}
	b.ReportAllocs()
	for b.Loop() {
		work := append([]label.Pair{}, pairs...)
		if _, err := label.New(work); err != nil {
			b.Fatal(err)
		}
	}
}
