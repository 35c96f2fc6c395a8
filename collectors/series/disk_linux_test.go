package series

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestDiskReallyFull lets a write-ahead log run into the end of a small file system that another file fills, makes
// room again, and finds every acknowledged sample after a restart. It needs root, for a mount.
func TestDiskReallyFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		t.Skip("can't mount a small file system:", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	c := newClock()
	store := filepath.Join(dir, "series")
	d, err := Open(Options{Dir: store, Now: c.now, MinFreeBytes: -1}) // so that the write itself fails
	require.NoError(t, err)
	var batch []Sample
	for i := range 200 {
		batch = append(batch, sample("m", c.now(), 0, "i", fmt.Sprint(i)))
	}
	ctx, stored := context.Background(), 0
	tick := func() error {
		c.add(time.Second)
		for i := range batch {
			batch[i].T, batch[i].V = c.now().UnixMilli(), float64(stored)
		}
		a, err := d.Append(ctx, batch)
		if err == nil {
			require.Equal(t, len(batch), a.Stored)
			stored++
		}
		return err
	}
	for range 50 {
		require.NoError(t, tick())
	}
	filler, err := os.Create(filepath.Join(dir, "filler"))
	require.NoError(t, err)
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	require.NoError(t, filler.Close())
	for err = nil; err == nil; {
		err = tick()
	}
	require.ErrorIs(t, err, ErrFull)
	require.ErrorIs(t, tick(), ErrFull, "nothing is written behind a torn record")
	require.NotEmpty(t, instant(t, d, "m", c.now()).Vector, "queries go on")

	require.NoError(t, os.Remove(filler.Name()))
	require.NoError(t, d.Maintain(ctx))
	for range 50 {
		require.NoError(t, tick())
	}
	check := func() {
		r := instant(t, d, `min(count_over_time(m[1h]))`, c.now())
		require.InDelta(t, stored, r.Vector[0].V, 0)
		r = instant(t, d, `min(m)`, c.now())
		require.InDelta(t, stored-1, r.Vector[0].V, 0)
	}
	check()
	require.NoError(t, d.Close())
	d = openTest(t, Options{Dir: store, Now: c.now, MinFreeBytes: -1})
	check()
}
