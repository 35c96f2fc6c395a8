package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fastClock moves two seconds at every look, so that nothing is held back by
// "at most once a second".
func fastClock() func() time.Time {
	var mu sync.Mutex
	now := time.Unix(1_700_000_000, 0)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(2 * time.Second)
		return now
	}
}

func open(t testing.TB, o Options) *Journal {
	t.Helper()
	if o.FS == nil && o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Now == nil {
		o.Now = fastClock()
	}
	j, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { j.Stop(context.Background()) })
	return j
}

func text(s string) Record { return Record{Kind: 7, Data: []byte(s)} }

func put(t testing.TB, j *Journal, recs ...Record) Position {
	t.Helper()
	p, err := j.Append(recs...)
	require.NoError(t, err)
	require.NoError(t, j.Wait(t.Context(), p))
	return p
}

// read replays into "kind:data" lines.
func read(t testing.TB, j *Journal) ([]string, Recovery) {
	t.Helper()
	var got []string
	rec, err := j.Replay(func(_ Position, r Record) error {
		got = append(got, fmt.Sprintf("%d:%s", r.Kind, r.Data))
		return nil
	})
	require.NoError(t, err)
	return got, rec
}

func TestKeepsRecordsOnDisk(t *testing.T) {
	dir := t.TempDir()
	j := open(t, Options{Dir: dir, SegmentBytes: 8192})
	a := put(t, j, text("a"), Record{Kind: 0})
	b := put(t, j, text("b"))
	require.Greater(t, b, a)
	require.Equal(t, b, j.End())
	var want []string
	want = append(want, "7:a", "0:", "7:b")
	for i := range 40 { // over several segments
		s := strings.Repeat("x", 500) + fmt.Sprint(i)
		put(t, j, text(s))
		want = append(want, "7:"+s)
	}
	require.NoError(t, j.Stop(t.Context()))
	_, err := j.Append(text("c"))
	require.ErrorIs(t, err, ErrClosed)

	j = open(t, Options{Dir: dir, SegmentBytes: 8192})
	got, rec := read(t, j)
	require.Equal(t, want, got)
	require.Zero(t, rec.TornBytes)
	require.Empty(t, rec.Lost)
	put(t, j, text("later"))
	got, _ = read(t, j)
	require.Equal(t, append(want, "7:later"), got)
	var from []string
	_, err = j.ReplayFrom(a, func(_ Position, r Record) error { from = append(from, string(r.Data)); return nil })
	require.NoError(t, err)
	require.Equal(t, "b", from[0])
	require.Len(t, from, 42)
}

func TestRefusesWhatCanNeverFit(t *testing.T) {
	j := open(t, Options{SegmentBytes: 16384})
	for name, recs := range map[string][]Record{
		"record":  {{Data: make([]byte, MaxRecordBytes+1)}},
		"batch":   {{Data: make([]byte, 6000)}, {Data: make([]byte, 6000)}, {Data: make([]byte, 6000)}},
		"segment": {{Data: make([]byte, 16384-headerArea-markBytes-recordOverhead+1)}},
	} {
		_, err := j.Append(recs...)
		require.ErrorIs(t, err, ErrTooLarge, name)
	}
	_, err := j.Append(Record{Kind: MaxKind + 1})
	require.ErrorContains(t, err, "kind 251")
	require.Zero(t, j.End())
	for range 3 { // the largest batch fits, again and again
		put(t, j, Record{Data: make([]byte, 16384-headerArea-markBytes-recordOverhead)})
	}
	require.ErrorContains(t, j.Wait(t.Context(), j.End()+1), "the last one is")
}

func TestOptionsNameTheBadField(t *testing.T) {
	for field, o := range map[string]Options{
		"SegmentBytes": {Dir: "x", SegmentBytes: 100},
		"MaxBytes":     {Dir: "x", MaxBytes: 9 << 20},
		"Dir":          {},
	} {
		_, err := Open(o)
		require.ErrorContains(t, err, field)
	}
}

func TestSnapshotReplacesThePast(t *testing.T) {
	dir := t.TempDir()
	o := Options{Dir: dir, SegmentBytes: 8192, KeepBytes: 20000}
	j := open(t, o)
	var at Position
	for i := range 100 {
		at = put(t, j, text(fmt.Sprint(i, strings.Repeat("y", 400))))
	}
	before := j.Stats()
	require.Greater(t, before.Segments, 8)
	after := put(t, j, text("after"))
	require.NoError(t, j.Snapshot(t.Context(), at, func(emit func(Record) error) error {
		for i := range 5 {
			if err := emit(text(fmt.Sprint("state ", i))); err != nil {
				return err
			}
		}
		return nil
	}))
	s := j.Stats()
	require.Equal(t, at, s.SnapshotAt)
	require.Less(t, s.Segments, 6)
	require.Greater(t, s.First, Position(0))
	want := []string{"7:state 0", "7:state 1", "7:state 2", "7:state 3", "7:state 4", "7:after"}
	got, rec := read(t, j)
	require.Equal(t, want, got)
	require.Equal(t, 5, rec.SnapshotRecords)
	require.Equal(t, after, rec.End)
	require.Error(t, j.Snapshot(t.Context(), at-1, nil), "an older one is refused")
	boom := errors.New("boom")
	require.ErrorIs(t, j.Snapshot(t.Context(), after, func(func(Record) error) error { return boom }), boom)
	require.NoError(t, j.Stop(t.Context()))

	j = open(t, o)
	got, rec = read(t, j)
	require.Equal(t, want, got)
	require.Empty(t, rec.Lost)
	kept := 0
	_, err := j.ReplayFrom(0, func(Position, Record) error { kept++; return nil })
	require.NoError(t, err)
	require.GreaterOrEqual(t, kept, 16)
	require.NoFileExists(t, filepath.Join(dir, snapshotTmp))
}

func TestNeedsSnapshotNearMaxBytes(t *testing.T) {
	j := open(t, Options{SegmentBytes: 8192, MaxBytes: 40000, KeepBytes: 30000})
	require.False(t, j.NeedsSnapshot())
	var err error
	var n int
	for ; err == nil && n < 1000; n++ {
		_, err = j.Append(text(strings.Repeat("z", 300)))
	}
	require.ErrorIs(t, err, ErrFull)
	require.ErrorContains(t, err, "MaxBytes")
	require.True(t, j.NeedsSnapshot())
	require.NoError(t, j.Snapshot(t.Context(), j.End(), func(emit func(Record) error) error { return emit(text("all")) }))
	require.False(t, j.NeedsSnapshot())
	for range 200 { // what is kept for ReplayFrom goes when room is needed
		if _, err = j.Append(text("again" + strings.Repeat("z", 300))); err != nil {
			require.ErrorIs(t, err, ErrFull)
			require.NoError(t, j.Snapshot(t.Context(), j.End(), func(emit func(Record) error) error { return emit(text("all")) }))
		}
	}
	require.LessOrEqual(t, j.Stats().DiskBytes, int64(40000))
}

func TestFullDiskIsRefusedAndEndsByItself(t *testing.T) {
	fs := newMemFS()
	j := open(t, Options{FS: fs, SegmentBytes: 8192})
	put(t, j, text("first"))
	require.Eventually(t, func() bool { return j.Stats().DiskBytes == 2*8192 }, 5*time.Second, time.Millisecond)
	fs.mu.Lock()
	fs.free = 1000
	fs.mu.Unlock()
	var err error
	taken := 0
	for ; taken < 100; taken++ {
		var p Position
		if p, err = j.Append(text(strings.Repeat("f", 900))); err != nil {
			break
		}
		require.NoError(t, j.Wait(t.Context(), p))
	}
	require.ErrorIs(t, err, ErrFull)
	end := j.End()
	require.GreaterOrEqual(t, taken, 8, "what was allocated is used")
	_, err = j.Append(text("small")) // still fits
	require.NoError(t, err)
	require.Greater(t, j.End(), end)
	require.ErrorIs(t, j.Snapshot(t.Context(), j.End(), func(func(Record) error) error { return nil }), ErrFull)
	fs.mu.Lock()
	fs.free = 1 << 40
	fs.mu.Unlock()
	require.Eventually(t, func() bool {
		_, err := j.Append(text(strings.Repeat("f", 900)))
		return err == nil
	}, 5*time.Second, time.Millisecond)
	require.NoError(t, j.Stats().Full)
}

func TestFailedSyncMovesToANewSegment(t *testing.T) {
	fs := newMemFS()
	j := open(t, Options{FS: fs, SegmentBytes: 8192})
	put(t, j, text("a"))
	bad := map[string]bool{segmentName(1): true}
	fs.mu.Lock()
	fs.fail = func(op, name string) error {
		if op == "sync" && bad[name] {
			return errIO
		}
		return nil
	}
	fs.mu.Unlock()
	put(t, j, text("b")) // written again, at the same place, elsewhere
	put(t, j, text("c"))
	got, rec := read(t, j)
	require.Equal(t, []string{"7:a", "7:b", "7:c"}, got)
	require.Empty(t, rec.Lost)
	require.NoError(t, j.Stop(t.Context()))
	j = open(t, Options{FS: fs.cut(func(_ int) int { return 0 }), SegmentBytes: 8192})
	got, rec = read(t, j)
	require.Equal(t, []string{"7:a", "7:b", "7:c"}, got)
	require.Empty(t, rec.Lost)
}

func TestFailedDiskRefusesUntilItWorks(t *testing.T) {
	fs := newMemFS()
	j := open(t, Options{FS: fs, SegmentBytes: 8192})
	put(t, j, text("a"))
	fs.mu.Lock()
	fs.fail = func(op, _ string) error {
		if op == "sync" {
			return errIO
		}
		return nil
	}
	fs.mu.Unlock()
	p, err := j.Append(text("b"))
	require.NoError(t, err)
	require.ErrorIs(t, j.Wait(t.Context(), p), ErrFailed)
	_, err = j.Append(text("refused"))
	require.ErrorIs(t, err, ErrFailed)
	require.Error(t, j.Stats().Failed)
	fs.mu.Lock()
	fs.fail = nil
	fs.mu.Unlock()
	require.Eventually(t, func() bool { return j.Wait(t.Context(), p) == nil }, 5*time.Second, time.Millisecond)
	put(t, j, text("c"))
	got, _ := read(t, j)
	require.Equal(t, []string{"7:a", "7:b", "7:c"}, got)
}

func TestSlowDiskIsBusy(t *testing.T) {
	fs := newMemFS()
	j := open(t, Options{FS: fs, SegmentBytes: 1 << 20, MaxPendingBytes: 10000})
	put(t, j, text("a"))
	hold, held := make(chan struct{}), make(chan struct{}, 100)
	block := &blockFile{hold: hold, held: held}
	j.mu.Lock()
	block.File = j.files.active.file
	j.files.active.file = block
	j.mu.Unlock()
	first, err := j.Append(text("b"))
	require.NoError(t, err)
	<-held // its sync hangs
	var n int
	for err == nil {
		_, err = j.Append(text(strings.Repeat("s", 1000)))
		n++
	}
	require.ErrorIs(t, err, ErrBusy)
	require.InDelta(t, 10, n, 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, j.Wait(ctx, first), context.Canceled)
	require.ErrorIs(t, j.Stop(ctx), context.Canceled)
	close(hold)
	require.NoError(t, j.Wait(t.Context(), j.End()))
	require.NoError(t, j.Stop(t.Context()))
}

type blockFile struct {
	File
	hold chan struct{}
	held chan struct{}
}

func (b *blockFile) Sync() error {
	b.held <- struct{}{}
	<-b.hold
	return b.File.Sync()
}

func TestFirstPositionIsKept(t *testing.T) {
	dir := t.TempDir()
	j := open(t, Options{Dir: dir, FirstPosition: 1_000_000})
	p := put(t, j, text("a"))
	require.Greater(t, p, Position(1_000_000))
	require.NoError(t, j.Stop(t.Context()))
	j = open(t, Options{Dir: dir, FirstPosition: 5_000_000})
	require.Greater(t, put(t, j, text("b")), Position(5_000_000))
	got, rec := read(t, j)
	require.Equal(t, []string{"7:a", "7:b"}, got)
	require.Empty(t, rec.Lost)
}

func TestNewerFormatIsRefused(t *testing.T) {
	dir := t.TempDir()
	j := open(t, Options{Dir: dir})
	put(t, j, text("a"))
	require.NoError(t, j.Stop(t.Context()))
	name := filepath.Join(dir, segmentName(1))
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	for _, at := range []int{0, headerCopy} {
		h := b[at : at+headerSize]
		le.PutUint32(h[8:], formatVersion+1)
		le.PutUint32(h[headerSize-4:], crcOf(h[:headerSize-4]))
	}
	require.NoError(t, os.WriteFile(name, b, 0o600))
	_, err = Open(Options{Dir: dir})
	require.ErrorIs(t, err, ErrNewer)
	require.ErrorContains(t, err, segmentName(1))
}

func TestMetricsOfTwoJournals(t *testing.T) {
	reg := prometheus.NewRegistry()
	j := open(t, Options{Registerer: reg})
	_, err := Open(Options{Dir: t.TempDir(), Registerer: reg})
	require.ErrorContains(t, err, "register")
	put(t, j, text("a"))
	fams, err := reg.Gather()
	require.NoError(t, err)
	require.Greater(t, len(fams), 10)
	require.NoError(t, j.Stop(t.Context()))
	open(t, Options{Registerer: reg})
}

func TestManyAppenders(t *testing.T) {
	j := open(t, Options{SegmentBytes: 64 << 10, KeepBytes: -1, Now: time.Now})
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			for i := range 200 {
				var b [300]byte
				binary.BigEndian.PutUint64(b[:], uint64(c))
				binary.BigEndian.PutUint64(b[8:], uint64(i))
				p, err := j.Append(Record{Data: b[:]}, Record{Kind: 1, Data: b[:16]})
				if err == nil {
					err = j.Wait(context.Background(), p)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	var next [8]uint64
	_, err := j.Replay(func(_ Position, r Record) error {
		c, i := binary.BigEndian.Uint64(r.Data), binary.BigEndian.Uint64(r.Data[8:])
		if r.Kind == 0 && next[c] != i {
			t.Errorf("appender %d: %d instead of %d", c, i, next[c])
		}
		if r.Kind == 1 {
			next[c]++
		}
		return nil
	})
	require.NoError(t, err)
	for _, n := range next {
		require.Equal(t, uint64(200), n)
	}
}
