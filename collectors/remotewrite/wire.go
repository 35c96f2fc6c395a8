package remotewrite

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// errMalformed says that the bytes are not the protobuf message they should be.
var errMalformed = errors.New("malformed protobuf")

// field is one field of a message.
type field struct {
	num  protowire.Number
	typ  protowire.Type
	word uint64 // of a varint or fixed field
	data []byte // of a field with a length; part of the message
}

// next takes the first field off a message.
func next(b []byte) (field, []byte, error) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 {
		return field{}, nil, fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(n))
	}
	b = b[n:]
	f := field{num: num, typ: typ}
	switch typ {
	case protowire.VarintType:
		f.word, n = protowire.ConsumeVarint(b)
	case protowire.Fixed64Type:
		f.word, n = protowire.ConsumeFixed64(b)
	case protowire.BytesType:
		f.data, n = protowire.ConsumeBytes(b)
	default: // no message of ours has them; they are skipped with whatever they hold
		n = protowire.ConsumeFieldValue(num, typ, b)
	}
	if n < 0 {
		return field{}, nil, fmt.Errorf("%w: field %d: %w", errMalformed, num, protowire.ParseError(n))
	}
	return f, b[n:], nil
}

// want checks that a known field has the wire type it must have.
func (f field) want(typ protowire.Type, what string) error {
	if f.typ != typ {
		return fmt.Errorf("%w: %s has wire type %d, want %d", errMalformed, what, f.typ, typ)
	}
	return nil
}

// sample is one value; times are Unix milliseconds.
type sample struct {
	v float64
	t int64
}

// parseSample reads a Sample, which is the same in both versions: 1 is the value, 2 the time.
func parseSample(b []byte) (sample, error) {
	var s sample
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return s, fmt.Errorf("sample: %w", err)
		}
		b = rest
		switch f.num {
		case 1:
			err = f.want(protowire.Fixed64Type, "sample.value")
			s.v = math.Float64frombits(f.word)
		case 2:
			err = f.want(protowire.VarintType, "sample.timestamp")
			s.t = int64(f.word)
		}
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// timeseries is one series of a request. Its slices are used again for the next one.
type timeseries struct {
	names, values []string // labels as sent, in pairs
	excess        bool     // there were more labels than are kept
	bad           string   // why its labels can't be read, "" if they can
	samples       []sample
	histograms    int
	exemplars     int
}

func (t *timeseries) reset() {
	t.names, t.values, t.samples = t.names[:0], t.values[:0], t.samples[:0]
	t.excess, t.bad, t.histograms, t.exemplars = false, "", 0, 0
}

// message is one decoder of a version. each calls f for every series of a request, in order. The first error of f or of
// the bytes ends it.
type message interface {
	each(f func(*timeseries) error) error
}

// interner gives equal strings one memory within a request: label names and most values repeat in every series.
type interner struct {
	known map[string]string
}

// maxKnown bounds the strings remembered.
const maxKnown = 4096

func (s *interner) of(b []byte) string {
	if v, ok := s.known[string(b)]; ok {
		return v
	}
	v := string(b)
	if len(s.known) < maxKnown {
		s.known[v] = v
	}
	return v
}
