package journal

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzSegment opens a journal whose only segment holds any bytes: it must start,
// replay something and go on.
func FuzzSegment(f *testing.F) {
	for _, name := range []string{"segment-0000000000000001", "snapshot-000000000000002e"} {
		b, err := os.ReadFile("testdata/version1/" + name)
		require.NoError(f, err)
		f.Add(b, name[1] == 'n')
		f.Add(b[:len(b)-20], name[1] == 'n')
		b = bytes.Clone(b)
		b[len(b)-30] ^= 4
		f.Add(b, name[1] == 'n')
	}
	f.Add([]byte{}, false)
	f.Add(make([]byte, 8192), false)
	f.Fuzz(func(t *testing.T, b []byte, snap bool) {
		if len(b) > 1<<20 {
			return
		}
		fs := newMemFS()
		name := segmentName(1)
		if snap {
			name = snapshotName(46)
		}
		fs.files[name] = &memFile{fs: fs, name: name, cur: b}
		j, err := Open(Options{FS: fs, SegmentBytes: 8192, Now: fastClock()})
		if err != nil {
			require.ErrorIs(t, err, ErrNewer)
			return
		}
		defer j.Stop(context.Background())
		_, err = j.Replay(func(_ Position, r Record) error {
			require.LessOrEqual(t, len(r.Data), MaxRecordBytes)
			return nil
		})
		require.NoError(t, err)
		put(t, j, text("goes on"))
	})
}

// FuzzRecords gives the scanner any bytes behind a good header, where a mark may
// say anything.
func FuzzRecords(f *testing.F) {
	h := header{magic: segmentMagic, number: 1}
	good := appendRecord(appendMark(nil, h.seed(), 0, 0), h.seed(), markBytes, 1, []byte("data"))
	f.Add(good, false)
	f.Add(append(make([]byte, 100), good...), true)
	f.Fuzz(func(t *testing.T, b []byte, last bool) {
		area := make([]byte, headerArea, headerArea+len(b))
		h.put(area)
		s := newScanner(bytes.NewReader(append(area, b...)), h, int64(headerArea+len(b)))
		at, covered := Position(0), Position(0)
		end, err := s.walk(Position(len(b)), last, func(p Position, _ uint8, data []byte) error {
			covered += Position(recordOverhead + len(data))
			require.Greater(t, p, at)
			at = p
			return nil
		}, func(sp span) {
			require.Less(t, sp.from, sp.to)
			covered += sp.to - sp.from
		})
		require.NoError(t, err)
		require.LessOrEqual(t, covered, Position(len(b)))
		if !last {
			require.Equal(t, Position(len(b)), covered, "every byte is a record or named as lost")
		}
		require.LessOrEqual(t, end, Position(len(b)))
	})
}
