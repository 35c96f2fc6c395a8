package lab_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/node/lab"
)

// restConfig is a node that measures its machine, scrapes the made-up host and
// judges its rules.
func restConfig(t *testing.T, host *fakeHost) (conf, data string) {
	t.Helper()
	exporter := httptest.NewServer(host)
	t.Cleanup(exporter.Close)
	dir := t.TempDir()
	rules := filepath.Join(dir, "rules.yml")
	require.NoError(t, os.WriteFile(rules, []byte(host.rules()), 0o600))
	conf = filepath.Join(dir, "fenghuo.yml")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, `
scrape_configs:
- job_name: bench
  scrape_interval: 15s
  static_configs:
  - targets: [%q]
    labels: {instance: host-1}
rules: {files: [%q], evaluation_interval: 15s}
`, exporter.Listener.Addr(), rules), 0o600))
	return conf, filepath.Join(dir, "data")
}

// seriesOf is what the node says of its samples.
func seriesOf(t *testing.T, p *lab.Process) (head float64, failing float64) {
	t.Helper()
	b, err := p.Get("/v1/status")
	require.NoError(t, err)
	var s struct {
		Parts []struct {
			Name    string             `json:"name"`
			Numbers map[string]float64 `json:"numbers"`
		} `json:"parts"`
	}
	require.NoError(t, json.Unmarshal(b, &s))
	for _, part := range s.Parts {
		switch part.Name {
		case "series":
			head = part.Numbers["series"]
		case "rules":
			failing = part.Numbers["failing"]
			require.EqualValues(t, 100, part.Numbers["rules"])
		}
	}
	return head, failing
}

// rest looks at a node that has nothing to do but its rounds.
func rest(t *testing.T, p *lab.Process, span time.Duration, name string) []lab.Row {
	t.Helper()
	settle(time.Minute) // collection of garbage gives its pages back
	before := lab.UsageOf(t, p.Pid())
	u, rss, anon := before, int64(0), int64(0)
	for begin := time.Now(); time.Since(begin) < span; settle(5 * time.Second) {
		u = lab.UsageOf(t, p.Pid())
		rss, anon = max(rss, u.RSS), max(anon, u.Anon)
	}
	share := (lab.UsageOf(t, p.Pid()).CPU - before.CPU).Seconds() / span.Seconds() * 100
	if dir := os.Getenv("FENGHUO_BENCH_PROFILE"); dir != "" { // after the figures: it costs too
		for _, kind := range []string{"profile?seconds=45", "heap"} {
			b, err := exec.Command("curl", "-s", p.URL+"/debug/pprof/"+kind).Output()
			require.NoError(t, err)
			name, _, _ = strings.Cut(name, ",")
			require.NoError(t, os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+"."+kind[:4]), b, 0o600))
		}
	}
	head, failing := seriesOf(t, p)
	require.Zero(t, failing, "rules fail")
	t.Logf("%s: %.0f series in the head", name, head)
	none := lab.Percentile(nil, 0)
	return []lab.Row{
		{What: name + ", RSS, highest", Unit: "MiB", Ours: mib(rss), Peer: none, Target: "<= 64 MiB"},
		{What: name + ", RssAnon, highest", Unit: "MiB", Ours: mib(anon), Peer: none, Target: "<= 32 MiB"},
		{What: name + ", peak RSS since the start", Unit: "MiB", Ours: mib(u.Peak), Peer: none},
		{What: name + ", of a core", Unit: "%", Ours: share, Peer: none, Target: "<= 1 %"},
	}
}

// TestBenchRest is a node at rest: fresh, and on eight days of samples with a
// compaction before it and a history of alerts.
func TestBenchRest(t *testing.T) {
	bin := bench(t)
	span, days := 2*time.Minute, 8
	if short := os.Getenv("FENGHUO_BENCH_DAYS"); short != "" {
		var err error
		days, err = strconv.Atoi(short)
		require.NoError(t, err)
		span = time.Minute
	}
	host := newFakeHost(700) // the machine's own series come on top

	conf, data := restConfig(t, host)
	p := lab.Start(t, bin, "--config", conf, "--data", data, "--name", "n1")
	rows := rest(t, p, span, "fresh")
	p.Kill()

	conf, data = restConfig(t, host)
	begin := time.Now()
	host.fill(t, filepath.Join(data, "series"), time.Duration(days)*24*time.Hour)
	t.Logf("filled %d days in %s", days, time.Since(begin))
	perDay := mib(lab.DiskUsage(t, filepath.Join(data, "series"))) / float64(days) * 1000 / 700
	p = lab.Start(t, bin, "--config", conf, "--data", data, "--name", "n1")
	// A history, which badger keeps: 2,000 alerts that began and ended.
	now := time.Now()
	for _, ends := range []time.Time{now.Add(time.Hour), now} {
		for from := 0; from < 2000; from += 100 {
			require.NoError(t, p.Post("/api/v2/alerts", body(t, from, 100, ends)))
		}
	}
	rows = append(rows, rest(t, p, span, fmt.Sprintf("after %d days", days))...)
	rows = append(rows, lab.Row{What: "samples of 1,000 series on disk, a day", Unit: "MiB", Ours: perDay, Peer: lab.Percentile(nil, 0), Target: "<= 20 MiB"})
	report(t, rows)
}
