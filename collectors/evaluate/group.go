package evaluate

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rule"
	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate/rulefile"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// env is what all groups of a manager share.
type env struct {
	Options
	metrics *metrics
	origin  *alert.Origin
}

func newEnv(o Options) (*env, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	return &env{Options: o, metrics: m, origin: &alert.Origin{Source: "rule", Node: o.Node, Datacenter: o.Datacenter}}, nil
}

// ErrResult: an expression gives neither a vector nor a scalar.
var ErrResult = errors.New("rule result is not a vector or scalar")

// query evaluates a rule's expression.
func (e *env) query(ctx context.Context, spec *rulefile.Rule, at moment) ([]series.Sample, error) {
	expr, err := spec.Resolve(rule.Scope{At: at.now, Tenant: or(spec.Tenant, e.Tenant), Host: e.Host})
	if err != nil {
		return nil, err
	}
	return e.instant(ctx, expr, at.at())
}

func (e *env) instant(ctx context.Context, expr string, at time.Time) ([]series.Sample, error) {
	res, err := e.Querier.Instant(ctx, expr, at, series.QueryOptions{Own: true})
	if err != nil {
		return nil, err
	}
	switch res.Type {
	case series.TypeVector:
		return res.Vector, nil
	case series.TypeScalar:
		return []series.Sample{{T: res.Scalar.T, V: res.Scalar.V}}, nil
	}
	return nil, fmt.Errorf("%w but a %s", ErrResult, res.Type)
}

// templateQuery is the function query of templates.
func (e *env) templateQuery(ctx context.Context, expr string, at time.Time) ([]result, error) {
	found, err := e.instant(ctx, expr, at)
	if err != nil {
		return nil, err
	}
	out := make([]result, len(found))
	for i, s := range found {
		out[i] = result{s.Labels.Map(), s.V}
	}
	return out, nil
}

// generatorURL leads to the expression, as Prometheus's does.
func (e *env) generatorURL(query string) string {
	base := strings.TrimRight(e.ExternalURL, "/")
	u := base + graphPath(query, "1")
	if len(u) > alert.MaxURLBytes {
		return base + "/alerts"
	}
	return u
}

// groupIdentity is what a group's alerts say of it.
type groupIdentity struct {
	key   string
	extra alert.Extra
}

// Group is one group of rules at work. Eval and Restore must not be called
// concurrently; Status may be called at any time.
type Group struct {
	spec     *rulefile.Group
	env      *env
	identity groupIdentity
	scope    scope
	rules    []evaluator
	// Of the goroutine that evaluates.
	written []written
	orphans []labels.Labels // series of rules that are no longer here
	rounds  int             // evaluations, up to patience

	counters groupCounters

	mu     sync.Mutex // guards the following, and the alerts of the rules
	health []health
	took   time.Duration
	last   time.Time
}

// health is how the last evaluation of a rule went.
type health struct {
	err  error
	took time.Duration
	at   time.Time // zero: not evaluated yet
}

func newGroup(spec *rulefile.Group, e *env) *Group {
	g := &Group{
		spec: spec, env: e,
		identity: groupIdentity{key: spec.Key(), extra: alert.Extra{RuleGroup: spec.Key()}},
		written:  make([]written, len(spec.Rules)), health: make([]health, len(spec.Rules)),
	}
	g.scope = scope{query: e.templateQuery, external: e.ExternalLabels.Map(), externalURL: e.ExternalURL, timeout: e.TemplateTimeout}
	g.scope.root = g.scope.newRoot()
	for _, r := range spec.Rules {
		if r.Alerting {
			g.rules = append(g.rules, newAlerting(r, g))
		} else {
			g.rules = append(g.rules, newRecording(r, e))
		}
	}
	g.counters = e.metrics.of(g.identity.key, len(g.rules))
	return g
}

// NewGroups makes the groups of a set for evaluation by hand, as tests of rules
// do it. They have no state to restore, and Options.Reporter isn't used.
func NewGroups(o Options, set *rulefile.Set) ([]*Group, error) {
	e, err := newEnv(o)
	if err != nil {
		return nil, err
	}
	out := make([]*Group, 0, len(set.Groups))
	for _, spec := range set.Groups {
		g := newGroup(spec, e)
		g.SkipRestore()
		out = append(out, g)
	}
	return out, nil
}

// Failure is a rule whose last evaluation failed.
type Failure struct {
	Rule string
	Err  error
}

// Failures lists the rules whose last evaluation failed.
func (g *Group) Failures() (out []Failure) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.health {
		if g.health[i].err != nil {
			out = append(out, Failure{g.spec.Rules[i].Name, g.health[i].err})
		}
	}
	return out
}

// Spec is the group as written.
func (g *Group) Spec() *rulefile.Group { return g.spec }

func (g *Group) offset() time.Duration {
	if g.spec.QueryOffset != nil {
		return *g.spec.QueryOffset
	}
	return g.env.QueryOffset
}

// slot is the group's newest time of evaluation at or before now. Groups of
// other names have other slots, so that they don't all evaluate at once.
func (g *Group) slot(now time.Time) time.Time {
	h := fnv.New64a()
	h.Write([]byte(g.identity.key))
	interval := int64(g.spec.Interval)
	offset := int64(h.Sum64() % uint64(interval))
	since := now.UnixNano() - offset
	return time.Unix(0, since-since%interval+offset).UTC()
}

// Eval evaluates every rule once at now and stores what they write. It reports
// nothing; see Firing.
func (g *Group) Eval(ctx context.Context, now time.Time) {
	begin := time.Now()
	m := moment{now: now, offset: g.offset(), limit: g.spec.Limit}
	for i, r := range g.rules {
		if ctx.Err() != nil {
			return
		}
		start := time.Now()
		err := g.evalRule(ctx, i, r, m)
		took := time.Since(start)
		if err != nil && ctx.Err() != nil {
			return // stopped, not failed
		}
		g.counters.evaluations.Inc()
		if err != nil {
			g.counters.failures.Inc()
			g.env.Logger.Warn("evaluating a rule failed", "rule_group", g.identity.key, "rule", r.specOf().Name, "err", err)
		}
		g.mu.Lock()
		g.health[i] = health{err: err, took: took, at: now}
		g.mu.Unlock()
	}
	g.buryOrphans(ctx, m)
	g.rounds = min(g.rounds+1, patience)
	took := time.Since(begin)
	g.counters.seconds.Set(took.Seconds())
	g.env.metrics.iterations.Observe(took.Seconds())
	g.mu.Lock()
	g.took, g.last = took, now
	g.mu.Unlock()
}

func (g *Group) evalRule(ctx context.Context, i int, r evaluator, m moment) error {
	samples, err := r.eval(ctx, m)
	if err != nil {
		return err
	}
	markers := g.written[i].settle(samples, m.at().UnixMilli())
	if len(samples) > 0 {
		done, err := g.env.Appender.Append(ctx, samples)
		if err != nil {
			return fmt.Errorf("storing the result: %w", err)
		}
		if n := done.Refused(); n > 0 {
			g.env.metrics.refused.Add(float64(n))
			return fmt.Errorf("%w: %d of %d: %+v", ErrRefused, n, len(samples), done)
		}
	}
	if len(markers) > 0 {
		// A refused marker is no fault: another rule may write the series now.
		if _, err := g.env.Appender.Append(ctx, markers); err != nil {
			return fmt.Errorf("marking series stale: %w", err)
		}
	}
	return nil
}

// ErrRefused: the store has refused some of a rule's samples.
var ErrRefused = errors.New("the sample store refused samples of the rule")

// buryOrphans marks the series of rules that a reload took away.
func (g *Group) buryOrphans(ctx context.Context, m moment) {
	if len(g.orphans) == 0 {
		return
	}
	if err := bury(ctx, g.env.Appender, g.orphans, m.at()); err != nil {
		g.env.Logger.Warn("marking the series of removed rules stale failed", "rule_group", g.identity.key, "err", err)
		return
	}
	g.orphans = nil
}

func bury(ctx context.Context, a Appender, gone []labels.Labels, at time.Time) error {
	batch := make([]series.Sample, len(gone))
	for i, ls := range gone {
		batch[i] = stale(ls, at.UnixMilli())
	}
	_, err := a.Append(ctx, batch)
	return err
}

// patience is how many evaluations a group that is new here waits for a rule
// that fails, before it reports what it has without it.
const patience = 3

// Firing returns the complete set of firing alerts of the group. ok is false as
// long as the set isn't known to be complete: the state of an alerting rule has
// not been restored, or a rule has failed since it began to be evaluated.
func (g *Group) Firing() (out []*alert.Alert, ok bool) {
	for _, r := range g.rules {
		if a, is := r.(*alerting); is {
			if !a.restored || (!a.looked && g.rounds < patience) {
				return nil, false
			}
			out = a.firing(out)
		}
	}
	return out, true
}

// SkipRestore declares that there is no state to restore.
func (g *Group) SkipRestore() {
	for _, r := range g.rules {
		if a, is := r.(*alerting); is {
			a.restored = true
		}
	}
}

// copyFrom takes over the state of the rules that are the same in name and
// labels: the first with the first, the second with the second. from must not
// be at work any more.
func (g *Group) copyFrom(from *Group) {
	g.took, g.last, g.rounds = from.took, from.last, from.rounds
	places := map[string][]int{}
	for i, r := range from.rules {
		id := r.specOf().Identity()
		places[id] = append(places[id], i)
	}
	for i, r := range g.rules {
		id := r.specOf().Identity()
		if len(places[id]) == 0 {
			continue
		}
		j := places[id][0]
		places[id] = places[id][1:]
		g.written[i], from.written[j] = from.written[j], written{}
		g.health[i] = from.health[j]
		a, isAlert := r.(*alerting)
		old, wasAlert := from.rules[j].(*alerting)
		if isAlert && wasAlert {
			a.machine.CopyFrom(old.machine)
			a.restored, a.looked = a.restored || old.restored, old.looked
		}
	}
	g.orphans = append(from.orphans, from.series()...)
}

// series are all that the group's rules have written and not ended.
func (g *Group) series() []labels.Labels {
	var out []labels.Labels
	for i := range g.written {
		out = append(out, g.written[i].all()...)
	}
	return out
}
