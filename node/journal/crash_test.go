package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// world runs lives of one journal and keeps what must be true of it: records are
// numbered 1, 2, 3... and a snapshot is the number it stands for.
type world struct {
	t     *rapid.T
	fs    *memFS
	j     *Journal
	next  uint64   // number of the next record
	acked uint64   // Wait returned nil for it
	at    Position // of record next-1
}

func numbered(n uint64, size int) Record {
	b := make([]byte, 8+size)
	binary.BigEndian.PutUint64(b, n)
	for i := range b[8:] {
		b[8+i] = byte(n) + byte(i)
	}
	return Record{Kind: 1, Data: b}
}

func (w *world) start() {
	var err error
	w.j, err = Open(Options{FS: w.fs, SegmentBytes: 12 << 10, MaxBytes: 1 << 30, KeepBytes: 20 << 10, Now: fastClock()})
	if err != nil {
		w.t.Fatalf("open: %v", err)
	}
	have := uint64(0)
	rec, err := w.j.Replay(func(p Position, r Record) error {
		n := binary.BigEndian.Uint64(r.Data)
		switch {
		case r.Kind == 2 && have == 0:
			have = n
		case r.Kind == 1 && n == have+1:
			have = n
			w.at = p
			if want := numbered(n, len(r.Data)-8); string(want.Data) != string(r.Data) {
				return fmt.Errorf("record %d is not what was appended", n)
			}
		case r.Kind == 1 && n <= have: // a snapshot may contain later records
		default:
			return fmt.Errorf("kind %d number %d behind %d", r.Kind, n, have)
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("replay: %v (acknowledged %d) %+v", err, w.acked, rec)
	}
	if have < w.acked || have >= w.next {
		w.t.Fatalf("replayed up to %d, acknowledged %d, appended %d: %+v", have, w.acked, w.next-1, rec)
	}
	if len(rec.Lost) > 0 {
		w.t.Fatalf("nothing was damaged, yet lost: %v", rec.Lost)
	}
	w.next, w.acked = have+1, have
}

func (w *world) append(records int, size int) bool {
	recs := make([]Record, records)
	for i := range recs {
		recs[i] = numbered(w.next+uint64(i), size)
	}
	end := w.j.End()
	p, err := w.j.Append(recs...)
	if err != nil {
		if w.j.End() != end {
			w.t.Fatalf("a refused batch moved the end")
		}
		return false
	}
	w.at = p
	w.next += uint64(records)
	return true
}

func (w *world) wait() {
	last := w.next - 1
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := w.j.Wait(ctx, w.j.End())
	if errors.Is(err, context.DeadlineExceeded) {
		w.t.Fatalf("wait hangs")
	}
	if err == nil {
		w.acked = last
	}
}

func (w *world) snapshot() {
	at, n := w.j.End(), w.next-1
	_ = w.j.Snapshot(context.Background(), at, func(emit func(Record) error) error {
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], n)
		return emit(Record{Kind: 2, Data: b[:]})
	})
}

func (w *world) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := w.j.Stop(ctx); errors.Is(err, context.DeadlineExceeded) {
		w.t.Fatalf("stop hangs")
	}
}

// faults makes the disk fail: some operations by kind, or everything from the
// n-th call on, as when the power goes.
func (w *world) faults(kind string, after int) {
	w.fs.mu.Lock()
	defer w.fs.mu.Unlock()
	n := 0
	w.fs.fail = func(op, _ string) error {
		n++
		switch {
		case kind == "off" && n > after:
			return errCrashed
		case kind == "eio" && op == "sync" && n > after && n%3 != 0:
			return errIO
		case kind == "eio forever" && (op == "sync" || op == "write") && n > after:
			return errIO
		case kind == "full" && (op == "create" || op == "resize" || op == "write") && n > after:
			return errNoSpc
		}
		return nil
	}
}

func TestNothingAcknowledgedIsEverLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{t: rt, fs: newMemFS(), next: 1}
		w.start()
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "pick") }
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{
				"append", "append", "append", "append", "wait", "wait", "wait", "snapshot", "fault", "heal", "kill", "cut", "restart",
			}).Draw(rt, "step") {
			case "append":
				w.append(rapid.IntRange(1, 6).Draw(rt, "records"), rapid.IntRange(0, 1200).Draw(rt, "size"))
			case "wait":
				w.wait()
			case "snapshot":
				w.snapshot()
			case "fault":
				w.faults(rapid.SampledFrom([]string{"off", "eio", "eio forever", "full"}).Draw(rt, "fault"), pick(30))
			case "heal":
				w.faults("", 0)
			case "kill":
				w.fs.mu.Lock()
				w.fs.off = true
				w.fs.mu.Unlock()
				w.stop()
				w.fs = w.fs.killed()
				w.start()
			case "cut":
				w.fs.mu.Lock()
				w.fs.off = true
				w.fs.mu.Unlock()
				w.stop()
				w.fs = w.fs.cut(pick)
				w.start()
			case "restart":
				w.stop()
				w.fs = w.fs.killed()
				w.start()
			}
		}
		w.stop()
		w.fs = w.fs.cut(pick)
		w.start()
		w.stop()
	})
}

// TestTornAtEveryByte cuts the power after every byte of a write.
func TestTornAtEveryByte(t *testing.T) {
	for cut := 0; ; cut += 7 {
		fs := newMemFS()
		j := open(t, Options{FS: fs, SegmentBytes: 12 << 10})
		put(t, j, text("acknowledged"))
		require.Eventually(t, func() bool { return j.Stats().DiskBytes == 2*12<<10 }, 5*time.Second, 100*time.Microsecond)
		fs.mu.Lock()
		length := 0
		fs.fail = func(op, _ string) error {
			if op == "sync" {
				return errCrashed
			}
			return nil
		}
		fs.mu.Unlock()
		_, err := j.Append(text("one"), text(strings.Repeat("two", 50)), text("three"))
		require.NoError(t, err)
		_ = j.Stop(t.Context())
		after := fs.cut(func(n int) int {
			switch n {
			case 4:
				return 2 // a part
			case 1:
				return 0
			}
			length = n - 1
			return min(cut, n-1)
		})
		j = open(t, Options{FS: after, SegmentBytes: 12 << 10})
		got, rec := read(t, j)
		all := []string{"7:acknowledged", "7:one", "7:" + strings.Repeat("two", 50), "7:three"}
		require.Equal(t, all[:len(got)], got)
		require.NotEmpty(t, got)
		require.Empty(t, rec.Lost)
		put(t, j, text("new"))
		got2, _ := read(t, j)
		require.Equal(t, append(got, "7:new"), got2)
		if cut > length {
			require.Len(t, got, 4)
			break
		}
	}
}

// TestBitFlips damages one bit of a log that was stopped properly: whatever
// isn't replayed must be named as lost.
func TestBitFlips(t *testing.T) {
	fs := newMemFS()
	o := Options{FS: fs, SegmentBytes: 12 << 10, KeepBytes: -1, Now: fastClock()}
	j := open(t, o)
	ends := map[string][2]Position{} // payload -> begin, end
	var order []string
	for i := range 60 {
		s := fmt.Sprint(i, strings.Repeat("r", i*9))
		p := put(t, j, text(s))
		ends["7:"+s] = [2]Position{p - Position(recordOverhead+len(s)), p}
		order = append(order, "7:"+s)
	}
	require.NoError(t, j.Stop(t.Context()))
	rapid.Check(t, func(rt *rapid.T) {
		fs2 := fs.killed()
		var names []string
		for i := uint64(1); fs2.files[segmentName(i)] != nil; i++ {
			names = append(names, segmentName(i))
		}
		f := fs2.files[rapid.SampledFrom(names).Draw(rt, "file")]
		at := rapid.IntRange(0, len(f.cur)-1).Draw(rt, "at")
		f.cur[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		o := o
		o.FS = fs2
		j, err := Open(o)
		if errors.Is(err, ErrNewer) {
			return
		}
		require.NoError(rt, err)
		defer j.Stop(context.Background())
		got, rec := read(t, j)
		have := map[string]bool{}
		for i, s := range got {
			have[s] = true
			require.True(rt, i == 0 || ends[got[i-1]][1] < ends[s][1], "order")
		}
		missing := 0
		for _, s := range order {
			if have[s] {
				continue
			}
			missing++
			named := false
			for _, l := range rec.Lost {
				named = named || l.From < ends[s][1] && ends[s][0] < l.To
			}
			require.True(rt, named, "%.20s is gone and not named: %v", s, rec)
		}
		require.LessOrEqual(rt, missing, 1, "one bit takes one record")
	})
}

func TestLostSegmentIsNamed(t *testing.T) {
	for _, how := range []string{"removed", "zeroed", "header", "first removed", "truncated"} {
		t.Run(how, func(t *testing.T) {
			fs := newMemFS()
			o := Options{FS: fs, SegmentBytes: 12 << 10, Now: fastClock()}
			j := open(t, o)
			for i := range 30 {
				put(t, j, text(fmt.Sprint(i, strings.Repeat("r", 1000))))
			}
			require.NoError(t, j.Stop(t.Context()))
			f := fs.files[segmentName(2)]
			switch how {
			case "removed":
				delete(fs.files, segmentName(2))
			case "first removed":
				delete(fs.files, segmentName(1))
			case "zeroed":
				clear(f.cur)
			case "header":
				clear(f.cur[:100])
				clear(f.cur[headerCopy : headerCopy+100])
			case "truncated":
				f.cur = f.cur[:6000]
			}
			o.FS = fs.killed()
			j = open(t, o)
			got, rec := read(t, j)
			require.NotEmpty(t, rec.Lost)
			require.Less(t, len(got), 30)
			require.Greater(t, len(got), 15)
			require.Equal(t, "7:29"+strings.Repeat("r", 1000), got[len(got)-1])
			put(t, j, text("on"))
		})
	}
}

// TestLostHeaderOfTheLastSegment: zeros where the header of the only segment
// was are not taken for a file that was never used. It is named and kept.
func TestLostHeaderOfTheLastSegment(t *testing.T) {
	fs := newMemFS()
	j := open(t, Options{FS: fs})
	for i := range 5 {
		put(t, j, text(fmt.Sprint(i)))
	}
	require.NoError(t, j.Stop(t.Context()))
	clear(fs.files[segmentName(1)].cur[:headerArea])
	fs = fs.killed()
	j = open(t, Options{FS: fs})
	got, rec := read(t, j)
	require.Empty(t, got)
	require.Len(t, rec.Lost, 1)
	require.Equal(t, segmentName(1), rec.Lost[0].File)
	require.Contains(t, fs.files, segmentName(1))
	put(t, j, text("on"))
	require.NoError(t, j.Stop(t.Context()))
	got, _ = read(t, open(t, Options{FS: fs}))
	require.Equal(t, []string{"7:on"}, got)
}

// TestReadsVersion1 reads the bytes that the first version wrote.
func TestReadsVersion1(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/version1")))
	j := open(t, Options{Dir: dir, SegmentBytes: 8192})
	got, rec := read(t, j)
	require.Equal(t, []string{"3:state one", "3:state two", "1:third", "2:", "250:fifth"}, got)
	require.Empty(t, rec.Lost)
	require.Equal(t, 2, rec.SnapshotRecords)
	var all []string
	_, err := j.ReplayFrom(0, func(_ Position, r Record) error { all = append(all, string(r.Data)); return nil })
	require.NoError(t, err)
	require.Equal(t, []string{"first", "second", "third", "", "fifth"}, all)
}

// writeVersion1 made testdata/version1; formats are never changed, only added to.
func writeVersion1(t *testing.T, dir string) {
	j := open(t, Options{Dir: dir, SegmentBytes: 8192})
	put(t, j, Record{1, []byte("first")})
	at := put(t, j, Record{1, []byte("second")})
	put(t, j, Record{1, []byte("third")}, Record{2, nil})
	put(t, j, Record{250, []byte("fifth")})
	require.NoError(t, j.Snapshot(t.Context(), at, func(emit func(Record) error) error {
		return errors.Join(emit(Record{3, []byte("state one")}), emit(Record{3, []byte("state two")}))
	}))
	require.NoError(t, j.Stop(t.Context()))
	require.NoError(t, os.Remove(dir+"/"+segmentName(2)))
}

func TestWriteVersion1(t *testing.T) {
	if os.Getenv("FENGHUO_WRITE_FIXTURE") != "" {
		writeVersion1(t, "testdata/version1")
	}
	dir := t.TempDir()
	writeVersion1(t, dir)
	for _, name := range []string{segmentName(1), snapshotName(46)} {
		now, err := os.ReadFile(dir + "/" + name)
		require.NoError(t, err)
		then, err := os.ReadFile("testdata/version1/" + name)
		require.NoError(t, err)
		require.Len(t, now, len(then))
	}
}
