package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	"github.com/fenghuo-mesh/fenghuo/node/api/am"
)

// hole takes alerts and forgets them, and shows a fixed list.
type hole struct{ views []am.View }

func (hole) Accept(context.Context, []*alert.Alert) ([]am.Rejection, error) { return nil, nil }

func (h hole) Alerts(context.Context, label.Matchers) ([]am.View, error) { return h.views, nil }

func (hole) Groups(context.Context, label.Matchers) ([]am.Group, error) { return nil, nil }

func (hole) Silences(context.Context, silence.Filter) ([]silence.Silence, error) { return nil, nil }

func (hole) Silence(context.Context, string) (silence.Silence, error) {
	return silence.Silence{}, silence.ErrNotFound
}

func (hole) PutSilence(context.Context, silence.Silence) (string, error) { return "", nil }

func (hole) ExpireSilence(context.Context, string) error { return nil }

func (hole) Receivers() []am.Receiver { return nil }

func (hole) Status() am.Status { return am.Status{} }

func serve(b *testing.B, h hole) string {
	b.Helper()
	reg := prometheus.NewRegistry()
	face, err := am.New(am.Options{Sink: h, Alerts: h, Silences: h, Node: h, Origin: &alert.Origin{Source: "prometheus_v2"}, Registerer: reg})
	require.NoError(b, err)
	a, err := New(Options{Lifecycle: &fakeLife{}, Registerer: reg, Mounts: []Mount{{Pattern: "/api/v2/", Handler: face}}})
	require.NoError(b, err)
	s := httptest.NewUnstartedServer(a)
	Configure(s.Config)
	s.Start()
	b.Cleanup(s.Close)
	return s.URL
}

// BenchmarkIntakeHTTP posts batches of 64 alerts with 8 labels over 8
// connections. Client and server share the process, so the figure is an upper
// bound of what the HTTP face costs.
func BenchmarkIntakeHTTP(b *testing.B) {
	const size, clients = 64, 8
	url := serve(b, hole{}) + "/api/v2/alerts"
	var body bytes.Buffer
	for i := range size {
		fmt.Fprintf(&body, `%c{"labels":{"alertname":"NodeFilesystemSpace","cluster":"production-east-0001","device":"/dev/mapper/data-%04d","instance":"host-%06d.example:9100",`+
			`"job":"node-exporter-default","mountpoint":"/var/lib/containers","namespace":"monitoring-platform","severity":"warning"},`+
			`"annotations":{"summary":"Filesystem is filling up, value 0.032","description":"Filesystem on host has only 3.2%% available space left."},`+
			`"startsAt":"2026-11-24T10:00:00.123Z","endsAt":"2026-11-24T10:04:00.123Z","generatorURL":"http://p.example.org/graph?g0.expr=x\u0026g0.tab=1"}`, "[,"[min(i, 1)], i, i)
	}
	body.WriteByte(']')
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	work := make(chan struct{})
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range work {
				resp, err := client.Post(url, "application/json", bytes.NewReader(body.Bytes()))
				if err != nil || resp.StatusCode != http.StatusOK {
					b.Error(err, resp)
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/size, "ns/alert")
}

// BenchmarkListHTTP reads 10,000 alerts.
func BenchmarkListHTTP(b *testing.B) {
	var h hole
	for i := range 10_000 {
		h.views = append(h.views, am.View{Receivers: []string{"ops"}, Alert: &alert.Alert{
			Labels:      label.FromStrings("alertname", "NodeFilesystemSpace", "instance", fmt.Sprintf("host-%06d.example:9100", i), "job", "node", "severity", "warning", "a", "1", "b", "2", "c", "3", "d", "4"),
			Annotations: label.FromStrings("summary", "Filesystem is filling up", "description", "It has only 3.2% left."), GeneratorURL: "http://p.example.org/graph",
			StartsAt: 1, UpdatedAt: 1, EndsAt: 1 << 62,
		}})
	}
	url := serve(b, h) + "/api/v2/alerts"
	for b.Loop() {
		resp, err := http.Get(url)
		require.NoError(b, err)
		n, err := io.Copy(io.Discard, resp.Body)
		require.NoError(b, err)
		require.NoError(b, resp.Body.Close())
		b.SetBytes(n)
	}
}
