package alert

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// The stored form of an alert, version 1: a version byte, then fields of
// (tag, value). Odd tags carry a varint, even tags a length and bytes, so a
// reader steps over tags it doesn't know. Absent fields are zero.
const codecVersion = 1

// Tags. They are never reused.
const (
	tagTenant      = 2
	tagLabels      = 4
	tagAnnotations = 6
	tagURL         = 8
	tagSource      = 10
	tagIntegration = 12
	tagNode        = 14
	tagDatacenter  = 16
	tagExtra       = 18 // then one tag per text, in the order of Extra's fields
	tagLast        = tagExtra + 2*10

	tagStarts   = 1
	tagEnds     = 3
	tagOnset    = 5
	tagReceived = 7
	tagUpdated  = 9
	tagLease    = 11
	tagVersion  = 13
	tagCount    = 15
	tagPriority = 17 // stored + 1, so that P0 isn't "absent"
	tagFlags    = 19
)

const (
	flagTimeout = 1 << iota
	flagRenewed
)

// ErrEncoding: bytes that should be a stored alert are not.
var ErrEncoding = errors.New("malformed alert record")

// AppendBinary appends the stored form to b. The error is always nil; it is
// there for encoding.BinaryAppender.
func (a *Alert) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, codecVersion)
	b = putText(b, tagTenant, a.Tenant)
	b = putText(b, tagLabels, a.Labels.Encoded())
	b = putText(b, tagAnnotations, a.Annotations.Encoded())
	b = putText(b, tagURL, a.GeneratorURL)
	if o := a.Origin; o != nil {
		b = putText(b, tagSource, o.Source)
		b = putText(b, tagIntegration, o.Integration)
		b = putText(b, tagNode, o.Node)
		b = putText(b, tagDatacenter, o.Datacenter)
	}
	if a.Extra != nil {
		for i, text := range a.Extra.texts() {
			b = putText(b, tagExtra+2*i, *text)
		}
	}
	b = putInt(b, tagStarts, uint64(a.StartsAt))
	b = putInt(b, tagEnds, uint64(a.EndsAt))
	b = putInt(b, tagOnset, uint64(a.Onset))
	b = putInt(b, tagReceived, uint64(a.ReceivedAt))
	b = putInt(b, tagUpdated, uint64(a.UpdatedAt))
	b = putInt(b, tagLease, uint64(a.Lease))
	b = putInt(b, tagVersion, a.Version)
	b = putInt(b, tagCount, uint64(a.Count))
	b = putInt(b, tagPriority, uint64(a.Priority)+1)
	var flags uint64
	if a.Timeout {
		flags |= flagTimeout
	}
	if a.Renewed {
		flags |= flagRenewed
	}
	return putInt(b, tagFlags, flags), nil
}

// texts lists the fields in the order of their tags.
func (e *Extra) texts() [11]*string {
	return [...]*string{
		&e.Name, &e.Service, &e.Resource, &e.ErrorCode, &e.SeverityRaw, &e.Summary,
		&e.Description, &e.ExternalID, &e.ExternalURL, &e.DedupeKey, &e.RuleGroup,
	}
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
func (a *Alert) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || b[0] != codecVersion {
		return fmt.Errorf("%w: unknown version", ErrEncoding)
	}
	*a = Alert{}
	var o Origin
	for text := string(b[1:]); text != ""; {
		tag, n := uvarint(text)
		v, m := uvarint(text[n:])
		if n == 0 || m == 0 {
			return fmt.Errorf("%w: truncated", ErrEncoding)
		}
		text = text[n+m:]
		if tag%2 == 1 {
			a.setInt(tag, v)
			continue
		}
		if v > uint64(len(text)) {
			return fmt.Errorf("%w: truncated text", ErrEncoding)
		}
		if err := a.setText(&o, tag, text[:v]); err != nil {
			return err
		}
		text = text[v:]
	}
	if o != (Origin{}) {
		a.Origin = &o
	}
	if a.Tenant == "" || a.Priority > P4 || a.Lease < 0 {
		return fmt.Errorf("%w: field out of range", ErrEncoding)
	}
	if err := a.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	return nil
}

// uvarint is binary.Uvarint for a string; n is 0 on malformed input.
func uvarint(s string) (v uint64, n int) {
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		v |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

func (a *Alert) setInt(tag, v uint64) {
	switch tag {
	case tagStarts:
		a.StartsAt = Time(v)
	case tagEnds:
		a.EndsAt = Time(v)
	case tagOnset:
		a.Onset = Time(v)
	case tagReceived:
		a.ReceivedAt = Time(v)
	case tagUpdated:
		a.UpdatedAt = Time(v)
	case tagLease:
		a.Lease = time.Duration(v)
	case tagVersion:
		a.Version = v
	case tagCount:
		a.Count = uint32(min(v, 1<<32-1))
	case tagPriority:
		a.Priority = Priority(min(v-1, 255))
	case tagFlags:
		a.Timeout, a.Renewed = v&flagTimeout != 0, v&flagRenewed != 0
	}
}

func (a *Alert) setText(o *Origin, tag uint64, s string) (err error) {
	switch tag {
	case tagTenant:
		a.Tenant = s
	case tagLabels:
		a.Labels, err = label.Decode(s)
	case tagAnnotations:
		a.Annotations, err = label.Decode(s)
	case tagURL:
		a.GeneratorURL = s
	case tagSource:
		o.Source = s
	case tagIntegration:
		o.Integration = s
	case tagNode:
		o.Node = s
	case tagDatacenter:
		o.Datacenter = s
	default:
		if tag >= tagExtra && tag <= tagLast {
			if a.Extra == nil {
				a.Extra = new(Extra)
			}
			*a.Extra.texts()[(tag-tagExtra)/2] = s
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
	}
	return nil
}
