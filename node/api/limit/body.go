// Package limit owns what bounds a request: the size of its body also when it
// comes compressed, how many may run at once and how long, and how often one
// client may ask, and for how much.
package limit

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/fenghuo-mesh/fenghuo/node/api/problem"
)

// Limits of a request's body. A compressed body is bounded twice, so that a
// small one that unpacks into a huge one is refused before it does.
const (
	MaxWireBytes = 5 << 20  // as it comes, compressed
	MaxBodyBytes = 20 << 20 // as it is read, unpacked
)

// keepBuffer is the largest buffer that is kept for the next request.
const keepBuffer = 1 << 20

// Bodies reads request bodies into reused buffers. The zero Bodies is ready;
// it is safe for concurrent use.
type Bodies struct {
	buffers sync.Pool // *bytes.Buffer
	zips    sync.Pool // *gzip.Reader
}

// Read reads the whole body, unpacks it, and calls use with the bytes, which
// are gone when use returns. Errors of reading wrap problem.ErrTooLarge,
// ErrMediaType or ErrInvalid; errors of use are returned as they are.
func (b *Bodies) Read(r *http.Request, use func(body []byte) error) error {
	buf, _ := b.buffers.Get().(*bytes.Buffer)
	if buf == nil {
		buf = new(bytes.Buffer)
	}
	defer func() {
		if buf.Cap() <= keepBuffer {
			buf.Reset()
			b.buffers.Put(buf)
		}
	}()
	if err := b.read(r, buf); err != nil {
		return err
	}
	return use(buf.Bytes())
}

func (b *Bodies) read(r *http.Request, buf *bytes.Buffer) error {
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	switch encoding {
	case "", "identity":
		if r.ContentLength > MaxBodyBytes {
			return problem.Errorf(problem.ErrTooLarge, "%d bytes, at most %d", r.ContentLength, MaxBodyBytes)
		}
		if n := r.ContentLength; n > 0 {
			// What a header claims is believed only so far; the rest must come.
			buf.Grow(int(min(n+bytes.MinRead, keepBuffer)))
		}
		return fill(buf, r.Body, "bytes")
	case "gzip", "x-gzip":
	default:
		return problem.Errorf(problem.ErrMediaType, "Content-Encoding %.40q; gzip and identity are understood", encoding)
	}
	if r.ContentLength > MaxWireBytes {
		return problem.Errorf(problem.ErrTooLarge, "%d bytes compressed, at most %d", r.ContentLength, MaxWireBytes)
	}
	wire := &wireReader{r: r.Body, left: MaxWireBytes}
	zip, err := b.unzip(wire)
	if err != nil {
		return problem.Errorf(problem.ErrInvalid, "gzip: %w", err)
	}
	defer b.zips.Put(zip)
	err = fill(buf, zip, "bytes unpacked")
	switch {
	case errors.Is(err, errWire):
		return problem.Errorf(problem.ErrTooLarge, "more than %d bytes compressed", MaxWireBytes)
	case err != nil && !errors.Is(err, problem.ErrTooLarge):
		return problem.Errorf(problem.ErrInvalid, "gzip: %w", err)
	}
	return err
}

func (b *Bodies) unzip(r io.Reader) (*gzip.Reader, error) {
	if zip, _ := b.zips.Get().(*gzip.Reader); zip != nil {
		return zip, zip.Reset(r)
	}
	return gzip.NewReader(r)
}

// fill reads all of r, and one byte more than may come, to know.
func fill(buf *bytes.Buffer, r io.Reader, unit string) error {
	n, err := buf.ReadFrom(io.LimitReader(r, MaxBodyBytes+1))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return problem.Errorf(problem.ErrTooLarge, "more than %d bytes", tooLarge.Limit)
	case err != nil:
		return problem.Errorf(problem.ErrInvalid, "reading the body: %w", err)
	case n > MaxBodyBytes:
		return problem.Errorf(problem.ErrTooLarge, "more than %d %s", MaxBodyBytes, unit)
	}
	return nil
}

// errWire: more compressed bytes than may come.
var errWire = errors.New("too many compressed bytes")

// wireReader fails once more than left bytes have come.
type wireReader struct {
	r    io.Reader
	left int
}

func (w *wireReader) Read(p []byte) (int, error) {
	if w.left <= 0 {
		return 0, errWire
	}
	n, err := w.r.Read(p[:min(len(p), w.left)])
	w.left -= n
	return n, err
}
