package am

import (
	"net/http"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// flushBytes is how much of an answer is gathered before it is written.
const flushBytes = 32 << 10

// writer streams an answer through a reused buffer.
type writer struct {
	w   http.ResponseWriter
	buf []byte
	err error
}

// flush writes what is gathered once it is worth it, or in any case.
func (w *writer) flush(anyway bool) {
	if w.err == nil && (anyway || len(w.buf) >= flushBytes) {
		_, w.err = w.w.Write(w.buf)
		w.buf = w.buf[:0]
	}
}

// stream answers 200 with what write appends.
func (a *API) stream(w http.ResponseWriter, write func(*writer)) {
	buf, _ := a.buffers.Get().(*[]byte)
	if buf == nil {
		b := make([]byte, 0, flushBytes+4<<10)
		buf = &b
	}
	header(w)
	out := &writer{w: w, buf: (*buf)[:0]}
	write(out)
	out.flush(true)
	if cap(out.buf) <= 4*flushBytes {
		*buf = out.buf
		a.buffers.Put(buf)
	}
}

func header(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

// appendAlert writes one alert with its fields in upstream's order.
func appendAlert(b []byte, v *View, fp label.Fingerprint, groupMutedBy []string) []byte {
	a := v.Alert
	b = append(b, `{"annotations":`...)
	b = a.Annotations.AppendJSON(b)
	b = append(b, `,"endsAt":"`...)
	b = appendTime(b, a.EndsAt)
	b = append(b, `","fingerprint":"`...)
	b = fp.Append(b)
	b = append(b, `","receivers":[`...)
	for i, name := range v.Receivers {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":`...)
		b = label.AppendQuoted(b, name)
		b = append(b, '}')
	}
	b = append(b, `],"startsAt":"`...)
	b = appendTime(b, a.StartsAt)
	b = append(b, `","status":{"inhibitedBy":`...)
	b = appendTexts(b, v.InhibitedBy)
	b = append(b, `,"mutedBy":`...)
	b = appendTexts(b, groupMutedBy)
	b = append(b, `,"silencedBy":`...)
	b = appendTexts(b, v.SilencedBy)
	if len(v.SilencedBy)+len(v.InhibitedBy)+len(groupMutedBy) > 0 {
		b = append(b, `,"state":"suppressed"},"updatedAt":"`...)
	} else {
		b = append(b, `,"state":"active"},"updatedAt":"`...)
	}
	b = appendTime(b, a.UpdatedAt)
	b = append(b, '"')
	if a.GeneratorURL != "" {
		b = append(b, `,"generatorURL":`...)
		b = label.AppendQuoted(b, a.GeneratorURL)
	}
	b = append(b, `,"labels":`...)
	b = a.Labels.AppendJSON(b)
	return append(b, '}')
}

func appendTexts(b []byte, texts []string) []byte {
	b = append(b, '[')
	for i, t := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = label.AppendQuoted(b, t)
	}
	return append(b, ']')
}

// appendTime writes a time as Alertmanager does: UTC here, milliseconds
// always. An unset one is the zero time.
func appendTime(b []byte, t alert.Time) []byte {
	if t == 0 {
		return append(b, "0001-01-01T00:00:00.000Z"...)
	}
	std := t.Std()
	year, month, day := std.Date()
	hour, minute, second := std.Clock()
	b = appendDigits(b, year, 1000)
	b = appendDigits(append(b, '-'), int(month), 10)
	b = appendDigits(append(b, '-'), day, 10)
	b = appendDigits(append(b, 'T'), hour, 10)
	b = appendDigits(append(b, ':'), minute, 10)
	b = appendDigits(append(b, ':'), second, 10)
	b = appendDigits(append(b, '.'), std.Nanosecond()/1e6, 100)
	return append(b, 'Z')
}

// appendDigits writes n with as many digits as top has.
func appendDigits(b []byte, n, top int) []byte {
	for ; top > 0; top /= 10 {
		b = append(b, byte('0'+n/top%10))
	}
	return b
}
