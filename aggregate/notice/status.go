package notice

import (
	"cmp"
	"slices"
	"strings"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// States of an alert as Alertmanager's API names them.
const (
	StateActive     = "active"
	StateSuppressed = "suppressed"
)

// Status is how an alert stands with those who should be told. All lists are
// sorted.
type Status struct {
	// State is active, or suppressed where anything mutes it.
	State string
	// SilencedBy are IDs of silences, InhibitedBy fingerprints of alerts.
	SilencedBy  []string
	InhibitedBy []label.Fingerprint
	// MutedBy names the time intervals that mute it on all of its routes.
	MutedBy []string
	// Receivers are the names of the receivers it is routed to.
	Receivers []string
}

// Status says how an alert stands now; it needn't have been observed. It is
// computed, so that a new silence shows at once.
func (p *Planner) Status(a *alert.Alert, now alert.Time) Status {
	s := p.suppression(a, now)
	if p.tree == nil {
		return s
	}
	away := 0
	routes := p.tree.Match(nil, a.Labels)
	for _, r := range routes {
		s.Receivers = append(s.Receivers, r.Receiver)
		if by := p.intervals.MutedBy(r.ActiveIntervals, r.MuteIntervals, now.Std()); len(by) > 0 {
			away++
			s.MutedBy = append(s.MutedBy, by...)
		}
	}
	s.Receivers = distinct(s.Receivers)
	if away < len(routes) {
		s.MutedBy = nil
	}
	if s.MutedBy = distinct(s.MutedBy); len(s.MutedBy) > 0 {
		s.State = StateSuppressed
	}
	return s
}

func distinct(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// Group is a group of alerts as GET /api/v2/alerts/groups shows it.
type Group struct {
	Tenant      string
	Receiver    string
	Key         string
	Labels      label.Set
	RouteLabels label.Set
	Alerts      []GroupAlert
}

// GroupAlert is an alert in a group; MutedBy of its status is the group's.
type GroupAlert struct {
	Alert  *alert.Alert
	Status Status
}

// GroupFilter selects what Groups returns. A nil field selects all.
type GroupFilter struct {
	// Receiver selects by the receiver's name.
	Receiver func(name string) bool
	// Alert selects alerts; it is asked with their status in the group.
	Alert func(a *alert.Alert, s *Status) bool
}

// Groups lists the groups that have a firing alert, sorted by labels, then
// receiver, as Alertmanager does.
func (p *Planner) Groups(now alert.Time, f GroupFilter) []Group {
	var out []Group
	p.groups.each(func(g *group) {
		if !g.routed || len(g.members) == 0 || f.Receiver != nil && !f.Receiver(g.place.receiver) {
			return
		}
		v := Group{
			Tenant: g.place.tenant, Receiver: g.place.receiver, Key: g.key(),
			Labels: g.labels, RouteLabels: g.place.route.Labels,
		}
		away := distinct(p.offHours(g, now))
		for _, i := range g.members {
			a := p.slots[i].a
			if a == nil || a.ResolvedAt(now) {
				continue
			}
			s := p.suppression(a, now)
			p.slots[i].groups(func(o *group) {
				if o.routed {
					s.Receivers = append(s.Receivers, o.place.receiver)
				}
			})
			s.Receivers = distinct(s.Receivers)
			if s.MutedBy = away; len(away) > 0 {
				s.State = StateSuppressed
			}
			if f.Alert == nil || f.Alert(a, &s) {
				v.Alerts = append(v.Alerts, GroupAlert{a, s})
			}
		}
		if len(v.Alerts) > 0 {
			slices.SortFunc(v.Alerts, func(x, y GroupAlert) int { return compareAlerts(x.Alert, y.Alert) })
			out = append(out, v)
		}
	})
	slices.SortFunc(out, func(a, b Group) int {
		return cmp.Or(compareSets(a.Labels, b.Labels), strings.Compare(a.Receiver, b.Receiver),
			strings.Compare(a.Key, b.Key), strings.Compare(a.Tenant, b.Tenant))
	})
	return out
}

// Holds says whether somebody must still be told of this alert's end, or a
// notice that may tell its begin is under way: the book must not drop it.
func (p *Planner) Holds(k alert.Key) bool {
	p.settle()
	t := p.tenants[k.Tenant]
	if t == nil {
		return false
	}
	i, ok := t.alerts[k.Fingerprint]
	if !ok {
		return false
	}
	held := false
	p.slots[i].groups(func(g *group) {
		for j := range g.logs {
			l := &g.logs[j]
			held = held || l.integ.live && (l.flight != nil || l.integ.resolved && l.owes(k.Fingerprint))
		}
	})
	return held
}

// Size is what a Planner holds.
type Size struct {
	Alerts, Groups, ActiveGroups, Episodes, UnderWay int
}

// Size counts what is held; it looks at every group.
func (p *Planner) Size() Size {
	s := Size{UnderWay: len(p.flights), ActiveGroups: len(p.timers)}
	for _, t := range p.tenants {
		s.Alerts += len(t.alerts)
	}
	p.groups.each(func(g *group) {
		s.Groups++
		g.eachLog(func(l *log) { s.Episodes += len(l.eps) })
	})
	return s
}
