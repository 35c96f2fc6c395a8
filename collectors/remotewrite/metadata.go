package remotewrite

import (
	"slices"
	"strings"
	"sync"
)

// Bounds of the metadata that is kept.
const (
	maxMetadata  = 5000 // metrics
	maxHelpBytes = 1024
	maxNameBytes = 256
)

// Metadata is what a sender says of a metric, in the words of Prometheus's metadata API.
type Metadata struct {
	Metric, Type, Help, Unit string
}

// typeName is the name of a type; the numbers are the same in both versions.
func typeName(n uint64) string {
	names := []string{"unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"}
	if n < uint64(len(names)) {
		return names[n]
	}
	return names[0]
}

// clip cuts a text and makes it UTF-8.
func clip(b []byte, most int) string {
	return strings.ToValidUTF8(string(b[:min(len(b), most)]), "")
}

// book keeps the newest metadata of each metric; when it is full, new metrics are not added.
type book struct {
	mu sync.Mutex
	by map[string]Metadata
}

func (b *book) put(md Metadata) {
	if md.Metric == "" {
		return
	}
	if md.Type == "" {
		md.Type = "unknown"
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if old, ok := b.by[md.Metric]; ok && old == md || !ok && len(b.by) >= maxMetadata {
		return
	}
	b.by[strings.Clone(md.Metric)] = md
}

func (b *book) list() []Metadata {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Metadata, 0, len(b.by))
	for _, md := range b.by {
		out = append(out, md)
	}
	slices.SortFunc(out, func(x, y Metadata) int { return strings.Compare(x.Metric, y.Metric) })
	return out
}
