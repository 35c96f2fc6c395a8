package kernel

import (
	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
	"github.com/fenghuo-mesh/fenghuo/collectors/host/portable"
)

// Collectors lists the collectors of Linux.
func Collectors(o portable.Options) []metric.Collector {
	t := &tree{proc: o.ProcFS, sys: o.SysFS, root: o.RootFS}
	return []metric.Collector{
		portable.CPU(o, portable.Modes()),
		metric.Func("loadavg", t.loadavg),
		portable.Clock(o, t.clockSources),
		newFilesystem(o),
		metric.Func("meminfo", newMeminfo(t).collect),
		metric.Func("stat", newStat(t).collect),
		metric.Func("vmstat", newVmstat(t).collect),
		metric.Func("filefd", t.filefd),
		metric.Func("entropy", t.entropy),
		metric.Func("diskstats", newDiskstats(t).collect),
		metric.Func("netdev", t.netdev),
		metric.Func("netclass", newNetclass(t).collect),
		metric.Func("netstat", newNetstat(t).collect),
		metric.Func("sockstat", newSockstat(t).collect),
		metric.Func("softnet", t.softnet),
		metric.Func("conntrack", t.conntrack),
		metric.Func("arp", t.arp),
		metric.Func("udp_queues", t.udpQueues),
		metric.Func("pressure", t.pressure),
		metric.Func("processes", newProcesses(t).collect),
		metric.Func("uname", uname),
		metric.Func("os", newOSRelease(t).collect),
		metric.Func("timex", timex),
		metric.Func("systemd", newSystemd(o).collect),
		metric.Func("mdadm", t.mdadm),
		metric.Func("bonding", t.bonding),
		metric.Func("hwmon", newHwmon(t).collect),
		metric.Func("edac", t.edac),
	}
}
