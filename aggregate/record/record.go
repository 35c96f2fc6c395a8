// Package record owns the stored form of our nouns: a version byte, then
// fields of (tag, value). An odd tag carries a varint, an even tag a length and
// that many bytes, so a reader steps over tags it doesn't know. Absent fields
// are zero. Each noun keeps its own tags and never uses one again.
package record

import (
	"encoding/binary"
	"errors"
)

var (
	// ErrVersion: the bytes are of a version that this program can't read.
	ErrVersion = errors.New("unknown version")
	// ErrTruncated: a field ends before its tag says, or a number has no end.
	ErrTruncated = errors.New("truncated")
)

// AppendInt appends a number with an odd tag to b, and nothing if it is 0.
func AppendInt(b []byte, tag int, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(tag))
	return binary.AppendUvarint(b, v)
}

// AppendText appends bytes with an even tag to b, and nothing if there are none.
func AppendText[B string | []byte](b []byte, tag int, text B) []byte {
	if len(text) == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(tag))
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// Read calls number for each field with an odd tag and text for each with an
// even one, in the order in which they stand in b, and ends at the first error.
// Both must pass over tags they don't know. The text shares b's memory. Errors
// are ErrVersion, ErrTruncated and those of text.
func Read[B string | []byte](b B, version byte, number func(tag, v uint64), text func(tag uint64, v B) error) error {
	if len(b) == 0 || b[0] != version {
		return ErrVersion
	}
	for b = b[1:]; len(b) > 0; {
		tag, n := uvarint(b)
		v, m := uvarint(b[n:])
		if n == 0 || m == 0 {
			return ErrTruncated
		}
		b = b[n+m:]
		if tag%2 == 1 {
			number(tag, v)
			continue
		}
		if v > uint64(len(b)) {
			return ErrTruncated
		}
		if err := text(tag, b[:v]); err != nil {
			return err
		}
		b = b[v:]
	}
	return nil
}

// uvarint is binary.Uvarint for strings, too; n is 0 for what is no number.
func uvarint[B string | []byte](b B) (v uint64, n int) {
	for i := 0; i < len(b) && i < binary.MaxVarintLen64; i++ {
		c := b[i]
		if c >= 0x80 {
			v |= uint64(c&0x7f) << (7 * i)
			continue
		}
		if i == binary.MaxVarintLen64-1 && c > 1 { // more than 64 bits
			break
		}
		return v | uint64(c)<<(7*i), i + 1
	}
	return 0, 0
}
