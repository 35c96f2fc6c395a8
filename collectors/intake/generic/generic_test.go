package generic

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
)

var received = time.Date(2026, 11, 20, 5, 0, 0, 0, time.UTC)

func load(t *testing.T, text string) *Mapping {
	t.Helper()
	m, err := Load("m.yml", []byte(text))
	require.NoError(t, err)
	return m
}

func decode(t *testing.T, mapping, body string) intake.Result {
	t.Helper()
	res, err := load(t, mapping).Decode(intake.Request{Body: []byte(body), ReceivedAt: received})
	require.NoError(t, err)
	return res
}

func TestExample(t *testing.T) {
	text, err := os.ReadFile("testdata/shop.yml")
	require.NoError(t, err)
	body, err := os.ReadFile("testdata/shop.json")
	require.NoError(t, err)
	m := load(t, string(text))
	require.True(t, m.Ends())
	res, err := m.Decode(intake.Request{Body: body, ReceivedAt: received})
	require.NoError(t, err)
	require.Len(t, res.Events, 2)
	a := res.Events[0].Alert
	require.Equal(t, map[string]string{
		"alertname": "checkout slow", "env": "prod", "team": "sre", "first_tag": "a", "datacenter": "hz", "rack": "r7",
		"dedupe_key": "3/web-1",
	}, a.Labels.Map())
	require.Equal(t, map[string]string{"value": "2.4", "x_trace": "t1"}, a.Annotations.Map())
	require.Equal(t, alert.Extra{
		Name: "checkout slow", Service: "checkout", Resource: "web-1:8080", ErrorCode: "E-1", SeverityRaw: "critical", Summary: "p99 2.4 s",
		ExternalID: "7", ExternalURL: "https://alerts.example.com/7?env=prod", DedupeKey: "3/web-1",
	}, *a.Extra)
	require.Equal(t, alert.P0, a.Priority)
	require.Equal(t, "2026-11-20T03:15:30Z", a.StartsAt.Std().Format(time.RFC3339))
	b := res.Events[1]
	require.True(t, b.Resolved)
	require.Equal(t, "2026-11-20T03:17:10Z", b.Alert.EndsAt.Std().Format(time.RFC3339))
	require.Equal(t, "info", b.Alert.Extra.SeverityRaw)
	require.Empty(t, b.Alert.Extra.Resource, "a template whose paths lead nowhere yields nothing")
	require.Equal(t, "3/web-2", b.Alert.Extra.DedupeKey)
}

func TestSmallMappings(t *testing.T) {
	res := decode(t, "version: 1\nname: $.n\n", `{"n":"x"}`)
	require.Equal(t, "generic:"+res.Events[0].Alert.Labels.Fingerprint().String(), res.Events[0].Key)
	require.Equal(t, alert.At(received), res.Events[0].Alert.StartsAt)
	require.Equal(t, alert.P3, res.Events[0].Alert.Priority)

	res = decode(t, "version: 1\nalerts: $[*]\nname: constant\nends_at: $.e\ntime: {format: unix_ms}\n", `[{"e":1763608531000},{"e":1895144530123},{}]`)
	require.True(t, res.Events[0].Resolved)
	require.False(t, res.Events[1].Resolved, "an end in the future")
	require.False(t, res.Events[2].Resolved)

	res = decode(t, "version: 1\nname: $.n\nstatus: $.s\n", `{"n":"x","s":"已恢复"}`)
	require.True(t, res.Events[0].Resolved)
	require.Equal(t, alert.At(received), res.Events[0].Alert.EndsAt)

	res = decode(t, "version: 1\nname: $.n\nstatus: $.s\nignore: [test]\n", `{"n":"x","s":"TEST"}`)
	require.Equal(t, intake.ControlIgnored, res.Control.Type)

	res = decode(t, "version: 1\nalerts: $[*]\nname: $.n\n", `[{"n":"x"},{}]`)
	require.Len(t, res.Events, 1)
	require.ErrorContains(t, res.Rejected[0].Err, "[1]: name: not what this source sends: its paths lead nowhere")

	require.Equal(t, 30*time.Minute, load(t, "version: 1\nname: x\nexpiry: 30m\n").Expiry())
}

func TestBodiesThatDoNotFit(t *testing.T) {
	for want, tc := range map[string][2]string{
		"items: wrong type: want array, got nothing":  {"version: 1\nalerts: $.items[*]\nname: $.n\n", `{}`},
		"items[0]: wrong type: want object, got text": {"version: 1\nalerts: $.items[*]\nname: $.n\n", `{"items":["x"]}`},
		"name: n: wrong type: want text, got array":   {"version: 1\nname: $.n\n", `{"n":[]}`},
		"tags: wrong type: want object, got text":     {"version: 1\nname: x\ncopy: [{from: $.tags, to: labels}]\n", `{"tags":"x"}`},
		`starts_at: not what this source sends: "x"`:  {"version: 1\nname: x\nstarts_at: $.t\n", `{"t":"x"}`},
		"body: malformed JSON: empty":                 {"version: 1\nname: x\n", ``},
	} {
		_, err := load(t, tc[0]).Decode(intake.Request{Body: []byte(tc[1]), ReceivedAt: received})
		require.ErrorContains(t, err, want)
	}
}

func TestMappingsThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                                         "m.yml:1: invalid mapping: a mapping of fields is wanted",
		"version: 1\n":                                             "m.yml:1: name: invalid mapping: missing",
		"name: x\n":                                                "m.yml:1: version: invalid mapping: want 1",
		"version: 1\nname: x\nnmae: y\n":                           "m.yml:3: nmae: invalid mapping: unknown field",
		"version: 1\nname: x\nname: y\n":                           "m.yml:3: name: invalid mapping: there twice",
		"version: 1\nname: $.a[\n":                                 "m.yml:2: name: invalid mapping: path \"$.a[\"",
		"version: 1\nname: '{$.a'\n":                               "m.yml:2: name: invalid mapping: \"{$.a\": a brace is never closed",
		"version: 1\nname: '{a}'\n":                                "it must begin with $",
		"version: 1\nname: $.a[*]\n":                               "[*] is for alerts alone",
		"version: 1\nname: {form: $.a}\n":                          "m.yml:2: name.form: invalid mapping: unknown; from, map and default are understood",
		"version: 1\nname: {map: {a: b}}\n":                        "m.yml:2: name: invalid mapping: from is missing",
		"version: 1\nname: [[a]]\n":                                "m.yml:2: name: invalid mapping: a text is wanted",
		"version: 1\nname: x\nresolved: [a]\n":                     "resolved: invalid mapping: needs status",
		"version: 1\nname: x\npriority: {a: P9}\n":                 "m.yml:3: priority.a: invalid mapping",
		"version: 1\nname: x\ntime: {zone: Moon/Crater}\n":         "m.yml:3: time.zone: invalid mapping",
		"version: 1\nname: x\ntime: {format: hh:mm}\n":             "m.yml:3: time.format: invalid mapping",
		"version: 1\nname: x\nexpiry: -1s\n":                       "m.yml:3: expiry: invalid mapping",
		"version: 1\nname: x\ncopy: [{to: labels}]\n":              "m.yml:3: copy[0].from: invalid mapping: missing",
		"version: 1\nname: x\ncopy: [{from: $.a, to: nose}]\n":     "m.yml:3: copy[0].to: invalid mapping: want labels or annotations",
		"version: 1\nname: x\nlabels: {alertname: y}\n":            "m.yml:3: labels.alertname: invalid mapping: it is the field name",
		"version: 1\nname: &a x\ntitle: *a\n":                      "anchors and aliases are not understood",
		"version: 1\nname: \"" + strings.Repeat("x", 600) + "\"\n": "m.yml:2: name: invalid mapping: more than 512 bytes",
		"version: 1\nname: \t\n  - : [\n":                          "m.yml: invalid mapping: yaml:",
	} {
		_, err := Load("m.yml", []byte(text))
		require.ErrorIs(t, err, ErrMapping, text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestPaths(t *testing.T) {
	for text, want := range map[string]string{
		`$.a.b`: "1", `$["odd \"name\""][0]`: "2", `$["odd \"name\""][-1]`: "3", `$.a["b"]`: "1", `$$.a.b`: "1", `$.none.at[3].all`: "",
	} {
		res := decode(t, "version: 1\nname: x\nsummary: '"+text+"'\n", `{"a":{"b":1},"odd \"name\"":[2,3]}`)
		require.Equal(t, want, res.Events[0].Alert.Extra.Summary, text)
	}
}

func TestUnixTime(t *testing.T) {
	for text, want := range map[string]string{
		"1795144530.123 unix":         "2026-11-20T03:15:30.123Z",
		"1795144530123 unix_ms":       "2026-11-20T03:15:30.123Z",
		"1795144530123456 unix_us":    "2026-11-20T03:15:30.123456Z",
		"1795144530123456789 unix_ns": "2026-11-20T03:15:30.123456789Z",
	} {
		number, format, _ := strings.Cut(text, " ")
		got, err := readTime(number, format, time.UTC)
		require.NoError(t, err)
		require.Equal(t, want, got.Format(time.RFC3339Nano))
	}
	for _, text := range []string{"", ".", "1e999999999", "-1", "0x10", "1.2.3", strings.Repeat("9", 40), "99999999999999999999"} {
		_, err := unixTime(text, "unix")
		require.Error(t, err, text)
	}
}

func FuzzLoad(f *testing.F) {
	text, err := os.ReadFile("testdata/shop.yml")
	require.NoError(f, err)
	body, err := os.ReadFile("testdata/shop.json")
	require.NoError(f, err)
	f.Add(text, body)
	f.Add([]byte("version: 1\nalerts: $[*]\nname: '{$.a}{{}}'\n"), []byte(`[{"a":1}]`))
	f.Fuzz(func(t *testing.T, text, body []byte) {
		m, err := Load("m.yml", text)
		if err != nil {
			require.ErrorIs(t, err, ErrMapping)
			return
		}
		res, err := m.Decode(intake.Request{Body: body, ReceivedAt: received})
		if err != nil {
			return
		}
		for _, e := range res.Events {
			require.False(t, e.Alert.Labels.Empty())
			require.NotEmpty(t, e.Alert.Name())
		}
	})
}
