package label

import (
	"fmt"
	"strconv"
)

// Fingerprint identifies a label set: FNV-1a 64 over the sorted
// `name 0xff value 0xff`, as prometheus/common's LabelSet.Fingerprint. It
// isn't collision-proof against a hostile sender: whoever keys by it compares
// the sets too.
type Fingerprint uint64

// FNV-1a, 64 bit (http://www.isthe.com/chongo/tech/comp/fnv/).
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
	separator = 0xff

	wordPrime = 0x9e3779b97f4a7c15 // odd, without a pattern
)

// Fingerprint is the set's fingerprint.
func (s Set) Fingerprint() Fingerprint {
	if s.enc == "" {
		return fnvOffset
	}
	return s.fp
}

// FingerprintWithout is the fingerprint of the set less the labels that drop
// says, without building that set.
func (s Set) FingerprintWithout(drop func(name string) bool) Fingerprint {
	h := uint64(fnvOffset)
	for n, v := range s.All() {
		if !drop(n) {
			h = addText(addText(h, n), v)
		}
	}
	return Fingerprint(h)
}

// HashPair hashes one label: the token by which indexes and filters find it. It
// takes eight bytes at a time, since every label of every alert is hashed. The
// history keeps tokens on disk, so the function is part of its format.
func HashPair(name, value string) uint64 {
	h := addWords(addWords(fnvOffset, name), value)
	return h ^ h>>29
}

func addWords(h uint64, s string) uint64 {
	n := uint64(len(s))
	for len(s) >= 8 {
		h = (h ^ (uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56)) * wordPrime
		h ^= h >> 32
		s = s[8:]
	}
	tail := n << 56
	for i := range len(s) {
		tail |= uint64(s[i]) << (8 * i)
	}
	h = (h ^ tail) * wordPrime
	return h ^ h>>32
}

func addText(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return (h ^ separator) * fnvPrime
}

// String is 16 hexadecimal digits, as Alertmanager prints it.
func (f Fingerprint) String() string { return string(f.Append(nil)) }

// Append appends the 16 digits to b.
func (f Fingerprint) Append(b []byte) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[f>>shift&15])
	}
	return b
}

// ParseFingerprint reads what String wrote.
func ParseFingerprint(s string) (Fingerprint, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil || len(s) != 16 {
		return 0, fmt.Errorf("fingerprint %.40q: not 16 hexadecimal digits", s)
	}
	return Fingerprint(n), nil
}

// MarshalText implements encoding.TextMarshaler.
func (f Fingerprint) MarshalText() ([]byte, error) { return f.Append(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *Fingerprint) UnmarshalText(b []byte) (err error) {
	*f, err = ParseFingerprint(string(b))
	return err
}
