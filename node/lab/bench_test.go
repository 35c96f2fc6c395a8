package lab_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/node/lab"
)

// rounds is how often an intake is measured; the least CPU counts, since
// neighbours only ever add.
const rounds = 3

// bench skips a test unless the environment asks for measurements, and returns
// the program.
func bench(t *testing.T) string {
	t.Helper()
	if os.Getenv("FENGHUO_BENCH") == "" {
		t.Skip("measures; make bench runs it")
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("reads /proc")
	}
	return lab.Build(t)
}

// amConfig notifies a webhook, if only after wait.
func amConfig(url, wait string) string {
	return fmt.Sprintf(`
route: {receiver: hook, group_by: [alertname, dc], group_wait: %s, group_interval: 5m, repeat_interval: 4h}
receivers:
- name: hook
  webhook_configs: [{url: %q}]
`, wait, url)
}

// start runs a node with an alertmanager.yml, and without measuring the host.
func start(t *testing.T, bin, config string) *lab.Process {
	t.Helper()
	dir := t.TempDir()
	am, conf := filepath.Join(dir, "alertmanager.yml"), filepath.Join(dir, "fenghuo.yml")
	require.NoError(t, os.WriteFile(am, []byte(config), 0o600))
	require.NoError(t, os.WriteFile(conf, []byte("host: {enabled: false}\n"), 0o600))
	return lab.Start(t, bin, "--config", conf, "--data", filepath.Join(dir, "data"), "--alertmanager-config", am, "--name", "n1")
}

// peer runs Alertmanager, or says once that there is none.
func peer(t *testing.T, config string) *lab.Process {
	t.Helper()
	p, ok := lab.StartPeer(t, config)
	if !ok {
		t.Logf("no %s on this machine (Debian: apt-get install prometheus-alertmanager): the peer's column stays empty", lab.Peer)
		return nil
	}
	return p
}

// figures are what one server showed, by name.
type figures map[string]float64

func (f figures) least(name string, v float64) {
	if old, ok := f[name]; !ok || v < old {
		f[name] = v
	}
}

func (f figures) of(name string) float64 {
	if v, ok := f[name]; ok {
		return v
	}
	return math.NaN()
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// settle waits for what a server does behind its answers.
func settle(d time.Duration) { <-time.After(d) }

// measureIntake sends n alerts to a fresh server, and leaves them active.
func measureIntake(t *testing.T, p *lab.Process, n int, f figures) {
	t.Helper()
	bodies := lab.LoadBodies(t, 0, n)
	before := lab.UsageOf(t, p.Pid())
	took := lab.Load(t, p.URL, bodies)
	settle(3 * time.Second) // what is done behind the answers counts
	used := lab.UsageOf(t, p.Pid())
	f.least("cpu", (used.CPU-before.CPU).Seconds()/float64(n)*1e6)
	f.least("p50", lab.Percentile(took, .5))
	f.least("p99", lab.Percentile(took, .99))
	f.least("peak", mib(used.Peak))
}

// measureHeld looks at a server that holds n alerts.
func measureHeld(t *testing.T, p *lab.Process, n int, f figures) {
	t.Helper()
	settle(time.Minute)
	u := lab.UsageOf(t, p.Pid())
	f["rss"], f["anon"] = mib(u.RSS), mib(u.Anon)
	c := lab.NewClient(p.URL)
	defer c.Close()
	var took []time.Duration
	for i := range 100 {
		d, _, err := c.Get(fmt.Sprintf("/api/v2/alerts?filter=id%%3D%d", i*n/100))
		require.NoError(t, err)
		took = append(took, d)
	}
	f["one50"], f["one99"] = lab.Percentile(took, .5), lab.Percentile(took, .99)
}

// measureList fetches all of 10,000 alerts.
func measureList(t *testing.T, p *lab.Process, f figures) {
	t.Helper()
	lab.Load(t, p.URL, lab.LoadBodies(t, 0, 10_000))
	settle(2 * time.Second)
	c := lab.NewClient(p.URL)
	defer c.Close()
	const times = 20
	var took []time.Duration
	var size int64
	before := lab.UsageOf(t, p.Pid()).CPU
	for range times {
		d, n, err := c.Get("/api/v2/alerts")
		require.NoError(t, err)
		took, size = append(took, d), n
	}
	require.Greater(t, size, int64(2<<20))
	f["list"] = lab.Percentile(took, 0)
	f["listcpu"] = float64((lab.UsageOf(t, p.Pid()).CPU - before).Microseconds()) / times / 1000
}

func TestBenchIntake(t *testing.T) {
	bin := bench(t)
	const n = 100_000
	ours, theirs := figures{}, figures{}
	sink := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(sink.Close)
	config := amConfig(sink.URL, "1h")
	for round := range rounds {
		// In turns, one at a time: both see the same neighbours.
		p := start(t, bin, config)
		measureIntake(t, p, n, ours)
		if round == rounds-1 {
			measureHeld(t, p, n, ours)
		}
		p.Kill()
		if p = peer(t, config); p != nil {
			measureIntake(t, p, n, theirs)
			if round == rounds-1 {
				measureHeld(t, p, n, theirs)
			}
			p.Kill()
		}
	}
	p := start(t, bin, config)
	measureList(t, p, ours)
	p.Kill()
	if p = peer(t, config); p != nil {
		measureList(t, p, theirs)
		p.Kill()
	}
	row := func(what, unit, name, target string) lab.Row {
		return lab.Row{What: what, Unit: unit, Ours: ours.of(name), Peer: theirs.of(name), Target: target}
	}
	report(t, []lab.Row{
		row("intake, CPU per million", "s", "cpu", "ratio >= 5"),
		row("intake, p50 of a request", "ms", "p50", ""),
		row("intake, p99 of a request", "ms", "p99", "below the peer"),
		row("100,000 active, RSS after a minute", "MiB", "rss", "<= 150 MiB"),
		row("100,000 active, RssAnon", "MiB", "anon", ""),
		row("100,000 active, peak RSS", "MiB", "peak", ""),
		row("GET one of 100,000, p50", "ms", "one50", ""),
		row("GET one of 100,000, p99", "ms", "one99", "<= 5 ms"),
		row("GET 10,000, fastest", "ms", "list", "ratio >= 5"),
		row("GET 10,000, CPU", "ms", "listcpu", "ratio >= 5"),
	})
}

// report prints a table and the machine's class.
func report(t *testing.T, rows []lab.Row) {
	t.Helper()
	fmt.Printf("\n%s, %s/%s, %d CPUs\n\n%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), lab.Table(rows))
}

// arrivals notes when a receiver saw each alert.
type arrivals struct {
	mu sync.Mutex // guards at
	at map[string]time.Time
}

func (a *arrivals) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	now := time.Now()
	var m struct {
		Alerts []struct {
			Labels map[string]string `json:"labels"`
		} `json:"alerts"`
	}
	if json.NewDecoder(r.Body).Decode(&m) != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range m.Alerts {
		if id := m.Alerts[i].Labels["id"]; a.at[id].IsZero() {
			a.at[id] = now
		}
	}
}

func (a *arrivals) of(id string) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at[id]
}

// measureThrough posts alerts of groups of their own, one at a time, and waits
// for each webhook.
func measureThrough(t *testing.T, p *lab.Process, in *arrivals, n int) []time.Duration {
	t.Helper()
	c := lab.NewClient(p.URL)
	defer c.Close()
	var took []time.Duration
	for i := range n {
		id := fmt.Sprintf("%d-%d", p.Pid(), i)
		body, err := json.Marshal([]map[string]any{{
			"labels":      map[string]string{"alertname": "Through" + id, "id": id, "severity": "critical", "dc": "dc1"},
			"annotations": map[string]string{"summary": "one alert"},
		}})
		require.NoError(t, err)
		begin := time.Now()
		require.NoError(t, c.Post(body))
		lab.Eventually(t, 20*time.Second, func() error {
			if in.of(id).IsZero() {
				return fmt.Errorf("alert %s not told", id)
			}
			return nil
		})
		took = append(took, in.of(id).Sub(begin))
	}
	return took
}

func TestBenchThrough(t *testing.T) {
	bin := bench(t)
	in := &arrivals{at: map[string]time.Time{}}
	hook := httptest.NewServer(in)
	t.Cleanup(hook.Close)
	config := amConfig(hook.URL, "0s")
	const n = 400
	ours := measureThrough(t, start(t, bin, config), in, n)
	var theirs []time.Duration
	if p := peer(t, config); p != nil {
		theirs = measureThrough(t, p, in, n)
	}
	row := func(what string, q float64, target string) lab.Row {
		return lab.Row{What: what, Unit: "ms", Ours: lab.Percentile(ours, q), Peer: lab.Percentile(theirs, q), Target: target}
	}
	report(t, []lab.Row{
		row("alert in to webhook out, p50", .5, ""),
		row("alert in to webhook out, p99", .99, "<= 20 ms"),
	})
	require.Len(t, slices.DeleteFunc(ours, func(d time.Duration) bool { return d <= 0 }), n)
}
