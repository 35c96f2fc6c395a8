package evaluate

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// The benchmark's host: 1,000 series at 15 s, of the shapes a host has (counters,
// noisy gauges, nearly constant gauges, idle processes), and 100 rules: 25
// templates with 4 thresholds each.
const (
	benchStep  = 15 * time.Second
	benchSpan  = 26 * time.Hour
	benchCPUs  = 4
	benchDisks = 3
	benchNets  = 3
	benchProcs = 100
)

// benchSeries is one series and how its value goes on.
type benchSeries struct {
	labels labels.Labels
	next   func(r *rand.Rand) float64
}

func counter(rate float64) func(*rand.Rand) float64 {
	v := 0.0
	return func(r *rand.Rand) float64 { v += rate * (0.5 + r.Float64()); return v }
}

func noisy(mean, spread float64) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 { return mean + spread*(r.Float64()-0.5) }
}

func constant(v float64) func(*rand.Rand) float64 {
	return func(*rand.Rand) float64 { return v }
}

func benchHost() []benchSeries {
	var out []benchSeries
	add := func(next func(*rand.Rand) float64, name string, kv ...string) {
		kv = append(kv, "__name__", name, "instance", "host-1", "job", "node")
		out = append(out, benchSeries{labels.FromStrings(kv...), next})
	}
	for cpu := range benchCPUs {
		for i, mode := range []string{"idle", "user", "system", "iowait", "irq", "softirq", "nice", "steal"} {
			add(counter([]float64{12, 2, .5, .2, 0, .1, 0, 0}[i]), "node_cpu_seconds_total", "cpu", fmt.Sprint(cpu), "mode", mode)
		}
	}
	for d := range benchDisks {
		mount := fmt.Sprintf("/data%d", d)
		add(constant(1e12), "node_filesystem_size_bytes", "mountpoint", mount, "fstype", "ext4")
		add(noisy(4e11, 1e9), "node_filesystem_avail_bytes", "mountpoint", mount, "fstype", "ext4")
		add(constant(6e7), "node_filesystem_files", "mountpoint", mount, "fstype", "ext4")
		add(noisy(5e7, 1e4), "node_filesystem_files_free", "mountpoint", mount, "fstype", "ext4")
		add(constant(0), "node_filesystem_readonly", "mountpoint", mount, "fstype", "ext4")
		for _, m := range []string{"read_bytes", "written_bytes", "reads_completed", "writes_completed", "io_time_seconds", "read_time_seconds"} {
			add(counter(1000), "node_disk_"+m+"_total", "device", fmt.Sprintf("sd%d", d))
		}
	}
	for n := range benchNets {
		for _, m := range []string{"receive_bytes", "transmit_bytes", "receive_packets", "transmit_packets", "receive_errs", "transmit_errs", "receive_drop"} {
			add(counter(50000), "node_network_"+m+"_total", "device", fmt.Sprintf("eth%d", n))
		}
		add(constant(1), "node_network_up", "device", fmt.Sprintf("eth%d", n))
	}
	for _, m := range []string{"MemTotal", "SwapTotal"} {
		add(constant(6.4e10), "node_memory_"+m+"_bytes")
	}
	for _, m := range []string{"MemAvailable", "MemFree", "Cached", "Buffers", "Dirty", "SwapFree"} {
		add(noisy(2e10, 1e9), "node_memory_"+m+"_bytes")
	}
	for _, m := range []string{"node_load1", "node_load5", "node_load15"} {
		add(noisy(3, 2), m)
	}
	add(constant(1.7e9), "node_boot_time_seconds")
	add(noisy(0, 0.001), "node_timex_offset_seconds")
	add(constant(1), "up")
	for p := range benchProcs {
		pid := fmt.Sprint(1000 + p)
		busy := 0.0
		if p%5 == 0 {
			busy = 1
		}
		add(counter(busy), "process_cpu_seconds_total", "pid", pid)
		add(noisy(1e8, busy*1e6), "process_resident_memory_bytes", "pid", pid)
		add(constant(20), "process_open_fds", "pid", pid)
		add(constant(1024), "process_max_fds", "pid", pid)
		add(constant(1), "process_info", "pid", pid, "comm", fmt.Sprintf("daemon-%d", p%17), "owner", fmt.Sprintf("u%d", p%9))
		add(noisy(10, busy), "process_threads", "pid", pid)
	}
	for i := len(out); i < 1000; i++ {
		add(noisy(50, 5), "app_gauge", "shard", fmt.Sprint(i), "zone", fmt.Sprintf("z%d", i%4))
	}
	return out[:1000]
}

// benchTemplates are expressions with %v for the threshold, and four thresholds.
func benchTemplates() []struct {
	expr   string
	limits [4]any
} {
	type row = struct {
		expr   string
		limits [4]any
	}
	return []row{
		{`100 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])) * 100 > %v`, [4]any{20, 80, 90, 95}},
		{`avg by (cpu) (rate(node_cpu_seconds_total{mode="user"}[5m])) > %v`, [4]any{.5, .8, .9, .95}},
		{`sum by (mode) (rate(node_cpu_seconds_total[5m])) > %v`, [4]any{10, 20, 30, 40}},
		{`(1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes) * 100 > %v`, [4]any{60, 80, 90, 95}},
		{`node_filesystem_avail_bytes / node_filesystem_size_bytes * 100 < %v and on (mountpoint) node_filesystem_readonly == 0`, [4]any{5, 10, 20, 41}},
		{`predict_linear(node_filesystem_avail_bytes[6h], 4 * 3600) < %v`, [4]any{0, 1e9, 1e10, 1e11}},
		{`node_filesystem_files_free / node_filesystem_files * 100 < %v`, [4]any{5, 10, 20, 30}},
		{`rate(node_disk_io_time_seconds_total[5m]) > %v`, [4]any{100, 200, 300, 1000}},
		{`sum by (device) (rate(node_disk_read_bytes_total[5m]) + rate(node_disk_written_bytes_total[5m])) > %v`, [4]any{200, 500, 1000, 5000}},
		{`rate(node_network_receive_errs_total[5m]) / rate(node_network_receive_packets_total[5m]) > %v`, [4]any{2, 3, 4, 5}},
		{`irate(node_network_transmit_bytes_total[2m]) * 8 > %v`, [4]any{1e6, 1e7, 1e8, 1e9}},
		{`node_network_up == 0 or increase(node_network_receive_drop_total[10m]) > %v`, [4]any{1e8, 2e8, 3e8, 4e8}},
		{`deriv(process_resident_memory_bytes[1h]) > %v`, [4]any{1e6, 1e7, 1e8, 1e9}},
		{`topk(5, rate(process_cpu_seconds_total[5m])) > %v`, [4]any{.5, .8, .9, .95}},
		{`process_open_fds / process_max_fds * 100 > %v`, [4]any{50, 80, 90, 95}},
		{`rate(process_cpu_seconds_total[5m]) > %v and on (pid) process_resident_memory_bytes > 1e9`, [4]any{.1, .5, .8, .9}},
		{`rate(process_cpu_seconds_total[5m]) * on (pid) group_left (comm, owner) process_info > %v`, [4]any{.5, .8, .9, .95}},
		{`quantile_over_time(0.95, node_load1[1h]) > %v`, [4]any{4, 6, 8, 10}},
		{`(node_load5 - avg_over_time(node_load5[1d])) / stddev_over_time(node_load5[1d]) > %v`, [4]any{2, 3, 4, 5}},
		{`sum(rate(node_network_receive_bytes_total[5m])) / sum(rate(node_network_receive_bytes_total[5m] offset 12h)) > %v`, [4]any{1.5, 2, 3, 4}},
		{`max_over_time(sum(rate(node_cpu_seconds_total{mode="system"}[5m]))[30m:1m]) > %v`, [4]any{1, 2, 3, 4}},
		{`absent(up{job="missing-%v"})`, [4]any{1, 2, 3, 4}},
		{`avg by (zone) (app_gauge) > %v`, [4]any{51, 55, 60, 70}},
		{`abs(node_timex_offset_seconds) > %v`, [4]any{.05, .1, .5, 1}},
		{`changes(node_boot_time_seconds[15m]) > %v`, [4]any{0, 1, 2, 3}},
	}
}

func benchRules() string {
	var b strings.Builder
	b.WriteString("groups:\n- name: bench\n  rules:\n")
	for i, r := range benchTemplates() {
		for j, limit := range r.limits {
			fmt.Fprintf(&b, "  - alert: Bench%dLevel%d\n    expr: %q\n    for: 5m\n    labels: {severity: %s}\n    annotations:\n", i, j, fmt.Sprintf(r.expr, limit), []string{"info", "warning", "major", "critical"}[j])
			b.WriteString("      summary: '{{ $labels.instance }}{{ $labels.device }}{{ $labels.pid }} is at {{ $value | humanize }}'\n      runbook: https://runbooks.example/" + fmt.Sprint(i) + "\n")
		}
	}
	return b.String()
}

// benchNode is a store with a day of samples, and the group at work on it.
func benchNode(b testing.TB, span time.Duration) (*Group, *series.DB, func(tick int) time.Time) {
	b.Helper()
	begin := at(0).Add(-span)
	clock := begin
	db, err := series.Open(series.Options{Dir: b.TempDir(), MinFreeBytes: -1, Now: func() time.Time { return clock }})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	host, r := benchHost(), rand.New(rand.NewPCG(1, 2))
	batch := make([]series.Sample, len(host))
	tick := func(i int) time.Time {
		now := begin.Add(time.Duration(i) * benchStep)
		clock = now
		if i%240 == 0 { // each hour, as the store does by itself
			require.NoError(b, db.Maintain(b.Context()))
		}
		for k := range host {
			batch[k] = series.Sample{Labels: host[k].labels, T: now.UnixMilli(), V: host[k].next(r)}
		}
		done, err := db.Append(b.Context(), batch)
		require.NoError(b, err)
		require.Zero(b, done.Refused(), "%+v", done)
		return now
	}
	for i := range int(span / benchStep) {
		tick(i)
	}
	g := groupOf(b, benchRules(), options(db))
	require.Len(b, g.rules, 100)
	return g, db, func(i int) time.Time { return tick(int(span/benchStep) + i) }
}

// BenchmarkHostRules evaluates the 100 rules once per iteration. It reports the
// mean per rule, the collector's share in it, and the median of the rules' fastest
// of 20 runs, which shared processors disturb least.
func BenchmarkHostRules(b *testing.B) {
	g, _, tick := benchNode(b, benchSpan)
	ticks := 0
	var nows []time.Time
	for ; ticks < 24; ticks++ { // pending becomes firing
		now := tick(ticks)
		g.Eval(b.Context(), now)
		nows = append(nows, now)
	}
	now := nows[len(nows)-1]
	fastest := make([]float64, len(g.rules))
	for i, r := range g.rules {
		fastest[i] = math.Inf(1)
		for range 20 {
			begin := time.Now()
			_, err := r.eval(b.Context(), moment{now: now})
			require.NoError(b, err)
			fastest[i] = min(fastest[i], float64(time.Since(begin).Microseconds()))
		}
	}
	slices.Sort(fastest)
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime()
	for b.Loop() {
		g.Eval(b.Context(), now)
	}
	used := cpuTime() - before
	b.StopTimer()
	alerts := 0
	for _, r := range g.Status(now).Rules {
		require.Equal(b, HealthGood, r.Health, "%s: %s", r.Name, r.LastError)
		alerts += len(r.Alerts)
	}
	rules := float64(b.N * len(g.rules))
	b.ReportMetric(float64(used.Microseconds())/rules, "cpu-us/rule")
	b.ReportMetric(fastest[len(fastest)/2], "p50-us")
	b.ReportMetric(fastest[len(fastest)*9/10], "p90-us")
	b.ReportMetric(fastest[len(fastest)-1], "max-us")
	b.ReportMetric(float64(alerts), "alerts")
}
