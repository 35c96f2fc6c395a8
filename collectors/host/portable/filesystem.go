package portable

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"sync"
	"time"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
)

// Mount is one mounted file system.
type Mount struct {
	Device, Mountpoint, Fstype string
	Major, Minor               string // decimal, "" if the system has no such numbers
	ReadOnly                   bool
}

// Usage is what a file system says of itself.
type Usage struct {
	Size, Free, Avail float64 // bytes
	Files, FilesFree  float64
	NoFiles           bool // the system doesn't count them
}

// The defaults of node_exporter.
var (
	mountsExcluded = regexp.MustCompile(`^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)`)
	typesExcluded  = regexp.MustCompile(`^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|` +
		`nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|erofs|sysfs|tracefs|devfs)$`)
)

var (
	fsLabels = []string{"device", "mountpoint", "fstype", "device_error"}

	fsSize     = metric.New("node_filesystem_size_bytes", "Filesystem size in bytes.", metric.Gauge, fsLabels...)
	fsFree     = metric.New("node_filesystem_free_bytes", "Filesystem free space in bytes.", metric.Gauge, fsLabels...)
	fsAvail    = metric.New("node_filesystem_avail_bytes", "Filesystem space available to non-root users in bytes.", metric.Gauge, fsLabels...)
	fsFiles    = metric.New("node_filesystem_files", "Filesystem total file nodes.", metric.Gauge, fsLabels...)
	fsFilesFre = metric.New("node_filesystem_files_free", "Filesystem total free file nodes.", metric.Gauge, fsLabels...)
	fsReadOnly = metric.New("node_filesystem_readonly", "Filesystem read-only status.", metric.Gauge, fsLabels...)
	fsError    = metric.New("node_filesystem_device_error", "Whether an error occurred while getting statistics for the given device.", metric.Gauge, fsLabels...)
	fsMount    = metric.New("node_filesystem_mount_info", "Filesystem mount information.", metric.Gauge, "device", "major", "minor", "mountpoint")
)

// maxMounts bounds the mounts that are looked at in one run, and so the goroutines that can be stuck.
const maxMounts = 1000

// Filesystem asks every mounted file system how full it is. Asking one on a dead server may never return: the
// goroutine that asks is left behind, and that mount is not asked again until it has.
type Filesystem struct {
	log     *slog.Logger
	timeout time.Duration
	mounts  func(context.Context) ([]Mount, error)
	stat    func(mountpoint string) (Usage, error)

	mu    sync.Mutex
	stuck map[string]bool // mount points whose question has not returned
}

// NewFilesystem returns the collector for a way to list mounts and to ask one of them.
func NewFilesystem(o Options, mounts func(context.Context) ([]Mount, error), stat func(mountpoint string) (Usage, error)) *Filesystem {
	return &Filesystem{log: o.Logger, timeout: o.MountTimeout, mounts: mounts, stat: stat, stuck: map[string]bool{}}
}

// Name implements metric.Collector.
func (f *Filesystem) Name() string { return "filesystem" }

// Collect implements metric.Collector.
func (f *Filesystem) Collect(ctx context.Context, b *metric.Batch) error {
	all, err := f.mounts(ctx)
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	ask := f.due(all, b)
	for len(ask) > 0 {
		ask = ask[f.askUntilStuck(ctx, ask, b):]
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%d mounts not reached: %w", len(ask), err)
		}
	}
	return nil
}

// due picks the mounts to ask, the first of each mount point, and reports those still stuck.
func (f *Filesystem) due(all []Mount, b *metric.Batch) []Mount {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := map[[2]string]bool{}
	var ask []Mount
	for _, m := range all {
		key := [2]string{m.Device, m.Mountpoint}
		if mountsExcluded.MatchString(m.Mountpoint) || typesExcluded.MatchString(m.Fstype) || seen[key] {
			continue
		}
		seen[key] = true
		switch {
		case f.stuck[m.Mountpoint]:
			f.fail(b, m, "mountpoint timeout")
		case len(ask) < maxMounts:
			ask = append(ask, m)
		}
	}
	return ask
}

// answer is what asking one mount gave.
type answer struct {
	Usage
	err error
}

// askUntilStuck asks mounts one after another in a goroutine of its own and returns how many are done with: all, or up
// to and with the first that didn't answer in time.
func (f *Filesystem) askUntilStuck(ctx context.Context, ask []Mount, b *metric.Batch) int {
	questions, answers := make(chan string), make(chan answer, 1) // the answer of a stuck one has room to wait
	defer close(questions)
	go func() {
		for point := range questions {
			u, err := f.stat(point)
			f.mu.Lock()
			answers <- answer{Usage: u, err: err} // there is room, and giveUp looks for it under the lock
			if f.stuck[point] {
				delete(f.stuck, point)
				f.log.Info("mount answers again", "mountpoint", point)
			}
			f.mu.Unlock()
		}
	}()
	timer := time.NewTimer(f.timeout)
	defer timer.Stop()
	for i, m := range ask {
		timer.Reset(f.timeout)
		questions <- m.Mountpoint
		select {
		case a := <-answers:
			f.report(b, m, a)
			continue
		case <-timer.C:
		case <-ctx.Done():
		}
		f.giveUp(b, m, answers)
		return i + 1
	}
	return len(ask)
}

// giveUp marks a mount as stuck, unless its answer has come after all.
func (f *Filesystem) giveUp(b *metric.Batch, m Mount, answers <-chan answer) {
	f.mu.Lock()
	select {
	case a := <-answers:
		f.mu.Unlock()
		f.report(b, m, a)
		return
	default:
	}
	f.stuck[m.Mountpoint] = true
	f.mu.Unlock()
	f.log.Warn("mount does not answer", "mountpoint", m.Mountpoint, "device", m.Device, "timeout", f.timeout)
	f.fail(b, m, "mountpoint timeout")
}

func (f *Filesystem) report(b *metric.Batch, m Mount, a answer) {
	if a.err != nil {
		f.fail(b, m, a.err.Error())
		return
	}
	l := []string{m.Device, m.Mountpoint, m.Fstype}
	b.Add(fsError, 0, l...)
	b.Add(fsReadOnly, metric.Bool(m.ReadOnly), l...)
	b.Add(fsSize, a.Size, l...)
	b.Add(fsFree, a.Free, l...)
	b.Add(fsAvail, a.Avail, l...)
	if !a.NoFiles {
		b.Add(fsFiles, a.Files, l...)
		b.Add(fsFilesFre, a.FilesFree, l...)
	}
	if m.Major != "" {
		b.Add(fsMount, 1, m.Device, m.Major, m.Minor, m.Mountpoint)
	}
}

func (f *Filesystem) fail(b *metric.Batch, m Mount, reason string) {
	b.Add(fsError, 1, m.Device, m.Mountpoint, m.Fstype, reason)
	b.Add(fsReadOnly, metric.Bool(m.ReadOnly), m.Device, m.Mountpoint, m.Fstype, reason)
}
