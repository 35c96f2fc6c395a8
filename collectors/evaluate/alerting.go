package evaluate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rule"
	"github.com/fenghuo-mesh/fenghuo/collectors/evaluate/rulefile"
	"github.com/fenghuo-mesh/fenghuo/collectors/series"
)

// The series that alerting rules write, and their label, as Prometheus's.
const (
	metricAlerts   = "ALERTS"
	metricForState = "ALERTS_FOR_STATE"
	labelState     = "alertstate"
	// annotationFlapping is added to an alert that flaps.
	annotationFlapping = "fenghuo_flapping"
)

// ErrLabels: a result's labels are beyond what an alert may carry.
var ErrLabels = errors.New("result has invalid alert labels")

// alerting is an alerting rule. Work on labels and annotations is kept from one
// evaluation to the next, as long as it would give the same.
type alerting struct {
	spec                *rulefile.Rule
	env                 *env
	scope               *scope
	group               *groupIdentity
	labels, annotations []*text

	known   map[uint64]*known
	round   uint32
	samples []rule.Sample
	out     []series.Sample

	mu       *sync.Mutex // the group's; guards what follows against snapshots
	machine  *rule.Machine
	derived  map[label.Set]*derived
	restored bool
	looked   bool // it has been evaluated without error
}

// known is what was worked out for one result of the expression.
type known struct {
	from        labels.Labels
	value       float64
	set         label.Set
	annotations label.Set
	fresh       bool // annotations are worked out
	round       uint32
}

// derived is what was worked out for one active instance.
type derived struct {
	pending, firing, forState labels.Labels
	alert                     *alert.Alert
}

func newAlerting(spec *rulefile.Rule, g *Group) *alerting {
	a := &alerting{
		spec: spec, env: g.env, scope: &g.scope, group: &g.identity, mu: &g.mu,
		known: map[uint64]*known{}, derived: map[label.Set]*derived{},
	}
	spec.Labels.Range(func(l labels.Label) { a.labels = append(a.labels, newText(l.Name, l.Value)) })
	spec.Annotations.Range(func(l labels.Label) { a.annotations = append(a.annotations, newText(l.Name, l.Value)) })
	a.machine = rule.New(a.life(g.spec.Limit))
	return a
}

func (a *alerting) life(limit int) rule.Spec {
	if limit == 0 || limit > a.env.MaxAlerts {
		limit = a.env.MaxAlerts
	}
	return rule.Spec{For: a.spec.For, KeepFiringFor: a.spec.KeepFiringFor, Limit: limit, Flap: a.spec.Flap}
}

func (a *alerting) specOf() *rulefile.Rule { return a.spec }

func (a *alerting) eval(ctx context.Context, at moment) ([]series.Sample, error) {
	a.samples = a.samples[:0]
	if rule.InAny(a.spec.Schedule, at.now) {
		found, err := a.env.query(ctx, a.spec, at)
		if err != nil {
			return nil, err
		}
		if err := a.exceeds(at, len(found)); err != nil {
			return nil, err
		}
		a.scope.begin(ctx, at.now)
		a.round++
		for i := range found {
			s, err := a.sample(&found[i])
			if err != nil {
				return nil, err
			}
			a.samples = append(a.samples, s)
		}
	}
	for h, k := range a.known {
		if k.round != a.round || len(a.samples) == 0 {
			delete(a.known, h)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	changes, err := a.machine.Eval(at.now, a.samples)
	a.forget(changes)
	if err != nil {
		return nil, err
	}
	a.looked = true
	return a.series(at), nil
}

// exceeds drops all alerts if there are more results than the limit, before
// anything is worked out for them.
func (a *alerting) exceeds(at moment, results int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	changes, err := a.machine.Exceeds(at.now, results)
	a.forget(changes)
	return err
}

// forget drops what was derived for instances that have ended.
func (a *alerting) forget(changes []rule.Transition) {
	for i := range changes {
		if changes[i].To == rule.Inactive {
			delete(a.derived, changes[i].Labels)
		}
	}
}

// sample turns a result into what the machine takes.
func (a *alerting) sample(s *series.Sample) (rule.Sample, error) {
	h := s.Labels.Hash()
	k := a.known[h]
	if k == nil || !labels.Equal(k.from, s.Labels) {
		k = &known{from: s.Labels}
		a.known[h] = k
	}
	same := math.Float64bits(k.value) == math.Float64bits(s.V)
	k.value, k.round = s.V, a.round
	var d *data // made when a template needs it
	if k.set.Empty() || !reusable(a.labels, same) {
		d = a.data(s)
		set, err := a.instanceLabels(s.Labels, d)
		if err != nil {
			delete(a.known, h)
			return rule.Sample{}, err
		}
		k.set = set
	}
	if !k.fresh || !reusable(a.annotations, same) {
		if d == nil {
			d = a.data(s)
		}
		k.annotations, k.fresh = a.expandAnnotations(d), true
	}
	return rule.Sample{Labels: k.set, Annotations: k.annotations, Value: s.V}, nil
}

// reusable says whether texts would give what they gave for these labels.
func reusable(texts []*text, sameValue bool) bool {
	for _, t := range texts {
		if t.volatile || (t.usesValue && !sameValue) {
			return false
		}
	}
	return true
}

func (a *alerting) data(s *series.Sample) *data {
	return &data{Labels: s.Labels.Map(), ExternalLabels: a.scope.external, ExternalURL: a.scope.externalURL, Value: s.V}
}

func (a *alerting) expand(t *text, d *data) string {
	out, err := t.expand(a.scope, a.spec.Name, *d)
	if err != nil {
		a.env.Logger.Warn("expanding an alert's template failed", "rule_group", a.group.key, "alert", a.spec.Name, "name", t.name, "err", err)
	}
	return out
}

func (a *alerting) instanceLabels(from labels.Labels, d *data) (label.Set, error) {
	b := labels.NewBuilder(from)
	b.Del(model.MetricNameLabel)
	for _, t := range a.labels {
		b.Set(t.name, a.expand(t, d))
	}
	b.Set(labels.AlertName, a.spec.Name)
	pairs := make([]label.Pair, 0, 16)
	b.Labels().Range(func(l labels.Label) { pairs = append(pairs, label.Pair{Name: l.Name, Value: l.Value}) })
	set, err := label.New(pairs)
	if err != nil {
		return label.Set{}, fmt.Errorf("%w: %w", ErrLabels, err)
	}
	return set, nil
}

// cutNote ends an annotation that was too long.
const cutNote = "... [cut: the annotation was too long]"

// expandAnnotations cuts what is too long, and leaves out what is too much: an
// alert must not be lost for the length of its prose.
func (a *alerting) expandAnnotations(d *data) label.Set {
	pairs := make([]label.Pair, 0, len(a.annotations))
	room := label.MaxAnnotationsSize - 1024 // for the names this package adds
	for _, t := range a.annotations {
		v := a.expand(t, d)
		if !utf8.ValidString(v) {
			v = strings.ToValidUTF8(v, "\uFFFD")
		}
		most := min(label.MaxAnnotationBytes, room-len(t.name))
		if len(v) > most {
			a.env.metrics.cut.Inc()
			if most < 2*len(cutNote) {
				continue
			}
			v = cut(v, most-len(cutNote)) + cutNote
		}
		room -= len(t.name) + len(v)
		pairs = append(pairs, label.Pair{Name: t.name, Value: v})
	}
	set, err := label.NewAnnotations(pairs)
	if err != nil { // the bounds are kept above
		a.env.Logger.Warn("an alert's annotations were left out", "rule_group", a.group.key, "alert", a.spec.Name, "err", err)
	}
	return set
}

// cut shortens s to at most n bytes of whole characters.
func cut(s string, n int) string {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// series are the samples of ALERTS and ALERTS_FOR_STATE. They are written once
// the state from before a restart has been restored, so as not to overwrite it.
func (a *alerting) series(at moment) []series.Sample {
	a.out = a.out[:0]
	if !a.restored {
		return a.out
	}
	t := at.at().UnixMilli()
	for _, in := range a.machine.Active() {
		d := a.derive(in.Labels)
		state := d.pending
		if in.State == rule.Firing {
			state = d.firing
		}
		a.out = append(a.out,
			series.Sample{Labels: state, T: t, V: 1},
			series.Sample{Labels: d.forState, T: t, V: float64(in.ActiveAt.Unix())})
	}
	return a.out
}

func (a *alerting) derive(set label.Set) *derived {
	d := a.derived[set]
	if d == nil {
		d = &derived{}
		// As in Prometheus a rule's label stands as written where it became empty.
		b := labels.NewBuilder(a.spec.Labels)
		for n, v := range set.All() {
			b.Set(n, v)
		}
		b.Set(model.MetricNameLabel, metricForState)
		d.forState = b.Labels()
		b.Set(model.MetricNameLabel, metricAlerts)
		b.Set(labelState, rule.Pending.String())
		d.pending = b.Labels()
		b.Set(labelState, rule.Firing.String())
		d.firing = b.Labels()
		a.derived[set] = d
	}
	return d
}

// firing appends the firing alerts to out. Alerts that haven't changed are the
// same ones as last time.
func (a *alerting) firing(out []*alert.Alert) []*alert.Alert {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, in := range a.machine.Active() {
		if in.State != rule.Firing {
			continue
		}
		d := a.derive(in.Labels)
		annotations := in.Annotations
		if in.Flapping {
			annotations = withFlapping(annotations)
		}
		if d.alert == nil || d.alert.Annotations != annotations || d.alert.StartsAt != alert.At(in.FiredAt) {
			made, err := a.alert(in, annotations)
			if err != nil {
				a.env.Logger.Error("an alert can't be reported", "rule_group", a.group.key, "alert", a.spec.Name, "labels", in.Labels, "err", err)
				continue
			}
			d.alert = made
		}
		out = append(out, d.alert)
	}
	return out
}

func withFlapping(annotations label.Set) label.Set {
	pairs := slices.DeleteFunc(annotations.Pairs(), func(p label.Pair) bool { return p.Name == annotationFlapping })
	set, err := label.NewAnnotations(append(pairs, label.Pair{Name: annotationFlapping, Value: "true"}))
	if err != nil { // room is kept for it
		return annotations
	}
	return set
}

// alert makes what is reported of a firing instance.
func (a *alerting) alert(in *rule.Instance, annotations label.Set) (*alert.Alert, error) {
	set := in.Labels
	if !a.env.ExternalLabels.Empty() {
		pairs := set.Pairs()
		for n, v := range a.env.ExternalLabels.All() {
			if set.Get(n) == "" {
				pairs = append(pairs, label.Pair{Name: n, Value: v})
			}
		}
		var err error
		if set, err = label.New(pairs); err != nil {
			return nil, fmt.Errorf("%w: with external labels: %w", ErrLabels, err)
		}
	}
	return &alert.Alert{
		Tenant:       or(a.spec.Tenant, a.env.Tenant),
		Labels:       set,
		Annotations:  annotations,
		GeneratorURL: a.env.generatorURL(a.spec.Query),
		Origin:       a.env.origin,
		Extra:        &a.group.extra,
		StartsAt:     alert.At(in.FiredAt), // as Prometheus: when it began to fire, not when it became pending
		Priority:     alert.PriorityOf(alert.SeverityOf(set)),
	}, nil
}
