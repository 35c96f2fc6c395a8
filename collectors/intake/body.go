package intake

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// Default bounds of a request's body.
const (
	// DefaultMaxBody is how large a body may come, compressed or not.
	DefaultMaxBody = 5 << 20
	// DefaultMaxUnpacked is how large a compressed body may become.
	DefaultMaxUnpacked = 20 << 20
	// maxRatio is how much a body may grow when unpacked, once it is larger
	// than freeUnpacked. JSON of equal alerts reaches about 60.
	maxRatio     = 200
	freeUnpacked = 1 << 20
	// small bodies may be in memory in any number; of larger ones only
	// Options.MaxLarge at once.
	smallBody = 256 << 10
	// largeWait is how long a large body waits for its turn.
	largeWait = 5 * time.Second
)

// errBodyTooLarge: the body is larger than allowed.
var errBodyTooLarge = errors.New("body too large")

// errEncoding: the compressed body is broken.
var errEncoding = errors.New("malformed encoding")

// gate lets a few large bodies at once.
type gate chan struct{}

// slot is one request's hold on the gate.
type slot struct {
	g    gate
	held bool
}

// take waits for a turn. It is a no-op for who has one.
func (s *slot) take(ctx context.Context) error {
	if s.held {
		return nil
	}
	timer := time.NewTimer(largeWait)
	defer timer.Stop()
	select {
	case s.g <- struct{}{}:
		s.held = true
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	case <-timer.C:
		return fmt.Errorf("%w: %d large bodies at once", ErrBusy, cap(s.g))
	}
}

func (s *slot) free() {
	if s.held {
		<-s.g
		s.held = false
	}
}

// readBody reads a body as it comes, at most limit bytes.
func readBody(ctx context.Context, r *http.Request, limit int64, s *slot) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", errBodyTooLarge, r.ContentLength, limit)
	}
	var buf bytes.Buffer
	if err := fill(ctx, &buf, r.Body, limit, s); err != nil {
		if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, fmt.Errorf("%w: at most %d bytes", errBodyTooLarge, tooLarge.Limit)
		}
		return nil, err
	}
	return buf.Bytes(), nil
}

// fill reads r to its end; what is more than small needs a slot.
func fill(ctx context.Context, buf *bytes.Buffer, r io.Reader, limit int64, s *slot) error {
	n, err := buf.ReadFrom(io.LimitReader(r, min(smallBody, limit+1)))
	if err == nil && n == smallBody {
		if err := s.take(ctx); err != nil {
			return err
		}
		var more int64
		more, err = buf.ReadFrom(io.LimitReader(r, limit+1-n))
		n += more
	}
	switch {
	case err != nil:
		return fmt.Errorf("reading the body: %w", err)
	case n > limit:
		return fmt.Errorf("%w: more than %d bytes", errBodyTooLarge, limit)
	}
	return nil
}

// unpack undoes Content-Encoding.
func unpack(ctx context.Context, encoding string, body []byte, limit int64, s *slot) ([]byte, error) {
	var z io.Reader
	var err error
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		z, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate":
		if z, err = zlib.NewReader(bytes.NewReader(body)); err != nil {
			z, err = flate.NewReader(bytes.NewReader(body)), nil // as some senders read the RFC
		}
	default:
		return nil, fmt.Errorf("%w: Content-Encoding %.40q; gzip, deflate and identity are understood", ErrMediaType, encoding)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", encoding, errEncoding, err)
	}
	most := min(limit, max(freeUnpacked, maxRatio*int64(len(body))))
	var buf bytes.Buffer
	if err := fill(ctx, &buf, z, most, s); err != nil {
		if errors.Is(err, errBodyTooLarge) || errors.Is(err, ErrBusy) {
			return nil, fmt.Errorf("unpacked: %w", err)
		}
		return nil, fmt.Errorf("%s: %w: %w", encoding, errEncoding, err)
	}
	return buf.Bytes(), nil
}

// media checks that a body's type can be what sources send, and its character
// set UTF-8.
func media(contentType string) error {
	if strings.TrimSpace(contentType) == "" {
		return nil
	}
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil && kind == "" {
		return fmt.Errorf("%w: Content-Type %.64q is malformed", ErrMediaType, contentType)
	}
	switch cs := strings.ToLower(params["charset"]); cs {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
	default:
		return fmt.Errorf("%w: charset %.32q; send UTF-8", ErrMediaType, cs)
	}
	switch {
	case strings.HasSuffix(kind, "+json"):
		return nil
	case kind == "application/json", kind == "text/json", kind == "text/plain", kind == "application/x-www-form-urlencoded", kind == "application/octet-stream":
		return nil
	}
	return fmt.Errorf("%w: Content-Type %.64q", ErrMediaType, kind)
}
