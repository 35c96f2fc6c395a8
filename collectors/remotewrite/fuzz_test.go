package remotewrite

import (
	"math"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/fenghuo-mesh/fenghuo/collectors/metadata"
)

func small() limits {
	return limits{maxSeries: 1000, maxSamples: 1000, maxSymbols: 1000, maxLabels: 64, maxName: 256, maxValue: 4096}
}

// decoded is one series as a decoder sees it.
type decoded struct {
	names, values []string
	samples       []sample
	histograms    int
	exemplars     int
	odd           bool // refused for its labels
}

func all(m message) ([]decoded, error) {
	var out []decoded
	err := m.each(func(t *timeseries) error {
		out = append(out, decoded{
			slices.Clone(t.names), slices.Clone(t.values), slices.Clone(t.samples), t.histograms, t.exemplars,
			t.bad != "" || t.excess,
		})
		build := labels.NewScratchBuilder(4)
		ls, why := seriesLabels(t, &build)
		if why == "" && !ls.Has("__name__") {
			panic("labels without a name were accepted")
		}
		return nil
	})
	return out, err
}

// FuzzV1 compares with the generated decoder: what it takes and ours takes must be the same.
func FuzzV1(f *testing.F) {
	b, err := v1Request().Marshal()
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0x02, 0x0a, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &v1{body: b, limits: small(), intern: interner{known: map[string]string{}}, meta: func(metadata.Metric) {}}
		got, err := all(m)
		var want prompb.WriteRequest
		if err != nil || want.Unmarshal(b) != nil {
			return // ours doesn't look into what it ignores, the generated one knows no limits
		}
		require.Len(t, got, len(want.Timeseries))
		for i, ts := range want.Timeseries {
			require.Len(t, got[i].samples, len(ts.Samples))
			for j, s := range ts.Samples {
				require.Equal(t, s.Timestamp, got[i].samples[j].t)
				require.Equal(t, math.Float64bits(s.Value), math.Float64bits(got[i].samples[j].v))
			}
			require.Equal(t, len(ts.Histograms), got[i].histograms)
			require.Equal(t, len(ts.Exemplars), got[i].exemplars)
			if got[i].odd {
				continue
			}
			require.Len(t, got[i].names, len(ts.Labels))
			for j, l := range ts.Labels {
				require.Equal(t, l.Name, got[i].names[j])
				require.Equal(t, l.Value, got[i].values[j])
			}
		}
	})
}

// FuzzV2 does the same for version 2, references out of range included.
func FuzzV2(f *testing.F) {
	b, err := v2Request().Marshal()
	require.NoError(f, err)
	f.Add(b)
	r := v2Request()
	r.Timeseries[0].LabelsRefs = []uint32{0, math.MaxUint32, 1}
	b, err = r.Marshal()
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte{0x22, 0x00, 0x2a, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &v2{body: b, limits: small(), intern: interner{known: map[string]string{}}, meta: func(metadata.Metric) {}}
		got, err := all(m)
		var want writev2.Request
		if err != nil || want.Unmarshal(b) != nil {
			return
		}
		require.Len(t, got, len(want.Timeseries))
		for i, ts := range want.Timeseries {
			require.Len(t, got[i].samples, len(ts.Samples))
			require.Equal(t, len(ts.Histograms), got[i].histograms)
			if got[i].odd {
				continue
			}
			require.Len(t, got[i].names, len(ts.LabelsRefs)/2)
			for j, name := range got[i].names {
				require.Equal(t, want.Symbols[ts.LabelsRefs[2*j]], name)
				require.Equal(t, want.Symbols[ts.LabelsRefs[2*j+1]], got[i].values[j])
			}
		}
	})
}

// FuzzBody sends anything at all; whatever it is, it must be answered and leave no memory behind.
func FuzzBody(f *testing.F) {
	f.Add(encode(f, v1Request()), true)
	f.Add(encode(f, v2Request()), false)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1}, true)
	f.Fuzz(func(t *testing.T, body []byte, first bool) {
		h := handler(t, Options{Sink: &memory{}})
		ct := typeV2
		if first {
			ct = typeV1
		}
		code := post(h, ct, body).Code
		require.Contains(t, []int{204, 400, 413}, code)
		require.Zero(t, h.memory.Load())
	})
}
