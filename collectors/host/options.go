package host

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
	"github.com/fenghuo-mesh/fenghuo/collectors/host/portable"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// Sink stores samples. series.DB is one. It must not keep the batch after it has returned.
type Sink interface {
	Append(ctx context.Context, batch []series.Sample) (series.Appended, error)
}

// The words of a collector, which live in a package of their own.
type (
	// Collector reads one part of the host.
	Collector = metric.Collector
	// Batch takes the values of one run of a collector.
	Batch = metric.Batch
	// Metric describes a family of series.
	Metric = metric.Metric
)

// ErrUnavailable says that a collector's source does not exist on this host. The collector is off, has no success
// metric, and is asked again after 40 ticks.
var ErrUnavailable = metric.ErrUnavailable

// Options configure New. Zero fields take the default named beside them.
type Options struct {
	// Interval is the time between two ticks: 15 s. At least 1 s.
	Interval time.Duration
	// Timeout is the deadline of each collector: 5 s, or the interval if that is shorter.
	Timeout time.Duration
	// MountTimeout is how long a file system may take to answer before it counts as stuck: 2 s, or half the timeout if
	// that is shorter.
	MountTimeout time.Duration
	// Instance is the instance label of every series. Required.
	Instance string
	// Job is the job label of every series: "node".
	Job string
	// Labels are added to every series. They may not name job, instance, collector or __name__.
	Labels map[string]string
	// Sink takes the samples of each tick. Required.
	Sink Sink
	// Enable lists the only collectors to run; empty means all of this system.
	Enable []string
	// Disable lists collectors not to run.
	Disable []string
	// Collectors are run beside the built-in ones.
	Collectors []Collector
	// MaxSeries bounds the series of each collector: 10,000. More are counted and dropped.
	MaxSeries int
	// ProcFS, SysFS and RootFS are where /proc, /sys and / are seen: tests use other trees.
	ProcFS, SysFS, RootFS string

	// Logger receives what collectors have to say. Nil discards it.
	Logger *slog.Logger
	// Registerer receives the metrics of the collection itself. Nil skips them.
	Registerer prometheus.Registerer
	// Now is the clock: time.Now.
	Now func() time.Time
}

const (
	minInterval  = time.Second
	maxBaseLabel = 32
)

func (o Options) withDefaults() (Options, error) {
	o.Interval = cmp.Or(o.Interval, 15*time.Second)
	o.Timeout = cmp.Or(o.Timeout, min(5*time.Second, o.Interval))
	o.MountTimeout = cmp.Or(o.MountTimeout, min(2*time.Second, o.Timeout/2))
	o.Job = cmp.Or(o.Job, "node")
	o.MaxSeries = cmp.Or(o.MaxSeries, 10_000)
	o.ProcFS = cmp.Or(o.ProcFS, "/proc")
	o.SysFS = cmp.Or(o.SysFS, "/sys")
	o.RootFS = cmp.Or(o.RootFS, "/")
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, o.validate()
}

func (o Options) validate() error {
	switch {
	case o.Interval < minInterval:
		return fmt.Errorf("host: Interval %v is below %v", o.Interval, minInterval)
	case o.Timeout < 0 || o.Timeout > o.Interval:
		return fmt.Errorf("host: Timeout %v is not between 0 and Interval %v", o.Timeout, o.Interval)
	case o.MountTimeout < 0 || o.MountTimeout > o.Timeout:
		return fmt.Errorf("host: MountTimeout %v is not between 0 and Timeout %v", o.MountTimeout, o.Timeout)
	case o.Instance == "":
		return fmt.Errorf("host: Instance is empty")
	case o.Sink == nil:
		return fmt.Errorf("host: Sink is nil")
	case o.MaxSeries < 0:
		return fmt.Errorf("host: MaxSeries %d is negative", o.MaxSeries)
	case len(o.Labels) > maxBaseLabel:
		return fmt.Errorf("host: Labels has %d entries, more than %d", len(o.Labels), maxBaseLabel)
	}
	for name, value := range o.Labels {
		if !model.LegacyValidation.IsValidLabelName(name) || slices.Contains([]string{"job", "instance", "collector", model.MetricNameLabel}, name) {
			return fmt.Errorf("host: Labels: %q is not a label name that can be set", name)
		}
		if !model.LabelValue(value).IsValid() {
			return fmt.Errorf("host: Labels: value of %q is not UTF-8", name)
		}
	}
	return nil
}

func (o Options) portable() portable.Options {
	return portable.Options{
		ProcFS: o.ProcFS, SysFS: o.SysFS, RootFS: o.RootFS, MountTimeout: o.MountTimeout, Logger: o.Logger, Now: o.Now,
	}
}

// Names lists every collector that some system has, in order. One that this system lacks may be enabled or disabled all
// the same, so that one configuration fits hosts of different kinds.
func Names() []string {
	return []string{
		"arp", "bonding", "conntrack", "cpu", "diskstats", "edac", "entropy", "filefd", "filesystem", "hwmon", "loadavg", "mdadm",
		"meminfo", "netclass", "netdev", "netstat", "os", "pressure", "processes", "sockstat", "softnet", "stat", "systemd", "time",
		"timex", "udp_queues", "uname", "vmstat",
	}
}
