package kernel

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
)

// netdevMetric names a column of /proc/net/dev as node_exporter does.
func netdevMetric(name string) *metric.Metric {
	return metric.New("node_network_"+name+"_total", "Network device statistic "+name+".", metric.Counter, "device")
}

var netdevFields = [16]*metric.Metric{
	netdevMetric("receive_bytes"), netdevMetric("receive_packets"), netdevMetric("receive_errs"), netdevMetric("receive_drop"),
	netdevMetric("receive_fifo"), netdevMetric("receive_frame"), netdevMetric("receive_compressed"), netdevMetric("receive_multicast"),
	netdevMetric("transmit_bytes"), netdevMetric("transmit_packets"), netdevMetric("transmit_errs"), netdevMetric("transmit_drop"),
	netdevMetric("transmit_fifo"), netdevMetric("transmit_colls"), netdevMetric("transmit_carrier"), netdevMetric("transmit_compressed"),
}

// netdev reports the traffic of network devices.
func (t *tree) netdev(_ context.Context, b *metric.Batch) error {
	text, err := t.readNet("dev")
	if err != nil {
		return err
	}
	var w [16]string
	for line := range strings.Lines(text) {
		// Aliases have colons in their names: the last colon ends the name.
		name, rest, ok := cutLast(strings.TrimRight(line, "\n"), ':')
		if !ok {
			continue
		}
		name = strings.TrimSpace(name)
		n := fields(rest, w[:])
		for i := range n {
			v, err := strconv.ParseUint(w[i], 10, 64)
			if err != nil {
				return fmt.Errorf("net/dev: %s: %w", name, err)
			}
			b.Add(netdevFields[i], float64(v), name)
		}
	}
	return nil
}

// readNet reads a file of this process's network namespace.
func (t *tree) readNet(name string) (string, error) { return t.readProc("net/" + name) }

func netProperty(name string, kind metric.Kind) *metric.Metric {
	return metric.New("node_network_"+name, "Network device property: "+name, kind, "device")
}

var (
	netUp    = metric.New("node_network_up", "Value is 1 if operstate is 'up', 0 otherwise.", metric.Gauge, "device")
	netInfo  = metric.New("node_network_info", "Non-numeric data from /sys/class/net/<iface>, value is always 1.", metric.Gauge, "device", "address", "broadcast", "duplex", "operstate", "adminstate", "ifalias")
	netFlags = netProperty("flags", metric.Gauge)
	netSpeed = netProperty("speed_bytes", metric.Gauge)
)

// netProperties are files of /sys/class/net/<device> that hold one number. Those that hardly change are read with every
// slowly-th tick only: a host of containers has hundreds of devices, and each file is three system calls.
var netProperties = []struct {
	file string
	m    *metric.Metric
	slow bool
}{
	{"carrier", netProperty("carrier", metric.Gauge), false},
	{"carrier_changes", netProperty("carrier_changes_total", metric.Counter), false},
	{"carrier_up_count", netProperty("carrier_up_changes_total", metric.Counter), false},
	{"carrier_down_count", netProperty("carrier_down_changes_total", metric.Counter), false},
	{"dormant", netProperty("dormant", metric.Gauge), false},
	{"addr_assign_type", netProperty("address_assign_type", metric.Gauge), true},
	{"dev_id", netProperty("device_id", metric.Gauge), true},
	{"ifindex", netProperty("iface_id", metric.Gauge), true},
	{"iflink", netProperty("iface_link", metric.Gauge), true},
	{"link_mode", netProperty("iface_link_mode", metric.Gauge), true},
	{"mtu", netProperty("mtu_bytes", metric.Gauge), true},
	{"name_assign_type", netProperty("name_assign_type", metric.Gauge), true},
	{"netdev_group", netProperty("net_dev_group", metric.Gauge), true},
	{"tx_queue_len", netProperty("transmit_queue_length", metric.Gauge), true},
	{"type", netProperty("protocol_type", metric.Gauge), true},
}

// rarely is how many ticks pass between two looks at what changes with upgrades and new hardware only (10 min at 15 s).
const rarely = 40

// slowly is how many ticks pass between two readings of what hardly changes.
const slowly = 4

// netclass reports properties of network devices.
type netclass struct {
	t       *tree
	run     int
	devices map[string]*device
}

// device is what is kept of a network device between slow readings.
type device struct {
	run, read                           int // of the last tick that saw it, of the last slow reading
	operstate                           string
	address, broadcast, duplex, ifalias string
	numbers                             []float64 // by netProperties
	known                               []bool    // which of numbers there are
	speed                               float64
	hasSpeed                            bool
}

func newNetclass(t *tree) *netclass { return &netclass{t: t, devices: map[string]*device{}} }

func (c *netclass) collect(_ context.Context, b *metric.Batch) error {
	dir := filepath.Join(c.t.sys, "class/net")
	all, err := names(dir)
	if err != nil {
		return fmt.Errorf("%w: %w", metric.ErrUnavailable, err)
	}
	c.run++
	for i, name := range all {
		path := filepath.Join(dir, name)
		state := line(path + "/operstate")
		if state == "" {
			continue // a file such as bonding_masters, or a device that has just gone
		}
		d := c.devices[name]
		switch {
		case d == nil: // its turns are spread over the ticks
			d = c.read(path, state)
			d.read = c.run - i%slowly
			c.devices[name] = d
		case d.operstate != state || c.run-d.read >= slowly:
			d = c.read(path, state)
			d.read = c.run
			c.devices[name] = d
		}
		d.run = c.run
		c.report(b, name, path, d)
	}
	for name, d := range c.devices {
		if d.run != c.run {
			delete(c.devices, name)
		}
	}
	return nil
}

func (c *netclass) read(path, state string) *device {
	d := &device{
		operstate: state, address: line(path + "/address"), broadcast: line(path + "/broadcast"), duplex: line(path + "/duplex"),
		ifalias: line(path + "/ifalias"), numbers: make([]float64, len(netProperties)), known: make([]bool, len(netProperties)),
	}
	for i, p := range netProperties {
		if p.slow {
			d.numbers[i], d.known[i] = lineNumber(path + "/" + p.file)
		}
	}
	if mbit, ok := lineNumber(path + "/speed"); ok && mbit >= -1 {
		d.speed, d.hasSpeed = float64(int64(mbit)*1000*1000/8), true // -1 is unknown; node_exporter reports it so
	}
	return d
}

func (c *netclass) report(b *metric.Batch, name, path string, d *device) {
	admin := "unknown"
	if flags, ok := lineNumber(path + "/flags"); ok {
		b.Add(netFlags, flags, name)
		admin = "down"
		if uint64(flags)&1 == 1 {
			admin = "up"
		}
	}
	b.Add(netUp, metric.Bool(d.operstate == "up"), name)
	b.Add(netInfo, 1, name, d.address, d.broadcast, d.duplex, d.operstate, admin, d.ifalias)
	for i, p := range netProperties {
		v, ok := d.numbers[i], d.known[i]
		if !p.slow {
			v, ok = lineNumber(path + "/" + p.file)
		}
		if ok {
			b.Add(p.m, v, name)
		}
	}
	if d.hasSpeed {
		b.Add(netSpeed, d.speed, name)
	}
}
