package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/s2"
)

// Bounds of a chunk and of a document.
const (
	maxChunkDocs  = 256
	maxChunkBytes = 128 << 10 // from here on a chunk is closed
	partBytes     = 128 << 10 // of one badger value: larger ones would go to its value log

	// MaxDocBytes bounds Data, MaxIDBytes the ID, MaxTokens the tokens of a Doc.
	MaxDocBytes = 4 << 20
	MaxIDBytes  = 4 << 10
	MaxTokens   = 4096

	// maxRawBytes bounds what a stored chunk may claim to decompress to.
	maxRawBytes = maxChunkBytes + MaxDocBytes + MaxIDBytes + 8*MaxTokens + 64*maxChunkDocs
)

const formatVersion = 1

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian

	errDamaged = errors.New("store: damaged chunk")
)

// Doc is one version of an alert. Times are Unix milliseconds.
type Doc struct {
	ID     string   // 1 to MaxIDBytes bytes
	Start  int64    // when it began; the same in all versions
	End    int64    // when it ended; 0: it is open
	Tokens []uint64 // hashes the caller may search by, at most MaxTokens
	Data   []byte   // at most MaxDocBytes
}

func (d *Doc) check() error {
	switch {
	case d.ID == "" || len(d.ID) > MaxIDBytes:
		return fmt.Errorf("store: ID: %d bytes, allowed are 1 to %d", len(d.ID), MaxIDBytes)
	case len(d.Tokens) > MaxTokens:
		return fmt.Errorf("store: Tokens: %d, allowed are %d", len(d.Tokens), MaxTokens)
	case len(d.Data) > MaxDocBytes:
		return fmt.Errorf("store: Data: %d bytes, allowed are %d", len(d.Data), MaxDocBytes)
	}
	return nil
}

// builder gathers the documents of the next chunk by column, so that like
// stands beside like and compresses well.
type builder struct {
	index, ids, toks, data []byte
	hashes                 []uint64 // of IDs, in order of documents
	starts                 []int64
	bloom                  bloom
	times                  span

	scratch, stored []byte // of the chunk written last, to be used again
}

// span is the times of a chunk.
type span struct {
	minStart, maxStart, maxEnd int64
	docs                       int
}

func (b *builder) size() int  { return len(b.ids) + len(b.toks) + len(b.data) }
func (b *builder) full() bool { return b.times.docs >= maxChunkDocs || b.size() >= maxChunkBytes }

func (b *builder) reset() {
	b.index, b.ids, b.toks, b.data, b.hashes = b.index[:0], b.ids[:0], b.toks[:0], b.data[:0], b.hashes[:0]
	b.starts = b.starts[:0]
	if cap(b.data)+cap(b.scratch) > 8*maxChunkBytes { // there was a very large document
		b.data, b.scratch, b.stored = nil, nil, nil
	}
	b.bloom.reset()
	b.times = span{}
}

func (b *builder) add(d *Doc) {
	b.index = binary.AppendVarint(b.index, d.Start)
	b.index = binary.AppendVarint(b.index, d.End)
	b.index = binary.AppendUvarint(b.index, uint64(len(d.ID)))
	b.index = binary.AppendUvarint(b.index, uint64(len(d.Tokens)))
	b.index = binary.AppendUvarint(b.index, uint64(len(d.Data)))
	b.ids = append(b.ids, d.ID...)
	for _, t := range d.Tokens {
		b.toks = le.AppendUint64(b.toks, t)
		b.bloom.add(t)
	}
	b.data = append(b.data, d.Data...)
	b.hashes = append(b.hashes, hashID(d.ID))
	b.starts = append(b.starts, d.Start)
	end := d.End
	if end == 0 {
		end = math.MaxInt64
	}
	t := &b.times
	if t.docs == 0 {
		t.minStart, t.maxStart, t.maxEnd = d.Start, d.Start, end
	}
	t.minStart, t.maxStart, t.maxEnd = min(t.minStart, d.Start), max(t.maxStart, d.Start), max(t.maxEnd, end)
	t.docs++
}

// raw appends the chunk before compression to out.
func (b *builder) raw(out []byte) []byte {
	out = slices.Grow(out, 10+len(b.index)+b.size())
	out = binary.AppendUvarint(out, uint64(b.times.docs))
	out = append(out, b.index...)
	out = append(out, b.ids...)
	out = append(out, b.toks...)
	return append(out, b.data...)
}

func hashID(id string) uint64 { return xxhash.Sum64String(id) }

// sortedHashes is the value of the i key.
func sortedHashes(hashes []uint64) []byte {
	s := slices.Clone(hashes)
	slices.Sort(s)
	out := make([]byte, 1, 1+8*len(s))
	out[0] = formatVersion
	for _, h := range s {
		out = le.AppendUint64(out, h)
	}
	return out
}

// chunkHeader is version:u8 compression:u8 raw:u32 crc:u32; crc covers seq,
// what stands before it and the payload. Compression 1 is S2.
const chunkHeader = 10

func encodeChunk(out []byte, seq uint64, raw []byte) []byte {
	out = slices.Grow(out[:0], chunkHeader+s2.MaxEncodedLen(len(raw)))[:chunkHeader]
	out[0], out[1] = formatVersion, 1
	le.PutUint32(out[2:], uint32(len(raw)))
	out = out[:chunkHeader+len(s2.Encode(out[chunkHeader:cap(out)], raw))]
	le.PutUint32(out[6:], chunkSum(seq, out))
	return out
}

func chunkSum(seq uint64, b []byte) uint32 {
	var s [8]byte
	le.PutUint64(s[:], seq)
	c := crc32.Update(crc32.Checksum(s[:], castagnoli), castagnoli, b[:6])
	return crc32.Update(c, castagnoli, b[chunkHeader:])
}

// decodeChunk returns the documents of a stored chunk. Their slices share one
// allocation.
func decodeChunk(seq uint64, b []byte) (*chunk, error) {
	if len(b) < chunkHeader || b[0] != formatVersion || b[1] != 1 || le.Uint32(b[6:]) != chunkSum(seq, b) {
		return nil, errDamaged
	}
	size := int(le.Uint32(b[2:]))
	if n, err := s2.DecodedLen(b[chunkHeader:]); err != nil || n != size || n > maxRawBytes {
		return nil, errDamaged
	}
	raw, err := s2.Decode(make([]byte, size), b[chunkHeader:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return parseChunk(seq, raw)
}

// chunk is a decoded chunk.
type chunk struct {
	seq    uint64
	starts []int64
	ends   []int64
	ids    [][]byte
	toks   [][]byte
	data   [][]byte
}

func parseChunk(seq uint64, raw []byte) (*chunk, error) {
	count, n := binary.Uvarint(raw)
	if n <= 0 || count > maxChunkDocs {
		return nil, errDamaged
	}
	c := &chunk{
		seq: seq, starts: make([]int64, count), ends: make([]int64, count),
		ids: make([][]byte, count), toks: make([][]byte, count), data: make([][]byte, count),
	}
	rest := raw[n:]
	sizes := make([][3]int, count)
	for i := range sizes {
		for _, v := range []*int64{&c.starts[i], &c.ends[i]} {
			x, n := binary.Varint(rest)
			if n <= 0 {
				return nil, errDamaged
			}
			*v, rest = x, rest[n:]
		}
		for k, limit := range []uint64{MaxIDBytes, MaxTokens, MaxDocBytes} {
			x, n := binary.Uvarint(rest)
			if n <= 0 || x > limit {
				return nil, errDamaged
			}
			sizes[i][k], rest = int(x), rest[n:]
		}
		sizes[i][1] *= 8
	}
	for k, col := range [][][]byte{c.ids, c.toks, c.data} {
		for i := range sizes {
			n := sizes[i][k]
			if n > len(rest) {
				return nil, errDamaged
			}
			col[i], rest = rest[:n:n], rest[n:]
		}
	}
	if len(rest) > 0 {
		return nil, errDamaged
	}
	return c, nil
}

// hasAll says whether document i has every token.
func (c *chunk) hasAll(i int, all []uint64) bool {
	t := c.toks[i]
next:
	for _, want := range all {
		for k := 0; k < len(t); k += 8 {
			if le.Uint64(t[k:]) == want {
				continue next
			}
		}
		return false
	}
	return true
}

// newest says whether no later document of the chunk has i's ID.
func (c *chunk) newest(i int) bool {
	for k := i + 1; k < len(c.ids); k++ {
		if string(c.ids[k]) == string(c.ids[i]) {
			return false
		}
	}
	return true
}

// cut leaves only the first n documents.
func (c *chunk) cut(n int) {
	if n < len(c.ids) {
		c.starts, c.ends, c.ids, c.toks, c.data = c.starts[:n], c.ends[:n], c.ids[:n], c.toks[:n], c.data[:n]
	}
}

// hashes are those of the IDs, sorted.
func (c *chunk) hashes() []uint64 {
	h := make([]uint64, len(c.ids))
	for i, id := range c.ids {
		h[i] = xxhash.Sum64(id)
	}
	slices.Sort(h)
	return h
}

func (c *chunk) doc(i int) Doc {
	d := Doc{ID: string(c.ids[i]), Start: c.starts[i], End: c.ends[i], Data: c.data[i]}
	if t := c.toks[i]; len(t) > 0 {
		d.Tokens = make([]uint64, len(t)/8)
		for k := range d.Tokens {
			d.Tokens[k] = le.Uint64(t[8*k:])
		}
	}
	return d
}
