// Package rollup folds the alerts of one writer: alerts that differ only in
// identity labels (which host, pod, address...) become one rollup, a few dozen
// bytes however many alerts stand behind it. It judges nothing.
package rollup

import (
	"cmp"
	"slices"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// IsIdentity says whether a label only tells which of many like things an
// alert is about. The list is fixed, never derived from routes, so that every
// writer folds alike.
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

// Rollup is the folded state of the alerts of one key. It is small, because a
// stream of unlike alerts makes as many rollups as alerts.
type Rollup struct {
	// Hash is the fingerprint of Key.
	Hash label.Fingerprint
	// Sample is one of the folded alerts: its labels without the identity
	// labels define the rollup, its texts speak for all.
	Sample *alert.Alert
	// Firing counts firing alerts by priority.
	Firing [5]uint32
	// noted is where the fold lists the rollup as changed, plus 1; 0: nowhere.
	noted int32
	// Onset is when the first of them began, since the rollup last was quiet.
	Onset alert.Time
}

// Key is the rollup's name.
func (r *Rollup) Key() Key { return Key{r.Sample.Tenant, r.Hash} }

// Change is a rollup as it stands, and how many of its alerts fired, by
// priority, when it was looked at before.
type Change struct {
	Rollup
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

// Fold keeps the rollups of one writer, alert by alert. It isn't safe for
// concurrent use.
type Fold struct {
	at      map[uint64]int32 // mixed tenant and hash -> place in rollups
	rollups []Rollup         // one slice: a storm is no work for the collector
	free    []int32
	changed []changed
}

// changed is a rollup to look at.
type changed struct {
	at  int32
	was [5]uint32
}

// mix makes one number of tenant and hash. A collision would take 2^32 rollups.
func (k Key) mix() uint64 { return uint64(k.Hash) ^ label.HashPair(k.Tenant, "") }

// NewFold returns an empty fold.
func NewFold() *Fold {
	return &Fold{at: map[uint64]int32{}}
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
	id := key.mix()
	at, known := f.at[id]
	if !known {
		if !fires {
			return // the end of something that never counted
		}
		at = f.take(Rollup{Hash: key.Hash, Sample: a})
		f.at[id] = at
	}
	r := &f.rollups[at]
	if wasFiring != fires || fires && before != nil && before.Priority != after.Priority {
		if r.noted == 0 {
			f.changed = append(f.changed, changed{at, r.Firing})
			r.noted = int32(len(f.changed))
		}
	}
	if before != nil && wasFiring {
		r.drop(before.Priority)
	}
	if fires {
		if r.Active() == 0 {
			r.Onset = after.StartsAt
		}
		r.Onset = min(r.Onset, after.StartsAt)
		r.Firing[min(after.Priority, alert.P4)]++
		r.Sample = sample(r.Sample, after)
	}
}

// take finds a place for a new rollup.
func (f *Fold) take(r Rollup) int32 {
	if n := len(f.free); n > 0 {
		at := f.free[n-1]
		f.free = f.free[:n-1]
		f.rollups[at] = r
		return at
	}
	f.rollups = append(f.rollups, r)
	return int32(len(f.rollups) - 1)
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
func (f *Fold) Changed() []Change {
	if len(f.changed) == 0 {
		return nil
	}
	// Short keys are sorted instead of what they stand for: in a storm there are
	// a hundred thousand.
	type at struct {
		hash label.Fingerprint
		i    int
	}
	order := make([]at, len(f.changed))
	for i := range f.changed {
		order[i] = at{f.rollups[f.changed[i].at].Hash, i}
	}
	slices.SortFunc(order, func(a, b at) int {
		if c := cmp.Compare(a.hash, b.hash); c != 0 {
			return c
		}
		return cmp.Compare(f.rollups[f.changed[a.i].at].Sample.Tenant, f.rollups[f.changed[b.i].at].Sample.Tenant)
	})
	out := make([]Change, len(order))
	for k, o := range order {
		c := &f.changed[o.i]
		r := &f.rollups[c.at]
		r.noted = 0
		out[k] = Change{*r, c.was}
		if r.Active() == 0 {
			delete(f.at, r.Key().mix())
			*r = Rollup{}
			f.free = append(f.free, c.at)
		}
	}
	f.changed = nil // a storm's list is not kept
	return out
}

// Get returns a copy of one rollup.
func (f *Fold) Get(key Key) (Rollup, bool) {
	at, ok := f.at[key.mix()]
	if !ok {
		return Rollup{}, false
	}
	return f.rollups[at], true
}

// Len counts the rollups.
func (f *Fold) Len() int { return len(f.at) }
