package evaluate

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate/rulefile"
)

// retainRetry is how long after a failed Retain it is tried again.
const retainRetry = 5 * time.Second

// Manager evaluates the groups of a Set on their schedules. Its methods are safe
// for concurrent use.
type Manager struct {
	env    *env
	slots  chan struct{} // places for evaluations
	retain chan struct{} // there are other groups than Reporter knows

	apply sync.Mutex // one Apply at a time

	mu      sync.Mutex // guards all following
	life    context.Context
	groups  []*running // in the order of the Set
	applied bool
	ended   bool
	wg      sync.WaitGroup
}

// running is a group and its goroutine.
type running struct {
	group  *Group
	fresh  bool // there may be a state from before a restart to restore
	again  bool // it has been evaluated while fresh
	cancel context.CancelFunc
	done   chan struct{} // nil: not started
}

// New makes a manager without rules. Nothing runs before Run.
func New(o Options) (*Manager, error) {
	e, err := newEnv(o)
	if err != nil {
		return nil, err
	}
	return &Manager{env: e, slots: make(chan struct{}, e.Concurrency), retain: make(chan struct{}, 1)}, nil
}

// Run evaluates until ctx ends, and returns when every evaluation has ended.
// It must be called once.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	m.life = ctx
	for _, r := range m.groups {
		m.start(r)
	}
	m.mu.Unlock()
	m.keepRetained(ctx)
	m.mu.Lock()
	m.ended = true // no Apply starts a group any more
	m.mu.Unlock()
	m.wg.Wait()
	return nil
}

// keepRetained tells the Reporter which groups there are, until it has heard.
func (m *Manager) keepRetained(ctx context.Context) {
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.retain:
		case <-timer.C:
		}
		keys, applied := m.keys()
		if !applied || m.env.Reporter == nil {
			continue
		}
		if err := m.env.Reporter.Retain(ctx, keys); err != nil && ctx.Err() == nil {
			m.env.metrics.reportFailures.Inc()
			m.env.Logger.Warn("telling which rule groups there are failed, trying again", "err", err)
			timer.Reset(retainRetry)
		}
	}
}

func (m *Manager) keys() ([]string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := make([]string, 0, len(m.groups))
	for _, r := range m.groups {
		keys = append(keys, r.group.identity.key)
	}
	slices.Sort(keys)
	return keys, m.applied
}

// Apply swaps the rules. Groups that are the same go on, changed ones keep the
// state of the rules that are alike, those that are gone end: their series are
// marked stale and their alerts resolve. It waits for evaluations under way of
// groups that change, and can't fail.
func (m *Manager) Apply(ctx context.Context, set *rulefile.Set) {
	m.apply.Lock()
	defer m.apply.Unlock()
	m.mu.Lock()
	old := map[string]*running{}
	for _, r := range m.groups {
		old[r.group.identity.key] = r
	}
	m.mu.Unlock()

	groups := make([]*running, 0, len(set.Groups))
	for _, spec := range set.Groups {
		before := old[spec.Key()]
		delete(old, spec.Key())
		if before != nil && before.group.spec.Same(spec) {
			groups = append(groups, before)
			continue
		}
		r := &running{group: newGroup(spec, m.env), fresh: true}
		if before != nil {
			before.stop()
			r.group.copyFrom(before.group)
			r.fresh = before.fresh
		}
		if !r.fresh {
			r.group.SkipRestore()
		}
		groups = append(groups, r)
	}
	var gone []labels.Labels
	for key, r := range old {
		r.stop()
		gone = append(gone, r.group.series()...)
		gone = append(gone, r.group.orphans...)
		m.env.metrics.forget(key)
	}
	if err := m.bury(ctx, gone); err != nil {
		m.env.Logger.Warn("marking the series of removed rule groups stale failed", "err", err)
	}

	m.mu.Lock()
	m.groups, m.applied = groups, true
	if m.life != nil {
		for _, r := range groups {
			m.start(r)
		}
	}
	m.mu.Unlock()
	select {
	case m.retain <- struct{}{}:
	default:
	}
}

func (m *Manager) bury(ctx context.Context, gone []labels.Labels) error {
	if len(gone) == 0 {
		return nil
	}
	return bury(ctx, m.env.Appender, gone, m.env.Now())
}

// start begins a group's evaluations, if they haven't begun and the manager's
// life hasn't ended. The caller holds mu.
func (m *Manager) start(r *running) {
	if r.done != nil || m.ended {
		return
	}
	ctx, cancel := context.WithCancel(m.life)
	r.cancel, r.done = cancel, make(chan struct{})
	m.wg.Go(func() {
		defer close(r.done)
		defer cancel()
		m.run(ctx, r)
	})
}

// stop ends a group's evaluations and waits for the one under way.
func (r *running) stop() {
	if r.done != nil {
		r.cancel()
		<-r.done
	}
}

// run evaluates one group at its slots.
func (m *Manager) run(ctx context.Context, r *running) {
	g := r.group
	var last time.Time
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := m.env.Now()
		next, missed := g.next(now, last)
		g.counters.missed.Add(float64(missed))
		timer.Reset(next.Sub(now))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		select {
		case <-ctx.Done():
			return
		case m.slots <- struct{}{}:
		}
		last = next
		m.once(ctx, r, next)
		<-m.slots
	}
}

// next is the slot to evaluate after last, and how many slots were missed since;
// a zero last is the start. A next at or before now is due at once.
func (g *Group) next(now, last time.Time) (next time.Time, missed int64) {
	interval, slot := g.spec.Interval, g.slot(now)
	switch {
	case last.IsZero():
		return slot.Add(interval), 0
	case slot.After(last): // the evaluation took longer than the interval
		return slot, int64(slot.Sub(last)/interval) - 1
	case last.Sub(slot) > interval: // the clock has been set back
		return slot.Add(interval), 0
	}
	return last.Add(interval), 0
}

// once is one evaluation with what follows from it.
func (m *Manager) once(ctx context.Context, r *running, at time.Time) {
	g := r.group
	g.Eval(ctx, at)
	if ctx.Err() != nil {
		return
	}
	if r.fresh {
		first := !r.again
		r.again = true
		if g.Restore(ctx, m.env.Now(), first) {
			return // the next evaluation draws the consequences
		}
	}
	firing, ok := g.Firing()
	if !ok || ctx.Err() != nil {
		return
	}
	r.fresh = false
	if m.env.Reporter == nil {
		return
	}
	if err := m.env.Reporter.Report(ctx, g.identity.key, firing); err != nil && ctx.Err() == nil {
		m.env.metrics.reportFailures.Inc()
		m.env.Logger.Warn("reporting firing alerts failed, the next evaluation repeats it", "rule_group", g.identity.key, "err", err)
	}
}
