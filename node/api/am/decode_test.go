package am

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

func newDecoder() *decoder {
	return &decoder{origin: &alert.Origin{Source: "prometheus_v2"}}
}

func TestDecode(t *testing.T) {
	d := newDecoder()
	b, err := d.decode([]byte(` [ {"labels":{"alertname":"Disk Full","severity":"critical","empty":"","host":"h\u0031","\u00e9":"\ud83d\udd25"},
		"annotations":{"summary":"a\n\"b\" \\ \/","none":null}, "startsAt":"2026-11-24T10:00:00.123456789Z","endsAt":"2026-11-24T18:00:00+08:00",
		"generatorURL":"http://p/graph?g0","receivers":[{"name":"x"},{}],"status":{"state":"active","n":[1,-2.5e+3,0,true,false,null,[],{}]}},
		{"labels":{"a":"b"}} ] `))
	require.NoError(t, err)
	require.Empty(t, b.refused)
	require.Len(t, b.alerts, 2)
	a := b.alerts[0]
	require.Equal(t, label.FromStrings("alertname", "Disk Full", "severity", "critical", "host", "h1", "é", "🔥"), a.Labels)
	require.Equal(t, label.FromStrings("summary", "a\n\"b\" \\ /"), a.Annotations)
	require.Equal(t, "2026-11-24T10:00:00.123456789Z", a.StartsAt.Std().Format("2006-01-02T15:04:05.999999999Z07:00"))
	require.Equal(t, "2026-11-24T10:00:00Z", a.EndsAt.Std().Format("2006-01-02T15:04:05.999999999Z07:00"))
	require.Equal(t, "http://p/graph?g0", a.GeneratorURL)
	require.Equal(t, alert.P1, a.Priority)
	require.Same(t, d.origin, a.Origin)
	require.Zero(t, b.alerts[1].StartsAt)
	require.Equal(t, alert.P3, b.alerts[1].Priority)
}

// TestDecodeKeepsNothing: the body's memory is used again once decode is back.
func TestDecodeKeepsNothing(t *testing.T) {
	body := sampleBody(3)
	want, err := newDecoder().decode(bytes.Clone(body))
	require.NoError(t, err)
	got, err := newDecoder().decode(body)
	require.NoError(t, err)
	for i := range body {
		body[i] = '#'
	}
	require.Equal(t, want.alerts, got.alerts)
}

func TestDecodeNothing(t *testing.T) {
	for _, body := range []string{"[]", " [ ] ", "null"} {
		b, err := newDecoder().decode([]byte(body))
		require.NoError(t, err, body)
		require.Empty(t, b.alerts)
	}
}

func TestDecodeMalformed(t *testing.T) {
	deep := strings.Repeat("[", maxDepth+1) + "1" + strings.Repeat("]", maxDepth+1)
	for _, c := range []struct{ body, want string }{
		{``, "alerts: unexpected end of JSON looking for an array of alerts (at byte 0)"},
		{`{}`, "alerts: want an array of alerts, got object (at byte 0)"},
		{`"x"`, "alerts: want an array of alerts, got text (at byte 0)"},
		{`7`, "alerts: want an array of alerts, got number (at byte 0)"},
		{`nul`, "alerts: invalid character 'n' in a literal; want null (at byte 0)"},
		{`[`, "alerts[0]: unexpected end of JSON looking for object (at byte 1)"},
		{`[null]`, "alerts[0]: want object, got null (at byte 1)"},
		{`[[]]`, "alerts[0]: want object, got array (at byte 1)"},
		{`[{}] x`, "invalid character 'x' after the array (at byte 5)"},
		{`[{},]`, "alerts[1]: invalid character ']' looking for object (at byte 4)"},
		{`[{} {}]`, "alerts: invalid character '{' after a value; want ',' or ']' (at byte 4)"},
		{`[{"labels":{"severity":["x"]}}]`, "alerts[0].labels.severity: want text, got array (at byte 23)"},
		{`[{},{"labels":{"b-c":3}}]`, `alerts[1].labels["b-c"]: want text, got number (at byte 21)`},
		{`[{"labels":[]}]`, "alerts[0].labels: want object, got array (at byte 11)"},
		{`[{"annotations":{"x":{}}}]`, "alerts[0].annotations.x: want text, got object (at byte 21)"},
		{`[{"startsAt":5}]`, "alerts[0].startsAt: want text, got number (at byte 13)"},
		{`[{"startsAt":"soon"}]`, `alerts[0].startsAt: want a time like 2006-01-02T15:04:05Z, got "soon" (at byte 19)`},
		{`[{"endsAt":"2026-13-01T00:00:00Z"}]`, `alerts[0].endsAt: want a time like 2006-01-02T15:04:05Z, got "2026-13-01T00:00:00Z" (at byte 33)`},
		{`[{"generatorURL":true}]`, "alerts[0].generatorURL: want text, got bool (at byte 17)"},
		{`[{"x":` + deep + `}]`, "alerts[0].x: nested deeper than 64 (at byte 71)"},
		{`[{"x":tru}]`, "alerts[0].x: invalid character 't' in a literal; want true (at byte 6)"},
		{`[{"x":01}]`, "alerts[0]: invalid character '1' after a value; want ',' or '}' (at byte 7)"},
		{`[{"x":1.}]`, "alerts[0].x: invalid character '}' in a number (at byte 8)"},
		{`[{"x":-}]`, "alerts[0].x: invalid character '}' in a number (at byte 7)"},
		{`[{"x":"a` + "\x01" + `"}]`, "alerts[0].x: invalid character '\\x01' in a text; control characters must be escaped (at byte 8)"},
		{`[{"x":"\q"}]`, "alerts[0].x: invalid character 'q' in an escape (at byte 8)"},
		{`[{"x":"\u12g4"}]`, `alerts[0].x: invalid escape: \u wants four hexadecimal digits (at byte 8)`},
		{`[{"x":"`, "alerts[0].x: unexpected end of JSON in a text (at byte 7)"},
		{`[{"x":"\`, "alerts[0].x: unexpected end of JSON in an escape (at byte 8)"},
		{`[{"x" 1}]`, "alerts[0]: invalid character '1' after a key; want ':' (at byte 6)"},
		{`[{x:1}]`, "alerts[0]: invalid character 'x' looking for a key (at byte 2)"},
		{"[{\"labels\":{\"a\":\"\xff\"}}]", "not UTF-8 (at byte 17)"},
		{"[" + strings.Repeat("{},", MaxAlertsPerBody) + "{}]", "alerts: more than 20000 alerts (at byte 60001)"},
	} {
		b, err := newDecoder().decode([]byte(c.body))
		require.ErrorIs(t, err, ErrMalformed, "%.60s", c.body)
		require.EqualError(t, err, c.want, "%.60s", c.body)
		require.Empty(t, b.alerts)
	}
}

func TestDecodeRefuses(t *testing.T) {
	long := strings.Repeat("x", label.MaxValueBytes+1)
	var many strings.Builder
	for i := range maxPairs + 2 {
		fmt.Fprintf(&many, `,"l%d":"v"`, i)
	}
	b, err := newDecoder().decode([]byte(`[{"labels":{"ok":"1"}}, {}, {"labels":{"a":""}}, {"labels":{"a":"` + long + `"}},
		{"labels":{"":"x"}}, {"labels":{"ok":"2"}}, {"labels":{"a":"b"},"generatorURL":"` + long + `"},
		{"labels":{"a":"b"},"startsAt":"1950-01-01T00:00:00Z"},{"labels":{"a":"b"},"annotations":{"":"x"}}, {"labels":{"a":"b"` + many.String() + `}}, {"labels":{"ok":"3"}}]`))
	require.NoError(t, err)
	var got []string
	for _, r := range b.refused {
		got = append(got, fmt.Sprintf("%d %v", r.index, r.err))
	}
	require.Equal(t, []string{
		"1 invalid label set: at least one non-empty label is required",
		"2 invalid label set: at least one non-empty label is required",
		`3 invalid label set: label "a": invalid label value: 4097 bytes, at most 4096`,
		`4 invalid label set: label "": invalid label name: empty`,
		"6 generatorURL: too long: 4097 bytes, at most 4096",
		"7 startsAt: time out of range",
		`8 invalid annotations: label "": invalid label name: empty`,
		"9 invalid label set: too many labels: at most 64",
	}, got)
	require.Equal(t, []int{0, 5, 10}, b.indexes)
	require.Len(t, b.alerts, 3)
}

func TestDecodeTimes(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"0001-01-01T00:00:00Z":          "",
		"1970-01-01T00:00:00Z":          "1970-01-01T00:00:00.000000001Z",
		"9999-12-31T23:59:59Z":          "2262-04-11T23:47:15Z",
		"2026-11-24T10:00:00":           "2026-11-24T10:00:00Z",
		"2026-11-24T10:00:00.5+0800":    "2026-11-24T02:00:00.5Z",
		"2026-11-24T10:00Z":             "2026-11-24T10:00:00Z",
		"2026-11-24 10:00:00":           "2026-11-24T10:00:00Z",
		"2026-11-24T10:00:00.123-05:30": "2026-11-24T15:30:00.123Z",
	} {
		b, err := newDecoder().decode([]byte(`[{"labels":{"a":"b"},"endsAt":"` + text + `"}]`))
		require.NoError(t, err, text)
		got := ""
		if at := b.alerts[0].EndsAt; at != 0 {
			got = at.Std().Format("2006-01-02T15:04:05.999999999Z07:00")
		}
		require.Equal(t, want, got, text)
	}
}

// plainAlert is an alert as the slow model below reads it.
type plainAlert struct {
	labels, annotations map[string]string
	texts               map[string]string
}

// errModel: the model finds the body malformed.
var errModel = errors.New("malformed")

// model decodes a body token by token with encoding/json. It knows nothing of
// the model's bounds.
func model(body []byte) (out []plainAlert, err error) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, errModel
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(error)
			if !ok {
				panic(r)
			}
			err = e
		}
	}()
	next := func() json.Token {
		tok, err := dec.Token()
		if err != nil {
			panic(err)
		}
		return tok
	}
	text := func(tok json.Token) string {
		switch v := tok.(type) {
		case string:
			return v
		case nil:
			return ""
		}
		panic(errModel)
	}
	texts := func() map[string]string {
		m := map[string]string{}
		switch next() {
		case nil:
			return m
		case json.Delim('{'):
		default:
			panic(errModel)
		}
		for dec.More() {
			name := next().(string)
			m[name] = text(next())
		}
		next()
		return m
	}
	switch next() {
	case nil:
		return nil, nil
	case json.Delim('['):
	default:
		return nil, errModel
	}
	for dec.More() {
		if next() != json.Delim('{') {
			return nil, errModel
		}
		a := plainAlert{texts: map[string]string{}}
		for dec.More() {
			switch key := next().(string); key {
			case "labels":
				a.labels = texts()
			case "annotations":
				a.annotations = texts()
			case "startsAt", "endsAt", "generatorURL":
				a.texts[key] = text(next())
				if key != "generatorURL" && a.texts[key] != "" {
					if _, err := parseTime(a.texts[key]); err != nil {
						return nil, errModel
					}
				}
			default:
				var any json.RawMessage
				if err := dec.Decode(&any); err != nil {
					return nil, err
				}
			}
		}
		next()
		out = append(out, a)
	}
	next()
	if _, err := dec.Token(); err != io.EOF {
		return nil, errModel
	}
	return out, nil
}

func withoutEmpty(m map[string]string) map[string]string {
	out := map[string]string{}
	for n, v := range m {
		if v != "" {
			out[n] = v
		}
	}
	return out
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`[]`, `null`, `[{"labels":{"a":"b"}}]`, `[{"labels":{"a":"b","a":"c"},"labels":{"d":"e"}}]`,
		`[{"labels":{"a":"\ud83d\udd25\ud83d\u12"},"endsAt":"2026-11-24T10:00:00Z"}]`,
		`[{"labels":{"a":"\ud83dx\udd25"},"x":[{"y":{}},1e5,-0.1,null,true]}]`,
		`[{"labels":{"alertname":"x\u0000\t"},"annotations":{"s":null},"startsAt":"","generatorURL":"http://x"}]`,
		`[{"Labels":{"a":"b"},"labels":null}]`, "[{\"labels\":{\"a\":\"\xed\xa0\x80\"}}]", `[{"x":[[[[]]]]}]`,
	} {
		f.Add([]byte(seed))
	}
	d := newDecoder() // reused, as in the node
	f.Fuzz(func(t *testing.T, body []byte) {
		scratch := bytes.Clone(body)
		got, err := d.decode(scratch)
		reason := fmt.Sprint(err, got.refused)
		for i := range scratch {
			scratch[i] = '#'
		}
		require.Equal(t, reason, fmt.Sprint(err, got.refused))
		want, wantErr := model(body)
		if err != nil {
			if wantErr == nil && !strings.Contains(err.Error(), "nested deeper") && !strings.Contains(err.Error(), "more than") {
				t.Fatalf("refused: %v\n%q", err, body)
			}
			return
		}
		if wantErr != nil {
			t.Fatalf("accepted, though %v\n%q", wantErr, body)
		}
		if len(got.alerts)+len(got.refused) != len(want) {
			t.Fatalf("%d and %d of %d alerts\n%q", len(got.alerts), len(got.refused), len(want), body)
		}
		for i, a := range got.alerts {
			w := want[i]
			if got.indexes != nil {
				w = want[got.indexes[i]]
			}
			require.Equal(t, withoutEmpty(w.labels), a.Labels.Map())
			require.Equal(t, withoutEmpty(w.annotations), a.Annotations.Map())
			require.Equal(t, w.texts["generatorURL"], a.GeneratorURL)
			std, _ := parseTime(w.texts["startsAt"])
			at, err := toTime(std)
			require.NoError(t, err)
			require.Equal(t, at, a.StartsAt)
		}
		for _, r := range got.refused {
			w := want[r.index]
			if labels := withoutEmpty(w.labels); len(labels) > 0 && len(body) < 200 && labels[""] == "" && w.annotations[""] == "" &&
				!errors.Is(r.err, alert.ErrRange) {
				t.Fatalf("refused without need: %v\n%q", r.err, body)
			}
		}
	})
}

// sampleBody is a body of n alerts as Prometheus sends it.
func sampleBody(n int) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"annotations":{"description":"Filesystem on /dev/sda%d at host has only 3.2%% available space left.","summary":"Filesystem is filling up, value 0.032"},`+
			`"endsAt":"2026-11-24T10:04:00.123Z","startsAt":"2026-11-24T10:00:00.123Z","generatorURL":"http://prometheus.example.org:9090/graph?g0.expr=node_filesystem_avail_bytes\u0026g0.tab=1",`+
			`"labels":{"alertname":"NodeFilesystemSpace","cluster":"production-east-0001","device":"/dev/mapper/data-%04d","instance":"host-%06d.example:9100",`+
			`"job":"node-exporter-default","mountpoint":"/var/lib/containers","namespace":"monitoring-platform","severity":"warning"}}`, i, i, i)
	}
	b.WriteByte(']')
	return b.Bytes()
}

func BenchmarkDecode(b *testing.B) {
	body := sampleBody(64)
	perAlert := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/alert")
		b.ReportMetric(float64(len(body))/64, "B/alert")
	}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		d := newDecoder()
		for b.Loop() {
			if got, err := d.decode(body); err != nil || len(got.alerts) != 64 {
				b.Fatal(err)
			}
		}
		perAlert(b)
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var in []struct {
				Labels, Annotations            map[string]string
				StartsAt, EndsAt, GeneratorURL string
			}
			if err := json.Unmarshal(body, &in); err != nil {
				b.Fatal(err)
			}
			for i := range in {
				if _, err := label.FromMap(in[i].Labels); err != nil {
					b.Fatal(err)
				}
			}
		}
		perAlert(b)
	})
}
