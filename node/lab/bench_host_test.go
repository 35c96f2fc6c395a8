package lab_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// fakeHost is a made-up exporter: series of the shapes that a host has, counters,
// noisy gauges, nearly constant gauges and idle processes.
type fakeHost struct {
	mu     sync.Mutex // guards all following
	random *rand.Rand
	series []hostSeries
}

type hostSeries struct {
	name, labels string // labels as they stand in an exposition
	set          series.Labels
	kind         int
	value, rate  float64
}

// Kinds of series.
const (
	counts = iota
	noisy
	constant
)

// The labels that a scrape adds.
const (
	hostJob      = "bench"
	hostInstance = "host-1"
)

// newFakeHost returns a host of n series.
func newFakeHost(n int) *fakeHost {
	h := &fakeHost{random: rand.New(rand.NewPCG(1, 2))}
	for cpu := range 4 {
		for i, mode := range []string{"idle", "user", "system", "iowait", "irq", "softirq", "nice", "steal"} {
			h.add(counts, []float64{12, 2, .5, .2, 0, .1, 0, 0}[i], "bench_cpu_seconds_total", "cpu", fmt.Sprint(cpu), "mode", mode)
		}
	}
	for d := range 3 {
		disk, mount := fmt.Sprintf("sd%d", d), fmt.Sprintf("/data%d", d)
		h.add(constant, 1e12, "bench_filesystem_size_bytes", "mountpoint", mount)
		h.add(noisy, 4e11, "bench_filesystem_avail_bytes", "mountpoint", mount)
		h.add(constant, 0, "bench_filesystem_readonly", "mountpoint", mount)
		for _, m := range []string{"read_bytes", "written_bytes", "reads_completed", "io_time_seconds", "read_time_seconds"} {
			h.add(counts, 1000, "bench_disk_"+m+"_total", "device", disk)
		}
	}
	for n := range 3 {
		for _, m := range []string{"receive_bytes", "transmit_bytes", "receive_packets", "receive_errs", "receive_drop"} {
			h.add(counts, 50000, "bench_network_"+m+"_total", "device", fmt.Sprintf("eth%d", n))
		}
	}
	for _, m := range []string{"load1", "load5", "memory_MemAvailable_bytes", "timex_offset_seconds"} {
		h.add(noisy, 3, "bench_"+m)
	}
	h.add(constant, 8, "bench_memory_MemTotal_bytes")
	h.add(constant, 1.7e9, "bench_boot_time_seconds")
	for p := 0; len(h.series) < n; p++ {
		pid := fmt.Sprint(1000 + p)
		busy := float64((p % 5) / 4)
		h.add(counts, busy, "bench_process_cpu_seconds_total", "pid", pid)
		h.add(noisy, 1e8, "bench_process_resident_memory_bytes", "pid", pid)
		h.add(constant, 20, "bench_process_open_fds", "pid", pid)
		h.add(constant, 1024, "bench_process_max_fds", "pid", pid)
		h.add(constant, 1, "bench_process_info", "pid", pid, "comm", fmt.Sprintf("daemon-%d", p%17))
	}
	h.series = h.series[:n]
	return h
}

func (h *fakeHost) add(kind int, v float64, name string, kv ...string) {
	var pairs []string
	for i := 0; i < len(kv); i += 2 {
		pairs = append(pairs, fmt.Sprintf("%s=%q", kv[i], kv[i+1]))
	}
	s := hostSeries{name: name, kind: kind, rate: v, set: series.LabelsOf(append(kv, "__name__", name, "job", hostJob, "instance", hostInstance)...)}
	if len(pairs) > 0 {
		s.labels = "{" + strings.Join(pairs, ",") + "}"
	}
	if kind != counts {
		s.value = v
	}
	h.series = append(h.series, s)
}

// step moves every value on. mu is held.
func (h *fakeHost) step() {
	for i := range h.series {
		switch s := &h.series[i]; s.kind {
		case counts:
			s.value += math.Round(s.rate * 1000 * (0.5 + h.random.Float64()))
		case noisy:
			s.value = math.Round(s.rate*(0.9+0.2*h.random.Float64())*100) / 100
		}
	}
}

// ServeHTTP is what is scraped.
func (h *fakeHost) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.step()
	var b bytes.Buffer
	for i := range h.series {
		s := &h.series[i]
		fmt.Fprintf(&b, "%s%s %g\n", s.name, s.labels, s.value)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_, _ = w.Write(b.Bytes())
}

// fill writes the host's samples of the past into a sample store's directory,
// every 15 s until now, compacted as a node does it each hour, but for the last
// hours: the node that opens the directory has that before it.
func (h *fakeHost) fill(t testing.TB, dir string, span time.Duration) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	end := time.Now().Truncate(15 * time.Second)
	clock := end.Add(-span)
	db, err := series.Open(series.Options{Dir: dir, Now: func() time.Time { return clock }})
	require.NoError(t, err)
	batch := make([]series.Sample, len(h.series))
	for tick := 1; clock.Before(end); tick++ {
		clock = clock.Add(15 * time.Second)
		h.step()
		for i := range h.series {
			batch[i] = series.Sample{Labels: h.series[i].set, T: clock.UnixMilli(), V: h.series[i].value}
		}
		done, err := db.Append(context.Background(), batch)
		require.NoError(t, err)
		require.Zero(t, done.Refused(), "%+v", done)
		if tick%240 == 0 && end.Sub(clock) > 90*time.Minute {
			require.NoError(t, db.Maintain(context.Background()))
		}
	}
	require.NoError(t, db.Close())
}

// rules are 100 alerting rules on the host, 25 expressions at 4 thresholds.
func (h *fakeHost) rules() string {
	var b strings.Builder
	b.WriteString("groups:\n- name: bench\n  interval: 15s\n  rules:\n")
	for i, expr := range hostRules() {
		for j := range 4 {
			fmt.Fprintf(&b, "  - alert: Bench%dLevel%d\n    expr: %q\n    for: 5m\n    labels: {severity: warning}\n    annotations: {summary: '{{ $labels.instance }} is at {{ $value | humanize }}'}\n",
				i, j, fmt.Sprintf(expr, 10*(j+1)))
		}
	}
	return b.String()
}

// hostRules are expressions with a place for the threshold, 10 to 40.
func hostRules() []string {
	return []string{
		`100 - avg by (instance) (rate(bench_cpu_seconds_total{mode="idle"}[5m])) > 100 + %d`,
		`avg by (cpu) (rate(bench_cpu_seconds_total{mode="user"}[5m])) > 1000 * %d`,
		`sum by (mode) (rate(bench_cpu_seconds_total[5m])) > 1000 * %d`,
		`(1 - bench_memory_MemAvailable_bytes / bench_memory_MemTotal_bytes) * 100 > 80 + %d`,
		`bench_filesystem_avail_bytes / bench_filesystem_size_bytes * 100 < %d and on (mountpoint) bench_filesystem_readonly == 1`,
		`predict_linear(bench_filesystem_avail_bytes[6h], 4 * 3600) < %d`,
		`rate(bench_disk_io_time_seconds_total[5m]) > 1e6 * %d`,
		`sum by (device) (rate(bench_disk_read_bytes_total[5m]) + rate(bench_disk_written_bytes_total[5m])) > 1e6 * %d`,
		`rate(bench_network_receive_errs_total[5m]) / rate(bench_network_receive_packets_total[5m]) > %d`,
		`irate(bench_network_transmit_bytes_total[2m]) * 8 > 1e9 * %d`,
		`increase(bench_network_receive_drop_total[10m]) > 1e12 * %d`,
		`deriv(bench_process_resident_memory_bytes[1h]) > 1e6 * %d`,
		`topk(5, rate(bench_process_cpu_seconds_total[5m])) > 1000 * %d`,
		`bench_process_open_fds / bench_process_max_fds * 100 > 10 + %d`,
		`rate(bench_process_cpu_seconds_total[5m]) > 10 and on (pid) bench_process_resident_memory_bytes > 1e9 * %d`,
		`rate(bench_process_cpu_seconds_total[5m]) * on (pid) group_left (comm) bench_process_info > 1000 * %d`,
		`quantile_over_time(0.95, bench_load1[1h]) > %d`,
		`(bench_load5 - avg_over_time(bench_load5[1d])) / stddev_over_time(bench_load5[1d]) > %d`,
		`sum(rate(bench_network_receive_bytes_total[5m])) / sum(rate(bench_network_receive_bytes_total[5m] offset 7d)) > %d`,
		`max_over_time(sum(rate(bench_cpu_seconds_total{mode="system"}[5m]))[30m:1m]) > 1e5 * %d`,
		`absent(bench_load1{job="bench"}) * %d > 1`,
		`changes(bench_boot_time_seconds[15m]) > %d`,
		`abs(bench_timex_offset_seconds) > %d`,
		`rate(bench_disk_read_time_seconds_total[1m]) / rate(bench_disk_reads_completed_total[1m]) > %d`,
		`node_load1 > 1000 * %d`,
	}
}
