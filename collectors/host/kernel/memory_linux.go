package kernel

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
)

// meminfo reports every field of /proc/meminfo. Fields counted in kB become bytes.
type meminfo struct {
	t     *tree
	bytes map[string]string // field -> its name in bytes
	f     *metric.Family
}

func newMeminfo(t *tree) *meminfo {
	return &meminfo{t: t, bytes: map[string]string{}, f: metric.NewFamily("node_memory_", metric.Gauge, func(n string) string {
		return "Memory information field " + metric.Sanitize(n) + "."
	})}
}

func (m *meminfo) collect(_ context.Context, b *metric.Batch) error {
	text, err := m.t.readProc("meminfo")
	if err != nil {
		return err
	}
	var w [3]string
	for line := range strings.Lines(text) {
		n := fields(strings.TrimRight(line, "\n"), w[:])
		if n < 2 {
			continue
		}
		v, err := strconv.ParseFloat(w[1], 64)
		if err != nil {
			return fmt.Errorf("meminfo: %w", err)
		}
		name := strings.TrimSuffix(w[0], ":")
		if n == 2 {
			m.f.Add(b, name, v)
			continue
		}
		long, ok := m.bytes[name]
		if !ok {
			long = bytesName(name)
			if len(m.bytes) < metric.MaxFamily {
				m.bytes[strings.Clone(name)] = long
			}
		}
		m.f.Add(b, long, v*1024)
	}
	return nil
}

// bytesName turns a field counted in kB into the name of one counted in bytes: Active(anon) is Active_anon_bytes.
func bytesName(field string) string {
	if open := strings.IndexByte(field, '('); open > 0 && strings.HasSuffix(field, ")") {
		return field[:open] + "_" + field[open+1:len(field)-1] + "_bytes"
	}
	return field + "_bytes"
}

// vmFields are the fields of /proc/vmstat that node_exporter takes by default.
var vmFields = regexp.MustCompile(`^(oom_kill|pgpg|pswp|pg.*fault).*`)

// vmstat reports a few fields of /proc/vmstat. Which fields there are doesn't change, so each is matched once.
type vmstat struct {
	t    *tree
	f    *metric.Family
	want map[string]bool
}

func newVmstat(t *tree) *vmstat {
	return &vmstat{
		t: t, want: map[string]bool{},
		f: metric.NewFamily("node_vmstat_", metric.Untyped, func(n string) string { return "/proc/vmstat information field " + n + "." }),
	}
}

func (s *vmstat) collect(_ context.Context, b *metric.Batch) error {
	text, err := s.t.readProc("vmstat")
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		name, word, ok := strings.Cut(strings.TrimRight(line, "\n"), " ")
		if !ok || !wanted(s.want, vmFields, name) {
			continue
		}
		v, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return fmt.Errorf("vmstat: %s: %w", name, err)
		}
		s.f.Add(b, name, v)
	}
	return nil
}

// wanted remembers whether a pattern matches a name.
func wanted(known map[string]bool, pattern *regexp.Regexp, name string) bool {
	yes, ok := known[name]
	if !ok {
		yes = pattern.MatchString(name)
		if len(known) < 4*metric.MaxFamily {
			known[strings.Clone(name)] = yes
		}
	}
	return yes
}

var (
	fileAllocated = metric.New("node_filefd_allocated", "File descriptor statistics: allocated.", metric.Gauge)
	fileMaximum   = metric.New("node_filefd_maximum", "File descriptor statistics: maximum.", metric.Gauge)

	entropyAvail = metric.New("node_entropy_available_bits", "Bits of available entropy.", metric.Gauge)
	entropyPool  = metric.New("node_entropy_pool_size_bits", "Bits of entropy pool.", metric.Gauge)
)

func (t *tree) filefd(_ context.Context, b *metric.Batch) error {
	text, err := t.readProc("sys/fs/file-nr")
	if err != nil {
		return err
	}
	var w [3]string
	if fields(strings.TrimSpace(text), w[:]) < 3 {
		return fmt.Errorf("file-nr: unexpected content %q", metric.Clip(text))
	}
	if err := must(b, fileAllocated, w[0]); err != nil {
		return err
	}
	return must(b, fileMaximum, w[2])
}

func (t *tree) entropy(_ context.Context, b *metric.Batch) error {
	for file, m := range map[string]*metric.Metric{"entropy_avail": entropyAvail, "poolsize": entropyPool} {
		text, err := t.optional(t.proc + "/sys/kernel/random/" + file)
		if err != nil {
			return err
		}
		if err := must(b, m, strings.TrimSpace(text)); err != nil {
			return err
		}
	}
	return nil
}

func stall(name, help string) *metric.Metric {
	return metric.New("node_pressure_"+name+"_seconds_total", help, metric.Counter)
}

var pressures = []struct {
	file, kind string
	m          *metric.Metric
}{
	{"cpu", "some", stall("cpu_waiting", "Total time in seconds that processes have waited for CPU time")},
	{"io", "some", stall("io_waiting", "Total time in seconds that processes have waited due to IO congestion")},
	{"io", "full", stall("io_stalled", "Total time in seconds no process could make progress due to IO congestion")},
	{"memory", "some", stall("memory_waiting", "Total time in seconds that processes have waited for memory")},
	{"memory", "full", stall("memory_stalled", "Total time in seconds no process could make progress due to memory congestion")},
	{"irq", "full", stall("irq_stalled", "Total time in seconds no process could make progress due to IRQ congestion")},
}

// pressure reports pressure stall information (Linux 4.20; irq since 6.1).
func (t *tree) pressure(_ context.Context, b *metric.Batch) error {
	for _, p := range pressures {
		text, err := t.optional(t.proc + "/pressure/" + p.file)
		if err != nil {
			if p.file == "irq" {
				return nil
			}
			return err
		}
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, p.kind+" ") {
				continue
			}
			_, total, _ := strings.Cut(strings.TrimSpace(line), "total=")
			us, err := strconv.ParseUint(total, 10, 64)
			if err != nil {
				return fmt.Errorf("pressure/%s: %w", p.file, err)
			}
			b.Add(p.m, float64(us)/1e6)
		}
	}
	return nil
}
