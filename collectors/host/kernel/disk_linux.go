package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
	"github.com/fenghuo-mesh/fenghuo/collectors/host/portable"
)

// newFilesystem lists the mounts of the first process, or of this one where /proc hides it.
func newFilesystem(o portable.Options) metric.Collector {
	t := &tree{proc: o.ProcFS, root: o.RootFS}
	return portable.NewFilesystem(o,
		func(context.Context) ([]portable.Mount, error) { return t.mountinfo() },
		func(point string) (portable.Usage, error) { return statfs(filepath.Join(t.root, point)) })
}

func statfs(path string) (portable.Usage, error) {
	var s unix.Statfs_t
	if _, err := retry(func() (int, error) { return 0, unix.Statfs(path, &s) }); err != nil {
		return portable.Usage{}, err
	}
	size := float64(s.Bsize)
	return portable.Usage{
		Size: float64(s.Blocks) * size, Free: float64(s.Bfree) * size, Avail: float64(s.Bavail) * size,
		Files: float64(s.Files), FilesFree: float64(s.Ffree),
	}, nil
}

func (t *tree) mountinfo() ([]portable.Mount, error) {
	text, err := t.readProc("1/mountinfo")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		text, err = t.readProc("self/mountinfo")
	}
	if err != nil {
		return nil, err
	}
	var out []portable.Mount
	for line := range strings.Lines(text) {
		if m, ok := parseMount(strings.TrimRight(line, "\n")); ok {
			out = append(out, m)
		}
	}
	return out, nil
}

// parseMount reads a line such as
//
//	25 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro
func parseMount(line string) (portable.Mount, bool) {
	left, right, ok := strings.Cut(line, " - ")
	if !ok {
		return portable.Mount{}, false
	}
	var l [6]string
	var r [3]string
	if fields(left, l[:]) < 6 || fields(right, r[:]) < 2 {
		return portable.Mount{}, false
	}
	major, minor, ok := strings.Cut(l[2], ":")
	if !ok {
		return portable.Mount{}, false
	}
	ro := false
	for _, options := range []string{l[5], r[2]} {
		for option := range strings.SplitSeq(options, ",") {
			ro = ro || option == "ro" || option == "emergency_ro"
		}
	}
	return portable.Mount{Device: unescape(r[1]), Mountpoint: unescape(l[4]), Fstype: r[0], Major: major, Minor: minor, ReadOnly: ro}, true
}

// unescape undoes the kernel's octal escapes of space, tab, newline and backslash.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// disksExcluded is node_exporter's default: memory disks, loops, floppies and partitions.
var disksExcluded = regexp.MustCompile(`^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`)

var (
	diskInfo = metric.New("node_disk_info", "Info of /sys/block/<block_device>.", metric.Gauge,
		"device", "major", "minor", "path", "wwn", "model", "serial", "revision", "rotational")
	diskLabel = []string{"device"}
)

// diskFields are the columns of /proc/diskstats behind the device's name.
var diskFields = []struct {
	m     *metric.Metric
	scale float64
}{
	{metric.New("node_disk_reads_completed_total", "The total number of reads completed successfully.", metric.Counter, diskLabel...), 1},
	{metric.New("node_disk_reads_merged_total", "The total number of reads merged.", metric.Counter, diskLabel...), 1},
	{metric.New("node_disk_read_bytes_total", "The total number of bytes read successfully.", metric.Counter, diskLabel...), 512},
	{metric.New("node_disk_read_time_seconds_total", "The total number of seconds spent by all reads.", metric.Counter, diskLabel...), 1e-3},
	{metric.New("node_disk_writes_completed_total", "The total number of writes completed successfully.", metric.Counter, diskLabel...), 1},
	{metric.New("node_disk_writes_merged_total", "The number of writes merged.", metric.Counter, diskLabel...), 1},
	{metric.New("node_disk_written_bytes_total", "The total number of bytes written successfully.", metric.Counter, diskLabel...), 512},
	{metric.New("node_disk_write_time_seconds_total", "This is the total number of seconds spent by all writes.", metric.Counter, diskLabel...), 1e-3},
	{metric.New("node_disk_io_now", "The number of I/Os currently in progress.", metric.Gauge, diskLabel...), 1},
	{metric.New("node_disk_io_time_seconds_total", "Total seconds spent doing I/Os.", metric.Counter, diskLabel...), 1e-3},
	{metric.New("node_disk_io_time_weighted_seconds_total", "The weighted # of seconds spent doing I/Os.", metric.Counter, diskLabel...), 1e-3},
	{metric.New("node_disk_discards_completed_total", "The total number of discards completed successfully.", metric.Counter, diskLabel...), 1},
	{metric.New("node_disk_discards_merged_total", "The total number of discards merged.", metric.Counter, diskLabel...), 1},
	{metric.New("node_disk_discarded_sectors_total", "The total number of sectors discarded successfully.", metric.Counter, diskLabel...), 1},
	{metric.New("node_disk_discard_time_seconds_total", "This is the total number of seconds spent by all discards.", metric.Counter, diskLabel...), 1e-3},
	{metric.New("node_disk_flush_requests_total", "The total number of flush requests completed successfully", metric.Counter, diskLabel...), 1},
	{metric.New("node_disk_flush_requests_time_seconds_total", "This is the total number of seconds spent by all flush requests.", metric.Counter, diskLabel...), 1e-3},
}

// diskstats reports the I/O of block devices. The model and serial come from sysfs and are read once per device.
type diskstats struct {
	t     *tree
	disks map[string]*disk
}

type disk struct {
	skip                             bool
	model, serial, wwn, rev, spindle string
}

// maxDisks bounds what is remembered of devices that come and go.
const maxDisks = 4096

func newDiskstats(t *tree) *diskstats { return &diskstats{t: t, disks: map[string]*disk{}} }

func (s *diskstats) collect(_ context.Context, b *metric.Batch) error {
	text, err := s.t.readProc("diskstats")
	if err != nil {
		return err
	}
	var w [20]string
	for line := range strings.Lines(text) {
		n := fields(strings.TrimRight(line, "\n"), w[:])
		if n < 4 {
			continue
		}
		d := s.disk(w[2])
		if d.skip {
			continue
		}
		b.Add(diskInfo, 1, w[2], w[0], w[1], "", d.wwn, d.model, d.serial, d.rev, d.spindle)
		for i, word := range w[3:n] {
			v, err := strconv.ParseUint(word, 10, 64)
			if err != nil {
				return fmt.Errorf("diskstats: %s: %w", w[2], err)
			}
			x := float64(v)
			if f := diskFields[i].scale; f == 1e-3 {
				x /= 1000 // exact where a product with 0.001 is not
			} else {
				x *= f
			}
			b.Add(diskFields[i].m, x, w[2])
		}
	}
	return nil
}

func (s *diskstats) disk(name string) *disk {
	if d, ok := s.disks[name]; ok {
		return d
	}
	if len(s.disks) >= maxDisks {
		clear(s.disks)
	}
	name = strings.Clone(name)
	d := &disk{skip: disksExcluded.MatchString(name)}
	if !d.skip {
		dir := filepath.Join(s.t.sys, "block", strings.ReplaceAll(name, "/", "!"))
		d.model, d.wwn, d.rev = line(dir+"/device/model"), line(dir+"/wwid"), line(dir+"/device/rev")
		d.serial = line(dir + "/device/serial")
		if d.serial == "" {
			d.serial = line(dir + "/serial")
		}
		d.spindle = line(dir + "/queue/rotational")
		if d.spindle == "" {
			d.spindle = "0"
		}
	}
	s.disks[name] = d
	return d
}
