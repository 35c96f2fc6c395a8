package silence

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// The stored form of a silence, version 1: a version byte, then fields of
// (tag, value). Odd tags carry a varint, even tags a length and bytes, so a
// reader steps over tags it doesn't know. Absent fields are zero.
const codecVersion = 1

// Tags. They are never reused.
const (
	tagID          = 2
	tagTenant      = 4
	tagMatcher     = 6 // repeated: kind, length of the name, name, value
	tagCreatedBy   = 8
	tagComment     = 10
	tagAnnotations = 12

	tagStarts  = 1
	tagEnds    = 3
	tagUpdated = 5
)

// ErrEncoding: bytes that should be a stored silence are not.
var ErrEncoding = errors.New("malformed silence record")

// AppendBinary appends the stored form to b. The error is always nil.
func (s *Silence) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, codecVersion)
	b = putText(b, tagID, s.ID)
	b = putText(b, tagTenant, s.Tenant)
	for _, m := range s.Matchers {
		v := binary.AppendUvarint([]byte{byte(m.Type)}, uint64(len(m.Name)))
		v = append(append(v, m.Name...), m.Value...)
		b = putText(b, tagMatcher, string(v))
	}
	b = putText(b, tagCreatedBy, s.CreatedBy)
	b = putText(b, tagComment, s.Comment)
	b = putText(b, tagAnnotations, s.Annotations.Encoded())
	b = putInt(b, tagStarts, uint64(s.StartsAt))
	b = putInt(b, tagEnds, uint64(s.EndsAt))
	return putInt(b, tagUpdated, uint64(s.UpdatedAt)), nil
}

func putText(b []byte, tag int, s string) []byte {
	if s == "" {
		return b
	}
	b = binary.AppendUvarint(b, uint64(tag))
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func putInt(b []byte, tag int, v uint64) []byte {
	if v == 0 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(tag))
	return binary.AppendUvarint(b, v)
}

// UnmarshalBinary reads what AppendBinary wrote, of this version or with
// fields of a later one, and checks it fully. b isn't kept.
func (s *Silence) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || b[0] != codecVersion {
		return fmt.Errorf("%w: unknown version", ErrEncoding)
	}
	*s = Silence{}
	for b = b[1:]; len(b) > 0; {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return fmt.Errorf("%w: truncated", ErrEncoding)
		}
		v, m := binary.Uvarint(b[n:])
		if m <= 0 {
			return fmt.Errorf("%w: truncated", ErrEncoding)
		}
		b = b[n+m:]
		if tag%2 == 1 {
			s.setInt(tag, v)
			continue
		}
		if v > uint64(len(b)) {
			return fmt.Errorf("%w: truncated text", ErrEncoding)
		}
		if err := s.setText(tag, b[:v]); err != nil {
			return fmt.Errorf("%w: %w", ErrEncoding, err)
		}
		b = b[v:]
	}
	if s.ID == "" {
		return fmt.Errorf("%w: no id", ErrEncoding)
	}
	if err := s.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	return nil
}

func (s *Silence) setInt(tag, v uint64) {
	switch tag {
	case tagStarts:
		s.StartsAt = alert.Time(v)
	case tagEnds:
		s.EndsAt = alert.Time(v)
	case tagUpdated:
		s.UpdatedAt = alert.Time(v)
	}
}

func (s *Silence) setText(tag uint64, v []byte) (err error) {
	switch tag {
	case tagID:
		s.ID = string(v)
	case tagTenant:
		s.Tenant = string(v)
	case tagMatcher:
		if len(s.Matchers) == MaxMatchers {
			return fmt.Errorf("more than %d matchers", MaxMatchers)
		}
		m, err := decodeMatcher(v)
		if err != nil {
			return err
		}
		s.Matchers = append(s.Matchers, m)
	case tagCreatedBy:
		s.CreatedBy = string(v)
	case tagComment:
		s.Comment = string(v)
	case tagAnnotations:
		s.Annotations, err = label.Decode(string(v))
	}
	return err
}

func decodeMatcher(v []byte) (*label.Matcher, error) {
	if len(v) < 2 || v[0] > byte(label.NotRegexp) {
		return nil, errors.New("matcher: unknown kind")
	}
	n, m := binary.Uvarint(v[1:])
	if m <= 0 || n > uint64(len(v)-1-m) {
		return nil, errors.New("matcher: truncated")
	}
	rest := v[1+m:]
	kinds := [...]label.Matcher{{Type: label.Equal}, {Type: label.NotEqual}, {Type: label.Regexp}, {Type: label.NotRegexp}}
	return label.NewMatcher(kinds[v[0]].Type, string(rest[:n]), string(rest[n:]))
}
