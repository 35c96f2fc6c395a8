package evaluate

import (
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/fenghuo-mesh/fenghuo/aggregate/rule"
)

// Set is what Load makes of rule files: complete, checked, immutable.
type Set struct {
	// Groups are sorted by file and stand in the order of the file.
	Groups []*GroupSpec
	// Files are the files that were read, sorted.
	Files []string
	// Issues are warnings and hints; a Set has no errors.
	Issues []Issue
}

// Rules counts the rules of all groups: alerting and recording.
func (s *Set) Rules() (alerting, recording int) {
	for _, g := range s.Groups {
		for _, r := range g.Rules {
			if r.Alerting {
				alerting++
			} else {
				recording++
			}
		}
	}
	return alerting, recording
}

// GroupSpec is one group of rules as written, immutable.
type GroupSpec struct {
	File, Name string
	// Interval is the time between evaluations, never 0.
	Interval time.Duration
	// QueryOffset is how far in the past the group looks; nil is Options.QueryOffset.
	QueryOffset *time.Duration
	// Limit bounds the alerts, or series, of each rule; 0 is none.
	Limit int
	Rules []*RuleSpec

	content string // digest of all that was written about the group
}

// Key names the group among all files: "file;name", as Prometheus's metrics do.
func (g *GroupSpec) Key() string { return g.File + ";" + g.Name }

// RuleSpec is one rule as written, immutable.
type RuleSpec struct {
	// Alerting says whether it is an alerting rule; else it records.
	Alerting bool
	// Name is the alert's name or the recorded metric's.
	Name string
	// Expr is the expression as written, with parameters.
	Expr string
	// Query is the expression on one line in canonical form; where there are
	// parameters, with their base values.
	Query string
	// Labels are the group's and the rule's, without settings of Fenghuo.
	Labels labels.Labels
	// Annotations are templates as the rule's labels are.
	Annotations        labels.Labels
	For, KeepFiringFor time.Duration
	// Tenant owns the alerts; "" is Options.Tenant.
	Tenant string
	// Flap damps flapping; nil doesn't.
	Flap *rule.Flap
	// Schedule are the windows in which the rule is evaluated; outside of them
	// it has no results. None means always.
	Schedule []rule.Window
	// Line and Column are where the rule begins in its file.
	Line, Column int

	template   rule.Template
	parameters map[string]*rule.Parameter
}

// identity is what makes a rule the same one after a reload: Prometheus's rule.
func (r *RuleSpec) identity() string { return r.Name + r.Labels.String() }

// query gives the expression for a scope.
func (r *RuleSpec) query(s rule.Scope) (string, error) {
	return r.template.Expand(func(name string) (string, bool) {
		p, ok := r.parameters[name]
		if !ok {
			return "", false
		}
		return p.Resolve(s), true
	})
}

// settings of Fenghuo among a rule's labels.
const (
	labelPrefix = "fenghuo_"
	labelFlap   = labelPrefix + "flap"
	labelTenant = labelPrefix + "tenant"
)

func isSetting(label string) bool { return strings.HasPrefix(label, labelPrefix) }
