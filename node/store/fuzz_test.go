package store

import (
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// sampleDocs are the documents of testdata/version1.
func sampleDocs() []Doc {
	return []Doc{
		{ID: "01J0000000000000000000000A", Start: 1_700_000_000_000, Tokens: []uint64{1, 2, math.MaxUint64}, Data: []byte(`{"name":"DiskFull"}`)},
		{ID: "b", Start: 1_700_000_000_500, End: 1_700_000_060_000, Tokens: []uint64{1}},
		{ID: "c", Start: -5, End: 7, Data: []byte{0, 1, 2}},
	}
}

func sample() (chunk, summary []byte) {
	var b builder
	for _, d := range sampleDocs() {
		b.add(&d)
	}
	chunk = encodeChunk(nil, 7, b.raw(nil))
	m := meta{span: b.times, written: 1_700_000_061_000, bytes: len(chunk), parts: 1, bloom: b.bloom.fold(), starts: packStarts(b.starts)}
	return chunk, encodeMeta(&m)
}

// TestReadsVersion1 reads the bytes that the first version wrote.
func TestReadsVersion1(t *testing.T) {
	if os.Getenv("FENGHUO_WRITE_FIXTURE") != "" {
		c, m := sample()
		require.NoError(t, os.WriteFile("testdata/version1.chunk", c, 0o600))
		require.NoError(t, os.WriteFile("testdata/version1.summary", m, 0o600))
	}
	b, err := os.ReadFile("testdata/version1.chunk")
	require.NoError(t, err)
	c, err := decodeChunk(7, b)
	require.NoError(t, err)
	for i, want := range sampleDocs() {
		got := c.doc(i)
		if len(got.Data) == 0 {
			got.Data = nil
		}
		require.Equal(t, want, got)
	}
	_, err = decodeChunk(8, b)
	require.ErrorIs(t, err, errDamaged, "bytes of another chunk")

	b, err = os.ReadFile("testdata/version1.summary")
	require.NoError(t, err)
	m, ok := decodeMeta(append(b, "what a later version adds"...))
	require.True(t, ok)
	require.Equal(t, span{-5, 1_700_000_000_500, math.MaxInt64, 3}, m.span)
	require.Equal(t, int64(1_700_000_061_000), m.written)
	for _, tok := range []uint64{1, 2, math.MaxUint64} {
		require.True(t, mayHave(m.bloom, tok))
	}
	top, ok := m.maxStart(1_700_000_000_100)
	require.True(t, ok)
	require.Equal(t, int64(1_700_000_000_000), top)
	_, ok = m.maxStart(-6)
	require.False(t, ok)
}

func TestBloomHasWhatWasAdded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var b bloom
		toks := rapid.SliceOfN(rapid.Uint64(), 0, 6000).Draw(rt, "tokens")
		for _, tok := range toks {
			b.add(tok)
		}
		f := b.fold()
		for _, tok := range toks {
			require.True(rt, mayHave(f, tok))
		}
	})
	var b bloom
	for i := range uint64(1000) {
		b.add(i)
	}
	f, wrong := b.fold(), 0
	for i := range uint64(100_000) {
		if mayHave(f, 1_000_000+i) {
			wrong++
		}
	}
	require.Less(t, wrong, 1000, "less than one in a hundred passes wrongly (filter of %d bytes)", len(f))
	require.LessOrEqual(t, len(f), 4096)
}

func FuzzChunk(f *testing.F) {
	c, m := sample()
	f.Add(c, m)
	f.Add(c[:20], m[:10])
	f.Add([]byte{1, 1, 255, 255, 255, 255, 0, 0, 0, 0, 0}, []byte{})
	f.Fuzz(func(t *testing.T, c, m []byte) {
		_, _ = decodeChunk(7, c)
		if len(c) > chunkHeader { // behind a good checksum
			le.PutUint32(c[6:], chunkSum(7, c))
			_, _ = decodeChunk(7, c)
		}
		if k, err := parseChunk(7, c); err == nil {
			for i := range k.ids {
				d := k.doc(i)
				require.LessOrEqual(t, len(d.Data), MaxDocBytes)
				k.hasAll(i, []uint64{1})
			}
		}
		if s, ok := decodeMeta(m); ok {
			mayHave(s.bloom, 5)
			if top, ok := s.maxStart(100); ok {
				_ = fmt.Sprint(top)
			}
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add(cursor{place{5, 6, 7}, 8, 9}.String())
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := parseCursor(s); err == nil {
			again, err := parseCursor(c.String())
			require.NoError(t, err)
			require.Equal(t, c, again)
		}
	})
}
