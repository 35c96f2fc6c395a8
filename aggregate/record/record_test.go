package record

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// field is one field as a reader sees it.
type field struct {
	tag, number uint64
	text        string
}

func read[B string | []byte](b B) (got []field, err error) {
	err = Read(b, 1,
		func(tag, v uint64) { got = append(got, field{tag: tag, number: v}) },
		func(tag uint64, v B) error {
			got = append(got, field{tag: tag, text: string(v)})
			return nil
		})
	return got, err
}

func TestRoundTrip(t *testing.T) {
	long := strings.Repeat("长", 100)
	b := AppendText([]byte{1}, 2, "a")
	b = AppendText(b, 4, "")
	b = AppendInt(b, 1, 0)
	b = AppendInt(b, 201, 1<<64-1)
	b = AppendText(b, 200, []byte(long))
	b = AppendText(b, 2, "again")
	require.Equal(t, []byte{1, 2, 1, 'a', 0xc9, 1, 0xff}, b[:7], "the bytes of version 1")
	want := []field{{tag: 2, text: "a"}, {tag: 201, number: 1<<64 - 1}, {tag: 200, text: long}, {tag: 2, text: "again"}}
	got, err := read(b)
	require.NoError(t, err)
	require.Equal(t, want, got)
	got, err = read(string(b))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestMalformed(t *testing.T) {
	for text, want := range map[string]error{
		"":              ErrVersion,
		"\x02":          ErrVersion,
		"\x01\x01":      ErrTruncated,
		"\x01\x81":      ErrTruncated,
		"\x01\x01\x80":  ErrTruncated,
		"\x01\x02\x02":  ErrTruncated,
		"\x01\x02\x02a": ErrTruncated,
		"\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01":     ErrTruncated, // longer than any memory
		"\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02":     ErrTruncated, // more than 64 bits
		"\x01\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01": ErrTruncated,
	} {
		_, err := read(text)
		require.ErrorIs(t, err, want, "%q", text)
	}
	stop := errors.New("stop")
	err := Read("\x01\x02\x00\x02\x00", 1, nil, func(uint64, string) error { return stop })
	require.Equal(t, stop, err)
}

// FuzzRead: no bytes make Read fail otherwise than by its errors, both kinds of
// bytes read alike, and numbers are those of encoding/binary.
func FuzzRead(f *testing.F) {
	f.Add([]byte{1, 2, 1, 'a', 0xc9, 1, 0xff, 0xff, 1})
	f.Add([]byte{1, 2, 5})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := read(b)
		same, sameErr := read(string(b))
		require.Equal(t, got, same)
		require.Equal(t, err, sameErr)
		if err != nil && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrTruncated) {
			t.Fatal(err)
		}
		v, n := uvarint(b)
		want, size := binary.Uvarint(b)
		require.Equal(t, max(size, 0), n)
		if n > 0 {
			require.Equal(t, want, v)
		}
		if err != nil {
			return
		}
		// What is written again reads the same, but for fields that are zero.
		enc := []byte{1}
		var full []field
		for _, f := range got {
			if f.tag%2 == 1 {
				enc = AppendInt(enc, int(f.tag), f.number)
			} else {
				enc = AppendText(enc, int(f.tag), f.text)
			}
			if f.number != 0 || f.text != "" {
				full = append(full, f)
			}
		}
		again, err := read(enc)
		require.NoError(t, err)
		require.Equal(t, full, again)
	})
}
