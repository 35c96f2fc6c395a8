package scrape

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of the metadata that is kept.
const (
	maxMetadata  = 10_000 // metrics, of all targets together
	maxHelpBytes = 1024
	maxNameBytes = 256
	metadataAge  = time.Hour // after which a metric that no scrape has shown may be forgotten
)

// Metadata is what an exporter says of a metric, in the words of Prometheus's metadata API.
type Metadata struct {
	Metric, Type, Help, Unit string
}

// book keeps the newest metadata of each metric. When it is full, metrics not seen for an hour make room.
type book struct {
	now  func() time.Time
	mu   sync.Mutex
	by   map[string]*entry
	full time.Time // when it was last found full, so that it isn't searched for every line
}

type entry struct {
	Metadata
	seen time.Time
}

func newBook(now func() time.Time) *book { return &book{now: now, by: map[string]*entry{}} }

// of returns the entry of a metric, nil if there is no room. It is called with mu held.
func (b *book) of(name []byte) *entry {
	if len(name) > maxNameBytes || len(name) == 0 {
		return nil
	}
	now := b.now()
	e, ok := b.by[string(name)]
	if !ok {
		if len(b.by) >= maxMetadata && !b.makeRoom(now) {
			return nil
		}
		e = &entry{Metadata: Metadata{Metric: string(name), Type: "unknown"}}
		b.by[e.Metric] = e
	}
	e.seen = now
	return e
}

func (b *book) makeRoom(now time.Time) bool {
	if now.Sub(b.full) < time.Minute {
		return false
	}
	b.full = now
	for name, e := range b.by {
		if now.Sub(e.seen) > metadataAge {
			delete(b.by, name)
		}
	}
	return len(b.by) < maxMetadata
}

func (b *book) setType(name []byte, kind string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.of(name); e != nil {
		e.Type = kind
	}
}

func (b *book) setHelp(name, text []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.of(name); e != nil && e.Help != string(text) {
		e.Help = clip(text, maxHelpBytes)
	}
}

func (b *book) setUnit(name, unit []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.of(name); e != nil && e.Unit != string(unit) {
		e.Unit = clip(unit, maxNameBytes)
	}
}

func (b *book) list() []Metadata {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Metadata, 0, len(b.by))
	for _, e := range b.by {
		out = append(out, e.Metadata)
	}
	slices.SortFunc(out, func(x, y Metadata) int { return strings.Compare(x.Metric, y.Metric) })
	return out
}

// clip cuts a text and makes it UTF-8.
func clip(b []byte, most int) string {
	return strings.ToValidUTF8(string(b[:min(len(b), most)]), "")
}
