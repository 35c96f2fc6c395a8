package silence

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/record"
)

// The stored form of a silence, version 1, is a record (see package record) of
// the tags below.
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
	b = record.AppendText(b, tagID, s.ID)
	b = record.AppendText(b, tagTenant, s.Tenant)
	for _, m := range s.Matchers {
		v := binary.AppendUvarint([]byte{byte(m.Type)}, uint64(len(m.Name)))
		v = append(append(v, m.Name...), m.Value...)
		b = record.AppendText(b, tagMatcher, v)
	}
	b = record.AppendText(b, tagCreatedBy, s.CreatedBy)
	b = record.AppendText(b, tagComment, s.Comment)
	b = record.AppendText(b, tagAnnotations, s.Annotations.Encoded())
	b = record.AppendInt(b, tagStarts, uint64(s.StartsAt))
	b = record.AppendInt(b, tagEnds, uint64(s.EndsAt))
	return record.AppendInt(b, tagUpdated, uint64(s.UpdatedAt)), nil
}

// UnmarshalBinary reads what AppendBinary wrote, of this version or with
// fields of a later one, and checks it fully. b isn't kept.
func (s *Silence) UnmarshalBinary(b []byte) error {
	*s = Silence{}
	if err := record.Read(b, codecVersion, s.setInt, s.setText); err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
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
