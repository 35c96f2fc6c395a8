package remotewrite

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fenghuo-mesh/fenghuo/collectors/metadata"
)

// v1 is a prometheus.WriteRequest: field 1 holds the series, 3 metadata.
type v1 struct {
	body   []byte
	limits limits
	intern interner
	meta   func(metadata.Metric)
}

func (m *v1) each(f func(*timeseries) error) error {
	var t timeseries
	samples, metas := 0, 0
	for b := m.body; len(b) > 0; {
		fd, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		switch fd.num {
		case 1:
			if err := fd.want(protowire.BytesType, "timeseries"); err != nil {
				return err
			}
			t.reset()
			if err := m.series(fd.data, &t, samples); err != nil {
				return err
			}
			samples += len(t.samples)
			if err := f(&t); err != nil {
				return err
			}
		case 3:
			if err := fd.want(protowire.BytesType, "metadata"); err != nil {
				return err
			}
			if metas++; metas > maxMetadata {
				continue
			}
			if err := m.metadata(fd.data); err != nil {
				return err
			}
		}
	}
	return nil
}

// series reads a TimeSeries: 1 labels, 2 samples, 3 exemplars, 4 histograms.
func (m *v1) series(b []byte, t *timeseries, before int) error {
	for len(b) > 0 {
		fd, rest, err := next(b)
		if err != nil {
			return fmt.Errorf("timeseries: %w", err)
		}
		b = rest
		if fd.num < 1 || fd.num > 4 {
			continue
		}
		if err := fd.want(protowire.BytesType, "field of timeseries"); err != nil {
			return err
		}
		switch fd.num {
		case 1:
			err = m.label(fd.data, t)
		case 2:
			var s sample
			if s, err = parseSample(fd.data); err == nil {
				t.samples = append(t.samples, s)
				err = m.limits.samples(before + len(t.samples))
			}
		case 3:
			t.exemplars++
		case 4:
			t.histograms++
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// label reads a Label: 1 name, 2 value.
func (m *v1) label(b []byte, t *timeseries) error {
	var name, value []byte
	for len(b) > 0 {
		fd, rest, err := next(b)
		if err != nil {
			return fmt.Errorf("label: %w", err)
		}
		b = rest
		switch fd.num {
		case 1:
			err = fd.want(protowire.BytesType, "label.name")
			name = fd.data
		case 2:
			err = fd.want(protowire.BytesType, "label.value")
			value = fd.data
		}
		if err != nil {
			return err
		}
	}
	switch {
	case len(t.names) >= m.limits.maxLabels:
		t.excess = true
	case len(name) > m.limits.maxName:
		t.bad = fmt.Sprintf("label name of %d bytes is longer than %d", len(name), m.limits.maxName)
	case len(value) > m.limits.maxValue:
		t.bad = fmt.Sprintf("value of label %q has %d bytes, more than %d", name, len(value), m.limits.maxValue)
	default:
		t.names, t.values = append(t.names, m.intern.of(name)), append(t.values, m.intern.of(value))
	}
	return nil
}

// metadata reads a MetricMetadata: 1 type, 2 name, 4 help, 5 unit.
func (m *v1) metadata(b []byte) error {
	var md metadata.Metric
	for len(b) > 0 {
		fd, rest, err := next(b)
		if err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
		b = rest
		switch fd.num {
		case 1:
			err = fd.want(protowire.VarintType, "metadata.type")
			md.Type = typeName(fd.word)
		case 2:
			err = fd.want(protowire.BytesType, "metadata.metric_family_name")
			md.Name = metadata.Clip(fd.data, metadata.MaxNameBytes)
		case 4:
			err = fd.want(protowire.BytesType, "metadata.help")
			md.Help = metadata.Clip(fd.data, metadata.MaxHelpBytes)
		case 5:
			err = fd.want(protowire.BytesType, "metadata.unit")
			md.Unit = metadata.Clip(fd.data, metadata.MaxNameBytes)
		}
		if err != nil {
			return err
		}
	}
	m.meta(md)
	return nil
}
