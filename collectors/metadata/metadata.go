// Package metadata owns what is known of metrics beside their samples: type,
// help and unit, in the words of Prometheus's metadata API.
package metadata

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// Unknown is the type of a metric of which nobody has said one.
	Unknown = "unknown"
	// MaxHelpBytes bounds a help text.
	MaxHelpBytes = 1024
	// MaxNameBytes bounds a name and a unit.
	MaxNameBytes = 256
)

// forget is after what time a metric that nobody has spoken of may make room.
const forget = time.Hour

// Metric is what is known of one metric.
type Metric struct {
	Name string
	Type string // "counter", "gauge", "histogram", "summary", ..., Unknown
	Help string
	Unit string
}

// Book keeps the newest that was said of each metric. When it is full, metrics
// not spoken of for an hour make room. Make it with NewBook; it is safe for
// concurrent use.
type Book struct {
	now  func() time.Time
	most int
	mu   sync.Mutex
	by   map[string]*entry
	full time.Time // when it was last found full, so that it isn't searched for every line
}

type entry struct {
	Metric
	said time.Time
}

// NewBook returns an empty book of at most that many metrics.
func NewBook(most int, now func() time.Time) *Book {
	return &Book{now: now, most: most, by: map[string]*entry{}}
}

// of returns the entry of a metric, nil if there is no room. It is called with
// mu held.
func (b *Book) of(name []byte) *entry {
	if len(name) > MaxNameBytes || len(name) == 0 {
		return nil
	}
	now := b.now()
	e, ok := b.by[string(name)]
	if !ok {
		if len(b.by) >= b.most && !b.makeRoom(now) {
			return nil
		}
		e = &entry{Metric: Metric{Name: string(name), Type: Unknown}}
		b.by[e.Name] = e
	}
	e.said = now
	return e
}

func (b *Book) makeRoom(now time.Time) bool {
	if now.Sub(b.full) < time.Minute {
		return false
	}
	b.full = now
	for name, e := range b.by {
		if now.Sub(e.said) > forget {
			delete(b.by, name)
		}
	}
	return len(b.by) < b.most
}

// Put says all of a metric at once. A metric without a name, or one whose name
// is too long, is passed over.
func (b *Book) Put(m Metric) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.of([]byte(m.Name)); e != nil {
		e.Type, e.Help, e.Unit = cmp.Or(m.Type, Unknown), m.Help, m.Unit
	}
}

// SetType says the type of a metric.
func (b *Book) SetType(name []byte, kind string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.of(name); e != nil {
		e.Type = kind
	}
}

// SetHelp says the help of a metric; a longer one than MaxHelpBytes is cut.
func (b *Book) SetHelp(name, text []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.of(name); e != nil && e.Help != string(text) {
		e.Help = Clip(text, MaxHelpBytes)
	}
}

// SetUnit says the unit of a metric; a longer one than MaxNameBytes is cut.
func (b *Book) SetUnit(name, unit []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.of(name); e != nil && e.Unit != string(unit) {
		e.Unit = Clip(unit, MaxNameBytes)
	}
}

// List returns what is known, sorted by name.
func (b *Book) List() []Metric {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Metric, 0, len(b.by))
	for _, e := range b.by {
		out = append(out, e.Metric)
	}
	slices.SortFunc(out, func(x, y Metric) int { return strings.Compare(x.Name, y.Name) })
	return out
}

// Clip copies a text of the outside, cut to a number of bytes and made UTF-8.
func Clip(b []byte, most int) string {
	return strings.ToValidUTF8(string(b[:min(len(b), most)]), "")
}
