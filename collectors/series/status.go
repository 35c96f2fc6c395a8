package series

import (
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/tsdb/index"
)

// Status returns the state of the store with the limit largest entries of each cardinality table.
// It walks the head's index: fit for a page, not for a loop. After Close it is empty.
func (d *DB) Status(limit int) Status {
	st := d.sizes()
	base, leave, err := d.enter()
	if err != nil {
		return st
	}
	defer leave()
	p := base.Head().Stats(model.MetricNameLabel, max(limit, 1)).IndexPostingStats
	st.HeadLabelPairs = p.NumLabelPairs
	st.SeriesByMetric = nameCounts(p.CardinalityMetricsStats)
	st.ValuesByLabel = nameCounts(p.CardinalityLabelStats)
	st.MemoryByLabel = nameCounts(p.LabelValueStats)
	st.SeriesByLabelValue = nameCounts(p.LabelValuePairsStats)
	st.HeadChunks = int64(d.gauge("prometheus_tsdb_head_chunks"))
	return st
}

// sizes is the cheap part of Status.
func (d *DB) sizes() Status {
	var st Status
	base, leave, err := d.enter()
	if err != nil {
		return st
	}
	defer leave()
	h := base.Head()
	st.HeadSeries = h.NumSeries()
	st.HeadBytes = h.Size()
	st.Full = d.guard.isFull()
	if st.HeadSeries > 0 {
		st.HeadMinTime, st.HeadMaxTime = h.MinTime(), h.MaxTime()
		st.MinTime = st.HeadMinTime
	}
	for i, b := range base.Blocks() {
		st.Blocks++
		st.BlockBytes += b.Size()
		if start := b.MinTime(); start < st.MinTime || (i == 0 && st.HeadSeries == 0) {
			st.MinTime = start
		}
	}
	return st
}

// gauge reads one of the database's own metrics; 0 if it isn't there.
func (d *DB) gauge(name string) float64 {
	families, err := d.reg.Gather()
	if err != nil {
		return 0
	}
	for _, f := range families {
		if f.GetName() == name && len(f.GetMetric()) == 1 {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return 0
}

func nameCounts(stats []index.Stat) []NameCount {
	out := make([]NameCount, 0, len(stats))
	for _, s := range stats {
		out = append(out, NameCount{Name: s.Name, Value: s.Count})
	}
	return out
}
