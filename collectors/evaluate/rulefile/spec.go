// Package rulefile owns the form of rule files: Prometheus's, and what Fenghuo
// adds to it. It reads them, reports every fault with its place, and gives
// groups of rules that are checked and immutable.
package rulefile

import (
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/fenghuo-mesh/fenghuo/aggregate/rule"
)

// Set is what Load makes of rule files: complete, checked, immutable.
type Set struct {
	// Groups are sorted by file and stand in the order of the file.
	Groups []*Group
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

// Group is one group of rules as written, immutable.
type Group struct {
	File, Name string
	// Interval is the time between evaluations, never 0.
	Interval time.Duration
	// QueryOffset is how far in the past the group looks; nil is the manager's.
	QueryOffset *time.Duration
	// Limit bounds the alerts, or series, of each rule; 0 is none.
	Limit int
	Rules []*Rule

	content string // digest of all that was written about the group
}

// Same says whether two groups of one Key mean the same.
func (g *Group) Same(other *Group) bool { return g.content == other.content }

// Key names the group among all files: "file;name", as Prometheus's metrics do.
func (g *Group) Key() string { return g.File + ";" + g.Name }

// Rule is one rule as written, immutable.
type Rule struct {
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
	// Tenant owns the alerts; "" is the manager's.
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

// Identity is what makes a rule the same one after a reload: its name and
// labels, as in Prometheus.
func (r *Rule) Identity() string { return r.Name + r.Labels.String() }

// Resolve gives the expression with the values that its parameters have in a scope.
func (r *Rule) Resolve(s rule.Scope) (string, error) {
	return r.template.Expand(func(name string) (string, bool) {
		p, ok := r.parameters[name]
		if !ok {
			return "", false
		}
		return p.Resolve(s), true
	})
}

// Parameters gives the values that the rule's parameters have in a scope; nil
// for a rule without.
func (r *Rule) Parameters(s rule.Scope) map[string]string {
	if len(r.parameters) == 0 {
		return nil
	}
	out := make(map[string]string, len(r.parameters))
	for name, p := range r.parameters {
		out[name] = p.Resolve(s)
	}
	return out
}

// settings of Fenghuo among a rule's labels.
const (
	labelPrefix = "fenghuo_"
	labelFlap   = labelPrefix + "flap"
	labelTenant = labelPrefix + "tenant"
)

func isSetting(label string) bool { return strings.HasPrefix(label, labelPrefix) }
