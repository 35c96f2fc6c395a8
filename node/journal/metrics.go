package journal

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	records, bytes     prometheus.Counter
	refusals           *prometheus.CounterVec
	syncs              prometheus.Histogram
	syncErrors         prometheus.Counter
	snapshots          prometheus.Histogram
	snapshotErrors     prometheus.Counter
	lostBytes          prometheus.Counter
	droppedSegments    prometheus.Counter
	all                []prometheus.Collector
	registered         []prometheus.Collector
	full, busy, failed prometheus.Counter
	tooLarge           prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, j *Journal) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "fenghuo_journal_" + name, Help: help})
	}
	gauge := func(name, help string, f func(Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "fenghuo_journal_" + name, Help: help}, func() float64 { return f(j.Stats()) })
	}
	flag := func(err error) float64 {
		if err != nil {
			return 1
		}
		return 0
	}
	m := &metrics{
		records: counter("records_total", "Records taken."),
		bytes:   counter("bytes_total", "Bytes of records taken, with their framing."),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fenghuo_journal_refusals_total", Help: "Batches refused, by reason.",
		}, []string{"reason"}),
		syncs: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fenghuo_journal_sync_seconds", Help: "Time of one sync to disk.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}),
		syncErrors: counter("sync_errors_total", "Syncs that failed; what they covered was written again."),
		snapshots: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fenghuo_journal_snapshot_seconds", Help: "Time to write one snapshot.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 7),
		}),
		snapshotErrors:  counter("snapshot_errors_total", "Snapshots that failed; the one before stays in force."),
		lostBytes:       counter("lost_bytes_total", "Bytes that replay could not read because of a broken disk."),
		droppedSegments: counter("removed_segments_total", "Segments removed after a snapshot."),
	}
	m.full, m.busy = m.refusals.WithLabelValues("full"), m.refusals.WithLabelValues("busy")
	m.failed, m.tooLarge = m.refusals.WithLabelValues("failed"), m.refusals.WithLabelValues("too_large")
	m.all = []prometheus.Collector{
		m.records, m.bytes, m.refusals, m.syncs, m.syncErrors, m.snapshots, m.snapshotErrors, m.lostBytes, m.droppedSegments,
		gauge("disk_bytes", "Bytes on disk, segments and snapshot.", func(s Stats) float64 { return float64(s.DiskBytes) }),
		gauge("segments", "Segment files in use.", func(s Stats) float64 { return float64(s.Segments) }),
		gauge("pending_bytes", "Bytes taken and not yet on disk.", func(s Stats) float64 { return float64(s.End - s.Synced) }),
		gauge("full", "1 while no new segment can be allocated.", func(s Stats) float64 { return flag(s.Full) }),
		gauge("failed", "1 while the disk refuses to write.", func(s Stats) float64 { return flag(s.Failed) }),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range m.all {
		if err := reg.Register(c); err != nil {
			m.unregister(reg)
			return nil, fmt.Errorf("journal: register metrics: %w", err)
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

func (m *metrics) appended(records, bytes int) {
	m.records.Add(float64(records))
	m.bytes.Add(float64(bytes))
}

func (m *metrics) refusal(reason string) {
	switch reason {
	case "full":
		m.full.Inc()
	case "busy":
		m.busy.Inc()
	case "failed":
		m.failed.Inc()
	default:
		m.tooLarge.Inc()
	}
}

func (m *metrics) synced(d time.Duration, err error) {
	m.syncs.Observe(d.Seconds())
	if err != nil {
		m.syncErrors.Inc()
	}
}

func (m *metrics) snapshotDone(d time.Duration, err error) {
	if err != nil {
		m.snapshotErrors.Inc()
		return
	}
	m.snapshots.Observe(d.Seconds())
}

func (m *metrics) lost(bytes int64) { m.lostBytes.Add(float64(max(bytes, 0))) }
func (m *metrics) dropped()         { m.droppedSegments.Inc() }
