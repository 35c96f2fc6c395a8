package limit

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
)

func TestGate(t *testing.T) {
	g := NewGate(1)
	leave, ok := g.Enter("GET")
	require.True(t, ok)
	_, ok = g.Enter("HEAD")
	require.False(t, ok)
	_, ok = g.Enter("POST")
	require.True(t, ok)
	leave()
	_, ok = g.Enter("GET")
	require.True(t, ok)
	require.Equal(t, 1, g.Size())
}

// TestClientsAreBounded: the client that was quiet longest is forgotten, one
// that asks isn't.
func TestClientsAreBounded(t *testing.T) {
	now := time.Unix(0, 0)
	c := NewClients(1e-9, 1)
	require.True(t, c.Allow("10.0.0.1:1", now))
	require.False(t, c.Allow("10.0.0.1:2", now), "one address, whatever the port")
	for i := range maxClients {
		if !c.Allow(fmt.Sprintf("[2001:db8::%x]:1", i+1), now) {
			t.Fatal("a new client is refused")
		}
		if i%1000 == 0 {
			require.False(t, c.Allow("10.0.0.1:3", now))
		}
	}
	require.Len(t, c.byIP, maxClients)
	require.False(t, c.Allow("10.0.0.1:3", now))
	require.True(t, c.Allow("[2001:db8::1]:1", now), "forgotten, so it is new")
	require.True(t, c.Allow("not an address", now))
}

func zipped(t testing.TB, b []byte) []byte { return zippedAt(t, gzip.BestSpeed, b) }

func zippedAt(t testing.TB, level int, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, level)
	require.NoError(t, err)
	_, err = z.Write(b)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return out.Bytes()
}

// endless is a body without end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}

func TestBodies(t *testing.T) {
	var b Bodies
	read := func(body io.Reader, encoding string) (string, error) {
		r := httptest.NewRequest("POST", "/", body)
		r.Header.Set("Content-Encoding", encoding)
		var got string
		err := b.Read(r, func(body []byte) error {
			got = string(body)
			return nil
		})
		return got, err
	}
	for range 3 { // buffers are reused
		got, err := read(strings.NewReader("plain"), "")
		require.NoError(t, err)
		require.Equal(t, "plain", got)
		got, err = read(bytes.NewReader(zipped(t, []byte("packed"))), "GZIP")
		require.NoError(t, err)
		require.Equal(t, "packed", got)
	}
	got, err := read(bytes.NewReader(append(zipped(t, []byte("one")), zipped(t, []byte("two"))...)), "gzip")
	require.NoError(t, err)
	require.Equal(t, "onetwo", got)

	e := &endless{}
	_, err = read(e, "")
	require.ErrorIs(t, err, problem.ErrTooLarge)
	require.Less(t, e.read, 2*MaxBodyBytes)
	_, err = read(bytes.NewReader(zipped(t, make([]byte, MaxBodyBytes+1))), "gzip")
	require.ErrorIs(t, err, problem.ErrTooLarge)
	_, err = read(bytes.NewReader(zipped(t, make([]byte, MaxBodyBytes))), "gzip")
	require.NoError(t, err)
	r := httptest.NewRequest("POST", "/", strings.NewReader("x"))
	r.Header.Set("Content-Encoding", "gzip")
	r.ContentLength = MaxWireBytes + 1
	require.ErrorIs(t, b.Read(r, nil), problem.ErrTooLarge)
	// Bytes that don't shrink, without a length in front.
	_, err = read(io.MultiReader(bytes.NewReader(zippedAt(t, gzip.NoCompression, make([]byte, MaxWireBytes+1)))), "gzip")
	require.ErrorIs(t, err, problem.ErrTooLarge)
	for _, bad := range []string{"", "x", string(zipped(t, []byte("cut off"))[:15])} {
		_, err = read(strings.NewReader(bad), "gzip")
		require.ErrorIs(t, err, problem.ErrInvalid, "%q", bad)
	}
	_, err = read(strings.NewReader(""), "br")
	require.ErrorIs(t, err, problem.ErrMediaType)
	own := errors.New("own")
	require.ErrorIs(t, b.Read(httptest.NewRequest("POST", "/", nil), func([]byte) error { return own }), own)
}

func FuzzBodies(f *testing.F) {
	f.Add([]byte("x"), "gzip")
	f.Add(zipped(f, []byte("hello")), "gzip")
	f.Add([]byte("x"), "")
	var b Bodies
	f.Fuzz(func(t *testing.T, body []byte, encoding string) {
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		r.Header.Set("Content-Encoding", encoding)
		err := b.Read(r, func(got []byte) error {
			if encoding == "" && !bytes.Equal(got, body) {
				t.Fatalf("%q became %q", body, got)
			}
			return nil
		})
		if err != nil && problem.Default().Find(err).Status >= 500 {
			t.Fatal(err)
		}
	})
}
