package label

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrEncoding: bytes that should be an encoded set are not.
var ErrEncoding = errors.New("malformed label set")

// Encoded returns the set's binary form, version 1: for each label, sorted by
// name, the name and the value, each preceded by its length as a varint. It
// shares the set's memory.
func (s Set) Encoded() string { return s.enc }

// Decode reads and fully checks what Encoded wrote.
func Decode(enc string) (Set, error) {
	if len(enc) > maxStoredBytes {
		return Set{}, fmt.Errorf("%w: %d bytes", ErrEncoding, len(enc))
	}
	if enc == "" {
		return Set{}, nil
	}
	prev, h := "", uint64(fnvOffset)
	for rest := enc; rest != ""; {
		var n, v string
		var ok bool
		if n, rest, ok = readText(rest); !ok {
			return Set{}, ErrEncoding
		}
		if v, rest, ok = readText(rest); !ok {
			return Set{}, ErrEncoding
		}
		if n <= prev || v == "" || !utf8.ValidString(n) || !utf8.ValidString(v) {
			return Set{}, fmt.Errorf("%w at %.40q", ErrEncoding, n)
		}
		prev, h = n, addText(addText(h, n), v)
	}
	return Set{enc, Fingerprint(h)}, nil
}

// MarshalJSON writes an object, sorted by name.
func (s Set) MarshalJSON() ([]byte, error) { return s.AppendJSON(nil), nil }

// UnmarshalJSON reads an object of strings.
func (s *Set) UnmarshalJSON(b []byte) error {
	var m map[string]string
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	var err error
	*s, err = FromMap(m)
	return err
}

// AppendJSON appends the set as a JSON object to b.
func (s Set) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	first := true
	for n, v := range s.All() {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = AppendQuoted(b, n)
		b = append(b, ':')
		b = AppendQuoted(b, v)
	}
	return append(b, '}')
}

// AppendQuoted appends s as a JSON string (RFC 8259). Bytes that aren't UTF-8
// become U+FFFD; nothing else but quotes, backslashes and control characters
// is escaped.
func AppendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}
