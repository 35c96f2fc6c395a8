package portable

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/host/metric"
)

func values(t testing.TB, b *metric.Batch, c metric.Collector) (map[string]float64, error) {
	b.Begin()
	err := c.Collect(t.Context(), b)
	out := map[string]float64{}
	for _, p := range b.End().Points {
		out[p.Labels.String()] = p.V
	}
	return out, err
}

func batch() *metric.Batch { return metric.NewBatch(labels.EmptyLabels(), 1000) }

// mounted are file systems of which some hang.
type mounted struct {
	mu    sync.Mutex
	gate  map[string]chan struct{} // asking waits for it
	asked map[string]int
}

func (d *mounted) stat(point string) (Usage, error) {
	d.mu.Lock()
	d.asked[point]++
	gate := d.gate[point]
	d.mu.Unlock()
	if gate != nil {
		<-gate
	}
	if point == "/bad" {
		return Usage{}, errors.New("stale file handle")
	}
	return Usage{Size: 100, Free: 50, Avail: 40, Files: 10, FilesFree: 5}, nil
}

func mountsOf(points ...string) func(context.Context) ([]Mount, error) {
	var out []Mount
	for _, p := range points {
		out = append(out, Mount{Device: "dev" + p, Mountpoint: p, Fstype: "ext4"})
	}
	return func(context.Context) ([]Mount, error) { return out, nil }
}

func size(point string) string {
	return `{__name__="node_filesystem_size_bytes", device="dev` + point + `", fstype="ext4", mountpoint="` + point + `"}`
}

func timedOut(point string) string {
	return `{__name__="node_filesystem_device_error", device="dev` + point + `", device_error="mountpoint timeout", fstype="ext4", mountpoint="` + point + `"}`
}

func TestDeadMountsHangNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &mounted{asked: map[string]int{}, gate: map[string]chan struct{}{"/nfs": make(chan struct{}), "/nfs2": make(chan struct{})}}
		o := Options{MountTimeout: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)}
		f := NewFilesystem(o, mountsOf("/", "/nfs", "/data", "/nfs2", "/home", "/proc", "/"), d.stat)
		b := batch()

		start := time.Now()
		got, err := values(t, b, f)
		require.NoError(t, err)
		require.Equal(t, 4*time.Second, time.Since(start), "each is waited for once")
		for _, p := range []string{"/", "/data", "/home"} {
			require.Equal(t, 100.0, got[size(p)], p)
		}
		require.Equal(t, 1.0, got[timedOut("/nfs")])
		require.NotContains(t, got, size("/nfs"))
		require.NotContains(t, got, size("/proc"), "excluded")

		start = time.Now()
		got, err = values(t, b, f)
		require.NoError(t, err)
		require.Zero(t, time.Since(start), "and not again")
		require.Equal(t, 1.0, got[timedOut("/nfs")])
		require.Equal(t, 1.0, got[timedOut("/nfs2")])
		require.Equal(t, 100.0, got[size("/home")])
		require.Equal(t, 1, d.asked["/nfs"], "one goroutine is left behind, not one per tick")

		close(d.gate["/nfs"])
		synctest.Wait()
		got, err = values(t, b, f)
		require.NoError(t, err)
		require.Equal(t, 100.0, got[size("/nfs")], "it answers again")
		require.Equal(t, 1.0, got[timedOut("/nfs2")])
		close(d.gate["/nfs2"])
	})
}

// TestAnswerInTheLastMoment lets mounts answer just when they are given up: none may be held for stuck for ever.
func TestAnswerInTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{MountTimeout: time.Second, Logger: slog.New(slog.DiscardHandler)}
		f := NewFilesystem(o, mountsOf("/a", "/b", "/c"), func(string) (Usage, error) {
			time.Sleep(time.Second)
			return Usage{Size: 100}, nil
		})
		b := batch()
		for range 50 {
			_, err := values(t, b, f)
			require.NoError(t, err)
			synctest.Wait()
			require.Empty(t, f.stuck)
		}
	})
}

func TestDeadlineEndsTheRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &mounted{asked: map[string]int{}, gate: map[string]chan struct{}{"/a": make(chan struct{})}}
		o := Options{MountTimeout: 10 * time.Second, Logger: slog.New(slog.DiscardHandler)}
		f := NewFilesystem(o, mountsOf("/a", "/b"), d.stat)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		b := batch()
		b.Begin()
		require.ErrorContains(t, f.Collect(ctx, b), "1 mounts not reached")
		close(d.gate["/a"])
	})
}

func TestMountErrors(t *testing.T) {
	d := &mounted{asked: map[string]int{}}
	o := Options{MountTimeout: time.Minute, Logger: slog.New(slog.DiscardHandler)}
	got, err := values(t, batch(), NewFilesystem(o, mountsOf("/bad"), d.stat))
	require.NoError(t, err)
	require.Equal(t, 1.0, got[`{__name__="node_filesystem_device_error", device="dev/bad", device_error="stale file handle", fstype="ext4", mountpoint="/bad"}`])
	require.Len(t, got, 2)
	_, err = values(t, batch(), NewFilesystem(o, func(context.Context) ([]Mount, error) { return nil, errors.New("no table") }, d.stat))
	require.ErrorContains(t, err, "no table")
}

func TestCPUNeverStepsBack(t *testing.T) {
	now := []cpu.TimesStat{{CPU: "cpu0", Idle: 100, User: 50, Guest: 3}}
	c := &cpuTimes{
		read:  func(context.Context) ([]cpu.TimesStat, error) { return now, nil },
		modes: Modes(), last: map[string][]float64{},
	}
	b := batch()
	user := `{__name__="node_cpu_seconds_total", cpu="0", mode="user"}`
	step := func(idle, u float64) float64 {
		now = []cpu.TimesStat{{CPU: "cpu0", Idle: idle, User: u}}
		got, err := values(t, b, c)
		require.NoError(t, err)
		return got[user]
	}
	require.Equal(t, 50.0, step(100, 50))
	require.Equal(t, 50.0, step(101, 49.9), "a small step back is the kernel's rounding")
	require.Equal(t, 51.0, step(99, 51))
	require.Equal(t, 1.0, step(5, 1), "a far jump of idle is a CPU that was unplugged")
	got, err := values(t, b, c)
	require.NoError(t, err)
	require.Contains(t, got, `{__name__="node_cpu_guest_seconds_total", cpu="0", mode="user"}`)
	now = nil
	_, err = values(t, b, c)
	require.Error(t, err)
}
