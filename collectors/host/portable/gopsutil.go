package portable

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/mem"
	"github.com/shirou/gopsutil/v3/net"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
)

// Collectors lists those that gopsutil feeds on every system. On Linux only tests use them: there the kernel's files give
// more.
func Collectors(o Options) []metric.Collector {
	return []metric.Collector{
		NewFilesystem(o, partitions, diskUsage),
		metric.Func("meminfo", memoryUse),
		metric.Func("stat", boot),
		metric.Func("diskstats", disks),
		metric.Func("netdev", networkTraffic),
		metric.Func("netclass", interfaces),
		metric.Func("uname", uname),
	}
}

func partitions(ctx context.Context) ([]Mount, error) {
	all, err := disk.PartitionsWithContext(ctx, false)
	if err != nil && len(all) == 0 { // one bad drive of several is an error as well
		return nil, err
	}
	out := make([]Mount, 0, len(all))
	for _, p := range all {
		out = append(out, Mount{
			Device: p.Device, Mountpoint: p.Mountpoint, Fstype: p.Fstype,
			ReadOnly: slices.Contains(p.Opts, "ro") || slices.Contains(p.Opts, "rdonly"),
		})
	}
	return out, nil
}

func diskUsage(mountpoint string) (Usage, error) {
	u, err := disk.Usage(mountpoint)
	if err != nil {
		return Usage{}, err
	}
	// Total leaves out what is reserved for root; free is what others may use.
	return Usage{
		Size: float64(u.Total), Free: float64(u.Total) - float64(u.Used), Avail: float64(u.Free),
		Files: float64(u.InodesTotal), FilesFree: float64(u.InodesFree), NoFiles: u.InodesTotal == 0,
	}, nil
}

func memory(name string) *metric.Metric {
	return &metric.Metric{Name: "node_memory_" + name, Help: "Memory information field " + name + ".", Kind: metric.Gauge}
}

var (
	memTotal     = memory("MemTotal_bytes")
	memAvailable = memory("MemAvailable_bytes")
	memFree      = memory("MemFree_bytes")
	swapTotal    = memory("SwapTotal_bytes")
	swapFree     = memory("SwapFree_bytes")
)

func memoryUse(ctx context.Context, b *metric.Batch) error {
	m, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return fmt.Errorf("read memory: %w", err)
	}
	b.Add(memTotal, float64(m.Total))
	b.Add(memAvailable, float64(m.Available))
	b.Add(memFree, float64(m.Free))
	s, err := mem.SwapMemoryWithContext(ctx)
	if err != nil {
		return fmt.Errorf("read swap: %w", err)
	}
	b.Add(swapTotal, float64(s.Total))
	b.Add(swapFree, float64(s.Free))
	return nil
}

func boot(ctx context.Context, b *metric.Batch) error {
	s, err := host.BootTimeWithContext(ctx)
	if err != nil {
		return fmt.Errorf("read boot time: %w", err)
	}
	b.Add(BootTime, float64(s))
	return nil
}

var (
	deviceLabel = []string{"device"}

	ioReads     = metric.New("node_disk_reads_completed_total", "The total number of reads completed successfully.", metric.Counter, deviceLabel...)
	ioReadBytes = metric.New("node_disk_read_bytes_total", "The total number of bytes read successfully.", metric.Counter, deviceLabel...)
	ioReadTime  = metric.New("node_disk_read_time_seconds_total", "The total number of seconds spent by all reads.", metric.Counter, deviceLabel...)
	ioWrites    = metric.New("node_disk_writes_completed_total", "The total number of writes completed successfully.", metric.Counter, deviceLabel...)
	ioWritten   = metric.New("node_disk_written_bytes_total", "The total number of bytes written successfully.", metric.Counter, deviceLabel...)
	ioWriteTime = metric.New("node_disk_write_time_seconds_total", "This is the total number of seconds spent by all writes.", metric.Counter, deviceLabel...)
)

func disks(ctx context.Context, b *metric.Batch) error {
	all, err := disk.IOCountersWithContext(ctx)
	if err != nil {
		return fmt.Errorf("read disks: %w", err)
	}
	for name, d := range all {
		b.Add(ioReads, float64(d.ReadCount), name)
		b.Add(ioReadBytes, float64(d.ReadBytes), name)
		b.Add(ioReadTime, float64(d.ReadTime)/1000, name)
		b.Add(ioWrites, float64(d.WriteCount), name)
		b.Add(ioWritten, float64(d.WriteBytes), name)
		b.Add(ioWriteTime, float64(d.WriteTime)/1000, name)
	}
	return nil
}

func traffic(name string) *metric.Metric {
	return metric.New("node_network_"+name+"_total", "Network device statistic "+name+".", metric.Counter, deviceLabel...)
}

var (
	rxBytes, txBytes     = traffic("receive_bytes"), traffic("transmit_bytes")
	rxPackets, txPackets = traffic("receive_packets"), traffic("transmit_packets")
	rxErrs, txErrs       = traffic("receive_errs"), traffic("transmit_errs")
	rxDrop, txDrop       = traffic("receive_drop"), traffic("transmit_drop")
)

func networkTraffic(ctx context.Context, b *metric.Batch) error {
	all, err := net.IOCountersWithContext(ctx, true)
	if err != nil {
		return fmt.Errorf("read network devices: %w", err)
	}
	for i := range all {
		d := &all[i]
		b.Add(rxBytes, float64(d.BytesRecv), d.Name)
		b.Add(txBytes, float64(d.BytesSent), d.Name)
		b.Add(rxPackets, float64(d.PacketsRecv), d.Name)
		b.Add(txPackets, float64(d.PacketsSent), d.Name)
		b.Add(rxErrs, float64(d.Errin), d.Name)
		b.Add(txErrs, float64(d.Errout), d.Name)
		b.Add(rxDrop, float64(d.Dropin), d.Name)
		b.Add(txDrop, float64(d.Dropout), d.Name)
	}
	return nil
}

var (
	linkUp = metric.New("node_network_up", "Value is 1 if operstate is 'up', 0 otherwise.", metric.Gauge, deviceLabel...)
	mtu    = metric.New("node_network_mtu_bytes", "Network device property: mtu_bytes", metric.Gauge, deviceLabel...)
)

func interfaces(ctx context.Context, b *metric.Batch) error {
	all, err := net.InterfacesWithContext(ctx)
	if err != nil {
		return fmt.Errorf("read network devices: %w", err)
	}
	for _, d := range all {
		b.Add(linkUp, metric.Bool(slices.Contains(d.Flags, "up")), d.Name)
		b.Add(mtu, float64(d.MTU), d.Name)
	}
	return nil
}

func uname(ctx context.Context, b *metric.Batch) error {
	platform, _, version, err := host.PlatformInformationWithContext(ctx)
	if err != nil {
		return fmt.Errorf("read platform: %w", err)
	}
	release, err := host.KernelVersionWithContext(ctx)
	if err != nil {
		return fmt.Errorf("read kernel version: %w", err)
	}
	machine, err := host.KernelArch()
	if err != nil {
		return fmt.Errorf("read architecture: %w", err)
	}
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("read host name: %w", err)
	}
	b.Add(UnameInfo, 1, platform, release, version, machine, name, "(none)")
	return nil
}
