package alert

import (
	"errors"
	"fmt"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/record"
)

// The stored form of an alert, version 1, is a record (see package record) of
// the tags below.
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
	b = record.AppendText(b, tagTenant, a.Tenant)
	b = record.AppendText(b, tagLabels, a.Labels.Encoded())
	b = record.AppendText(b, tagAnnotations, a.Annotations.Encoded())
	b = record.AppendText(b, tagURL, a.GeneratorURL)
	if o := a.Origin; o != nil {
		b = record.AppendText(b, tagSource, o.Source)
		b = record.AppendText(b, tagIntegration, o.Integration)
		b = record.AppendText(b, tagNode, o.Node)
		b = record.AppendText(b, tagDatacenter, o.Datacenter)
	}
	if a.Extra != nil {
		for i, text := range a.Extra.texts() {
			b = record.AppendText(b, tagExtra+2*i, *text)
		}
	}
	b = record.AppendInt(b, tagStarts, uint64(a.StartsAt))
	b = record.AppendInt(b, tagEnds, uint64(a.EndsAt))
	b = record.AppendInt(b, tagOnset, uint64(a.Onset))
	b = record.AppendInt(b, tagReceived, uint64(a.ReceivedAt))
	b = record.AppendInt(b, tagUpdated, uint64(a.UpdatedAt))
	b = record.AppendInt(b, tagLease, uint64(a.Lease))
	b = record.AppendInt(b, tagVersion, a.Version)
	b = record.AppendInt(b, tagCount, uint64(a.Count))
	b = record.AppendInt(b, tagPriority, uint64(a.Priority)+1)
	var flags uint64
	if a.Timeout {
		flags |= flagTimeout
	}
	if a.Renewed {
		flags |= flagRenewed
	}
	return record.AppendInt(b, tagFlags, flags), nil
}

// texts lists the fields in the order of their tags.
func (e *Extra) texts() [11]*string {
	return [...]*string{
		&e.Name, &e.Service, &e.Resource, &e.ErrorCode, &e.SeverityRaw, &e.Summary,
		&e.Description, &e.ExternalID, &e.ExternalURL, &e.DedupeKey, &e.RuleGroup,
	}
}

// UnmarshalBinary reads what AppendBinary wrote, of this version or with
// fields of a later one, and checks it fully. b isn't kept.
func (a *Alert) UnmarshalBinary(b []byte) error {
	*a = Alert{}
	var o Origin
	err := record.Read(string(b), codecVersion, a.setInt, func(tag uint64, s string) error { return a.setText(&o, tag, s) })
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEncoding, err)
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
	return err
}
