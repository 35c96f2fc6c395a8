package lab

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Peer is the program that alert intake is compared with: Debian's package
// prometheus-alertmanager.
const Peer = "prometheus-alertmanager"

// Usage is what a process has used so far and holds now.
type Usage struct {
	CPU       time.Duration // user and system
	RSS, Anon int64         // bytes; Anon is what the kernel can't take back
	Peak      int64         // of RSS
}

// UsageOf reads a process's usage from /proc.
func UsageOf(t testing.TB, pid int) Usage {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	// The name, in parentheses, may hold anything. utime and stime are fields 14
	// and 15, in ticks of 10 ms.
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	require.Greater(t, len(f), 13)
	var u Usage
	for _, ticks := range f[11:13] {
		n, err := strconv.Atoi(ticks)
		require.NoError(t, err)
		u.CPU += time.Duration(n) * 10 * time.Millisecond
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		name, rest, _ := strings.Cut(line, ":")
		if into := map[string]*int64{"VmRSS": &u.RSS, "RssAnon": &u.Anon, "VmHWM": &u.Peak}[name]; into != nil {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			require.NoError(t, err)
			*into = kib << 10
		}
	}
	return u
}

// StartPeer runs an Alertmanager alone on loopback, and says false where there
// is none on this machine.
func StartPeer(t *testing.T, config string) (*Process, bool) {
	t.Helper()
	bin, err := exec.LookPath(Peer)
	if err != nil {
		return nil, false
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "alertmanager.yml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	addr := FreeAddress(t)
	return launch(t, "http://"+addr, exec.Command(bin, "--config.file", file, "--storage.path", filepath.Join(dir, "data"),
		"--web.listen-address", addr, "--cluster.listen-address", "", "--log.level", "error")), true
}

// DiskUsage sums what the files below a directory take on disk, in bytes.
func DiskUsage(t testing.TB, dir string) int64 {
	t.Helper()
	out, err := exec.Command("du", "-s", "-k", dir).Output()
	require.NoError(t, err)
	kib, err := strconv.ParseInt(strings.Fields(string(out))[0], 10, 64)
	require.NoError(t, err)
	return kib << 10
}

// Percentile is the p-th part (0 to 1) of durations, in milliseconds.
func Percentile(list []time.Duration, p float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(list))
	return float64(s[min(len(s)-1, int(float64(len(s))*p))].Microseconds()) / 1000
}

// Row is one figure of a benchmark: ours, the peer's (NaN: none) and what we
// aim at.
type Row struct {
	What, Unit string
	Ours, Peer float64
	Target     string
}

// Table writes rows as Markdown.
func Table(rows []Row) string {
	var b strings.Builder
	b.WriteString("| what | ours | Alertmanager | ratio | target |\n| --- | ---: | ---: | ---: | --- |\n")
	for _, r := range rows {
		peer, ratio := "–", "–"
		if !math.IsNaN(r.Peer) {
			peer, ratio = fmt.Sprintf("%.4g %s", r.Peer, r.Unit), fmt.Sprintf("%.1f", r.Peer/r.Ours)
		}
		fmt.Fprintf(&b, "| %s | %.4g %s | %s | %s | %s |\n", r.What, r.Ours, r.Unit, peer, ratio, r.Target)
	}
	return b.String()
}
