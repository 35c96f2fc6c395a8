// Package problem owns what the HTTP faces say when something goes wrong:
// problem documents (RFC 9457), and the one table from errors to status codes.
package problem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ContentType is the media type of a problem document.
const ContentType = "application/problem+json"

// Reasons that callers of the HTTP faces see. The node's parts that answer a
// question wrap one of them; whatever wraps none is a 500.
var (
	// ErrNotFound: there is no such thing.
	ErrNotFound = errors.New("not found")
	// ErrInvalid: the request can't be carried out as it is.
	ErrInvalid = errors.New("invalid request")
	// ErrConflict: it contradicts what is there.
	ErrConflict = errors.New("conflict")
	// ErrTooLarge: the body is larger than allowed.
	ErrTooLarge = errors.New("body too large")
	// ErrMediaType: the body is of a kind or encoding that isn't understood.
	ErrMediaType = errors.New("unsupported media type")
	// ErrUnavailable: not now; asking again later may help.
	ErrUnavailable = errors.New("unavailable")
	// ErrRate: too many requests of one client.
	ErrRate = errors.New("too many requests")
)

// Errorf makes an error of the given kind, one of the above, whose text is only
// what format says: the status already tells the kind.
func Errorf(kind error, format string, args ...any) error {
	return &kindError{kind, fmt.Errorf(format, args...)}
}

type kindError struct{ kind, err error }

func (e *kindError) Error() string   { return e.err.Error() }
func (e *kindError) Unwrap() []error { return []error{e.kind, e.err} }

// Entry maps an error to a status.
type Entry struct {
	Err    error
	Status int
	// Retry is what Retry-After says; 0: nothing.
	Retry time.Duration
}

// Table maps errors to status codes, first match first.
type Table []Entry

// Default is the table for the errors of this package. Whoever knows more
// errors puts its own entries in front.
func Default() Table {
	return Table{
		{Err: ErrNotFound, Status: http.StatusNotFound},
		{Err: ErrInvalid, Status: http.StatusBadRequest},
		{Err: ErrConflict, Status: http.StatusConflict},
		{Err: ErrTooLarge, Status: http.StatusRequestEntityTooLarge},
		{Err: ErrMediaType, Status: http.StatusUnsupportedMediaType},
		{Err: ErrUnavailable, Status: http.StatusServiceUnavailable, Retry: 5 * time.Second},
		{Err: ErrRate, Status: http.StatusTooManyRequests, Retry: time.Second},
		{Err: context.DeadlineExceeded, Status: http.StatusServiceUnavailable, Retry: 5 * time.Second},
		{Err: context.Canceled, Status: http.StatusServiceUnavailable, Retry: time.Second},
	}
}

// Find returns the entry for err; a 500 where the table has none.
func (t Table) Find(err error) Entry {
	for _, e := range t {
		if errors.Is(err, e.Err) {
			return e
		}
	}
	return Entry{Err: err, Status: http.StatusInternalServerError}
}

// Document is a problem document.
type Document struct {
	Type   string `json:"type,omitempty"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// Write answers a request with err as a problem document.
func (t Table) Write(w http.ResponseWriter, err error) {
	e := t.Find(err)
	SetRetry(w.Header(), e.Retry)
	WriteStatus(w, e.Status, err.Error())
}

// SetRetry sets Retry-After, in whole seconds, at least one.
func SetRetry(h http.Header, after time.Duration) {
	if after > 0 {
		h.Set("Retry-After", strconv.Itoa(max(1, int(after/time.Second))))
	}
}

// WriteStatus answers with a status and a text.
func WriteStatus(w http.ResponseWriter, status int, detail string) {
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Del("Content-Length")
	w.WriteHeader(status)
	// A failed write means that nobody listens any more.
	_ = json.NewEncoder(w).Encode(Document{Title: http.StatusText(status), Status: status, Detail: detail})
}

// NotFound answers what a mux has no pattern for: 405 with Allow where the path
// exists under another method, else 404. Register it as "/".
func NotFound(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var allow []string
		probe := *r
		for _, m := range [...]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			probe.Method = m
			if _, pattern := mux.Handler(&probe); m != r.Method && pattern != "" && pattern != "/" {
				allow = append(allow, m)
			}
		}
		if len(allow) > 0 {
			w.Header().Set("Allow", strings.Join(allow, ", "))
			WriteStatus(w, http.StatusMethodNotAllowed, fmt.Sprintf("%.20s is not possible here; %s is", r.Method, strings.Join(allow, ", ")))
			return
		}
		WriteStatus(w, http.StatusNotFound, fmt.Sprintf("there is nothing at %.200s", r.URL.Path))
	})
}
