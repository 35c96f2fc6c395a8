package series

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hostTick fills a batch with one tick of a host of 1,000 series: counters of CPUs, disks and nets, noisy gauges,
// gauges that hardly move, and idle processes.
type hostTick struct {
	batch  []Sample
	random *rand.Rand
}

func newHostTick(n int) *hostTick {
	h := &hostTick{random: rand.New(rand.NewPCG(1, 2))}
	for i := range n {
		h.batch = append(h.batch, Sample{Labels: LabelsOf(
			"__name__", fmt.Sprintf("node_metric_%d", i/20), "instance", "web-1.example.net:9100", "job", "node", "device", fmt.Sprintf("dev%d", i%20), "kind", fmt.Sprint(i%4),
		)})
	}
	return h
}

func (h *hostTick) at(t time.Time) []Sample {
	ms := t.UnixMilli()
	for i := range h.batch {
		s := &h.batch[i]
		s.T = ms
		switch i % 4 {
		case 0: // a counter
			s.V += float64(h.random.IntN(1000))
		case 1: // a noisy gauge
			s.V = math.Round(h.random.NormFloat64()*1000) / 100
		case 2: // a gauge that hardly moves
			if h.random.IntN(50) == 0 {
				s.V++
			}
		}
	}
	return h.batch
}

// BenchmarkAppendTick is one tick of 1,000 known series. The target is 0.5 ms of CPU.
func BenchmarkAppendTick(b *testing.B) {
	c := newClock()
	d := openTest(b, Options{Now: c.now})
	tick := newHostTick(1000)
	ctx := context.Background()
	mustAppend(b, d, tick.at(c.now())...)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		c.add(15 * time.Second)
		batch := tick.at(c.now())
		if a, err := d.Append(ctx, batch); err != nil || a.Stored != 1000 {
			b.Fatal(a, err)
		}
	}
}

func BenchmarkInstantRate(b *testing.B) {
	c := newClock()
	d := openTest(b, Options{Now: c.now})
	tick := newHostTick(1000)
	for range 240 {
		c.add(15 * time.Second)
		mustAppend(b, d, tick.at(c.now())...)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := d.Instant(context.Background(), `sum by (kind) (rate(node_metric_3[5m])) > 1`, c.now(), QueryOptions{Own: true}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEightDays loads 1,000 series at 15 s for FENGHUO_BENCH_DAYS (8) days on a synthetic clock, with all
// compactions, then reopens the store. It reports what doc.go quotes; run it with -benchtime 1x.
func BenchmarkEightDays(b *testing.B) {
	days := 8
	if s := os.Getenv("FENGHUO_BENCH_DAYS"); s != "" {
		_, err := fmt.Sscan(s, &days)
		require.NoError(b, err)
	}
	for range b.N {
		eightDays(b, days)
	}
}

func eightDays(b *testing.B, days int) {
	// As a node sets them for itself.
	defer debug.SetGCPercent(debug.SetGCPercent(50))
	c := newClock()
	dir := b.TempDir()
	d, err := Open(Options{Dir: dir, Now: c.now})
	require.NoError(b, err)
	tick := newHostTick(1000)
	ctx := context.Background()
	start, peak := rssAnon(), 0.0
	for i := range days * 24 * 240 {
		c.add(15 * time.Second)
		if a, err := d.Append(ctx, tick.at(c.now())); err != nil || a.Stored != 1000 {
			b.Fatal(a, err)
		}
		if i%40 == 0 {
			d.base.ForceHeadMMap() // the database's own loop does it once a minute of true time
			require.NoError(b, d.Maintain(ctx))
			peak = max(peak, rssAnon())
		}
	}
	b.ReportMetric(start, "MB-anon-start")
	b.ReportMetric(peak, "MB-anon-peak")
	b.ReportMetric(rssAnon(), "MB-anon-end")
	begin := time.Now()
	require.NoError(b, d.Close())
	d, err = Open(Options{Dir: dir, Now: c.now})
	require.NoError(b, err)
	b.ReportMetric(float64(time.Since(begin).Milliseconds()), "ms-reopen")
	debug.FreeOSMemory()
	b.ReportMetric(rssAnon(), "MB-anon-reopened")
	for range 40 {
		c.add(15 * time.Second)
		_, err := d.Append(ctx, tick.at(c.now()))
		require.NoError(b, err)
		for _, q := range []string{`sum by (kind) (rate(node_metric_3[5m]))`, `avg_over_time(node_metric_1[1h])`, `rate(node_metric_0[5m] offset 7d)`} {
			_, err := d.Instant(ctx, q, c.now(), QueryOptions{})
			require.NoError(b, err)
		}
	}
	b.ReportMetric(rssAnon(), "MB-anon-live")
	st := d.Status(1)
	b.ReportMetric(float64(st.BlockBytes)/1e6, "MB-blocks")
	b.ReportMetric(float64(st.HeadBytes)/1e6, "MB-head-disk")
	b.ReportMetric(float64(st.Blocks), "blocks")
	require.NoError(b, d.Close())
}

// rssAnon is the process's anonymous resident memory in MB; 0 where the system doesn't tell.
func rssAnon() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "RssAnon: %f kB", &kb); n == 1 {
			return kb * 1024 / 1e6
		}
	}
	return 0
}
