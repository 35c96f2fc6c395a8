package syslog

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFrame(t *testing.T) {
	r := bufio.NewReaderSize(strings.NewReader("\n\r\n5 hello3 a\nb<1>line\r\n<2>last"), 16)
	var got []string
	for {
		m, err := Frame(r, 64)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		got = append(got, string(m))
	}
	require.Equal(t, []string{"hello", "a\nb", "<1>line", "<2>last"}, got)
	for _, bad := range []string{"5 he", "5", "999 x", "12345678 x", "1x ", strings.Repeat("y", 100)} {
		_, err := Frame(bufio.NewReaderSize(strings.NewReader(bad), 16), 64)
		require.ErrorIs(t, err, ErrFrame, bad)
	}
}

// TestSplitIsLinear would take hours if lines were gathered one by one.
func TestSplitIsLinear(t *testing.T) {
	body := append([]byte("<1>1 x\n"), bytes.Repeat([]byte("y\n"), 2<<20)...)
	got, err := split(body)
	require.NoError(t, err)
	require.Equal(t, []string{string(body)}, got)
	got, err = split([]byte("\n\nfirst\n<1>a\n<x>\n\n<2>b"))
	require.NoError(t, err)
	require.Equal(t, []string{"first\n", "<1>a\n<x>\n\n", "<2>b"}, got)
}

// TestQuotedIsUndone writes values as the RFC says and reads them back.
func TestQuotedIsUndone(t *testing.T) {
	for _, value := range []string{"", `a"b`, `\`, `]`, `\"`, "plain", `c:\dir`, "汉字"} {
		written := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(value)
		got, rest, err := quoted(written + `" x`)
		require.NoError(t, err)
		require.Equal(t, value, got)
		require.Equal(t, " x", rest)
	}
	_, _, err := quoted(`never closed\"`)
	require.ErrorIs(t, err, ErrSyntax)
}

func FuzzParse(f *testing.F) {
	f.Add(`<165>1 2026-11-20T03:15:31.003Z host app 1 ID47 [ex@32473 iut="3" a="\"\]"][b] text`)
	f.Add(`<0>1 - - - - - -`)
	f.Add(`<34>1 2026-11-11T22:14:15Z h a p m [x@1 a="b" text`)
	f.Fuzz(func(t *testing.T, line string) {
		m, err := parse(line, time.UTC)
		if err != nil {
			require.ErrorIs(t, err, ErrSyntax)
			require.Less(t, len(err.Error()), 1024)
			return
		}
		require.LessOrEqual(t, m.facility, 23)
		require.LessOrEqual(t, m.severity, 7)
		require.LessOrEqual(t, len(m.params), maxParams)
	})
}

// FuzzFrame makes sure that a stream is cut the same way however its bytes
// arrive, and that nothing longer than the limit comes out.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("5 hello<1>line\n<2>x"))
	f.Add([]byte("\x00\n99 "))
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole := frames(t, bufio.NewReader(bytes.NewReader(stream)))
		slow := frames(t, bufio.NewReaderSize(io.MultiReader(bytes.NewReader(stream[:len(stream)/2]), bytes.NewReader(stream[len(stream)/2:])), 16))
		require.Equal(t, whole, slow)
	})
}

func frames(t *testing.T, r *bufio.Reader) []string {
	t.Helper()
	const limit = 32
	var out []string
	for {
		m, err := Frame(r, limit)
		if err != nil {
			return out
		}
		require.LessOrEqual(t, len(m), limit+1)
		out = append(out, string(m))
	}
}
