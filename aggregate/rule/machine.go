// Package rule owns the life of an alerting rule's instances: when each is
// pending, fires, is kept firing and ends; whether it flaps; and which value
// a rule's parameters have at a time, on a host, for a tenant.
//
// For, keep_firing_for, limit and the restoration after an outage follow
// Prometheus 3. A Machine is not safe for concurrent use.
package rule

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// State is the state of one instance. A larger one is worse.
type State uint8

// The states, in Prometheus's words. Unknown is the state of a rule that has
// not been evaluated yet; an instance is never Unknown.
const (
	Unknown State = iota
	Inactive
	Pending
	Firing
)

// String is the state's name as Prometheus writes it.
func (s State) String() string {
	switch s {
	case Inactive:
		return "inactive"
	case Pending:
		return "pending"
	case Firing:
		return "firing"
	}
	return "unknown"
}

// Spec says how the instances of one rule live. The zero Spec fires at once,
// ends at once, has no limit and damps nothing.
type Spec struct {
	// For is how long a condition must hold before its instance fires.
	For time.Duration
	// KeepFiringFor is how long an instance fires on after its condition ended.
	KeepFiringFor time.Duration
	// Limit is the highest number of pending and firing instances; 0 is none.
	Limit int
	// Flap damps flapping instances; nil doesn't.
	Flap *Flap
}

// Reasons why an evaluation has failed. They travel wrapped.
var (
	// ErrDuplicate: two results have the same labels.
	ErrDuplicate = errors.New("vector contains metrics with the same labelset after applying alert labels")
	// ErrLimit: more instances than Spec.Limit; all of them have been dropped.
	ErrLimit = errors.New("exceeded limit")
)

// Sample is one result of the rule's expression.
type Sample struct {
	// Labels identify the instance. No two samples of one evaluation share them.
	Labels label.Set
	// Annotations are kept with the instance and are not looked into.
	Annotations label.Set
	// Value is the expression's value.
	Value float64
}

// Instance is one pending or firing result of a rule.
type Instance struct {
	Sample
	State State
	// ActiveAt is when the condition began to hold.
	ActiveAt time.Time
	// FiredAt is when the instance began to fire; zero while it is pending.
	FiredAt time.Time
	// KeepFiringSince is when the condition ended while KeepFiringFor holds
	// the instance; zero otherwise.
	KeepFiringSince time.Time
	// Flapping says that the instance changes too often: it fires on instead of
	// ending and beginning again.
	Flapping bool
	// Held says that the condition is over, and that only Flapping keeps the
	// instance.
	Held bool
	// ChangeShare is the weighted share of state changes among the last checks,
	// 0 to 100; 0 for a rule without flap damping.
	ChangeShare float64

	seen, born bool // by the evaluation under way
}

// Transition is one change of an instance's state. The first evaluation that
// sees an instance whose For is 0 gives one transition, from Inactive to Firing.
type Transition struct {
	Labels   label.Set
	From, To State
	// At is the time of the evaluation.
	At time.Time
	// Reason says in a word why: "active", "for", "gone", "longer for",
	// "kept long enough", "steady" (no longer flapping), "limit".
	Reason string
}

// Machine holds the instances of one rule. Make it with New.
type Machine struct {
	spec    Spec
	byLabel map[label.Set]*Instance
	sorted  []*Instance // the same, by labels
	history map[label.Set]*history
	changes []Transition
}

// New makes a machine without instances.
func New(spec Spec) *Machine {
	m := &Machine{byLabel: map[label.Set]*Instance{}}
	m.SetSpec(spec)
	return m
}

// SetSpec changes how the instances live from the next evaluation on.
func (m *Machine) SetSpec(spec Spec) {
	m.spec = spec
	if spec.Flap == nil {
		m.history = nil
		for _, in := range m.sorted {
			in.Flapping, in.Held, in.ChangeShare = false, false, 0
		}
	} else if m.history == nil {
		m.history = map[label.Set]*history{}
	}
}

// Active returns the pending and firing instances, sorted by labels. The
// machine owns them; they hold until the next call of a method that changes it.
func (m *Machine) Active() []*Instance { return m.sorted }

// State is the worst state of the instances, Inactive without any.
func (m *Machine) State() State {
	worst := Inactive
	for _, in := range m.sorted {
		worst = max(worst, in.State)
	}
	return worst
}

// Eval takes the results of one evaluation of the rule at now and returns what
// has changed, sorted by labels; the slice is used again by the next Eval. After
// ErrDuplicate nothing has changed; after ErrLimit all instances are gone.
// now should not go back; if it does, instances wait that much longer.
func (m *Machine) Eval(now time.Time, samples []Sample) ([]Transition, error) {
	m.changes = m.changes[:0]
	fresh, err := m.take(now, samples)
	if err != nil {
		return nil, err
	}
	if fresh {
		m.sort()
	}
	active, gone := 0, false
	for _, in := range m.sorted {
		if m.step(now, in) {
			active++
		} else {
			gone = true
		}
	}
	m.forgetHistory()
	if gone {
		m.sorted = slices.DeleteFunc(m.sorted, func(in *Instance) bool { return in.State == Inactive })
	}
	if m.spec.Limit > 0 && active > m.spec.Limit {
		return m.exceeded(now, active)
	}
	return m.changes, nil
}

// Exceeds says whether n results are beyond the limit by themselves. If so, it
// does what Eval would do with them, and returns what Eval would: so that nobody
// has to work out the labels of a flood.
func (m *Machine) Exceeds(now time.Time, n int) ([]Transition, error) {
	m.changes = m.changes[:0]
	if m.spec.Limit == 0 || n <= m.spec.Limit {
		return nil, nil
	}
	return m.exceeded(now, n)
}

// exceeded forgets every instance, as Prometheus does beyond the limit.
func (m *Machine) exceeded(now time.Time, n int) ([]Transition, error) {
	for _, in := range m.sorted {
		if in.State != Inactive {
			m.changes = append(m.changes, Transition{in.Labels, in.State, Inactive, now, "limit"})
		}
	}
	clear(m.byLabel)
	m.sorted = nil
	return m.changes, fmt.Errorf("%w of %d with %d alerts", ErrLimit, m.spec.Limit, n)
}

// take brings the samples to their instances, new ones pending, and says
// whether there were new ones.
func (m *Machine) take(now time.Time, samples []Sample) (fresh bool, err error) {
	for _, in := range m.sorted {
		in.seen = false
	}
	added := len(m.sorted)
	for i := range samples {
		s := &samples[i]
		in := m.byLabel[s.Labels]
		if in == nil {
			in = &Instance{Sample: *s, State: Pending, ActiveAt: now, born: true}
			m.byLabel[s.Labels] = in
			m.sorted = append(m.sorted, in)
		} else if in.seen {
			m.undo(added)
			return false, fmt.Errorf("%w: %v", ErrDuplicate, s.Labels)
		}
		in.seen = true
	}
	for i := range samples {
		in := m.byLabel[samples[i].Labels]
		in.Value, in.Annotations = samples[i].Value, samples[i].Annotations
	}
	return len(m.sorted) > added, nil
}

// undo forgets the instances from position added on.
func (m *Machine) undo(added int) {
	for _, in := range m.sorted[added:] {
		delete(m.byLabel, in.Labels)
	}
	clear(m.sorted[added:])
	m.sorted = m.sorted[:added]
}

func (m *Machine) sort() {
	slices.SortFunc(m.sorted, func(a, b *Instance) int { return label.Compare(a.Labels, b.Labels) })
}

// step moves one instance on and says whether it is still active. An instance
// that isn't has State Inactive and is out of byLabel.
func (m *Machine) step(now time.Time, in *Instance) bool {
	before := in.State
	if in.born {
		before, in.born = Inactive, false
	}
	reason := m.advance(now, in)
	if m.spec.Flap != nil {
		reason = m.damp(in, before, reason)
	}
	if in.State == Inactive {
		delete(m.byLabel, in.Labels)
	}
	if in.State != before {
		m.changes = append(m.changes, Transition{in.Labels, before, in.State, now, reason})
	}
	return in.State != Inactive
}

// advance is Prometheus's rule for one instance; it returns the reason of what
// it changed.
func (m *Machine) advance(now time.Time, in *Instance) string {
	reason := "active"
	switch {
	case in.seen:
		in.KeepFiringSince, in.Held = time.Time{}, false
	case in.Held: // ended already, as far as the rule goes
		return "gone"
	case in.State == Firing && m.kept(now, in):
	case in.State == Firing && m.spec.KeepFiringFor > 0:
		in.State = Inactive
		return "kept long enough"
	default:
		in.State = Inactive
		return "gone"
	}
	if in.State == Pending && now.Sub(in.ActiveAt) >= m.spec.For {
		in.State, in.FiredAt, reason = Firing, now, "for"
	}
	if in.State == Firing && now.Sub(in.ActiveAt) < m.spec.For { // the rule has got a longer For
		in.State, in.FiredAt, in.KeepFiringSince, reason = Pending, time.Time{}, time.Time{}, "longer for"
	}
	return reason
}

// kept says whether KeepFiringFor still holds a firing instance without condition.
func (m *Machine) kept(now time.Time, in *Instance) bool {
	if m.spec.KeepFiringFor <= 0 {
		return false
	}
	if in.KeepFiringSince.IsZero() {
		in.KeepFiringSince = now
	}
	return now.Sub(in.KeepFiringSince) < m.spec.KeepFiringFor
}
