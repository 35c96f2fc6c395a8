package host

import "github.com/prometheus/client_golang/prometheus"

// metrics count what the collection itself does.
type metrics struct {
	ticks, hung, dropped, stored, lost prometheus.Counter
	seconds                            prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "fenghuo", Subsystem: "host", Name: name, Help: help})
	}
	m := &metrics{
		ticks:   counter("ticks_total", "Ticks of the host's collectors."),
		hung:    counter("collector_timeouts_total", "Collector runs that were not back when the tick ended, and those not started because of them."),
		dropped: counter("series_dropped_total", "Values dropped because a collector had more series than it may."),
		stored:  counter("samples_stored_total", "Samples that the sample store took."),
		lost:    counter("samples_refused_total", "Samples that the sample store did not take."),
		seconds: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "fenghuo", Subsystem: "host", Name: "tick_duration_seconds", Help: "Wall time of the last tick.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.ticks, m.hung, m.dropped, m.stored, m.lost, m.seconds)
	}
	return m
}
