package evaluate

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of all groups. Those with the label rule_group go with their group.
type metrics struct {
	evaluations, failures, missed *prometheus.CounterVec
	groupSeconds, groupRules      *prometheus.GaugeVec
	iterations                    prometheus.Histogram
	refused, reportFailures, cut  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	group := []string{"rule_group"}
	counters := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "fenghuo_rule_" + name, Help: help}, group)
	}
	gauges := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "fenghuo_rule_" + name, Help: help}, group)
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "fenghuo_rule_" + name, Help: help})
	}
	m := &metrics{
		evaluations:  counters("evaluations_total", "Evaluations of rules."),
		failures:     counters("evaluation_failures_total", "Evaluations of rules that failed."),
		missed:       counters("group_iterations_missed_total", "Evaluations of rule groups left out because the one before took too long."),
		groupSeconds: gauges("group_last_duration_seconds", "How long the last evaluation of a group took."),
		groupRules:   gauges("group_rules", "Rules of a group."),
		iterations: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fenghuo_rule_group_duration_seconds", Help: "How long evaluations of groups took.",
			Buckets: []float64{.001, .01, .1, 1, 10},
		}),
		refused:        counter("samples_refused_total", "Samples of rules that the store refused."),
		reportFailures: counter("report_failures_total", "Reports of firing alerts that failed; the next evaluation repeats them."),
		cut:            counter("annotations_cut_total", "Annotations that were too long or too many for an alert and were cut."),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.evaluations, m.failures, m.missed, m.groupSeconds, m.groupRules, m.iterations, m.refused, m.reportFailures, m.cut,
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("evaluate: metrics: %w", err)
		}
	}
	return m, nil
}

// forget drops what is counted for a group.
func (m *metrics) forget(group string) {
	for _, c := range []*prometheus.CounterVec{m.evaluations, m.failures, m.missed} {
		c.DeleteLabelValues(group)
	}
	m.groupSeconds.DeleteLabelValues(group)
	m.groupRules.DeleteLabelValues(group)
}

// groupCounters are the metrics of one group.
type groupCounters struct {
	evaluations, failures, missed prometheus.Counter
	seconds                       prometheus.Gauge
}

func (m *metrics) of(group string, rules int) groupCounters {
	m.groupRules.WithLabelValues(group).Set(float64(rules))
	return groupCounters{
		evaluations: m.evaluations.WithLabelValues(group),
		failures:    m.failures.WithLabelValues(group),
		missed:      m.missed.WithLabelValues(group),
		seconds:     m.groupSeconds.WithLabelValues(group),
	}
}
