package kernel

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
	"github.com/fenghuo-mesh/fenghuo/collectors/host/portable"
)

// stat reports the counters of the whole system in /proc/stat.
type stat struct {
	t       *tree
	metrics map[string]*metric.Metric
}

func newStat(t *tree) *stat {
	return &stat{t: t, metrics: map[string]*metric.Metric{
		"intr":          metric.New("node_intr_total", "Total number of interrupts serviced.", metric.Counter),
		"ctxt":          metric.New("node_context_switches_total", "Total number of context switches.", metric.Counter),
		"btime":         portable.BootTime,
		"processes":     metric.New("node_forks_total", "Total number of forks.", metric.Counter),
		"procs_running": metric.New("node_procs_running", "Number of processes in runnable state.", metric.Gauge),
		"procs_blocked": metric.New("node_procs_blocked", "Number of processes blocked waiting for I/O to complete.", metric.Gauge),
	}}
}

func (s *stat) collect(_ context.Context, b *metric.Batch) error {
	text, err := s.t.readProc("stat")
	if err != nil {
		return err
	}
	var w [2]string // the line of interrupts goes on with one number per interrupt
	for line := range strings.Lines(text) {
		if fields(strings.TrimRight(line, "\n"), w[:]) < 2 {
			continue
		}
		if m := s.metrics[w[0]]; m != nil {
			if err := must(b, m, w[1]); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadavg reads the file itself: gopsutil panics where it is not as expected.
func (t *tree) loadavg(_ context.Context, b *metric.Batch) error {
	text, err := t.readProc("loadavg")
	if err != nil {
		return err
	}
	var w [3]string
	if fields(strings.TrimSpace(text), w[:]) < 3 {
		return fmt.Errorf("loadavg: unexpected content %q", metric.Clip(text))
	}
	var v [3]float64
	for i := range w {
		if v[i], err = strconv.ParseFloat(w[i], 64); err != nil {
			return fmt.Errorf("loadavg: %w", err)
		}
	}
	portable.AddLoad(b, v[0], v[1], v[2])
	return nil
}

var (
	procState   = metric.New("node_processes_state", "Number of processes in each state.", metric.Gauge, "state")
	procPids    = metric.New("node_processes_pids", "Number of PIDs", metric.Gauge)
	procMax     = metric.New("node_processes_max_processes", "Number of max PIDs limit", metric.Gauge)
	procThreads = metric.New("node_processes_threads", "Allocated threads in system", metric.Gauge)
	threadsMax  = metric.New("node_processes_max_threads", "Limit of threads in the system", metric.Gauge)
)

// processes counts processes by state. It reads one file per process and none per thread, so
// node_processes_threads_state is missing.
type processes struct {
	t *tree
}

func newProcesses(t *tree) *processes { return &processes{t: t} }

func (p *processes) collect(ctx context.Context, b *metric.Batch) error {
	entries, err := names(p.t.proc)
	if err != nil {
		return err
	}
	var states [256]int
	pids, threads := 0, 0
	for _, name := range entries {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		if pids%256 == 0 && ctx.Err() != nil {
			return fmt.Errorf("read processes: %w", ctx.Err())
		}
		text, err := read(filepath.Join(p.t.proc, name, "stat"))
		if err != nil {
			continue // it has ended
		}
		state, n, ok := procStat(text)
		if !ok {
			continue
		}
		pids++
		threads += n
		states[state]++
	}
	for state, n := range states {
		if n > 0 {
			b.Add(procState, float64(n), string(rune(state)))
		}
	}
	b.Add(procPids, float64(pids))
	b.Add(procThreads, float64(threads))
	for file, m := range map[string]*metric.Metric{"pid_max": procMax, "threads-max": threadsMax} {
		if v, ok := lineNumber(filepath.Join(p.t.proc, "sys/kernel", file)); ok {
			b.Add(m, v)
		}
	}
	return nil
}

// procStat finds state and number of threads behind the command's name, which may hold anything, parentheses too.
func procStat(text string) (state byte, threads int, ok bool) {
	_, rest, found := cutLast(text, ')')
	if !found {
		return 0, 0, false
	}
	var w [18]string
	if fields(rest, w[:]) < 18 || len(w[0]) != 1 || w[0][0] >= 0x80 {
		return 0, 0, false
	}
	threads, err := strconv.Atoi(w[17])
	return w[0][0], threads, err == nil
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
