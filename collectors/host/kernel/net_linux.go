package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
)

// netFields are the fields that node_exporter takes by default.
var netFields = regexp.MustCompile(`^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)|` +
	`TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)|` +
	`Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)|` +
	`Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$`)

// netstat reports the counters of the network protocols.
type netstat struct {
	t    *tree
	f    *metric.Family
	want map[string]bool
}

func newNetstat(t *tree) *netstat {
	return &netstat{t: t, want: map[string]bool{}, f: metric.NewFamily("node_netstat_", metric.Untyped, func(n string) string {
		return "Statistic " + strings.Replace(n, "_", "", 1) + "."
	})}
}

func (s *netstat) collect(_ context.Context, b *metric.Batch) error {
	for _, file := range []string{"netstat", "snmp"} {
		text, err := s.t.readNet(file)
		if err != nil {
			return err
		}
		if err := s.pairs(b, file, text); err != nil {
			return err
		}
	}
	text, err := s.t.readNet("snmp6")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no IPv6
	}
	if err != nil {
		return err
	}
	var w [2]string
	for line := range strings.Lines(text) {
		if fields(strings.TrimRight(line, "\n"), w[:]) < 2 {
			continue
		}
		six := strings.IndexByte(w[0], '6')
		if six < 0 {
			continue
		}
		if err := s.add(b, w[0][:six+1], w[0][six+1:], w[1]); err != nil {
			return err
		}
	}
	return nil
}

// pairs reads lines of names each followed by a line of values.
func (s *netstat) pairs(b *metric.Batch, file, text string) error {
	for text != "" {
		var head, values string
		head, text, _ = strings.Cut(text, "\n")
		values, text, _ = strings.Cut(text, "\n")
		protocol, head, ok := strings.Cut(head, ":")
		if !ok {
			continue
		}
		_, values, _ = strings.Cut(values, ":")
		for head != "" && values != "" {
			var name, value string
			name, head, _ = strings.Cut(strings.TrimLeft(head, " "), " ")
			value, values, _ = strings.Cut(strings.TrimLeft(values, " "), " ")
			if err := s.add(b, protocol, name, value); err != nil {
				return fmt.Errorf("net/%s: %w", file, err)
			}
		}
	}
	return nil
}

func (s *netstat) add(b *metric.Batch, protocol, name, value string) error {
	key := protocol + "_" + name
	if !wanted(s.want, netFields, key) {
		return nil
	}
	v, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	s.f.Add(b, key, v)
	return nil
}

// sockstat reports how many sockets are in use.
type sockstat struct {
	t *tree
	f *metric.Family
}

var socketsUsed = metric.New("node_sockstat_sockets_used", "Number of IPv4 sockets in use.", metric.Gauge)

func newSockstat(t *tree) *sockstat {
	return &sockstat{t: t, f: metric.NewFamily("node_sockstat_", metric.Gauge, func(n string) string {
		protocol, state, _ := strings.Cut(n, "_")
		return "Number of " + protocol + " sockets in state " + state + "."
	})}
}

func (s *sockstat) collect(_ context.Context, b *metric.Batch) error {
	for _, file := range []string{"sockstat", "sockstat6"} {
		text, err := s.t.readNet(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // that IP version is off
		}
		if err != nil {
			return err
		}
		for line := range strings.Lines(text) {
			protocol, rest, _ := strings.Cut(strings.TrimRight(line, "\n"), ":")
			var w [16]string
			n := fields(rest, w[:])
			for i := 0; i+1 < n; i += 2 {
				v, err := strconv.ParseFloat(w[i+1], 64)
				if err != nil {
					return fmt.Errorf("net/%s: %s %s: %w", file, protocol, w[i], err)
				}
				s.add(b, protocol, w[i], v)
			}
		}
	}
	return nil
}

func (s *sockstat) add(b *metric.Batch, protocol, state string, v float64) {
	if protocol == "sockets" {
		if state == "used" {
			b.Add(socketsUsed, v)
		}
		return
	}
	s.f.Add(b, protocol+"_"+state, v)
	if state == "mem" {
		s.f.Add(b, protocol+"_mem_bytes", v*float64(os.Getpagesize()))
	}
}

var softnetColumns = map[int]*metric.Metric{
	0:  metric.New("node_softnet_processed_total", "Number of processed packets", metric.Counter, "cpu"),
	1:  metric.New("node_softnet_dropped_total", "Number of dropped packets", metric.Counter, "cpu"),
	2:  metric.New("node_softnet_times_squeezed_total", "Number of times processing packets ran out of quota", metric.Counter, "cpu"),
	8:  metric.New("node_softnet_cpu_collision_total", "Number of collision occur while obtaining device lock while transmitting", metric.Counter, "cpu"),
	9:  metric.New("node_softnet_received_rps_total", "Number of times cpu woken up received_rps", metric.Counter, "cpu"),
	10: metric.New("node_softnet_flow_limit_count_total", "Number of times flow limit has been reached", metric.Counter, "cpu"),
	11: metric.New("node_softnet_backlog_len", "Softnet backlog status", metric.Gauge, "cpu"),
}

// softnet reports the work of the network's soft interrupts; one line per CPU that is online, numbers in hex.
func (t *tree) softnet(_ context.Context, b *metric.Batch) error {
	text, err := t.optional(filepath.Join(t.proc, "net/softnet_stat"))
	if err != nil {
		return err
	}
	cpu := 0
	for line := range strings.Lines(text) {
		var w [13]string
		n := fields(strings.TrimRight(line, "\n"), w[:])
		id := strconv.Itoa(cpu)
		if n == 13 { // since Linux 5.14 the line names its CPU
			if v, err := strconv.ParseUint(w[12], 16, 32); err == nil {
				id = strconv.FormatUint(v, 10)
			}
		}
		for i, m := range softnetColumns {
			if i >= n {
				continue
			}
			v, err := strconv.ParseUint(w[i], 16, 64)
			if err != nil {
				return fmt.Errorf("net/softnet_stat: %w", err)
			}
			b.Add(m, float64(v), id)
		}
		cpu++
	}
	return nil
}

var (
	conntrackEntries = metric.New("node_nf_conntrack_entries", "Number of currently allocated flow entries for connection tracking.", metric.Gauge)
	conntrackLimit   = metric.New("node_nf_conntrack_entries_limit", "Maximum size of connection tracking table.", metric.Gauge)

	conntrackStats = map[string]*metric.Metric{
		"found":          metric.New("node_nf_conntrack_stat_found", "Number of searched entries which were successful.", metric.Gauge),
		"invalid":        metric.New("node_nf_conntrack_stat_invalid", "Number of packets seen which can not be tracked.", metric.Gauge),
		"ignore":         metric.New("node_nf_conntrack_stat_ignore", "Number of packets seen which are already connected to a conntrack entry.", metric.Gauge),
		"insert":         metric.New("node_nf_conntrack_stat_insert", "Number of entries inserted into the list.", metric.Gauge),
		"insert_failed":  metric.New("node_nf_conntrack_stat_insert_failed", "Number of entries for which list insertion was attempted but failed.", metric.Gauge),
		"drop":           metric.New("node_nf_conntrack_stat_drop", "Number of packets dropped due to conntrack failure.", metric.Gauge),
		"early_drop":     metric.New("node_nf_conntrack_stat_early_drop", "Number of dropped conntrack entries to make room for new ones, if maximum table size was reached.", metric.Gauge),
		"search_restart": metric.New("node_nf_conntrack_stat_search_restart", "Number of conntrack table lookups which had to be restarted due to hashtable resizes.", metric.Gauge),
	}
)

// conntrack reports how full the connection table is; hosts without it have no such module.
func (t *tree) conntrack(_ context.Context, b *metric.Batch) error {
	for file, m := range map[string]*metric.Metric{"count": conntrackEntries, "max": conntrackLimit} {
		text, err := t.optional(filepath.Join(t.proc, "sys/net/netfilter/nf_conntrack_"+file))
		if err != nil {
			return err
		}
		if err := must(b, m, strings.TrimSpace(text)); err != nil {
			return err
		}
	}
	text, err := t.readNet("stat/nf_conntrack")
	if err != nil {
		return nil // the statistics are a build option of their own
	}
	head, rest, _ := strings.Cut(text, "\n")
	columns := strings.Fields(head)
	sums := make([]float64, len(columns))
	for line := range strings.Lines(rest) {
		for i, word := range strings.Fields(line) {
			v, err := strconv.ParseUint(word, 16, 64)
			if err != nil || i >= len(sums) {
				return fmt.Errorf("net/stat/nf_conntrack: unexpected %q", metric.Clip(line))
			}
			sums[i] += float64(v)
		}
	}
	for i, name := range columns {
		if m := conntrackStats[name]; m != nil {
			b.Add(m, sums[i])
		}
	}
	return nil
}

var arpEntries = metric.New("node_arp_entries", "ARP entries by device", metric.Gauge, "device")

func (t *tree) arp(_ context.Context, b *metric.Batch) error {
	text, err := t.optional(filepath.Join(t.proc, "net/arp"))
	if err != nil {
		return err
	}
	_, text, _ = strings.Cut(text, "\n")
	count := map[string]int{}
	for line := range strings.Lines(text) {
		var w [6]string
		if fields(strings.TrimRight(line, "\n"), w[:]) == 6 {
			count[w[5]]++
		}
	}
	for device, n := range count {
		b.Add(arpEntries, float64(n), device)
	}
	return nil
}

var udpQueue = metric.New("node_udp_queues", "Number of allocated memory in the kernel for UDP datagrams in bytes.", metric.Gauge, "queue", "ip")

func (t *tree) udpQueues(_ context.Context, b *metric.Batch) error {
	for file, ip := range map[string]string{"udp": "v4", "udp6": "v6"} {
		text, err := t.readNet(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		var tx, rx float64
		_, text, _ = strings.Cut(text, "\n")
		for line := range strings.Lines(text) {
			var w [5]string
			if fields(strings.TrimRight(line, "\n"), w[:]) < 5 {
				continue
			}
			t, r, _ := strings.Cut(w[4], ":")
			out, errOut := strconv.ParseUint(t, 16, 64)
			in, errIn := strconv.ParseUint(r, 16, 64)
			if err := errors.Join(errOut, errIn); err != nil {
				return fmt.Errorf("net/%s: %w", file, err)
			}
			tx, rx = tx+float64(out), rx+float64(in)
		}
		b.Add(udpQueue, tx, "tx", ip)
		b.Add(udpQueue, rx, "rx", ip)
	}
	return nil
}
