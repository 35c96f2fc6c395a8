package store

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// bloom is a Bloom filter with four probes a token. It is built at its full
// size and folded when it is written.
type bloom struct {
	words [bloomBytes / 8]uint64
}

const (
	bloomBytes  = 8192 // a power of two
	bloomProbes = 4
)

func (b *bloom) reset() { clear(b.words[:]) }

func (b *bloom) add(t uint64) {
	h := mix(t)
	for range bloomProbes {
		b.words[h%(bloomBytes*8)/64] |= 1 << (h % 64)
		h = h>>16 | h<<48
	}
}

// mix spreads the caller's hash: it may have chosen a weak one.
func mix(t uint64) uint64 {
	t ^= t >> 32
	t *= 0xd6e8feb86659fd93
	t ^= t >> 32
	t *= 0xd6e8feb86659fd93
	return t ^ t>>32
}

// fold halves the filter while at most a quarter of its bits are set: one in 256
// strange tokens then passes.
func (b *bloom) fold() []byte {
	words := append([]uint64(nil), b.words[:]...)
	for len(words) > 1 {
		half := len(words) / 2
		set := 0
		for i := range half {
			set += bits.OnesCount64(words[i] | words[i+half])
		}
		if set*4 > half*64 {
			break
		}
		for i := range half {
			words[i] |= words[i+half]
		}
		words = words[:half]
	}
	out := make([]byte, 0, 8*len(words))
	for _, w := range words {
		out = le.AppendUint64(out, w)
	}
	return out
}

// mayHave asks a folded filter, whose length is a power of two from 8 on.
func mayHave(f []byte, t uint64) bool {
	h := mix(t)
	n := uint64(len(f)) * 8
	for range bloomProbes {
		// Bits of the full filter lie at h mod 65536; folding keeps the low part.
		at := h % n
		if f[at/8]&(1<<(at%8)) == 0 {
			return false
		}
		h = h>>16 | h<<48
	}
	return true
}

// meta is a chunk's summary.
type meta struct {
	span
	written int64 // Unix ms, by this host's clock
	bytes   int   // stored
	parts   int
	bloom   []byte
	starts  []byte // of all documents, ascending: uvarint differences, from minStart on
}

// packStarts makes meta.starts.
func packStarts(starts []int64) []byte {
	s := slices.Clone(starts)
	slices.Sort(s)
	var out []byte
	for i := range s {
		out = binary.AppendUvarint(out, uint64(s[i]-s[max(i-1, 0)]))
	}
	return out
}

// maxStart is the highest start that is at most limit. Without it a few old
// documents in a chunk would make every later page read the chunk again.
func (m *meta) maxStart(limit int64) (int64, bool) {
	if m.span.maxStart <= limit {
		return m.span.maxStart, true
	}
	at, best, found := m.minStart, int64(0), false
	for b := m.starts; len(b) > 0; {
		d, n := binary.Uvarint(b)
		if n <= 0 {
			return m.span.maxStart, true // damaged: what is known for sure
		}
		if at += int64(d); at > limit {
			break
		}
		best, found, b = at, true, b[n:]
	}
	return best, found
}

// encodeMeta is version:u8, then varints minStart maxStart maxEnd written, then
// uvarints docs bytes parts, size of filter, size of
// starts, filter, starts. What follows is skipped: a later
// version may add to it.
func encodeMeta(m *meta) []byte {
	out := make([]byte, 1, 64+len(m.bloom))
	out[0] = formatVersion
	for _, v := range []int64{m.minStart, m.span.maxStart, m.maxEnd, m.written} {
		out = binary.AppendVarint(out, v)
	}
	for _, v := range []int{m.docs, m.bytes, m.parts, len(m.bloom), len(m.starts)} {
		out = binary.AppendUvarint(out, uint64(v))
	}
	return append(append(out, m.bloom...), m.starts...)
}

// decodeMeta reads a summary; its filter is part of b.
func decodeMeta(b []byte) (m meta, ok bool) {
	if len(b) < 1 || b[0] < formatVersion {
		return m, false
	}
	b = b[1:]
	for _, v := range []*int64{&m.minStart, &m.span.maxStart, &m.maxEnd, &m.written} {
		x, n := binary.Varint(b)
		if n <= 0 {
			return m, false
		}
		*v, b = x, b[n:]
	}
	var size, starts int
	for _, v := range []*int{&m.docs, &m.bytes, &m.parts, &size, &starts} {
		x, n := binary.Uvarint(b)
		if n <= 0 || x > maxRawBytes*2 {
			return m, false
		}
		*v, b = int(x), b[n:]
	}
	if size < 8 || size > bloomBytes || size&(size-1) != 0 || size > len(b) || starts > len(b)-size || m.parts > maxRawBytes/partBytes+2 {
		return m, false
	}
	m.bloom, m.starts = b[:size:size], b[size:size+starts:size+starts]
	return m, true
}
