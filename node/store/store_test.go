package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// small keeps tests off the disk's space.
func small(dir string) Options {
	return Options{Dir: dir, MinFreeBytes: 1 << 20, BallastBytes: -1}
}

func start(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { s.Stop(context.Background()) })
	return s
}

// pages runs a search to its end.
func pages(t require.TestingT, s *Store, q Query) []Doc {
	var all []Doc
	for range 10_000 {
		docs, next, err := s.Search(context.Background(), q, nil)
		require.NoError(t, err)
		all = append(all, docs...)
		if next == "" {
			return all
		}
		q.Cursor = next
	}
	t.Errorf("a search without end")
	t.FailNow()
	return nil
}

func ids(docs []Doc) []string {
	out := []string{}
	for _, d := range docs {
		out = append(out, fmt.Sprintf("%s@%d", d.ID, d.End))
	}
	return out
}

func TestNewestVersionIsFound(t *testing.T) {
	dir := t.TempDir()
	s := start(t, small(dir))
	ctx := t.Context()
	require.NoError(t, s.Put(ctx, 10, []Doc{
		{ID: "a", Start: 100, Tokens: []uint64{1, 2}, Data: []byte("a firing")},
		{ID: "b", Start: 200, Tokens: []uint64{1, 3}},
	}))
	require.Zero(t, s.Indexed(), "not yet on disk")
	require.NoError(t, s.Flush(ctx))
	require.Equal(t, uint64(10), s.Indexed())
	require.NoError(t, s.Put(ctx, 20, []Doc{{ID: "a", Start: 100, End: 150, Tokens: []uint64{1, 2}, Data: []byte("a over")}}))
	for range 2 { // gathered, then written
		d, ok, err := s.Get(ctx, "a")
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, Doc{ID: "a", Start: 100, End: 150, Tokens: []uint64{1, 2}, Data: []byte("a over")}, d)
		_, ok, err = s.Get(ctx, "c")
		require.NoError(t, err)
		require.False(t, ok)
		require.Equal(t, []string{"b@0", "a@150"}, ids(pages(t, s, Query{All: []uint64{1}, Limit: 1})))
		require.Equal(t, []string{"b@0"}, ids(pages(t, s, Query{From: 151, To: 300})))
		require.Equal(t, []string{"a@150"}, ids(pages(t, s, Query{To: 199})))
		require.Equal(t, []string{"a@150"}, ids(pages(t, s, Query{All: []uint64{2, 1}})))
		require.Empty(t, pages(t, s, Query{All: []uint64{2, 3}}))
		require.NoError(t, s.Flush(ctx))
	}
	require.NoError(t, s.Stop(ctx))
	require.ErrorIs(t, s.Put(ctx, 30, nil), ErrClosed)
	s = start(t, small(dir))
	require.False(t, s.Rebuilt())
	require.Equal(t, uint64(20), s.Indexed())
	require.Equal(t, []string{"b@0", "a@150"}, ids(pages(t, s, Query{})))
}

func TestRefusesBadInput(t *testing.T) {
	s := start(t, small(t.TempDir()))
	ctx := t.Context()
	require.ErrorContains(t, s.Put(ctx, 1, []Doc{{}}), "ID")
	require.ErrorContains(t, s.Put(ctx, 1, []Doc{{ID: "a", Data: make([]byte, MaxDocBytes+1)}}), "Data")
	require.ErrorContains(t, s.Put(ctx, 1, []Doc{{ID: "a", Tokens: make([]uint64, MaxTokens+1)}}), "Tokens")
	_, _, err := s.Search(ctx, Query{Limit: MaxLimit + 1}, nil)
	require.ErrorContains(t, err, "Limit")
	for _, c := range []string{"x", "!", "AAAAAAAA", "AQEBAQEB" + "////////"} {
		_, _, err = s.Search(ctx, Query{Cursor: c}, nil)
		require.ErrorIs(t, err, ErrCursor, c)
	}
	for field, o := range map[string]Options{"Dir": {}, "Retention": {Dir: "x", Retention: -1}, "MaxBytes": {Dir: "x", MaxBytes: 1}} {
		_, err := Open(o)
		require.ErrorContains(t, err, field)
	}
}

func TestLargeDocumentsAreSplit(t *testing.T) {
	dir := t.TempDir()
	s := start(t, small(dir))
	big := make([]byte, MaxDocBytes)
	x := uint64(1)
	for i := range big { // does not compress
		x = x*6364136223846793005 + 1442695040888963407
		big[i] = byte(x >> 56)
	}
	for i := range 3 {
		require.NoError(t, s.Put(t.Context(), uint64(i), []Doc{{ID: fmt.Sprint(i), Start: int64(i), Data: big}}))
	}
	require.NoError(t, s.Stop(t.Context()))
	s = start(t, small(dir))
	for i := range 3 {
		d, ok, err := s.Get(t.Context(), fmt.Sprint(i))
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, big, d.Data)
	}
}

func TestCollectByAgeAndBytes(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	var clock atomic.Int64
	clock.Store(now.UnixMilli())
	o := small(t.TempDir())
	o.Now = func() time.Time { return time.UnixMilli(clock.Load()) }
	o.Retention = 24 * time.Hour
	o.MaxBytes = 16 << 20
	s := start(t, o)
	ctx := t.Context()
	require.NoError(t, s.Put(ctx, 1, []Doc{{ID: "old", Start: 1}}))
	require.NoError(t, s.Flush(ctx))
	clock.Add(23 * time.Hour.Milliseconds())
	require.NoError(t, s.Put(ctx, 2, []Doc{{ID: "young", Start: 2}}))
	require.NoError(t, s.Flush(ctx))
	clock.Add(2 * time.Hour.Milliseconds())
	require.NoError(t, s.Collect(ctx))
	require.Equal(t, []string{"young@0"}, ids(pages(t, s, Query{})))
	data := make([]byte, 100_000)
	x := uint64(1)
	for i := range 400 {
		for k := range data {
			x = x*6364136223846793005 + 1442695040888963407
			data[k] = byte(x >> 56)
		}
		require.NoError(t, s.Put(ctx, 3, []Doc{{ID: fmt.Sprint("big", i), Start: 3, Data: data}}))
		if i%50 == 49 {
			require.NoError(t, s.Collect(ctx))
			require.LessOrEqual(t, s.Stats().Bytes, o.MaxBytes*3/4)
		}
	}
	_, ok, err := s.Get(ctx, "big399")
	require.NoError(t, err)
	require.True(t, ok)
	_, ok, err = s.Get(ctx, "big0")
	require.NoError(t, err)
	require.False(t, ok)
	var disk int64
	files, err := filepath.Glob(filepath.Join(o.Dir, dbName, "*.sst"))
	require.NoError(t, err)
	for _, f := range files {
		info, err := os.Stat(f)
		if err == nil {
			disk += info.Size()
		}
	}
	t.Logf("stored %d, tables %d", s.Stats().Bytes, disk)
	require.Less(t, disk, 3*o.MaxBytes)
}

func TestGuardRefusesAndRecovers(t *testing.T) {
	var free atomic.Uint64
	free.Store(1 << 40)
	o := Options{Dir: t.TempDir(), MinFreeBytes: 1 << 20, BallastBytes: 1 << 20}
	o.FreeSpace = func(string) (uint64, error) { return free.Load(), nil }
	s := start(t, o)
	ctx := t.Context()
	ballast := filepath.Join(o.Dir, "ballast")
	require.FileExists(t, ballast)
	require.NoError(t, s.Put(ctx, 1, []Doc{{ID: "a", Start: 1}}))
	free.Store(1<<20 - 1)
	require.ErrorIs(t, s.Flush(ctx), ErrFull)
	require.NoFileExists(t, ballast)
	require.True(t, s.Stats().Full)
	require.Equal(t, []string{"a@0"}, ids(pages(t, s, Query{})), "reading goes on")
	require.ErrorIs(t, s.Collect(ctx), nil)
	free.Store(1<<20 + 100) // the ballast would not fit
	require.ErrorIs(t, s.Flush(ctx), ErrFull)
	free.Store(4 << 20)
	require.NoError(t, s.Flush(ctx))
	require.FileExists(t, ballast)
	require.False(t, s.Stats().Full)
}

func TestAbsentWithoutSpaceAndBack(t *testing.T) {
	var free, now atomic.Int64
	reg := prometheus.NewRegistry()
	o := small(t.TempDir())
	o.Registerer = reg
	o.FreeSpace = func(string) (uint64, error) { return uint64(free.Load()), nil }
	o.Now = func() time.Time { return time.UnixMilli(1_700_000_000_000 + now.Load()) }
	s := start(t, o)
	ctx := t.Context()
	require.ErrorIs(t, s.Put(ctx, 1, []Doc{{ID: "a"}}), ErrAbsent)
	_, _, err := s.Search(ctx, Query{}, nil)
	require.ErrorIs(t, err, ErrAbsent)
	require.ErrorIs(t, err, ErrFull)
	_, _, err = s.Get(ctx, "a")
	require.ErrorIs(t, err, ErrAbsent)
	require.ErrorIs(t, s.Collect(ctx), ErrAbsent)
	free.Store(1 << 40)
	now.Store(reopenEvery.Milliseconds())
	require.NoError(t, s.Put(ctx, 1, []Doc{{ID: "a"}}))
	require.NoError(t, s.Flush(ctx))
	fams, err := reg.Gather()
	require.NoError(t, err)
	require.NotEmpty(t, fams)
}

func TestBrokenDatabaseIsMovedAside(t *testing.T) {
	for name, harm := range map[string]func(dir string) error{
		"manifest": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, dbName, "MANIFEST"), []byte("not a manifest at all"), 0o600)
		},
		"key registry": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, dbName, "KEYREGISTRY"), []byte("x"), 0o600)
		},
		"crash loop": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, triesName), []byte(strconv.Itoa(maxTries)), 0o600)
		},
		"newer format": func(dir string) error {
			db, err := badger.Open(tiny(filepath.Join(dir, dbName)))
			if err != nil {
				return err
			}
			err = db.Update(func(txn *badger.Txn) error { return txn.Set([]byte("s"), []byte{9, 0, 0, 0, 0, 0, 0, 0, 0}) })
			return errors.Join(err, db.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := small(t.TempDir())
			s := start(t, o)
			require.NoError(t, s.Put(t.Context(), 5, []Doc{{ID: "a"}}))
			require.NoError(t, s.Stop(t.Context()))
			require.NoError(t, harm(o.Dir))
			s = start(t, o)
			require.True(t, s.Rebuilt())
			require.Zero(t, s.Indexed())
			require.DirExists(t, filepath.Join(o.Dir, asideName))
			require.NoError(t, s.Put(t.Context(), 5, []Doc{{ID: "b"}}))
			require.Equal(t, []string{"b@0"}, ids(pages(t, s, Query{})))
			require.NoError(t, s.Stop(t.Context()))
			s = start(t, o)
			require.False(t, s.Rebuilt())
		})
	}
}

// Whoever kills the process, a test or an operator in a loop, must not cost the
// history: only many deaths in a row, each right after opening, are held against
// the database.
func TestDeathsOfAWorkingDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := small(t.TempDir())
		tries := filepath.Join(o.Dir, triesName)
		s := start(t, o)
		require.NoError(t, s.Put(t.Context(), 5, []Doc{{ID: "a"}}))
		require.NoError(t, s.Stop(t.Context()))
		require.NoError(t, os.WriteFile(tries, []byte(strconv.Itoa(maxTries-1)), 0o600))
		s = start(t, o)
		require.False(t, s.Rebuilt())
		require.Equal(t, []string{"a@0"}, ids(pages(t, s, Query{})))
		require.Equal(t, maxTries, readTries(o.Dir))
		time.Sleep(settleTime + time.Second)
		synctest.Wait()
		require.Zero(t, readTries(o.Dir), "a process that lives on proves the database")
		require.NoError(t, s.Stop(t.Context()))
	})
}

func TestUnwritableDirectoryIsAbsent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	s := start(t, small(filepath.Join(file, "dir")))
	_, _, err := s.Get(t.Context(), "a")
	require.ErrorIs(t, err, ErrAbsent)
	require.NoError(t, s.Stop(t.Context()))
}

func TestDamagedChunkIsSkipped(t *testing.T) {
	s := start(t, small(t.TempDir()))
	ctx := t.Context()
	for i := range 3 {
		require.NoError(t, s.Put(ctx, uint64(i), []Doc{{ID: fmt.Sprint(i), Start: int64(i)}}))
		require.NoError(t, s.Flush(ctx))
	}
	require.NoError(t, s.db.Update(func(txn *badger.Txn) error { return txn.Set(partKey(2, 0), []byte("rubbish")) }))
	require.Equal(t, []string{"2@0", "0@0"}, ids(pages(t, s, Query{})))
	_, ok, err := s.Get(ctx, "1")
	require.NoError(t, err)
	require.False(t, ok)
}
