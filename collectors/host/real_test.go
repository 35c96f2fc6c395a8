package host

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/portable"
)

// everywhere are the metrics that rules can rely on, on every system.
var everywhere = []string{
	"node_cpu_seconds_total", "node_memory_MemTotal_bytes", "node_memory_MemAvailable_bytes", "node_filesystem_size_bytes",
	"node_filesystem_avail_bytes", "node_network_receive_bytes_total", "node_network_up", "node_uname_info", "node_boot_time_seconds",
	"node_time_seconds",
}

// onLinux are those of Linux beside them that hold in a container too.
var onLinux = []string{
	"node_load1", "node_load5", "node_load15", "node_memory_Cached_bytes", "node_memory_SwapTotal_bytes", "node_filesystem_files_free",
	"node_filesystem_readonly", "node_filesystem_device_error", "node_context_switches_total", "node_intr_total", "node_forks_total",
	"node_procs_running", "node_vmstat_pgmajfault", "node_filefd_allocated", "node_filefd_maximum", "node_sockstat_TCP_inuse",
	"node_netstat_Tcp_CurrEstab", "node_processes_pids", "node_processes_threads", "node_processes_state",
}

func realHost(t testing.TB, sink Sink) *Host {
	h, err := New(Options{Instance: "h1", Sink: sink})
	require.NoError(t, err)
	return h
}

func TestRealHost(t *testing.T) {
	sink := &memory{}
	h := realHost(t, sink)
	h.Tick(t.Context(), time.Now())
	names := map[string]int{}
	for _, s := range sink.batches[0] {
		names[s.Labels.Get(model.MetricNameLabel)]++
		require.Equal(t, "node", s.Labels.Get("job"))
		require.Equal(t, "h1", s.Labels.Get("instance"))
	}
	want := everywhere
	if runtime.GOOS == "linux" {
		want = append(want, onLinux...)
	}
	for _, n := range want {
		require.Contains(t, names, n)
	}
	for key, v := range sink.last() {
		if strings.Contains(key, "node_scrape_collector_success") {
			require.Equal(t, 1.0, v, key)
		}
	}
	// Whatever this machine has, both formats must be what Prometheus reads, and counters be named as such.
	for _, open := range []bool{false, true} {
		var buf bytes.Buffer
		require.NoError(t, h.WriteText(&buf, open))
		contentType := textType
		if open {
			contentType = openMetricsType
		}
		got, _ := parse(t, buf.Bytes(), contentType)
		n, _ := h.Last()
		require.Len(t, got, n-1, "all but up")
	}
	for _, m := range h.Metadata() {
		require.Equal(t, m.Type == "counter", strings.HasSuffix(m.Name, "_total"), m.Name)
		require.NotEmpty(t, m.Help)
	}
	if path := os.Getenv("FENGHUO_HOST_DUMP"); path != "" {
		f, err := os.Create(path)
		require.NoError(t, err)
		require.NoError(t, h.WriteText(f, false))
		require.NoError(t, f.Close())
	}
}

// TestPortable runs on Linux, too, what other systems use.
func TestPortable(t *testing.T) {
	o, err := Options{Instance: "h1", Sink: &memory{}}.withDefaults()
	require.NoError(t, err)
	cs := append(portable.Collectors(o.portable()), portable.CPU(o.portable(), portable.Modes()), portable.Clock(o.portable(), func(*Batch) error { return nil }))
	sink := &memory{}
	h, err := New(Options{Instance: "h1", Sink: sink, Enable: []string{"loadavg"}})
	require.NoError(t, err)
	for _, c := range cs {
		h.add(c)
	}
	h.Tick(t.Context(), time.Now())
	var all strings.Builder
	require.NoError(t, h.WriteText(&all, false))
	for _, n := range everywhere {
		require.Contains(t, all.String(), "\n"+n)
	}
}

func BenchmarkTick(b *testing.B) {
	h := realHost(b, discard{})
	h.Tick(b.Context(), time.Now())
	b.ReportAllocs()
	for b.Loop() {
		h.Tick(b.Context(), time.Now())
	}
	n, _ := h.Last()
	b.ReportMetric(float64(n), "series")
}
