package portable

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/shirou/gopsutil/v3/common"
	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/load"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
)

// roots tells gopsutil where /proc and /sys are.
func roots(ctx context.Context, o Options) context.Context {
	return context.WithValue(ctx, common.EnvKey, common.EnvMap{
		common.HostProcEnvKey: o.ProcFS, common.HostSysEnvKey: o.SysFS, common.HostRootEnvKey: o.RootFS,
	})
}

var (
	cpuSeconds = metric.New("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.", metric.Counter, "cpu", "mode")
	cpuGuest   = metric.New("node_cpu_guest_seconds_total", "Seconds the CPUs spent in guests (VMs) for each mode.", metric.Counter, "cpu", "mode")
	load1      = metric.New("node_load1", "1m load average.", metric.Gauge)
	load5      = metric.New("node_load5", "5m load average.", metric.Gauge)
	load15     = metric.New("node_load15", "15m load average.", metric.Gauge)

	timeSeconds = metric.New("node_time_seconds", "System time in seconds since epoch (1970).", metric.Gauge)
	timeZone    = metric.New("node_time_zone_offset_seconds", "System time zone offset in seconds.", metric.Gauge, "time_zone")
	// BootTime is when the machine started; each system has its own way to know.
	BootTime = metric.New("node_boot_time_seconds", "Node boot time, in unixtime.", metric.Gauge)
	// UnameInfo has the labels of uname(2).
	UnameInfo = metric.New("node_uname_info", "Labeled system information as provided by the uname system call.", metric.Gauge,
		"sysname", "release", "version", "machine", "nodename", "domainname")
)

// cpuTimes reports the seconds of each CPU. Kernels let some of them step back a little; that would look like a restart
// of the counter, so each keeps its highest value, until idle jumps back far: then the CPU was unplugged and is new.
type cpuTimes struct {
	read  func(context.Context) ([]cpu.TimesStat, error)
	modes []Mode
	last  map[string][]float64
}

// Mode is one mode of a CPU and how to read it.
type Mode struct {
	Name string
	of   func(*cpu.TimesStat) float64
}

// idleJump is how far idle must step back, in seconds, to count as a new CPU.
const idleJump = 3.0

// maxCPUs bounds what is kept; series are bounded by the batch.
const maxCPUs = 8192

// Modes are the modes that Linux counts.
func Modes() []Mode {
	return []Mode{
		{"idle", func(t *cpu.TimesStat) float64 { return t.Idle }},
		{"user", func(t *cpu.TimesStat) float64 { return t.User }},
		{"nice", func(t *cpu.TimesStat) float64 { return t.Nice }},
		{"system", func(t *cpu.TimesStat) float64 { return t.System }},
		{"iowait", func(t *cpu.TimesStat) float64 { return t.Iowait }},
		{"irq", func(t *cpu.TimesStat) float64 { return t.Irq }},
		{"softirq", func(t *cpu.TimesStat) float64 { return t.Softirq }},
		{"steal", func(t *cpu.TimesStat) float64 { return t.Steal }},
		{"guest", func(t *cpu.TimesStat) float64 { return t.Guest }},
		{"guest_nice", func(t *cpu.TimesStat) float64 { return t.GuestNice }},
	}
}

// Name implements metric.Collector.
func (c *cpuTimes) Name() string { return "cpu" }

// Collect implements metric.Collector.
func (c *cpuTimes) Collect(ctx context.Context, b *metric.Batch) error {
	all, err := c.read(ctx)
	if err != nil {
		return fmt.Errorf("read times of CPUs: %w", err)
	}
	if len(all) == 0 {
		return errors.New("there are no CPUs")
	}
	for i := range all[:min(len(all), maxCPUs)] {
		t := &all[i]
		last, ok := c.last[t.CPU]
		if !ok || t.Idle < last[0]-idleJump {
			last = make([]float64, len(c.modes))
			c.last[t.CPU] = last
		}
		id := t.CPU
		if len(id) > 3 && id[:3] == "cpu" {
			id = id[3:]
		}
		for j, m := range c.modes {
			last[j] = max(last[j], m.of(t))
			switch m.Name {
			case "guest":
				b.Add(cpuGuest, last[j], id, "user")
			case "guest_nice":
				b.Add(cpuGuest, last[j], id, "nice")
			default:
				b.Add(cpuSeconds, last[j], id, m.Name)
			}
		}
	}
	return nil
}

// CPU reports the seconds each CPU spent in these modes.
func CPU(o Options, modes []Mode) metric.Collector {
	return &cpuTimes{
		read:  func(ctx context.Context) ([]cpu.TimesStat, error) { return cpu.TimesWithContext(roots(ctx, o), true) },
		modes: modes, last: map[string][]float64{},
	}
}

// Load reports the load averages.
func Load(o Options) metric.Collector {
	return metric.Func("loadavg", func(ctx context.Context, b *metric.Batch) error {
		avg, err := load.AvgWithContext(roots(ctx, o))
		if err != nil {
			return fmt.Errorf("read load: %w", err)
		}
		AddLoad(b, avg.Load1, avg.Load5, avg.Load15)
		return nil
	})
}

// AddLoad reports the load averages of 1, 5 and 15 minutes.
func AddLoad(b *metric.Batch, one, five, fifteen float64) {
	b.Add(load1, one)
	b.Add(load5, five)
	b.Add(load15, fifteen)
}

// Clock reports the time; more adds what only some systems have.
func Clock(o Options, more func(*metric.Batch) error) metric.Collector {
	return metric.Func("time", func(_ context.Context, b *metric.Batch) error {
		now := o.Now()
		zone, offset := now.In(time.Local).Zone()
		b.Add(timeSeconds, float64(now.UnixNano())/1e9)
		b.Add(timeZone, float64(offset), zone)
		return more(b)
	})
}
