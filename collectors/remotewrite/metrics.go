package remotewrite

import "github.com/prometheus/client_golang/prometheus"

// metrics count what the receiver does.
type metrics struct {
	requests *prometheus.CounterVec // by version and status code
	samples  *prometheus.CounterVec // by result
	ignored  *prometheus.CounterVec // by kind
}

func newMetrics(reg prometheus.Registerer) *metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "fenghuo", Subsystem: "remotewrite", Name: name, Help: help}, labels)
	}
	m := &metrics{
		requests: vec("requests_total", "Remote write requests by version of the protocol (0: unknown) and status code.", "version", "code"),
		samples:  vec("samples_total", "Pushed samples by what became of them.", "result"),
		ignored:  vec("ignored_total", "Native histograms and exemplars, which are not stored.", "kind"),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.samples, m.ignored)
	}
	return m
}

func (m *metrics) count(t tally) {
	for result, n := range map[string]int{
		"stored": t.stored.Stored, "out_of_order": t.stored.OutOfOrder, "duplicate": t.stored.Duplicate, "too_old": t.stored.TooOld,
		"too_new": t.stored.TooNew, "over_limit": t.stored.OverLimit, "invalid": t.invalid + t.stored.Invalid,
	} {
		if n > 0 {
			m.samples.WithLabelValues(result).Add(float64(n))
		}
	}
	if t.histograms > 0 {
		m.ignored.WithLabelValues("histogram").Add(float64(t.histograms))
	}
	if t.exemplars > 0 {
		m.ignored.WithLabelValues("exemplar").Add(float64(t.exemplars))
	}
}
