package window

import (
	"testing"
	"time"

	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// read makes an interval of YAML, as a configuration file does.
func read(t *testing.T, text string) Interval {
	t.Helper()
	var i Interval
	require.NoError(t, yaml.Unmarshal([]byte(text), &i))
	return i
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	tm, err := time.Parse("2006-01-02 15:04:05", text)
	require.NoError(t, err)
	return tm
}

func TestContaining(t *testing.T) {
	for _, c := range []struct {
		interval string
		in, out  []string // UTC
	}{
		{`{}`, []string{"2026-01-01 00:00:00"}, nil},
		// The end minute is exclusive, and so are its seconds.
		{
			`times: [{start_time: "09:00", end_time: "17:00"}]`,
			[]string{"2026-01-01 09:00:00", "2026-01-01 16:59:59"},
			[]string{"2026-01-01 08:59:59", "2026-01-01 17:00:00"},
		},
		{
			`times: [{start_time: "22:00", end_time: "24:00"}]`,
			[]string{"2026-01-01 23:59:59"},
			[]string{"2026-01-02 00:00:00"},
		},
		{
			`weekdays: ["monday:friday"]`,
			[]string{"2026-01-05 00:00:00", "2026-01-09 23:59:00"},
			[]string{"2026-01-04 23:59:00", "2026-01-10 00:00:00"},
		},
		{
			`days_of_month: ["-3:-1"]`,
			[]string{"2026-02-26 00:00:00", "2026-02-28 12:00:00"},
			[]string{"2026-02-25 23:59:00", "2026-03-01 00:00:00"},
		},
		// The clocks change in March: its last day is day -1 all the same.
		{
			`{days_of_month: ["-1"], location: Europe/Berlin}`,
			[]string{"2026-03-31 10:00:00"},
			[]string{"2026-03-30 10:00:00"},
		},
		{
			`{times: [{start_time: "09:00", end_time: "10:00"}], location: Asia/Shanghai}`,
			[]string{"2026-07-01 01:00:00", "2026-01-01 01:59:00"},
			[]string{"2026-07-01 09:00:00", "2026-07-01 02:00:00"},
		},
		{
			`{months: ["december:12"], years: ["2026"]}`,
			[]string{"2026-12-31 23:59:59"},
			[]string{"2027-12-01 00:00:00", "2026-11-30 23:59:59"},
		},
	} {
		s := NewSet(map[string][]Interval{"x": {read(t, c.interval)}})
		for _, in := range c.in {
			require.Equal(t, []string{"x"}, s.Containing([]string{"x"}, at(t, in)), "%s contains %s", c.interval, in)
		}
		for _, out := range c.out {
			require.Empty(t, s.Containing([]string{"x"}, at(t, out)), "%s contains %s", c.interval, out)
		}
	}
}

func TestMutedBy(t *testing.T) {
	morning := Interval{Times: []timeinterval.TimeRange{{StartMinute: 0, EndMinute: 720}}}
	evening := Interval{Times: []timeinterval.TimeRange{{StartMinute: 720, EndMinute: 1440}}}
	s := NewSet(map[string][]Interval{"am": {morning}, "pm": {evening}, "any": {morning, evening}})
	require.Equal(t, []string{"am", "any", "pm"}, s.Names())
	nine := at(t, "2026-01-01 09:00:00")
	for _, c := range []struct{ active, mute, want []string }{
		{nil, nil, nil},
		{nil, []string{"pm"}, nil},
		{nil, []string{"pm", "any", "am"}, []string{"any", "am"}},
		{[]string{"am"}, nil, nil},
		{[]string{"pm", "am"}, nil, nil},
		{[]string{"pm"}, nil, []string{"pm"}},
		{[]string{"pm"}, []string{"am"}, []string{"pm"}},
		{[]string{"am"}, []string{"am"}, []string{"am"}},
	} {
		require.Equal(t, c.want, s.MutedBy(c.active, c.mute, nine), "%+v", c)
	}
	require.NoError(t, s.Check([]string{"am"}))
	require.ErrorIs(t, s.Check([]string{"am", "noon"}), ErrUnknown)
	require.ErrorContains(t, s.Check([]string{"noon"}), `undefined time interval "noon"`)
	require.Empty(t, Set{}.Containing([]string{"am"}, nine))
}
