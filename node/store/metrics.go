package store

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	docs, removed, refusedFull, writeErrors prometheus.Counter
	absentAsked, rebuilds, damaged          prometheus.Counter
	registered                              []prometheus.Collector
}

func newMetrics(reg prometheus.Registerer, s *Store) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "fenghuo_store_" + name, Help: help})
	}
	gauge := func(name, help string, f func(Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "fenghuo_store_" + name, Help: help}, func() float64 { return f(s.Stats()) })
	}
	flag := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	m := &metrics{
		docs:        counter("documents_total", "Documents put."),
		removed:     counter("removed_chunks_total", "Chunks removed by retention."),
		refusedFull: counter("refused_full_total", "Writes refused for want of free space."),
		writeErrors: counter("write_errors_total", "Writes that the database refused."),
		absentAsked: counter("absent_total", "Requests while there was no database."),
		rebuilds:    counter("rebuilds_total", "Databases that could not be opened and were begun anew."),
		damaged:     counter("damaged_chunks_total", "Chunks that could not be read."),
	}
	all := []prometheus.Collector{
		m.docs, m.removed, m.refusedFull, m.writeErrors, m.absentAsked, m.rebuilds, m.damaged,
		gauge("chunks", "Chunks on disk.", func(s Stats) float64 { return float64(s.Chunks) }),
		gauge("bytes", "Bytes of the chunks on disk.", func(s Stats) float64 { return float64(s.Bytes) }),
		gauge("gathered_documents", "Documents not yet written.", func(s Stats) float64 { return float64(s.Gathered) }),
		gauge("absent", "1 while there is no database.", func(s Stats) float64 { return flag(s.Absent != nil) }),
		gauge("full", "1 while nothing is written for want of free space.", func(s Stats) float64 { return flag(s.Full) }),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			m.unregister(reg)
			return nil, fmt.Errorf("store: register metrics: %w", err)
		}
		m.registered = append(m.registered, c)
	}
	return m, nil
}

func (m *metrics) unregister(reg prometheus.Registerer) {
	for _, c := range m.registered {
		reg.Unregister(c)
	}
}
