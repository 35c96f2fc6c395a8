package evaluate

import (
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rule"
)

// Health of a rule, in Prometheus's words.
const (
	HealthUnknown = "unknown" // not evaluated yet
	HealthGood    = "ok"
	HealthBad     = "err"
)

// GroupStatus is a snapshot of a group, for people and /api/v1/rules.
type GroupStatus struct {
	File, Name     string
	Interval       time.Duration
	Limit          int
	Rules          []RuleStatus
	EvaluationTime time.Duration
	LastEvaluation time.Time // zero: not evaluated yet
}

// RuleStatus is a snapshot of a rule.
type RuleStatus struct {
	// Alerting says which kind of rule it is; a recording rule has no State,
	// Duration, KeepFiringFor, Annotations and Alerts.
	Alerting bool
	Name     string
	// Query is the expression in canonical form, with the values that its
	// parameters have now.
	Query                   string
	Duration, KeepFiringFor time.Duration
	Labels, Annotations     map[string]string
	// Tenant owns the rule's alerts.
	Tenant string
	// Parameters are the values in force, nil without parameters.
	Parameters map[string]string
	// Flap says that flapping is damped.
	Flap bool
	// Off says that the rule's schedule rests it now.
	Off            bool
	Health         string
	LastError      string
	EvaluationTime time.Duration
	LastEvaluation time.Time // zero: not evaluated yet
	// State is the worst of the alerts'.
	State  rule.State
	Alerts []AlertStatus // sorted by labels
}

// AlertStatus is a snapshot of a pending or firing alert.
type AlertStatus struct {
	Labels, Annotations label.Set
	State               rule.State
	ActiveAt            time.Time
	// KeepFiringSince is when the condition ended that keep_firing_for holds.
	KeepFiringSince time.Time
	Value           float64
	// Flapping and ChangeShare are of flap damping, see rule.Instance.
	Flapping    bool
	ChangeShare float64
}

// Groups is a snapshot of all groups, in the order of the Set.
func (m *Manager) Groups() []GroupStatus {
	m.mu.Lock()
	groups := make([]*Group, 0, len(m.groups))
	for _, r := range m.groups {
		groups = append(groups, r.group)
	}
	m.mu.Unlock()
	now := m.env.Now()
	out := make([]GroupStatus, 0, len(groups))
	for _, g := range groups {
		out = append(out, g.Status(now))
	}
	return out
}

// Status is a snapshot of the group; now decides the values of parameters.
func (g *Group) Status(now time.Time) GroupStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := GroupStatus{
		File: g.spec.File, Name: g.spec.Name, Interval: g.spec.Interval, Limit: g.spec.Limit,
		EvaluationTime: g.took, LastEvaluation: g.last, Rules: make([]RuleStatus, 0, len(g.rules)),
	}
	for i, r := range g.rules {
		out.Rules = append(out.Rules, g.ruleStatus(r, g.health[i], now))
	}
	return out
}

func (g *Group) ruleStatus(r evaluator, h health, now time.Time) RuleStatus {
	spec := r.specOf()
	out := RuleStatus{
		Alerting: spec.Alerting, Name: spec.Name, Query: spec.Query,
		Duration: spec.For, KeepFiringFor: spec.KeepFiringFor,
		Labels: spec.Labels.Map(), Annotations: spec.Annotations.Map(),
		Tenant: or(spec.Tenant, g.env.Tenant), Flap: spec.Flap != nil, Off: !rule.InAny(spec.Schedule, now),
		Health: HealthUnknown, EvaluationTime: h.took, LastEvaluation: h.at,
	}
	scope := rule.Scope{At: now, Tenant: out.Tenant, Host: g.env.Host}
	if out.Parameters = spec.Parameters(scope); out.Parameters != nil {
		if query, err := spec.Resolve(scope); err == nil {
			out.Query = query
		}
	}
	switch {
	case h.err != nil:
		out.Health, out.LastError = HealthBad, h.err.Error()
	case !h.at.IsZero():
		out.Health = HealthGood
	}
	a, ok := r.(*alerting)
	if !ok {
		return out
	}
	if !h.at.IsZero() {
		out.State = a.machine.State()
	}
	for _, in := range a.machine.Active() {
		out.Alerts = append(out.Alerts, AlertStatus{
			Labels: in.Labels, Annotations: in.Annotations, State: in.State, ActiveAt: in.ActiveAt,
			KeepFiringSince: in.KeepFiringSince, Value: in.Value, Flapping: in.Flapping, ChangeShare: in.ChangeShare,
		})
	}
	return out
}
