package notice

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/record"
)

// The stored form of a Told, version 1, is a record (see package record) of the
// tags below.
const codecVersion = 1

// Tags. They are never reused.
const (
	tagID          = 2
	tagTenant      = 4
	tagReceiver    = 6
	tagIntegration = 8
	tagRouteKey    = 10
	tagLabels      = 12
	tagReason      = 14
	tagErr         = 16
	tagEpisodes    = 18
	tagSettles     = 20 // repeated

	tagState    = 1
	tagAt       = 3
	tagRepeat   = 5
	tagAttempts = 7
)

// MaxErrBytes is how much of an error's text a record keeps.
const MaxErrBytes = 512

// ErrEncoding: bytes that should be a stored record are not.
var ErrEncoding = errors.New("malformed told record")

// AppendBinary appends the stored form to b. The error is always nil; it is
// there for encoding.BinaryAppender.
func (t *Told) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, codecVersion)
	b = record.AppendText(b, tagID, t.ID)
	b = record.AppendText(b, tagTenant, t.Tenant)
	b = record.AppendText(b, tagReceiver, t.Receiver)
	b = record.AppendText(b, tagIntegration, t.Integration)
	b = record.AppendText(b, tagRouteKey, t.RouteKey)
	b = record.AppendText(b, tagLabels, t.GroupLabels.Encoded())
	b = record.AppendText(b, tagReason, string(t.Reason))
	b = record.AppendText(b, tagErr, cut(t.Err))
	b = record.AppendInt(b, tagState, uint64(t.State))
	b = record.AppendInt(b, tagAt, uint64(t.At))
	b = record.AppendInt(b, tagRepeat, uint64(t.Repeat))
	b = record.AppendInt(b, tagAttempts, uint64(t.Attempts))
	for _, id := range t.Settles {
		b = record.AppendText(b, tagSettles, id)
	}
	return record.AppendText(b, tagEpisodes, appendEpisodes(nil, t.Episodes)), nil
}

// cut bounds an error's text at a whole character and makes it UTF-8.
func cut(s string) string {
	if len(s) > MaxErrBytes {
		s = s[:MaxErrBytes]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
		s = s[:max(len(s)-1, 0)]
	}
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// Episodes are packed: the fingerprint in 8 bytes; onset and At as differences
// to the episode before, since alerts of one storm begin together; then four
// numbers, nearly always below 4, in one byte or, marked by its high bits, five.
func appendEpisodes(b []byte, eps []Episode) []byte {
	b = slices.Grow(b, len(eps)*14)
	var prev Episode
	for _, e := range eps {
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Fingerprint))
		b = binary.AppendVarint(b, int64(e.Onset-prev.Onset))
		b = binary.AppendVarint(b, int64(e.At)-int64(prev.At))
		if n := max(e.Begun, e.Suspended, e.Ended, e.Claimed); n < 3 {
			b = append(b, e.Begun|e.Suspended<<2|e.Ended<<4|e.Claimed<<6)
		} else {
			b = append(b, 0xff, e.Begun, e.Suspended, e.Ended, e.Claimed)
		}
		prev = e
	}
	return b
}

func decodeEpisodes(b []byte) ([]Episode, error) {
	eps := make([]Episode, 0, len(b)/11)
	var prev Episode
	for len(b) > 0 {
		if len(b) < 11 {
			return nil, errors.New("truncated episode")
		}
		e := Episode{Fingerprint: label.Fingerprint(binary.LittleEndian.Uint64(b))}
		onset, n := binary.Varint(b[8:])
		if n <= 0 {
			return nil, errors.New("truncated onset")
		}
		at, m := binary.Varint(b[8+n:])
		if m <= 0 || 8+n+m >= len(b) {
			return nil, errors.New("truncated time")
		}
		b = b[8+n+m:]
		e.Onset = prev.Onset + alert.Time(onset)
		at += int64(prev.At)
		if e.Onset < 0 || at < 0 || at > 1<<32-1 {
			return nil, errors.New("time out of range")
		}
		e.At = uint32(at)
		if b[0] != 0xff {
			e.Begun, e.Suspended, e.Ended, e.Claimed = b[0]&3, b[0]>>2&3, b[0]>>4&3, b[0]>>6
			b = b[1:]
		} else {
			if len(b) < 5 {
				return nil, errors.New("truncated counts")
			}
			e.Begun, e.Suspended, e.Ended, e.Claimed = b[1], b[2], b[3], b[4]
			b = b[5:]
		}
		if len(eps) > 0 && compareEpisodes(prev, e) >= 0 {
			return nil, errors.New("episodes out of order")
		}
		eps = append(eps, e)
		prev = e
	}
	return slices.Clip(eps), nil
}

// UnmarshalBinary reads what AppendBinary wrote, of this version or with
// fields of a later one, and checks it fully. b isn't kept.
func (t *Told) UnmarshalBinary(b []byte) error {
	*t = Told{}
	if err := record.Read(b, codecVersion, t.setInt, t.setText); err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	switch {
	case t.State < Claimed || t.State > Failed:
		return fmt.Errorf("%w: state %d", ErrEncoding, t.State)
	case t.Tenant == "" || t.Integration == "" || t.Receiver == "":
		return fmt.Errorf("%w: no tenant, receiver or integration", ErrEncoding)
	case t.At < 0 || t.Repeat < 0:
		return fmt.Errorf("%w: time out of range", ErrEncoding)
	case t.State == Claimed && t.ID == "":
		return fmt.Errorf("%w: claim without id", ErrEncoding)
	}
	return nil
}

func (t *Told) setInt(tag, v uint64) {
	switch tag {
	case tagState:
		t.State = State(min(v, 255))
	case tagAt:
		t.At = alert.Time(v)
	case tagRepeat:
		t.Repeat = time.Duration(v)
	case tagAttempts:
		t.Attempts = uint32(min(v, 1<<32-1))
	}
}

func (t *Told) setText(tag uint64, v []byte) (err error) {
	switch tag {
	case tagID:
		t.ID = string(v)
	case tagTenant:
		t.Tenant = string(v)
	case tagReceiver:
		t.Receiver = string(v)
	case tagIntegration:
		t.Integration = string(v)
	case tagRouteKey:
		t.RouteKey = string(v)
	case tagLabels:
		t.GroupLabels, err = label.Decode(string(v))
	case tagReason:
		t.Reason = Reason(v)
	case tagErr:
		t.Err = string(v)
	case tagSettles:
		t.Settles = append(t.Settles, string(v))
	case tagEpisodes:
		t.Episodes, err = decodeEpisodes(v)
	}
	return err
}
