package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/snappy"

	"github.com/fenghuo-mesh/fenghuo/collectors/metadata"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// Handler receives POST /api/v1/write. Make it with New; it is safe for concurrent use.
type Handler struct {
	opts    Options
	limits  limits
	places  chan struct{} // one for each request being decoded
	memory  atomic.Int64  // bytes held by all requests
	book    *metadata.Book
	metrics *metrics
}

// New returns a handler. The error names the field of Options that is wrong.
func New(opts Options) (*Handler, error) {
	o, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Handler{
		opts: o,
		limits: limits{
			maxSeries: o.MaxSeries, maxSamples: o.MaxSamples, maxSymbols: o.MaxSymbols,
			maxLabels: series.MaxLabels, maxName: series.MaxLabelNameBytes, maxValue: series.MaxLabelValueBytes,
		},
		places:  make(chan struct{}, o.MaxConcurrent),
		book:    metadata.NewBook(maxMetadata, o.Now),
		metrics: newMetrics(o.Registerer),
	}, nil
}

// Metadata lists what senders have said of their metrics, sorted by name, at most 5,000 of them.
func (h *Handler) Metadata() []metadata.Metric { return h.book.List() }

// refusal is an answer other than success.
type refusal struct {
	code  int
	after time.Duration // when to come back, 0 if that's no use
	err   error
}

func (r *refusal) Error() string { return r.err.Error() }

func (r *refusal) Unwrap() error { return r.err }

func refuse(code int, format string, args ...any) error {
	return &refusal{code: code, err: fmt.Errorf(format, args...)}
}

func later(code int, after time.Duration, err error) error {
	return &refusal{code: code, after: after, err: err}
}

// errBusy says that too many requests are being received. The answer is 503, as Prometheus gives up at a 429.
var errBusy = errors.New("too many remote write requests at once")

// ServeHTTP answers 204 if everything was stored; 400 if something is wrong with the data, whose good part is stored
// nevertheless unless the message is malformed; 405, 413 and 415 for what can't be received at all; 503 with Retry-After if
// the sender should come back: too many requests, a slow one, or a store that is full. Answers to version 2 say how many
// samples were written.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	version, err := protocol(r)
	var sum tally
	if err == nil {
		sum, err = h.receive(w, r, version)
	}
	h.metrics.count(sum)
	if version == 2 {
		w.Header().Set("X-Prometheus-Remote-Write-Samples-Written", strconv.Itoa(sum.stored.Stored))
		w.Header().Set("X-Prometheus-Remote-Write-Histograms-Written", "0")
		w.Header().Set("X-Prometheus-Remote-Write-Exemplars-Written", "0")
	}
	code := http.StatusNoContent
	if err != nil {
		code = h.fail(w, err)
	} else {
		w.WriteHeader(code)
	}
	h.metrics.requests.WithLabelValues(strconv.Itoa(version), strconv.Itoa(code)).Inc()
}

func (h *Handler) fail(w http.ResponseWriter, err error) int {
	code := http.StatusInternalServerError
	if r, ok := errors.AsType[*refusal](err); ok {
		code = r.code
		if r.after > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(r.after.Seconds())))
		}
		if code == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", http.MethodPost)
		}
	}
	level := slog.LevelDebug
	if code == http.StatusInternalServerError {
		level = slog.LevelWarn
	}
	h.opts.Logger.Log(context.Background(), level, "remote write refused", "code", code, "err", err)
	http.Error(w, err.Error(), code)
	return code
}

// protocol says which version a request is of. Requests without a content type are of version 1, as elsewhere.
func protocol(r *http.Request) (int, error) {
	if r.Method != http.MethodPost {
		return 0, refuse(http.StatusMethodNotAllowed, "method %s is not POST", r.Method)
	}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "snappy" {
		return 0, refuse(http.StatusUnsupportedMediaType, "Content-Encoding %q is not snappy", enc)
	}
	ct := r.Header.Get("Content-Type")
	if ct == "" {
		return 1, nil
	}
	media, params, err := mime.ParseMediaType(ct)
	if err != nil || media != "application/x-protobuf" {
		return 0, refuse(http.StatusUnsupportedMediaType, "Content-Type %q is not application/x-protobuf", ct)
	}
	switch params["proto"] {
	case "", "prometheus.WriteRequest":
		return 1, nil
	case "io.prometheus.write.v2.Request":
		return 2, nil
	}
	return 0, refuse(http.StatusUnsupportedMediaType, "Content-Type: proto %q is neither prometheus.WriteRequest nor io.prometheus.write.v2.Request", params["proto"])
}

// receive reads, decodes and stores one request.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request, version int) (tally, error) {
	var held int64
	defer func() { h.memory.Add(-held) }()
	body, err := h.read(w, r, &held)
	if err != nil {
		return tally{}, err
	}
	leave, err := h.enter(r.Context())
	if err != nil {
		return tally{}, err
	}
	defer leave()
	data, err := h.decompress(body, &held)
	if err != nil {
		return tally{}, err
	}
	var meta []metadata.Metric
	checked := false
	keep := func(md metadata.Metric) {
		if !checked && len(meta) < maxMetadata {
			meta = append(meta, md)
		}
	}
	var m message
	if version == 1 {
		m = &v1{body: data, limits: h.limits, intern: interner{known: map[string]string{}}, meta: keep}
	} else {
		m = &v2{body: data, limits: h.limits, intern: interner{known: map[string]string{}}, meta: keep}
	}
	if err := h.check(m); err != nil {
		return tally{}, err
	}
	checked = true
	for _, md := range meta {
		h.book.Put(md)
	}
	return h.store(r.Context(), m)
}

// hold accounts for memory, or says that there is none.
func (h *Handler) hold(n int64, held *int64) error {
	if h.memory.Add(n) > h.opts.MaxMemoryBytes {
		h.memory.Add(-n)
		return later(http.StatusServiceUnavailable, time.Second, errBusy)
	}
	*held += n
	return nil
}

const chunk = 64 << 10

// read takes the body in pieces, so that memory is held for what was sent, not for what is announced.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, held *int64) ([]byte, error) {
	if r.ContentLength > h.opts.MaxBodyBytes {
		return nil, refuse(http.StatusRequestEntityTooLarge, "body of %d bytes is larger than %d", r.ContentLength, h.opts.MaxBodyBytes)
	}
	// Servers and recorders without deadlines have their own way to end a slow sender.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(h.opts.ReadTimeout))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	var body []byte
	for {
		if len(body) == cap(body) {
			grow := max(chunk, int64(cap(body)))
			if err := h.hold(grow, held); err != nil {
				return nil, err
			}
			body = append(make([]byte, 0, int64(cap(body))+grow), body...)
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if int64(len(body)) > h.opts.MaxBodyBytes {
			return nil, refuse(http.StatusRequestEntityTooLarge, "body is larger than %d bytes", h.opts.MaxBodyBytes)
		}
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return nil, bodyError(err)
		}
	}
}

func bodyError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return refuse(http.StatusRequestEntityTooLarge, "read body: %w", err)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return later(http.StatusServiceUnavailable, time.Second, fmt.Errorf("read body: %w", err))
	}
	return refuse(http.StatusBadRequest, "read body: %w", err)
}

// enter waits for a place.
func (h *Handler) enter(ctx context.Context) (leave func(), err error) {
	timer := time.NewTimer(h.opts.MaxWait)
	defer timer.Stop()
	select {
	case h.places <- struct{}{}:
		return func() { <-h.places }, nil
	case <-timer.C:
		return nil, later(http.StatusServiceUnavailable, time.Second, errBusy)
	case <-ctx.Done():
		return nil, later(http.StatusServiceUnavailable, time.Second, ctx.Err())
	}
}

// maxRatio is how much snappy can shrink: three bytes stand for at most 64.
const maxRatio = 22

// decompress believes the announced length only as far as the body can bear it out.
func (h *Handler) decompress(body []byte, held *int64) ([]byte, error) {
	n, err := snappy.DecodedLen(body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "body is not snappy: %w", err)
	}
	if int64(n) > h.opts.MaxDecodedBytes {
		return nil, refuse(http.StatusRequestEntityTooLarge, "decompressed body of %d bytes is larger than %d", n, h.opts.MaxDecodedBytes)
	}
	if n > maxRatio*len(body)+64 {
		return nil, refuse(http.StatusBadRequest, "body is not snappy: %d bytes can't hold %d", len(body), n)
	}
	if err := h.hold(int64(n), held); err != nil {
		return nil, err
	}
	data, err := snappy.Decode(make([]byte, n), body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "body is not snappy: %w", err)
	}
	return data, nil
}
