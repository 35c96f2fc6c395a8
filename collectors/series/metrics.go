package series

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the store's own; the database's are kept private, as they are many.
type metrics struct {
	samples     *prometheus.CounterVec
	refused     *prometheus.CounterVec
	queries     *prometheus.CounterVec
	seconds     prometheus.Histogram
	compactions *prometheus.CounterVec
	repairs     *prometheus.CounterVec
	full        prometheus.Gauge

	registerer prometheus.Registerer
	registered []prometheus.Collector
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counters := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "fenghuo", Subsystem: "series", Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		samples:     counters("samples_total", "Samples handed to the store, by what became of them.", "result"),
		refused:     counters("refused_batches_total", "Batches of samples refused whole, by reason.", "reason"),
		queries:     counters("queries_total", "Queries, by outcome.", "outcome"),
		compactions: counters("compactions_total", "Compactions of the head, by outcome.", "outcome"),
		repairs:     counters("repairs_total", "Damaged parts moved aside.", "part"),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "fenghuo", Subsystem: "series", Name: "query_seconds", Help: "Time of queries, waiting included.",
			Buckets: []float64{0.0001, 0.001, 0.01, 0.1, 1, 10},
		}),
		full: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fenghuo", Subsystem: "series", Name: "full", Help: "1 while samples are refused for want of room.",
		}),
		registerer: r,
	}
	return m, m.register(m.samples, m.refused, m.queries, m.seconds, m.compactions, m.repairs, m.full)
}

func (m *metrics) register(cs ...prometheus.Collector) error {
	if m.registerer == nil {
		return nil
	}
	for _, c := range cs {
		if err := m.registerer.Register(c); err != nil {
			m.unregister()
			return err
		}
		m.registered = append(m.registered, c)
	}
	return nil
}

// watch adds the gauges that are read from the store when asked.
func (m *metrics) watch(d *DB) {
	gauge := func(name, help string, read func(Status) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "fenghuo", Subsystem: "series", Name: name, Help: help},
			func() float64 { return read(d.sizes()) })
	}
	// The names are fixed, so registering fails only if the registerer is shared by two stores; newMetrics reported that.
	_ = m.register(
		gauge("head_series", "Series with samples in the last two to three hours.", func(s Status) float64 { return float64(s.HeadSeries) }),
		gauge("block_bytes", "Size of the blocks on disk.", func(s Status) float64 { return float64(s.BlockBytes) }),
		gauge("head_bytes", "Size of the write-ahead log and the head's chunks on disk.", func(s Status) float64 { return float64(s.HeadBytes) }),
	)
}

func (m *metrics) unregister() {
	for _, c := range m.registered {
		m.registerer.Unregister(c)
	}
	m.registered = nil
}

func (m *metrics) count(a Appended) {
	for _, c := range [...]struct {
		result string
		n      int
	}{
		{"stored", a.Stored},
		{"out_of_order", a.OutOfOrder},
		{"duplicate", a.Duplicate},
		{"too_old", a.TooOld},
		{"too_new", a.TooNew},
		{"over_limit", a.OverLimit},
		{"invalid", a.Invalid},
	} {
		if c.n > 0 {
			m.samples.WithLabelValues(c.result).Add(float64(c.n))
		}
	}
}

func (m *metrics) setFull(full bool) {
	if full {
		m.full.Set(1)
		return
	}
	m.full.Set(0)
}
