package scrape

import "github.com/prometheus/client_golang/prometheus"

// metrics count what scraping does.
type metrics struct {
	scrapes    *prometheus.CounterVec // by result
	samples    *prometheus.CounterVec // by result
	duplicates prometheus.Counter
	histograms prometheus.Counter
	targets    prometheus.Gauge
	refused    prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "fenghuo", Subsystem: "scrape", Name: name, Help: help}
	}
	counter := func(name, help string) prometheus.CounterOpts { return prometheus.CounterOpts(opts(name, help)) }
	m := &metrics{
		scrapes:    prometheus.NewCounterVec(counter("scrapes_total", "Scrapes by result."), []string{"result"}),
		samples:    prometheus.NewCounterVec(counter("samples_total", "Scraped samples by what the store did with them."), []string{"result"}),
		duplicates: prometheus.NewCounter(counter("duplicate_samples_total", "Samples that stood twice in one exposition.")),
		histograms: prometheus.NewCounter(counter("histograms_skipped_total", "Native histograms, which can't be stored.")),
		targets:    prometheus.NewGauge(prometheus.GaugeOpts(opts("targets", "Targets that are scraped."))),
		refused:    prometheus.NewCounter(counter("targets_refused_total", "Targets left out because they are invalid or too many.")),
	}
	if reg != nil {
		reg.MustRegister(m.scrapes, m.samples, m.duplicates, m.histograms, m.targets, m.refused)
	}
	return m
}

func (m *metrics) scraped(y *yield, err error) {
	result := "success"
	if err != nil {
		result = "failure"
	}
	m.scrapes.WithLabelValues(result).Inc()
	m.duplicates.Add(float64(y.duplicates))
	m.histograms.Add(float64(y.histograms))
}
