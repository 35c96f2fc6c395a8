package show

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
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
		ReceivedAt  string            `json:"received_at"`
		AssumeTZ    string            `json:"assume_tz"`
		Query       map[string]string `json:"query"`
		Peer        string            `json:"peer"`
	} `json:"request"`
	Alerts  []map[string]any `json:"alerts"`
	Control map[string]any   `json:"control"`
	Loose   []string         `json:"loose"`
}

// options are the request as a person would type it.
func (s *sample) options(t *testing.T, source, dir string) Options {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(dir, s.Request.BodyFile))
	require.NoError(t, err)
	o := Options{
		Sources: catalog.Sources(), Source: source, Body: body, Method: s.Request.Method, ContentType: s.Request.ContentType,
		ReceivedAt: s.Request.ReceivedAt, Zone: s.Request.AssumeTZ, Peer: s.Request.Peer, Now: time.Date(2026, 11, 24, 15, 0, 0, 0, time.UTC),
	}
	for n, v := range s.Request.Headers {
		o.Headers = append(o.Headers, n+"="+v)
	}
	query := url.Values{}
	for n, v := range s.Request.Query {
		query.Set(n, v)
	}
	o.Query = query.Encode()
	return o
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
			var out bytes.Buffer
			require.NoError(t, Run(&out, s.options(t, source, dir)))
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
		case slices.Contains(loose, k):
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

// TestBeginsAndEndsMeet makes sure that the recorded begin and end of one
// problem have one key, and where the labels are the sender's own, one identity.
func TestBeginsAndEndsMeet(t *testing.T) {
	for _, pair := range []struct{ source, begin, end string }{
		{"alertmanager", "../prometheus/testdata/alertmanager/node_cpu_firing", "../prometheus/testdata/alertmanager/node_cpu_resolved"},
		{"prometheus_v2", "../prometheus/testdata/prometheus_v2/disk_firing", "../prometheus/testdata/prometheus_v2/two_resolved"},
		{"grafana", "../grafana/testdata/grafana/http_5xx_firing", "../grafana/testdata/grafana/http_5xx_resolved"},
		{"zabbix", "../zabbix/testdata/zabbix/disk_problem", "../zabbix/testdata/zabbix/disk_recovery"},
		{"kibana", "../elastic/testdata/kibana/es_query_active", "../elastic/testdata/kibana/es_query_recovered"},
		{"aliyun_arms", "../aliyun/testdata/aliyun_arms/container_mem_firing", "../aliyun/testdata/aliyun_arms/container_mem_resolved"},
		{"aliyun_cms", "../aliyun/testdata/aliyun_cms/ecs_cpu_alert", "../aliyun/testdata/aliyun_cms/ecs_cpu_ok"},
	} {
		t.Run(pair.source, func(t *testing.T) {
			begin, end := first(t, pair.source, pair.begin), first(t, pair.source, pair.end)
			require.False(t, begin.Resolved)
			require.True(t, end.Resolved)
			require.Equal(t, begin.Alert.DedupeKey(), end.Alert.DedupeKey())
			require.Equal(t, begin.Alert.Labels.String(), end.Alert.Labels.String())
			require.Equal(t, begin.Alert.Priority, end.Alert.Priority)
		})
	}
}

// first decodes the first event of a recorded request.
func first(t *testing.T, source, base string) intake.Event {
	t.Helper()
	raw, err := os.ReadFile(base + ".expect.json")
	require.NoError(t, err)
	var s sample
	require.NoError(t, json.Unmarshal(raw, &s))
	o := s.options(t, source, filepath.Dir(base))
	r, err := o.request()
	require.NoError(t, err)
	src, ok := catalog.Find(source)
	require.True(t, ok)
	res, err := src.Decoder.Decode(r)
	require.NoError(t, err)
	return res.Events[0]
}
