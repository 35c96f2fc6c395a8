package draft

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
)

func TestTime(t *testing.T) {
	zone := time.FixedZone("", 8*3600)
	for text, want := range map[string]string{
		"2026-11-20T03:15:30.412Z":           "2026-11-20T03:15:30.412Z",
		"2026-11-20T11:15:30+08:00":          "2026-11-20T03:15:30Z",
		"2026-11-20T03:15:30.578000000Z":     "2026-11-20T03:15:30.578Z",
		"2026-11-20T03:15:30.5780000001234Z": "2026-11-20T03:15:30.578Z",
		"2026-11-20T03:15:30.315+0000":       "2026-11-20T03:15:30.315Z",
		"20261120T111530.058+0800":           "2026-11-20T03:15:30.058Z",
		"2026.11.20 11:15:30":                "2026-11-20T03:15:30Z",
		"2026/11/20 11:15:30 GMT+08:00":      "2026-11-20T03:15:30Z",
		"2026-11-20 03:15:30 UTC":            "2026-11-20T03:15:30Z",
		"2026-11-20 11:15:30 +0800 CST":      "2026-11-20T03:15:30Z",
		"2026-11-20 11:15:30 CST":            "2026-11-20T03:15:30Z",
		"2026-11-20 11:15":                   "2026-11-20T03:15:00Z",
		"2026-1-2 11:15:30":                  "2026-01-02T03:15:30Z",
		"2026-11-20":                         "2026-11-19T16:00:00Z",
		"1795144530":                         "2026-11-20T03:15:30Z",
		"1795144530.25":                      "2026-11-20T03:15:30.25Z",
		"1795144530123":                      "2026-11-20T03:15:30.123Z",
		"1795144530123456":                   "2026-11-20T03:15:30.123456Z",
		"1795144530123456789":                "2026-11-20T03:15:30.123456789Z",
		"20261120111530":                     "2026-11-20T03:15:30Z",
		"2016-12-31T23:59:60Z":               "2017-01-01T00:00:00Z",
		" 2026-11-20T03:15:30,5Z ":           "2026-11-20T03:15:30.5Z",
	} {
		got, err := Time(text, zone)
		require.NoError(t, err, text)
		require.Equal(t, want, got.UTC().Format(time.RFC3339Nano), text)
	}
	for _, text := range []string{"", "0001-01-01T00:00:00Z", "0", "0.000"} {
		got, err := Time(text, zone)
		require.NoError(t, err, text)
		require.True(t, got.IsZero(), text)
	}
	for _, text := range []string{
		"yesterday", "2026-13-01", "2026-02-30 00:00:00", "2026-11-20T", "2026-11-20 25:00:00", "1", "12:00:00", "{EVENT.DATE} {EVENT.TIME}",
		"2026-11-20T03:15:30Zjunk", "2026-11/20", "1969-12-31T00:00:00Z", "9999-12-31T00:00:00Z", "-1795144530", "2026-11-20T03:15:30+99:00",
	} {
		_, err := Time(text, zone)
		require.Error(t, err, text)
	}
}

func TestEvent(t *testing.T) {
	d := Draft{Extra: alert.Extra{Name: "n", DedupeKey: "k", SeverityRaw: "严重", Service: "{X.Y}", Summary: strings.Repeat("汉", 5000)}}
	d.Labels("host", "a", "host", "b", "none", "", "macro", "{HOST.NAME}", "alertname", "other")
	d.Volatile("value", "1")
	d.Volatile("host", "c")
	d.EndsAt = time.Unix(1795144530, 0)
	e, err := d.Event()
	require.NoError(t, err)
	require.Equal(t, map[string]string{"alertname": "n", "host": "a"}, e.Alert.Labels.Map())
	require.Equal(t, map[string]string{"value": "1"}, e.Alert.Annotations.Map())
	require.Equal(t, []string{"value"}, e.Volatile)
	require.Equal(t, alert.P1, e.Alert.Priority)
	require.Empty(t, e.Alert.Extra.Service)
	require.LessOrEqual(t, len(e.Alert.Extra.Summary), maxSummary)
	require.Zero(t, e.Alert.EndsAt, "what fires has no end")
}

// TestEverythingIsBounded fills a draft with too much of everything: what
// comes out can be stored.
func TestEverythingIsBounded(t *testing.T) {
	long := strings.Repeat("汉字", 20_000)
	d := Draft{StartsAt: time.Unix(1795144530, 0), Extra: alert.Extra{
		Name: long, Service: long, Resource: long, ErrorCode: long, SeverityRaw: long, Summary: long, Description: long,
		ExternalID: long, ExternalURL: long, DedupeKey: long,
	}}
	for i := range 100 {
		d.Volatile("v"+strings.Repeat("x", i), long)
		d.Annotation("a"+strings.Repeat("x", 4*i), long)
		d.Label("l"+strings.Repeat("x", i), "value")
	}
	e, err := d.Event()
	require.NoError(t, err)
	require.NoError(t, e.Alert.Validate())
	require.Empty(t, e.Volatile, "too long to be shown as a label")
	d.Label("l", "again")
	require.Equal(t, "value", d.Get("l"))
}

func TestKey(t *testing.T) {
	require.Equal(t, "k", Key("k"))
	long := strings.Repeat("汉", 1000)
	require.LessOrEqual(t, len(Key(long)), alert.MaxIDBytes)
	require.NotEqual(t, Key(long+"a"), Key(long+"b"))
}

func FuzzTime(f *testing.F) {
	f.Add("2026-11-20T03:15:30.412Z")
	f.Add("20261120T111530.058+0800")
	f.Add("2026/11/20 11:15:30 GMT+08:00")
	f.Add("1795144530.25")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Time(text, time.UTC)
		if err != nil || got.IsZero() {
			return
		}
		again, err := Time(got.Format(time.RFC3339Nano), time.UTC)
		require.NoError(t, err)
		require.True(t, got.Equal(again))
	})
}
