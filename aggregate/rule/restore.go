package rule

import (
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// Defaults of Outage, as Prometheus's flags rules.alert.for-outage-tolerance
// and rules.alert.for-grace-period.
const (
	DefaultOutageTolerance = time.Hour
	DefaultForGracePeriod  = 10 * time.Minute
)

// Remembered is the newest ALERTS_FOR_STATE sample of an instance.
type Remembered struct {
	// ActiveAt is the sample's value: when the condition began, whole seconds.
	ActiveAt time.Time
	// At is the sample's time: the last evaluation before the outage.
	At time.Time
}

// Restore gives active instances the ActiveAt they had before the node was
// down. recall returns what is remembered of an instance, ok false where it is
// nothing or older than the outage tolerance. grace is the shortest time that a
// pending instance waits from now on, so that a restart isn't what makes it fire.
// The next Eval draws the consequences.
func (m *Machine) Restore(now time.Time, grace time.Duration, recall func(label.Set) (Remembered, bool)) {
	for _, in := range m.sorted {
		if r, ok := recall(in.Labels); ok {
			if at, ok := activeAfter(now, r, m.spec.For, grace); ok {
				in.ActiveAt = at
			}
		}
	}
}

// activeAfter is Prometheus's rule for one instance; ok is false where it
// keeps the ActiveAt it has.
func activeAfter(now time.Time, r Remembered, hold, grace time.Duration) (at time.Time, ok bool) {
	remaining := hold - r.At.Sub(r.ActiveAt)
	switch {
	case remaining <= 0: // it was firing
		return r.ActiveAt, true
	case hold < grace: // too short to matter: it starts over
		return time.Time{}, false
	case remaining < grace:
		return now.Add(grace - hold), true
	}
	return r.ActiveAt.Add(now.Sub(r.At)), true // the time down doesn't count
}

// CopyFrom takes over the instances and flap histories of a machine whose rule
// is the same in name and labels. from must not be used any more.
func (m *Machine) CopyFrom(from *Machine) {
	m.byLabel, m.sorted, m.history = from.byLabel, from.sorted, from.history
	m.SetSpec(m.spec)
}
