// Package draft owns what decoders share when they turn a sender's words into
// the alert model: an alert in the making, texts in their bounds, and times as
// the world writes them.
package draft

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/collectors/intake"
)

// Bounds of texts. A longer text is cut, since the alert matters more than its
// last line; the same text is always cut the same. A label beyond the model's
// bounds refuses the alert, and a dedupe key is hashed.
const (
	maxSummary    = 4 << 10
	maxAnnotation = 4 << 10
	maxPairs      = 48       // annotations a draft keeps
	maxIdentity   = 60       // labels a draft keeps
	maxValue      = 1 << 10  // of a volatile label
	maxNotes      = 60 << 10 // of all annotations together
)

// Draft is an alert in the making. Values that mean "nothing" (empty, null,
// *UNKNOWN*, unfilled macros) may be handed in; they are dropped.
type Draft struct {
	// Extra is what the sender said. DedupeKey is the sender's key in full.
	Extra alert.Extra
	// Priority overrules the one that the severity's word has.
	Priority *alert.Priority
	// StartsAt and EndsAt as told; zero where not.
	StartsAt, EndsAt time.Time
	// Resolved says that the problem has ended.
	Resolved bool
	// Bare says that nothing but the key was told.
	Bare bool

	labels, annotations []label.Pair
	volatile            []string
	notes               int // bytes of annotations
}

// Label adds a label that is the same for the problem's begin and end. The
// first value of a name stays.
func (d *Draft) Label(name, value string) {
	if !alert.Absent(value) && name != "" && !has(d.labels, name) && len(d.labels) < maxIdentity {
		d.labels = append(d.labels, label.Pair{Name: name, Value: value})
	}
}

// Labels adds pairs of name and value.
func (d *Draft) Labels(pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		d.Label(pairs[i], pairs[i+1])
	}
}

// Annotation adds a text that describes the alert and may change. What there
// is no room for is left out.
func (d *Draft) Annotation(name, value string) {
	if alert.Absent(value) || name == "" || len(name) > label.MaxNameBytes || has(d.annotations, name) {
		return
	}
	value = Cut(value, maxAnnotation)
	size := d.notes + len(name) + len(value)
	if len(d.annotations) < maxPairs && size <= maxNotes {
		d.annotations, d.notes = append(d.annotations, label.Pair{Name: name, Value: value}), size
	}
}

// Volatile adds what the sender calls a label but what changes while the
// problem lasts: it becomes an annotation.
func (d *Draft) Volatile(name, value string) {
	if has(d.labels, name) {
		return
	}
	before := len(d.annotations)
	d.Annotation(name, value)
	if len(d.annotations) > before && len(value) <= maxValue {
		d.volatile = append(d.volatile, name)
	}
}

// Get returns a label of the draft, or "".
func (d *Draft) Get(name string) string {
	for _, p := range d.labels {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

func has(pairs []label.Pair, name string) bool {
	for _, p := range pairs {
		if p.Name == name {
			return true
		}
	}
	return false
}

// Event finishes the draft. An error means that the labels break the model's
// bounds.
func (d *Draft) Event() (intake.Event, error) {
	e := &d.Extra
	e.DedupeKey = Key(e.DedupeKey)
	for _, f := range []*string{&e.Name, &e.Service, &e.Resource, &e.ErrorCode, &e.Summary, &e.Description, &e.ExternalID, &e.ExternalURL} {
		if alert.Absent(*f) {
			*f = ""
		}
	}
	for _, f := range []*string{&e.Name, &e.Service, &e.Resource, &e.ErrorCode, &e.SeverityRaw, &e.ExternalID} {
		*f = Cut(*f, alert.MaxIDBytes)
	}
	name := e.Name
	if name == "" {
		name = e.DedupeKey
	}
	d.labels = append(d.labels, label.Pair{})
	copy(d.labels[1:], d.labels)
	d.labels[0] = label.Pair{Name: label.AlertName, Value: name}
	d.dropTwin()
	set, err := label.New(d.labels)
	if err != nil {
		return intake.Event{}, err
	}
	notes, err := label.NewAnnotations(d.annotations)
	if err != nil {
		return intake.Event{}, err
	}
	e.Summary, e.Description = Cut(e.Summary, maxSummary), Cut(e.Description, alert.MaxTextBytes)
	if len(e.ExternalURL) > alert.MaxURLBytes {
		e.ExternalURL = "" // cut it would lead nowhere
	}
	a := &alert.Alert{
		Labels: set, Annotations: notes, GeneratorURL: e.ExternalURL, Extra: e,
		StartsAt: alert.At(d.StartsAt), EndsAt: alert.At(d.EndsAt), Priority: alert.PriorityOf(e.SeverityRaw),
	}
	if d.Priority != nil {
		a.Priority = *d.Priority
	}
	if !d.Resolved {
		a.EndsAt = 0
	}
	return intake.Event{Alert: a, Resolved: d.Resolved, Bare: d.Bare, Volatile: d.volatile}, nil
}

// dropTwin removes a second alertname, which a sender's own label may be.
func (d *Draft) dropTwin() {
	for i := 1; i < len(d.labels); i++ {
		if d.labels[i].Name == label.AlertName {
			d.labels = append(d.labels[:i], d.labels[i+1:]...)
			return
		}
	}
}

// Key shortens a dedupe key that is too long to keep: its begin and a hash of
// the whole.
func Key(k string) string {
	const keep = 512
	if len(k) <= alert.MaxIDBytes {
		return k
	}
	sum := sha256.Sum256([]byte(k))
	return strings.ToValidUTF8(k[:keep], "") + "~" + hex.EncodeToString(sum[:])
}

// Cut shortens a text to n bytes at most, at the border of a character, with
// an ellipsis.
func Cut(s string, n int) string {
	const ellipsis = "…"
	if len(s) <= n {
		return s
	}
	n -= len(ellipsis)
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + ellipsis
}

// First returns the first of the values that says something.
func First(values ...string) string {
	for _, v := range values {
		if !alert.Absent(v) {
			return v
		}
	}
	return ""
}
