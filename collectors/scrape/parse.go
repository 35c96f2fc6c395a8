package scrape

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/model/value"

	"github.com/fenghuo-mesh/fenghuo/collectors/metadata"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// known is a series of a target, found by the text that stands before its value.
type known struct {
	labels labels.Labels // empty if relabeling drops it
	seen   uint64        // scrape in which it was last there
	timed  bool          // it brought its own timestamp then, so it gets no staleness marker
}

// memory is what a target's scrapes remember of each other.
type memory struct {
	scrape uint64
	series map[string]*known
	alive  []*known // of the last scrape, none if that failed
	size   int      // of alive after the last good scrape
}

func newMemory() *memory { return &memory{series: map[string]*known{}} }

// yield is what one exposition gave.
type yield struct {
	samples    []series.Sample
	scraped    int // before relabeling
	kept       int // after it
	added      int // series not there before
	duplicates int
	histograms int // native, skipped
}

// errSampleLimit fails a scrape with more samples than sample_limit.
var errSampleLimit = errors.New("sample_limit exceeded")

// parse reads an exposition. An error fails the scrape as a whole, as in Prometheus. Samples have the time ms unless the
// exporter gives one and the configuration honors it.
func (t *target) parse(m *memory, book *metadata.Book, body []byte, contentType string, ms int64) (y yield, err error) {
	m.scrape++
	p, err := textparse.New(body, contentType, labels.NewSymbolTable(), textparse.ParserOptions{
		IgnoreNativeHistograms: true, FallbackContentType: "text/plain",
	})
	if p == nil {
		return yield{}, fmt.Errorf("content type: %w", err)
	}
	var alive []*known
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return y, err
		}
		switch entry {
		case textparse.EntryType:
			name, kind := p.Type()
			book.SetType(name, string(kind))
		case textparse.EntryHelp:
			book.SetHelp(p.Help())
		case textparse.EntryUnit:
			book.SetUnit(p.Unit())
		case textparse.EntryHistogram:
			y.histograms++
		case textparse.EntrySeries:
			k, err := t.sample(m, p, &y, ms)
			if err != nil {
				return y, err
			}
			if k != nil {
				alive = append(alive, k)
			}
		}
	}
	m.settle(alive, &y, ms)
	return y, nil
}

// sample takes one line. It returns the series if it was not there before in this scrape.
func (t *target) sample(m *memory, p textparse.Parser, y *yield, ms int64) (*known, error) {
	text, at, v := p.Series()
	y.scraped++
	if !*t.config.HonorTimestamps {
		at = nil
	}
	k, ok := m.series[string(text)]
	if !ok {
		var ls labels.Labels
		p.Labels(&ls)
		k = &known{labels: t.mutate(ls)}
		if !k.labels.IsEmpty() {
			if err := t.admit(k.labels); err != nil {
				return nil, err
			}
		}
		if len(m.series) < 4*t.config.SampleLimit {
			m.series[string(text)] = k
		}
	}
	again := k.seen == m.scrape
	k.seen = m.scrape
	if k.labels.IsEmpty() {
		return nil, nil
	}
	if y.kept++; y.kept > t.config.SampleLimit {
		return nil, fmt.Errorf("%w: more than %d samples", errSampleLimit, t.config.SampleLimit)
	}
	if again && at == nil {
		y.duplicates++
		return nil, nil
	}
	if !ok {
		y.added++
	}
	if at != nil {
		ms = *at
	}
	y.samples = append(y.samples, series.Sample{Labels: k.labels, T: ms, V: v})
	k.timed = at != nil
	if again {
		return nil, nil
	}
	return k, nil
}

// settle ends the series that are gone and makes alive the new state.
func (m *memory) settle(alive []*known, y *yield, ms int64) {
	m.end(alive, y, ms)
	m.alive, m.size = alive, len(alive)
	m.sweep()
}

// sweep forgets series that were not there in this scrape, once they are more than those that were.
func (m *memory) sweep() {
	if len(m.series) <= 2*m.size+1000 {
		return
	}
	for text, k := range m.series {
		if k.seen != m.scrape {
			delete(m.series, text)
		}
	}
}

// end adds markers for series that were alive and are not among these. The same labels may be written in two ways, so a
// series that seems to have gone is looked for by its labels.
func (m *memory) end(alive []*known, y *yield, ms int64) {
	var present map[uint64]bool
	for _, k := range m.alive {
		if k.seen == m.scrape || k.timed {
			continue
		}
		if present == nil {
			present = make(map[uint64]bool, len(alive))
			for _, a := range alive {
				present[a.labels.Hash()] = true
			}
		}
		if !present[k.labels.Hash()] {
			y.samples = append(y.samples, series.Sample{Labels: k.labels, T: ms, V: math.Float64frombits(value.StaleNaN)})
		}
	}
}

// fail ends all series, after a scrape that gave nothing.
func (m *memory) fail(ms int64) []series.Sample {
	m.scrape++
	var y yield
	m.end(nil, &y, ms)
	m.alive = nil
	m.sweep()
	return y.samples
}
