package prom

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// flushAt is how much of an answer is gathered before it is sent on.
const flushAt = 32 << 10

// gzipFrom is the size of an answer below which compressing it costs more than it saves.
const gzipFrom = 1 << 10

// stream writes one JSON answer. It buffers up to flushAt, so that a long result never lies in memory as text.
// After a failed write it swallows the rest.
type stream struct {
	w      http.ResponseWriter
	buf    []byte
	zip    *gzip.Writer
	gzip   bool
	begun  bool // the header is sent
	status int
	err    error
}

func (s *stream) reset(w http.ResponseWriter, gzip bool) {
	*s = stream{w: w, buf: s.buf[:0], zip: s.zip, gzip: gzip, status: http.StatusOK}
}

// release drops what must not outlive the request.
func (s *stream) release() { s.w, s.buf = nil, s.buf[:0] }

// success writes the envelope of a good answer.
func (s *stream) success(a answer) {
	s.raw(`{"status":"success","data":`)
	a.data(s)
	if len(a.warnings) > 0 {
		s.raw(`,"warnings":`)
		s.strings(a.warnings)
	}
	if len(a.infos) > 0 {
		s.raw(`,"infos":`)
		s.strings(a.infos)
	}
	s.raw(`}`)
}

// failure writes the envelope of an error.
func (s *stream) failure(e *apiError) {
	s.status = e.status()
	s.raw(`{"status":"error","errorType":"`)
	s.raw(e.kind)
	s.raw(`","error":`)
	s.str(e.err.Error())
	s.raw(`}`)
}

// begin sends the header; final says that the buffer holds the whole answer.
func (s *stream) begin(final bool) {
	s.begun = true
	h := s.w.Header()
	h.Set("Content-Type", "application/json")
	h.Add("Vary", "Accept-Encoding")
	if final && len(s.buf) < gzipFrom {
		s.gzip = false
	}
	switch {
	case s.gzip:
		h.Set("Content-Encoding", "gzip")
		h.Del("Content-Length")
		if s.zip == nil {
			// The level keeps no window between writes, so a writer costs next to no memory.
			s.zip, s.err = gzip.NewWriterLevel(s.w, gzip.StatelessCompression)
		} else {
			s.zip.Reset(s.w)
		}
	case final:
		h.Set("Content-Length", strconv.Itoa(len(s.buf)))
	}
	s.w.WriteHeader(s.status)
}

func (s *stream) flush(final bool) {
	if s.err == nil && !s.begun {
		s.begin(final)
	}
	if s.err == nil && len(s.buf) > 0 {
		if s.gzip {
			_, s.err = s.zip.Write(s.buf)
		} else {
			_, s.err = s.w.Write(s.buf)
		}
	}
	s.buf = s.buf[:0]
}

// finish sends the rest and returns the first error of writing.
func (s *stream) finish() error {
	s.flush(true)
	if s.gzip && s.err == nil {
		s.err = s.zip.Close()
	}
	return s.err
}

func (s *stream) raw(text string) {
	s.buf = append(s.buf, text...)
	if len(s.buf) >= flushAt {
		s.flush(false)
	}
}

func (s *stream) strings(v []string) {
	s.raw(`[`)
	for i, e := range v {
		if i > 0 {
			s.raw(`,`)
		}
		s.str(e)
	}
	s.raw(`]`)
}

// str writes a JSON string. Invalid UTF-8 becomes U+FFFD.
func (s *stream) str(v string) {
	s.buf = label.AppendQuoted(s.buf, v)
	if len(s.buf) >= flushAt {
		s.flush(false)
	}
}

func (s *stream) int(v int64) { s.buf = strconv.AppendInt(s.buf, v, 10) }

// seconds writes a duration as a number of seconds.
func (s *stream) seconds(d time.Duration) { s.number(d.Seconds()) }

// number writes a finite number as encoding/json does.
func (s *stream) number(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		s.raw(`0`)
		return
	}
	s.buf = appendFloat(s.buf, f)
}

// appendFloat writes a float in Prometheus's form: exponents only outside 1e-6 to 1e21.
func appendFloat(b []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, f, format, -1, 64)
}

// appendMillis writes Unix milliseconds as seconds with up to three decimals.
func appendMillis(b []byte, t int64) []byte {
	u := uint64(t)
	if t < 0 {
		b = append(b, '-')
		u = -u
	}
	b = strconv.AppendUint(b, u/1000, 10)
	if frac := u % 1000; frac != 0 {
		b = append(b, '.', byte('0'+frac/100), byte('0'+frac/10%10), byte('0'+frac%10))
	}
	return b
}

// point writes [time, "value"].
func (s *stream) point(t int64, v float64) {
	s.buf = append(s.buf, '[')
	s.buf = appendMillis(s.buf, t)
	s.buf = append(s.buf, ',', '"')
	s.buf = appendFloat(s.buf, v)
	s.raw(`"]`)
}

func (s *stream) labels(ls series.Labels) {
	s.raw(`{`)
	first := true
	ls.Range(func(l series.Label) {
		if !first {
			s.raw(`,`)
		}
		first = false
		s.str(l.Name)
		s.raw(`:`)
		s.str(l.Value)
	})
	s.raw(`}`)
}

// mapping writes a map in the order of its keys.
func (s *stream) mapping(m map[string]string) {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	s.raw(`{`)
	for i, k := range keys {
		if i > 0 {
			s.raw(`,`)
		}
		s.str(k)
		s.raw(`:`)
		s.str(m[k])
	}
	s.raw(`}`)
}

func (s *stream) time(t time.Time) {
	s.buf = append(s.buf, '"')
	s.buf = t.UTC().AppendFormat(s.buf, time.RFC3339Nano)
	s.raw(`"`)
}

// field writes a key and its colon, with a comma unless it is the first.
func (s *stream) field(name string, first bool) {
	if !first {
		s.raw(`,`)
	}
	s.raw(`"`)
	s.raw(name)
	s.raw(`":`)
}

// acceptsGzip says whether the caller takes gzip. A q of 0 means no.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, params, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q := strings.TrimPrefix(strings.ReplaceAll(params, " ", ""), "q=")
			f, err := strconv.ParseFloat(q, 64)
			return err != nil || f > 0
		}
	}
	return false
}
