// Package rollup folds the alerts of one writer: alerts that differ only in
// identity labels (which host, pod, address...) become one rollup, a few dozen
// bytes however many alerts stand behind it. It judges nothing.
package rollup

import (
	"slices"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// IdentityVersion numbers the list of identity labels: rollups made with
// different lists are different rollups.
const IdentityVersion = 1

// IsIdentity says whether a label only tells which of many like things an
// alert is about. The list is fixed and versioned, never derived from routes,
// so that every writer folds alike.
func IsIdentity(name string) bool {
	switch name {
	case "instance", "host", "hostname", "ident", "ip", "address", "node", "nodename",
		"pod", "pod_name", "pod_ip", "container_id", "uid", "endpoint", "target",
		"exported_instance", "exported_pod", "exported_node":
		return true
	}
	return false
}

// Key names a rollup: a tenant and the fingerprint of the labels without the
// identity labels. There is no writer in it: the rollups of all writers under
// one key are one.
type Key struct {
	Tenant string
	Hash   label.Fingerprint
}

// KeyOf is the key of the rollup that an alert folds into.
func KeyOf(a *alert.Alert) Key {
	return Key{a.Tenant, a.Labels.FingerprintWithout(IsIdentity)}
}

// Rollup is the folded state of the alerts of one key.
type Rollup struct {
	Key Key
	// Sample is one of the folded alerts: its labels without the identity
	// labels define the rollup, its texts speak for all.
	Sample *alert.Alert
	// Firing counts firing alerts by priority.
	Firing [5]uint32
	// Onset is when the first of them began, since the rollup last was quiet.
	Onset alert.Time
	// EndedAt is when the last one ended; 0 while any fires.
	EndedAt alert.Time
	// Was is Firing as the previous call of Changed showed it.
	Was [5]uint32
}

// Active counts the firing alerts.
func (r *Rollup) Active() int {
	n := 0
	for _, c := range r.Firing {
		n += int(c)
	}
	return n
}

// Worst is the highest priority among the firing alerts, P4 where none fires.
func (r *Rollup) Worst() alert.Priority {
	for p, c := range r.Firing {
		if c > 0 {
			return alert.Priority(p)
		}
	}
	return alert.P4
}

// Definition is the set of labels that all folded alerts share.
func (r *Rollup) Definition() label.Set { return r.Sample.Labels.Without(IsIdentity) }

// Fold keeps the rollups of one writer, alert by alert. It isn't safe for
// concurrent use.
type Fold struct {
	rollups map[Key]*Rollup
	changed map[Key]bool
}

// NewFold returns an empty fold.
func NewFold() *Fold {
	return &Fold{rollups: map[Key]*Rollup{}, changed: map[Key]bool{}}
}

// Replace takes note that an alert's state before (nil: unknown) is now after
// (nil: forgotten). Whether a state fires is said by firing, not by a clock.
func (f *Fold) Replace(before, after *alert.Alert, wasFiring, fires bool) {
	if before == nil && after == nil {
		return
	}
	a := after
	if a == nil {
		a = before
	}
	key := KeyOf(a)
	r := f.rollups[key]
	if r == nil {
		if !fires {
			return // the end of something that never counted
		}
		r = &Rollup{Key: key, Sample: a}
		f.rollups[key] = r
	}
	if before != nil && wasFiring {
		r.drop(before.Priority)
	}
	if fires {
		if r.Active() == 0 {
			r.Onset = after.StartsAt
		}
		r.Onset = min(r.Onset, after.StartsAt)
		r.EndedAt = 0
		r.Firing[min(after.Priority, alert.P4)]++
		r.Sample = sample(r.Sample, after)
	}
	if r.Active() == 0 {
		r.EndedAt = a.EndsAt
	}
	if wasFiring != fires || fires && before != nil && before.Priority != after.Priority {
		f.changed[key] = true
	}
}

func (r *Rollup) drop(p alert.Priority) {
	if n := &r.Firing[min(p, alert.P4)]; *n > 0 {
		*n--
	}
}

// sample prefers the newest state of the alert that already is the sample, and
// otherwise leaves it: one alert speaks for the rollup as long as it can.
func sample(old, now *alert.Alert) *alert.Alert {
	if old == nil || old.Labels == now.Labels {
		return now
	}
	return old
}

// Changed returns copies of the rollups that began, ended or changed in count
// or priority since the last call, ordered by key, and forgets those that
// ended.
func (f *Fold) Changed() []Rollup {
	if len(f.changed) == 0 {
		return nil
	}
	out := make([]Rollup, 0, len(f.changed))
	for key := range f.changed {
		r := f.rollups[key]
		if r == nil {
			continue
		}
		out = append(out, *r)
		r.Was = r.Firing
		if r.Active() == 0 {
			delete(f.rollups, key)
		}
	}
	clear(f.changed)
	slices.SortFunc(out, func(a, b Rollup) int { return compareKeys(a.Key, b.Key) })
	return out
}

// Get returns a copy of one rollup.
func (f *Fold) Get(key Key) (Rollup, bool) {
	r := f.rollups[key]
	if r == nil {
		return Rollup{}, false
	}
	return *r, true
}

// Len counts the rollups.
func (f *Fold) Len() int { return len(f.rollups) }

func compareKeys(a, b Key) int {
	switch {
	case a.Tenant != b.Tenant:
		if a.Tenant < b.Tenant {
			return -1
		}
		return 1
	case a.Hash < b.Hash:
		return -1
	case a.Hash > b.Hash:
		return 1
	}
	return 0
}
