package notice

import (
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

func sample() Told {
	return Told{
		ID: "n1-2s", State: Delivered, Tenant: "default", Receiver: "team", Integration: "team/webhook/0", RouteKey: `{}/{a="b"}`,
		GroupLabels: label.FromStrings("alertname", "x"), At: epoch.Add(time.Second), Repeat: 4 * time.Hour, Reason: NewAlerts,
		Err: "no route to host", Attempts: 3, Settles: []string{"n0-1", "n0-2"},
		Episodes: []Episode{
			{Fingerprint: 1, Onset: epoch, At: 1767571200, Begun: 1},
			{Fingerprint: 1, Onset: epoch + 1, At: 1767571201, Begun: 2, Suspended: 1, Ended: 2, Claimed: 2},
			{Fingerprint: 1<<64 - 1, Onset: epoch - 7, At: 1767571000, Begun: 200, Suspended: 100, Ended: 3, Claimed: 201},
		},
	}
}

// TestFixture reads the bytes this version wrote when it was new.
func TestFixture(t *testing.T) {
	const path = "testdata/told.v1.hex"
	s := sample()
	enc, err := s.AppendBinary(nil)
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(hex.EncodeToString(enc)+"\n"), 0o644))
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	want, err := hex.DecodeString(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	require.Equal(t, want, enc)
	var got Told
	require.NoError(t, got.UnmarshalBinary(want))
	require.Equal(t, s, got)
	// Fields of a later version are stepped over.
	require.NoError(t, got.UnmarshalBinary(append(slices.Clone(want), 0xfe, 0x01, 2, 'x', 'y', 0xff, 0x01, 7)))
	require.Equal(t, s, got)
	for i := range want {
		if err := got.UnmarshalBinary(want[:i]); err == nil {
			require.Empty(t, got.Episodes, "only the last field may be cut off whole")
		}
	}
	for _, bad := range []Told{{}, {State: Claimed, Tenant: "t", Receiver: "r", Integration: "i"}, {State: 9, Tenant: "t", Receiver: "r", Integration: "i"}} {
		enc, _ := bad.AppendBinary(nil)
		require.ErrorIs(t, got.UnmarshalBinary(enc), ErrEncoding)
	}
	require.ErrorIs(t, got.UnmarshalBinary([]byte{2}), ErrEncoding)
}

func TestLongError(t *testing.T) {
	s := sample()
	s.Err = strings.Repeat("错", 400) + "\xff"
	enc, err := s.AppendBinary(nil)
	require.NoError(t, err)
	var got Told
	require.NoError(t, got.UnmarshalBinary(enc))
	require.LessOrEqual(t, len(got.Err), MaxErrBytes)
	require.True(t, strings.HasPrefix(s.Err, got.Err))
	s.Err = "a\xffb"
	enc, _ = s.AppendBinary(nil)
	require.NoError(t, got.UnmarshalBinary(enc))
	require.Equal(t, "a\uFFFDb", got.Err)
}

func FuzzUnmarshal(f *testing.F) {
	s := sample()
	enc, err := s.AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(enc)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Told
		if s.UnmarshalBinary(b) != nil {
			return
		}
		enc, err := s.AppendBinary(nil)
		require.NoError(t, err)
		var again Told
		require.NoError(t, again.UnmarshalBinary(enc))
		s.Err, again.Err = "", ""
		require.Equal(t, s, again)
		p := New(Options{IDPrefix: "f"})
		p.Load(s)
		p.Load(s)
		for r := range p.Records() {
			p.Load(r)
		}
		p.Collect(epoch)
		p.Collect(1 << 62)
	})
}

// TestLogMerge: merging is a union: in any order and number of times it gives
// the same, as a map of episodes does.
func TestLogMerge(t *testing.T) {
	episode := rapid.Custom(func(t *rapid.T) Episode {
		return Episode{
			Fingerprint: label.Fingerprint(rapid.IntRange(0, 5).Draw(t, "fp")), Onset: alert.Time(rapid.IntRange(1, 3).Draw(t, "onset")),
			At: uint32(rapid.IntRange(0, 9).Draw(t, "at")), Begun: uint8(rapid.IntRange(0, 3).Draw(t, "begun")),
			Ended: uint8(rapid.IntRange(0, 3).Draw(t, "ended")),
		}
	})
	batch := rapid.Custom(func(t *rapid.T) []Episode {
		eps := rapid.SliceOfNDistinct(episode, 0, 8, func(e Episode) [2]int64 { return [2]int64{int64(e.Fingerprint), int64(e.Onset)} }).Draw(t, "batch")
		return sorted(eps)
	})
	rapid.Check(t, func(t *rapid.T) {
		batches := rapid.SliceOfN(batch, 1, 5).Draw(t, "batches")
		type key struct {
			fp    label.Fingerprint
			onset alert.Time
		}
		model := map[key]Episode{}
		var a, b log
		for _, eps := range batches {
			a.merge(eps)
			for _, e := range eps {
				m, ok := model[key{e.Fingerprint, e.Onset}]
				if !ok {
					m = e
				}
				m.merge(e)
				model[key{e.Fingerprint, e.Onset}] = m
			}
		}
		for _, eps := range slices.Backward(batches) {
			b.merge(eps)
			b.merge(eps)
		}
		require.Equal(t, a.eps, b.eps)
		require.True(t, slices.IsSortedFunc(a.eps, compareEpisodes))
		require.Len(t, a.eps, len(model))
		for _, e := range a.eps {
			require.Equal(t, model[key{e.Fingerprint, e.Onset}], e)
		}
	})
}
