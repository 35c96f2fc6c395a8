package remotewrite

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/fenghuo-mesh/fenghuo/collectors/metadata"
)

// v2 is an io.prometheus.write.v2.Request: field 4 holds the symbols, 5 the series, which refer to them by index.
type v2 struct {
	body    []byte
	limits  limits
	intern  interner
	meta    func(metadata.Metric)
	symbols [][]byte // parts of body: copies would double what a request holds
	refs    []uint32 // used again
}

// each reads the symbols first, wherever they stand, because a series may refer to any of them.
func (m *v2) each(f func(*timeseries) error) error {
	if m.symbols == nil {
		if err := m.readSymbols(); err != nil {
			return err
		}
	}
	var t timeseries
	samples := 0
	for b := m.body; len(b) > 0; {
		fd, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		if fd.num != 5 {
			continue
		}
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
	}
	return nil
}

func (m *v2) readSymbols() error {
	m.symbols = [][]byte{}
	for b := m.body; len(b) > 0; {
		fd, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		if fd.num != 4 {
			continue
		}
		if err := fd.want(protowire.BytesType, "symbols"); err != nil {
			return err
		}
		if len(m.symbols) >= m.limits.maxSymbols {
			return fmt.Errorf("%w: more than %d symbols", errTooLarge, m.limits.maxSymbols)
		}
		m.symbols = append(m.symbols, fd.data)
	}
	if len(m.symbols) > 0 && len(m.symbols[0]) > 0 {
		return fmt.Errorf("%w: the first symbol is not empty", errMalformed)
	}
	return nil
}

// series reads a TimeSeries: 1 references of labels, 2 samples, 3 histograms, 4 exemplars, 5 metadata.
func (m *v2) series(b []byte, t *timeseries, before int) error {
	m.refs = m.refs[:0]
	var md []byte
	for len(b) > 0 {
		fd, rest, err := next(b)
		if err != nil {
			return fmt.Errorf("timeseries: %w", err)
		}
		b = rest
		switch fd.num {
		case 1:
			err = m.labelRefs(fd, t)
		case 2:
			if err = fd.want(protowire.BytesType, "samples"); err != nil {
				return err
			}
			var s sample
			if s, err = parseSample(fd.data); err == nil {
				t.samples = append(t.samples, s)
				err = m.limits.samples(before + len(t.samples))
			}
		case 3:
			err = fd.want(protowire.BytesType, "histograms")
			t.histograms++
		case 4:
			err = fd.want(protowire.BytesType, "exemplars")
			t.exemplars++
		case 5:
			err = fd.want(protowire.BytesType, "metadata")
			md = fd.data
		}
		if err != nil {
			return err
		}
	}
	m.resolve(t)
	return m.metadata(md, t)
}

// labelRefs reads references, packed or one by one. Those beyond the limit are not kept.
func (m *v2) labelRefs(fd field, t *timeseries) error {
	if fd.typ == protowire.VarintType {
		m.ref(fd.word, t)
		return nil
	}
	if err := fd.want(protowire.BytesType, "labels_refs"); err != nil {
		return err
	}
	for b := fd.data; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return fmt.Errorf("%w: labels_refs: %w", errMalformed, protowire.ParseError(n))
		}
		b = b[n:]
		m.ref(v, t)
	}
	return nil
}

func (m *v2) ref(v uint64, t *timeseries) {
	switch {
	case len(m.refs) >= 2*m.limits.maxLabels:
		t.excess = true
	case v >= uint64(len(m.symbols)):
		t.bad = fmt.Sprintf("label reference %d is beyond the %d symbols", v, len(m.symbols))
	default:
		m.refs = append(m.refs, uint32(v))
	}
}

// resolve turns references into labels.
func (m *v2) resolve(t *timeseries) {
	if t.bad == "" && len(m.refs)%2 != 0 {
		t.bad = "odd number of label references"
	}
	if t.bad != "" {
		return
	}
	for i := 0; i < len(m.refs); i += 2 {
		name, value := m.symbols[m.refs[i]], m.symbols[m.refs[i+1]]
		switch {
		case len(name) > m.limits.maxName:
			t.bad = fmt.Sprintf("label name of %d bytes is longer than %d", len(name), m.limits.maxName)
		case len(value) > m.limits.maxValue:
			t.bad = fmt.Sprintf("value of label %q has %d bytes, more than %d", name, len(value), m.limits.maxValue)
		default:
			t.names, t.values = append(t.names, m.intern.of(name)), append(t.values, m.intern.of(value))
		}
	}
}

// metadata reads a Metadata: 1 type, 3 reference of help, 4 of unit. It belongs to the series' metric.
func (m *v2) metadata(b []byte, t *timeseries) error {
	var md metadata.Metric
	for len(b) > 0 {
		fd, rest, err := next(b)
		if err != nil {
			return fmt.Errorf("metadata: %w", err)
		}
		b = rest
		if fd.num != 1 && fd.num != 3 && fd.num != 4 {
			continue
		}
		if err := fd.want(protowire.VarintType, "field of metadata"); err != nil {
			return err
		}
		if fd.num == 1 {
			md.Type = typeName(fd.word)
			continue
		}
		if fd.word >= uint64(len(m.symbols)) {
			t.bad = fmt.Sprintf("metadata reference %d is beyond the %d symbols", fd.word, len(m.symbols))
			return nil
		}
		if fd.num == 3 {
			md.Help = metadata.Clip(m.symbols[fd.word], metadata.MaxHelpBytes)
		} else {
			md.Unit = metadata.Clip(m.symbols[fd.word], metadata.MaxNameBytes)
		}
	}
	if md == (metadata.Metric{}) || t.bad != "" {
		return nil
	}
	for i, n := range t.names {
		if n == nameLabel {
			md.Name = t.values[i]
		}
	}
	md.Name = metadata.Clip([]byte(md.Name), metadata.MaxNameBytes)
	m.meta(md)
	return nil
}
