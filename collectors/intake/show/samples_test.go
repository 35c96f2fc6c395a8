package show

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake/catalog"
)

// sample is a recorded request and what it must be understood to mean.
type sample struct {
	Request struct {
		Method      string            `json:"method"`
		ContentType string            `json:"content_type"`
		Headers     map[string]string `json:"headers"`
		BodyFile    string            `json:"body_file"`
		ReceivedAt  time.Time         `json:"received_at"`
		AssumeTZ    string            `json:"assume_tz"`
		Query       map[string]string `json:"query"`
		Peer        string            `json:"peer"`
	} `json:"request"`
	Alerts  []map[string]any `json:"alerts"`
	Control map[string]any   `json:"control"`
	Loose   []string         `json:"loose"`
}

func (s *sample) request(t *testing.T, dir string) intake.Request {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(dir, s.Request.BodyFile))
	require.NoError(t, err)
	r := intake.Request{
		Method: s.Request.Method, ContentType: s.Request.ContentType, Header: http.Header{}, Query: url.Values{},
		Body: body, ReceivedAt: s.Request.ReceivedAt, Peer: s.Request.Peer,
	}
	if r.ReceivedAt.IsZero() {
		r.ReceivedAt = time.Date(2026, 11, 24, 15, 0, 0, 0, time.UTC)
	}
	for n, v := range s.Request.Headers {
		r.Header.Set(n, v)
	}
	for n, v := range s.Request.Query {
		r.Query.Set(n, v)
	}
	if s.Request.AssumeTZ != "" {
		r.Zone, err = time.LoadLocation(s.Request.AssumeTZ)
		require.NoError(t, err)
	}
	return r
}

// TestSamples decodes every recorded request of every source as `fenghuo
// decode` does and compares what is printed with what it must be.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("../*/testdata/*/*.expect.json")
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, f := range files {
		dir := filepath.Dir(f)
		source := filepath.Base(dir)
		seen[source] = true
		t.Run(source+"/"+strings.TrimSuffix(filepath.Base(f), ".expect.json"), func(t *testing.T) {
			raw, err := os.ReadFile(f)
			require.NoError(t, err)
			var s sample
			require.NoError(t, json.Unmarshal(raw, &s))
			src, ok := catalog.Find(source)
			require.True(t, ok)
			var out bytes.Buffer
			require.NoError(t, Write(&out, source, src.Decoder, s.request(t, dir)))
			var got struct {
				Alerts  []map[string]any `json:"alerts"`
				Control map[string]any   `json:"control"`
			}
			require.NoError(t, json.Unmarshal(out.Bytes(), &got))
			require.Equal(t, s.Control["type"], got.Control["type"])
			for k, v := range s.Control {
				require.Equal(t, v, got.Control[k], k)
			}
			require.Len(t, got.Alerts, len(s.Alerts), out.String())
			for i, want := range s.Alerts {
				compare(t, want, got.Alerts[i], s.Loose)
			}
		})
	}
	for _, s := range catalog.Sources() {
		require.True(t, seen[s.Name] || s.Decoder == nil, "%s has no samples", s.Name)
	}
}

func compare(t *testing.T, want, got map[string]any, loose []string) {
	t.Helper()
	for k, w := range want {
		g := got[k]
		switch {
		case k == "labels":
			for n, v := range w.(map[string]any) {
				require.Equal(t, v, g.(map[string]any)[n], "label %s", n)
			}
		case strings.HasSuffix(k, "At") && w != nil && g != nil:
			require.Equal(t, instant(t, w), instant(t, g), k)
		case k == "dedupe_key" && w == nil:
			require.NotEmpty(t, g, k)
		case contains(loose, k):
			require.NotEmpty(t, g, k)
		default:
			require.Equal(t, w, g, k)
		}
	}
}

func instant(t *testing.T, v any) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, v.(string))
	require.NoError(t, err)
	return at.UTC().Truncate(time.Millisecond)
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// TestKeysTie makes sure that a begin and its end meet: in each source's
// samples, events with one dedupe key have one alertname.
func TestKeysTie(t *testing.T) {
	for source, pair := range map[string][2]string{
		"alertmanager": {"../prometheus/testdata/alertmanager/node_cpu_firing", "../prometheus/testdata/alertmanager/node_cpu_resolved"},
	} {
		var keys [2]string
		for i, base := range pair {
			raw, err := os.ReadFile(base + ".expect.json")
			require.NoError(t, err)
			var s sample
			require.NoError(t, json.Unmarshal(raw, &s))
			src, ok := catalog.Find(source)
			require.True(t, ok)
			res, err := src.Decoder.Decode(s.request(t, filepath.Dir(base)))
			require.NoError(t, err)
			keys[i] = res.Events[0].Alert.Labels.String() + res.Events[0].Alert.DedupeKey()
		}
		require.Equal(t, keys[0], keys[1], source)
	}
}
