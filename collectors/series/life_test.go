package series

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

// loaded opens a store, loads hours of one counter and a gauge that names each hour, and compacts as Run would.
func loaded(t testing.TB, o Options, c *clock, hours int) *DB {
	t.Helper()
	d := openTest(t, o)
	load(t, d, c, hours)
	return d
}

func load(t testing.TB, d *DB, c *clock, hours int) {
	t.Helper()
	for i := range hours * 60 {
		c.add(time.Minute)
		sinceEpoch := c.now().Sub(epoch)
		mustAppend(t, d, sample("total", c.now(), sinceEpoch.Seconds()), sample("up", c.now(), 1, "hour", fmt.Sprintf("%03d", int(sinceEpoch.Hours()))))
		if i%30 == 0 {
			require.NoError(t, d.Maintain(context.Background()))
		}
	}
}

func TestCompactionKeepsAnswers(t *testing.T) {
	c := newClock()
	reg := prometheus.NewRegistry()
	d := loaded(t, Options{Now: c.now, Registerer: reg}, c, 30)
	st := d.Status(5)
	require.NotZero(t, st.Blocks)
	require.NotZero(t, st.BlockBytes)
	require.Less(t, st.HeadSeries, uint64(8), "series of past hours left the head")
	require.Equal(t, epoch.Add(time.Minute).UnixMilli(), st.MinTime)
	require.Equal(t, c.now().UnixMilli(), st.HeadMaxTime)
	require.Positive(t, st.HeadChunks)
	require.Equal(t, NameCount{"hour", st.HeadSeries - 1}, st.ValuesByLabel[0])

	// The answers are the same in the head, in blocks, and across both.
	r, err := d.Range(context.Background(), `rate(total[10m])`, Window{epoch.Add(time.Hour), c.now(), 10 * time.Minute}, QueryOptions{})
	require.NoError(t, err)
	require.Len(t, r.Matrix[0].Points, 29*6+1)
	for _, p := range r.Matrix[0].Points {
		require.InDelta(t, 1, p.V, 1e-9)
	}
	require.InDelta(t, 30*60, instant(t, d, `count_over_time(total[30h])`, c.now()).Vector[0].V, 0)
	require.Positive(t, testutil.ToFloat64(d.metrics.compactions.WithLabelValues("done")))
	n, err := testutil.GatherAndCount(reg)
	require.NoError(t, err)
	require.Positive(t, n)
}

func TestRetentionByTime(t *testing.T) {
	c := newClock()
	d := loaded(t, Options{Now: c.now, Retention: 6 * time.Hour}, c, 24)
	// The database deletes blocks when it looks at them anew; opening does.
	require.NoError(t, d.reopen(func() error { return nil }))
	oldest := time.UnixMilli(d.Status(1).MinTime)
	require.WithinRange(t, oldest, c.now().Add(-6*time.Hour-4*time.Hour), c.now().Add(-5*time.Hour))
	require.Empty(t, instant(t, d, `up{hour="001"}`, epoch.Add(90*time.Minute)).Vector)
	require.NotEmpty(t, instant(t, d, `up`, c.now().Add(-5*time.Hour)).Vector)
}

func TestFullDisk(t *testing.T) {
	c := newClock()
	var free atomic.Int64
	free.Store(1 << 40)
	var logged bytes.Buffer
	d := openTest(t, Options{
		Now: c.now, FreeBytes: func(string) (int64, error) { return free.Load(), nil }, Logger: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	mustAppend(t, d, sample("up", c.now(), 1))
	require.NoError(t, os.MkdirAll(filepath.Join(d.opts.Dir, asideDir, "old"), 0o755))

	free.Store(63 << 20)
	for range 3 {
		c.add(time.Second)
		a, err := d.Append(context.Background(), []Sample{sample("up", c.now(), 2)})
		require.ErrorIs(t, err, ErrFull)
		require.Zero(t, a)
	}
	require.True(t, d.Status(1).Full)
	require.Equal(t, 1, strings.Count(logged.String(), "sample store full"), "said once")
	require.NoDirExists(t, filepath.Join(d.opts.Dir, asideDir), "unreadable data makes room first")
	require.InDelta(t, 1, instant(t, d, `up`, c.now()).Vector[0].V, 0)
	require.InDelta(t, 3, testutil.ToFloat64(d.metrics.refused.WithLabelValues("full")), 0)
	require.NoError(t, d.Maintain(context.Background()), "compaction still has its half of the reserve")
	free.Store(1 << 20)
	require.NoError(t, d.Maintain(context.Background()))
	require.InDelta(t, 1, testutil.ToFloat64(d.metrics.compactions.WithLabelValues("skipped")), 0)

	free.Store(65 << 20)
	_, err := d.Append(context.Background(), []Sample{sample("up", c.now(), 2)})
	require.ErrorIs(t, err, ErrFull, "a little room isn't enough to resume, or it would flap")
	free.Store(80 << 20)
	mustAppend(t, d, sample("up", c.now(), 2))
	require.False(t, d.Status(1).Full)
	require.Contains(t, logged.String(), "has room again")
}

func TestLogOutgrowsItsShare(t *testing.T) {
	c := newClock()
	d := openTest(t, Options{Now: c.now, MaxBytes: 16 << 20})
	mustAppend(t, d, sample("up", c.now(), 1))
	require.NoError(t, os.WriteFile(filepath.Join(d.opts.Dir, "wal", "padding"), make([]byte, 9<<20), 0o600))
	require.NoError(t, d.Maintain(context.Background()))
	_, err := d.Append(context.Background(), []Sample{sample("up", c.now(), 1)})
	require.ErrorIs(t, err, ErrFull)
	require.ErrorContains(t, err, "MaxBytes")
	require.NoError(t, os.Remove(filepath.Join(d.opts.Dir, "wal", "padding")))
	require.NoError(t, d.Maintain(context.Background()))
	mustAppend(t, d, sample("up", c.now(), 1))
}

// After a failed write the log may end in half a record; the store goes on only after it has been cut there.
func TestFailedWriteIsMended(t *testing.T) {
	c := newClock()
	d := openTest(t, Options{Now: c.now})
	mustAppend(t, d, sample("up", c.now(), 1))
	require.Error(t, d.guard.writeFailed(errors.New("boom")))
	_, err := d.Append(context.Background(), []Sample{sample("up", c.now(), 1)})
	require.ErrorIs(t, err, ErrFull)
	require.NoError(t, d.Maintain(context.Background()))
	c.add(time.Second)
	mustAppend(t, d, sample("up", c.now(), 2))
	require.InDelta(t, 2, instant(t, d, `count_over_time(up[1m])`, c.now()).Vector[0].V, 0)
}

func TestClockSetBack(t *testing.T) {
	c := newClock()
	d := loaded(t, Options{Now: c.now}, c, 6)
	c.add(3 * 24 * time.Hour) // a wrong clock
	load(t, d, c, 4)
	c.set(epoch.Add(7 * time.Hour)) // and NTP
	a := mustAppend(t, d, sample("up", c.now(), 1))
	require.Equal(t, Appended{TooOld: 1}, a)
	require.NoError(t, d.Maintain(context.Background()))
	require.Equal(t, Appended{Stored: 1}, mustAppend(t, d, sample("up", c.now(), 1)))
	require.Less(t, d.Status(1).HeadMaxTime, epoch.Add(8*time.Hour).UnixMilli())
	require.NotEmpty(t, instant(t, d, `up`, epoch.Add(time.Hour)).Vector, "blocks of the true past stay")
	require.DirExists(t, filepath.Join(d.opts.Dir, asideDir, "wal"))

	// The same found at start.
	c.add(3 * 24 * time.Hour)
	load(t, d, c, 1)
	require.NoError(t, d.Close())
	c.set(epoch.Add(8 * time.Hour))
	d = openTest(t, Options{Dir: d.opts.Dir, Now: c.now})
	require.Equal(t, Appended{Stored: 1}, mustAppend(t, d, sample("up", c.now(), 1)))
}

func TestSecondOwnerIsRefused(t *testing.T) {
	c := newClock()
	d := openTest(t, Options{Now: c.now})
	mustAppend(t, d, sample("up", c.now(), 1))
	_, err := Open(Options{Dir: d.opts.Dir, Now: c.now})
	require.ErrorContains(t, err, "lock")
	require.NoDirExists(t, filepath.Join(d.opts.Dir, asideDir), "another's store must not be repaired")
	require.NotEmpty(t, instant(t, d, `up`, c.now()).Vector)
}

func TestDamageIsRepaired(t *testing.T) {
	blockFile := func(name ...string) func(t *testing.T, dir string) string {
		return func(t *testing.T, dir string) string {
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			i := slices.IndexFunc(entries, func(e os.DirEntry) bool { return isBlockName(e.Name()) })
			return filepath.Join(append([]string{dir, entries[i].Name()}, name...)...)
		}
	}
	lastWAL := func(t *testing.T, dir string) string {
		files, err := filepath.Glob(filepath.Join(dir, "wal", "0*"))
		require.NoError(t, err)
		return files[len(files)-1]
	}
	truncate := func(t *testing.T, path string) { require.NoError(t, os.Truncate(path, 10)) }
	scribble := func(t *testing.T, path string) {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		for i := range b {
			b[i] ^= byte(i)
		}
		require.NoError(t, os.WriteFile(path, b, 0o600))
	}
	remove := func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) }
	for _, tc := range []struct {
		name   string
		file   func(*testing.T, string) string
		damage func(*testing.T, string)
		aside  bool
		recent bool // the newest samples survive
	}{
		{"block without meta", blockFile("meta.json"), remove, true, true},
		{"block with torn meta", blockFile("meta.json"), truncate, true, true},
		{"block without index", blockFile("index"), remove, true, true},
		{"block with torn index", blockFile("index"), truncate, true, true},
		{"block with broken index", blockFile("index"), scribble, true, true},
		{"block without chunks", blockFile("chunks", "000001"), remove, false, true},
		{"torn log", lastWAL, truncate, false, false},
		{"broken log", lastWAL, scribble, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newClock()
			dir := t.TempDir()
			d, err := Open(Options{Dir: dir, Now: c.now})
			require.NoError(t, err)
			load(t, d, c, 7)
			require.NoError(t, d.Close())
			tc.damage(t, tc.file(t, dir))

			var logged bytes.Buffer
			d = openTest(t, Options{Dir: dir, Now: c.now, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
			c.add(time.Minute)
			mustAppend(t, d, sample("up", c.now(), 1, "hour", "now"))
			require.NotEmpty(t, instant(t, d, `up{hour="now"}`, c.now()).Vector)
			if tc.recent {
				require.NotEmpty(t, instant(t, d, `total`, c.now()).Vector)
			}
			if tc.aside {
				require.DirExists(t, filepath.Join(dir, asideDir))
				require.Contains(t, logged.String(), "moved aside")
				require.Contains(t, logged.String(), "span=")
			}
		})
	}
}

// A head that upstream can't mend is moved as a whole: here its log is a file, not a directory of segments.
func TestUnreadableHeadIsMovedAside(t *testing.T) {
	c := newClock()
	dir := t.TempDir()
	d, err := Open(Options{Dir: dir, Now: c.now})
	require.NoError(t, err)
	load(t, d, c, 4)
	require.NoError(t, d.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "wal")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "wal"), []byte("what is this"), 0o600))
	d = openTest(t, Options{Dir: dir, Now: c.now})
	require.FileExists(t, filepath.Join(dir, asideDir, "wal"))
	mustAppend(t, d, sample("up", c.now(), 1))
	require.NotEmpty(t, instant(t, d, `total`, epoch.Add(time.Hour)).Vector)
}

func TestRunCompactsAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := Open(Options{Dir: t.TempDir()}) // the bubble's clock
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- d.Run(ctx) }()
		for range 5 * 60 {
			mustAppend(t, d, sample("up", time.Now(), 1))
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		require.Positive(t, d.Status(1).Blocks)
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, d.Close())
	})
}

// childDir names the store of a child that appends until it is killed.
const childDir = "FENGHUO_SERIES_TEST_CHILD"

// TestKill appends in a child process, kills it in the middle, and finds every sample that was acknowledged.
func TestKill(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		appendForEver(dir)
	}
	dir := t.TempDir()
	last := 0
	for range 4 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for n := 0; n < 400 && lines.Scan(); n++ {
			_, err := fmt.Sscanf(lines.Text(), "stored %d", &last)
			require.NoError(t, err, lines.Text())
		}
		require.NoError(t, cmd.Process.Kill())
		for lines.Scan() { // what was acknowledged before the kill arrived
			_, _ = fmt.Sscanf(lines.Text(), "stored %d", &last)
		}
		require.NoError(t, lines.Err())
		_ = cmd.Wait()
	}
	require.GreaterOrEqual(t, last, 1600)
	d := openTest(t, Options{Dir: dir, Now: func() time.Time { return epoch.Add(24 * time.Hour) }})
	at := epoch.Add(time.Duration(last) * time.Second)
	require.InDelta(t, last, instant(t, d, `count_over_time(n[10d])`, at).Vector[0].V, 0)
	require.InDelta(t, last, instant(t, d, `n`, at).Vector[0].V, 0)
}

func appendForEver(dir string) {
	d, err := Open(Options{Dir: dir, Now: func() time.Time { return epoch.Add(24 * time.Hour) }})
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	st := d.Status(1)
	n := int(max(0, st.HeadMaxTime-epoch.UnixMilli()) / 1000)
	for {
		n++
		s := sample("n", epoch.Add(time.Duration(n)*time.Second), float64(n))
		if a, err := d.Append(context.Background(), []Sample{s}); err != nil || a.Stored != 1 {
			fmt.Println("append:", a, err)
			os.Exit(1)
		}
		fmt.Println("stored", n)
	}
}
