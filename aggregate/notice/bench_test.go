package notice

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/route"
)

func many(n int) []*alert.Alert {
	out := make([]*alert.Alert, n)
	for i := range out {
		out[i] = &alert.Alert{
			Tenant: alert.DefaultTenant, StartsAt: epoch, Onset: epoch, UpdatedAt: epoch, ReceivedAt: epoch, EndsAt: epoch.Add(time.Hour),
			Labels: label.FromStrings("alertname", fmt.Sprintf("Rule%d", i%100), "instance", fmt.Sprintf("host-%d:9100", i), "job", "node",
				"severity", "warning", "team", "infra", "zone", "a", "cluster", "c1", "env", "prod"),
		}
	}
	return out
}

func planner(t testing.TB, by ...string) *Planner {
	second := time.Second
	tree, err := route.New(&route.Spec{Receiver: "r", GroupBy: by, GroupWait: &second})
	require.NoError(t, err)
	p := New(Options{IDPrefix: "n"})
	require.NoError(t, p.Configure(Config{Tree: tree, Receivers: []Receiver{{Name: "r", Integrations: []Integration{{Key: "r/webhook/0", SendResolved: true}}}}}, epoch))
	return p
}

// tell plays the first flush of everything.
func tell(p *Planner, now alert.Time) (notices, alerts int) {
	for _, n := range p.Due(now) {
		notices++
		alerts += len(n.Alerts)
		p.Claim(n.ID)
		p.Done(n.ID, Outcome{Delivered: true, At: now, Attempts: 1}, now)
	}
	return notices, alerts
}

// TestMemory: what a planner holds per alert that has been told.
func TestMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes everything larger")
	}
	const n = 30_000
	for _, c := range []struct {
		name   string
		by     []string
		groups int
		limit  uint64 // bytes per alert
	}{
		{"one group", []string{}, 1, 150},
		{"100 groups", []string{"alertname"}, 100, 150},
		{"a group per alert", []string{"..."}, n, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			as := many(n)
			before := inUse()
			p := planner(t, c.by...)
			for _, a := range as {
				p.Observe(a, epoch)
			}
			notices, alerts := tell(p, epoch.Add(2*time.Second))
			require.Equal(t, c.groups, notices)
			require.Equal(t, n, alerts)
			p.flush = flush{} // scratch, not state
			per := (inUse() - before) / n
			t.Logf("%d bytes per alert", per)
			require.LessOrEqual(t, per, c.limit)
			runtime.KeepAlive(as)
			runtime.KeepAlive(p)
		})
	}
}

func inUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkObserveNew(b *testing.B) {
	as := many(100_000)
	var p *Planner
	i := 0
	for b.Loop() {
		if i%len(as) == 0 {
			b.StopTimer()
			p = planner(b, "alertname")
			b.StartTimer()
		}
		p.Observe(as[i%len(as)], epoch)
		i++
	}
}

func BenchmarkObserveRepeat(b *testing.B) {
	as := many(100_000)
	p := planner(b, "alertname")
	for _, a := range as {
		p.Observe(a, epoch)
	}
	i := 0
	for b.Loop() {
		a := *as[i%len(as)]
		p.Observe(&a, epoch)
		i++
	}
}

// BenchmarkFlush is the cost per alert of a flush with nothing to tell.
func BenchmarkFlush(b *testing.B) {
	for _, c := range []struct {
		name string
		by   []string
	}{{"one", []string{}}, {"each", []string{"..."}}} {
		b.Run(c.name, func(b *testing.B) {
			as := many(100_000)
			p := planner(b, c.by...)
			for _, a := range as {
				p.Observe(a, epoch)
			}
			now := epoch.Add(2 * time.Second)
			tell(p, now)
			rounds := 0
			for b.Loop() {
				now += alert.Time(time.Minute)
				p.Due(now)
				now -= alert.Time(time.Minute)
				for _, g := range p.timers {
					g.next = now
				}
				rounds++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rounds)/100_000, "ns/alert")
		})
	}
}
