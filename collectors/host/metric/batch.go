package metric

import (
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Kind is the type of a metric, in the words of the text exposition format.
type Kind string

// The types of metrics that host collectors have.
const (
	Counter Kind = "counter"
	Gauge   Kind = "gauge"
	Untyped Kind = "untyped"
)

// Metric describes a family of series. It must not be changed once it was added to a Batch.
type Metric struct {
	// Name is the full name with unit, e.g. node_cpu_seconds_total. Counters end in _total.
	Name string
	// Help is the line of documentation.
	Help string
	// Kind is the type.
	Kind Kind
	// Labels are the names of the labels, besides those that all series of the host have.
	Labels []string
}

// New returns a metric.
func New(name, help string, kind Kind, labelNames ...string) *Metric {
	return &Metric{Name: name, Help: help, Kind: kind, Labels: labelNames}
}

// Series is one series that is alive. Metric and Labels never change; Seen is the run in which it was last added and
// belongs to the goroutine that runs the collector.
type Series struct {
	Metric *Metric
	Labels labels.Labels
	Seen   uint64
}

// Point is one value of a series.
type Point struct {
	*Series
	V float64
}

// Batch takes the samples of one run of one collector. It remembers the label sets of the last runs, so that a sample
// of a known series costs one map lookup and no memory. It belongs to the goroutine that runs the collector.
type Batch struct {
	base    labels.Labels // labels of every series of this host
	max     int
	run     uint64
	series  map[string]*Series
	key     []byte
	points  []Point
	dropped int
}

// NewBatch returns an empty batch whose series all have the labels of base and are at most that many.
func NewBatch(base labels.Labels, most int) *Batch {
	return &Batch{base: base, max: most, series: map[string]*Series{}}
}

// Begin starts a run.
func (b *Batch) Begin() {
	b.run++
	b.dropped = 0
	b.points = make([]Point, 0, len(b.series)) // those of the last run may still be read by others
}

// Result is what a run has given.
type Result struct {
	// Run is the number of the run: series whose Seen is another one were not added in it.
	Run uint64
	// Points are the values in the order in which they were added.
	Points []Point
	// Dropped is the number of values that were over the limit.
	Dropped int
}

// End ends a run. Series that were not seen in it are forgotten, once they are more than those alive.
func (b *Batch) End() Result {
	if len(b.series) > 2*len(b.points)+64 {
		for k, s := range b.series {
			if s.Seen != b.run {
				delete(b.series, k)
			}
		}
	}
	return Result{Run: b.run, Points: b.points, Dropped: b.dropped}
}

// Add takes one value. The label values stand in the order of m.Labels; an empty one leaves its label out, missing ones
// count as empty. A second value for the same series in one run is ignored. Beyond the limit of series per collector
// new ones are counted and dropped.
func (b *Batch) Add(m *Metric, v float64, values ...string) {
	b.key = append(b.key[:0], m.Name...)
	for _, s := range values {
		b.key = append(b.key, 0xff)
		b.key = append(b.key, s...)
	}
	e, ok := b.series[string(b.key)]
	switch {
	case ok && e.Seen == b.run:
		return
	case len(b.points) >= b.max:
		b.dropped++
		return
	case !ok:
		e = &Series{Metric: m, Labels: b.labels(m, values)}
		b.series[string(b.key)] = e
	}
	e.Seen = b.run
	b.points = append(b.points, Point{e, v})
}

// labels builds the label set of a new series. Values are copied: they may be parts of a large file.
func (b *Batch) labels(m *Metric, values []string) labels.Labels {
	build := labels.NewBuilder(b.base)
	build.Set(model.MetricNameLabel, m.Name)
	for i, name := range m.Labels {
		if i < len(values) && values[i] != "" {
			build.Set(name, Clip(strings.ToValidUTF8(values[i], "\uFFFD")))
		}
	}
	return build.Labels()
}

// maxValue bounds a label value in bytes; a unit's or mount's name can be up to 4 KiB long.
const maxValue = 1024

// Clip copies a string and cuts what is too long for a label.
func Clip(s string) string {
	if len(s) <= maxValue {
		return strings.Clone(s)
	}
	return strings.ToValidUTF8(s[:maxValue], "")
}

// Family makes metrics whose names come from the kernel, e.g. the fields of /proc/meminfo.
type Family struct {
	prefix string
	kind   Kind
	help   func(name string) string
	known  map[string]*Metric
}

// MaxFamily bounds the metrics of one family.
const MaxFamily = 1000

// NewFamily returns a family of which each metric is named prefix and field, the latter with only letters, digits and _.
func NewFamily(prefix string, kind Kind, help func(string) string) *Family {
	return &Family{prefix: prefix, kind: kind, help: help, known: map[string]*Metric{}}
}

// metric returns the metric of a field, nil if there are too many already.
func (f *Family) metric(name string) *Metric {
	if m, ok := f.known[name]; ok {
		return m
	}
	if len(f.known) >= MaxFamily {
		return nil
	}
	name = strings.Clone(name)
	m := &Metric{Name: f.prefix + Sanitize(name), Help: f.help(name), Kind: f.kind}
	f.known[name] = m
	return m
}

// Add takes the value of a field.
func (f *Family) Add(b *Batch, name string, v float64) {
	if m := f.metric(name); m != nil {
		b.Add(m, v)
	}
}

// Sanitize makes a field name fit for a metric name.
func Sanitize(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
}

// Bool is 1 for true and 0 for false.
func Bool(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
