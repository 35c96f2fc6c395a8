// Package alert owns the alert: one condition on one resource, how two reports
// of it merge, and when it has begun and ended.
//
// An Alert is immutable once it has been handed on; whoever changes one copies
// it first. All decisions here are pure: time comes in as a parameter.
package alert

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// Time is an instant in nanoseconds since 1970 UTC; 0 means "not set". It
// reaches from 1970 to 2262, which Validate guards.
type Time int64

// At converts a time.Time; the zero time and everything before 1970 is 0.
func At(t time.Time) Time {
	if t.Unix() <= 0 || t.Unix() > maxUnix {
		return 0
	}
	return Time(t.UnixNano())
}

// maxUnix is the last whole second that fits into Time.
const maxUnix = 9223372035

// Std converts back, in UTC; an unset Time is the zero time.Time.
func (t Time) Std() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(t)).UTC()
}

// Add moves t by d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub is the duration from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// DefaultTenant is the tenant of alerts whose sender is bound to none.
const DefaultTenant = "default"

// Key identifies an alert on this node: a tenant and the fingerprint of its
// labels. Two alerts of one key with different labels are a hash collision;
// the second one is refused.
type Key struct {
	Tenant      string
	Fingerprint label.Fingerprint
}

// Alert is one condition on one resource: firing, or resolved.
type Alert struct {
	// Tenant is the business line that owns the alert.
	Tenant string
	// Labels identify the alert. Never empty.
	Labels label.Set
	// Annotations describe it; they may change while it fires.
	Annotations label.Set
	// GeneratorURL leads to what raised the alert.
	GeneratorURL string
	// Origin says through which door and node the alert came. Shared, immutable.
	Origin *Origin
	// Extra holds what the source said beyond labels; nil where everything
	// derives from labels and annotations, as with Prometheus.
	Extra *Extra

	// StartsAt is when the condition began, as the sender says; the earliest
	// of merged reports.
	StartsAt Time
	// EndsAt is when it ended or, while it is in the future, when it is taken
	// to have ended unless a report comes before. 0: firing until told.
	EndsAt Time
	// Onset is StartsAt as first accepted. It never moves while the alert
	// fires: together with the fingerprint it names the episode.
	Onset Time
	// ReceivedAt is when the first report of this episode arrived here.
	ReceivedAt Time
	// UpdatedAt is when the latest report arrived here.
	UpdatedAt Time
	// Lease is how long the latest firing report holds: EndsAt - UpdatedAt.
	Lease time.Duration

	// Version grows with each change that the writer recorded.
	Version uint64
	// Count is the number of reports folded into this episode, at least 1. It
	// may lag after a crash, since an unchanged repeat isn't written.
	Count uint32
	// Priority is P0 (worst) to P4.
	Priority Priority
	// Timeout says that EndsAt is ours, not the sender's.
	Timeout bool
	// Renewed says that a later report has moved EndsAt on: the sender repeats
	// itself, and its silence after a restart of ours proves nothing.
	Renewed bool
}

// Origin says where an alert entered the mesh.
type Origin struct {
	// Source is the kind of sender: "prometheus_v2", "zabbix", "rule"...
	Source string
	// Integration is the configured name of the sender's entry; may be empty.
	Integration string
	// Node and Datacenter accepted it.
	Node, Datacenter string
}

// Extra is what a source says that is not in labels or annotations. An empty
// field means: derive it.
type Extra struct {
	Name        string // name of the rule or condition
	Service     string // logical service (not the scrape job)
	Resource    string // host, pod, device... the alert is about
	ErrorCode   string // code of the failure, if it has one
	SeverityRaw string // severity exactly as the sender wrote it
	Summary     string // one line for people
	Description string // text for people
	ExternalID  string // the sender's own number of the problem
	ExternalURL string // where the sender shows it
	DedupeKey   string // equal for a problem's begin and end, different for different problems
	RuleGroup   string // rule group that owns the alert (source "rule"): its absence there resolves it
}

// Reasons to refuse an alert; they travel wrapped with the field in front.
var (
	// ErrTimes: the end is before the begin.
	ErrTimes = errors.New("start time must not be after end time")
	// ErrRange: a time is outside 1970..2262.
	ErrRange = errors.New("time out of range")
	// ErrCollision: another alert of the same fingerprint has other labels.
	ErrCollision = errors.New("labels collide with another alert's fingerprint")
	// ErrTooLong: a text is longer than allowed.
	ErrTooLong = errors.New("too long")
)

// Bounds of texts beside labels and annotations, in bytes.
const (
	MaxURLBytes  = 4 << 10
	MaxTextBytes = 32 << 10
	MaxIDBytes   = 1 << 10
)

// Key returns the alert's identity.
func (a *Alert) Key() Key { return Key{a.Tenant, a.Labels.Fingerprint()} }

// ResolvedAt says whether the alert has ended by now.
func (a *Alert) ResolvedAt(now Time) bool { return a.EndsAt != 0 && a.EndsAt <= now }

// Fires says whether the alert fires as far as has been recorded: a lease that
// ran out counts only once Expire has ended the alert.
func (a *Alert) Fires() bool { return a.EndsAt == 0 || a.Lease > 0 }

// ID names the episode: the fingerprint and the onset in milliseconds, base
// 36. Every node computes the same one.
func (a *Alert) ID() string { return EpisodeID(a.Labels.Fingerprint(), a.Onset) }

// EpisodeID is ID for a fingerprint and an onset.
func EpisodeID(fp label.Fingerprint, onset Time) string {
	b := fp.Append(make([]byte, 0, 28))
	b = append(b, '-')
	return string(strconv.AppendInt(b, int64(onset)/int64(time.Millisecond), 36))
}

// Validate checks a completed alert against the bounds of the model.
func (a *Alert) Validate() error {
	switch {
	case a.Labels.Empty():
		return fmt.Errorf("invalid label set: %w", label.ErrEmpty)
	case a.StartsAt <= 0:
		return fmt.Errorf("startsAt: %w", ErrRange)
	case a.EndsAt < 0:
		return fmt.Errorf("endsAt: %w", ErrRange)
	case a.EndsAt != 0 && a.EndsAt < a.StartsAt:
		return ErrTimes
	case len(a.GeneratorURL) > MaxURLBytes:
		return fmt.Errorf("generatorURL: %w: %d bytes, at most %d", ErrTooLong, len(a.GeneratorURL), MaxURLBytes)
	}
	return a.Extra.validate()
}

func (e *Extra) validate() error {
	if e == nil {
		return nil
	}
	for _, f := range []struct {
		name, text string
		max        int
	}{
		{"name", e.Name, MaxIDBytes},
		{"service", e.Service, MaxIDBytes},
		{"resource", e.Resource, MaxIDBytes},
		{"error_code", e.ErrorCode, MaxIDBytes},
		{"severity_raw", e.SeverityRaw, MaxIDBytes},
		{"summary", e.Summary, MaxTextBytes},
		{"description", e.Description, MaxTextBytes},
		{"external_id", e.ExternalID, MaxIDBytes},
		{"external_url", e.ExternalURL, MaxURLBytes},
		{"dedupe_key", e.DedupeKey, MaxIDBytes},
		{"rule_group", e.RuleGroup, MaxURLBytes},
	} {
		if len(f.text) > f.max {
			return fmt.Errorf("%s: %w: %d bytes, at most %d", f.name, ErrTooLong, len(f.text), f.max)
		}
	}
	return nil
}
