package notice

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/trail"
)

// noteMuted records, once per time it is muted, what keeps an alert from being
// told.
func (p *Planner) noteMuted(s *slot, now alert.Time) {
	m := s.extra()
	if m.muted {
		return
	}
	m.muted = true
	for _, e := range p.mutedEvents(s.a, now) {
		m.trail = m.trail.Add(e)
	}
}

func (m *slotMore) noteHeard(now alert.Time) {
	if m.muted {
		m.muted = false
		m.trail = m.trail.Add(trail.Event{At: now, Kind: trail.Unmuted})
	}
}

func (p *Planner) mutedEvents(a *alert.Alert, now alert.Time) []trail.Event {
	var out []trail.Event
	for _, fp := range p.inhibit.Sources(a.Tenant, a.Labels, now) {
		out = append(out, trail.Event{At: now, Kind: trail.Muted, Subject: fp.String(), Detail: "inhibited by this alert"})
	}
	for _, id := range p.opts.Silences.MutedBy(a.Tenant, a.Labels, now) {
		detail := "silenced"
		if s, ok := p.opts.Silences.Get(id); ok {
			detail = "silenced by " + s.CreatedBy + " until " + text(s.EndsAt) + ": " + s.Comment
		}
		out = append(out, trail.Event{At: now, Kind: trail.Muted, Subject: id, Detail: detail})
	}
	return out
}

// Explain says why somebody was or was not told of an alert: what was recorded,
// then how things stand. Events are in order of time; those that say how things
// stand now bear the time now.
func (p *Planner) Explain(k alert.Key, now alert.Time) []trail.Event {
	p.settle()
	t := p.tenants[k.Tenant]
	if t == nil {
		return nil
	}
	i, ok := t.alerts[k.Fingerprint]
	if !ok {
		return nil
	}
	s := &p.slots[i]
	var out []trail.Event
	if s.more != nil {
		out = append(out, s.more.trail.Events()...)
	}
	ended := s.a.ResolvedAt(now)
	if !ended {
		out = append(out, p.mutedEvents(s.a, now)...)
	}
	var groups []*group
	s.groups(func(g *group) { groups = append(groups, g) })
	if ended && p.tree != nil {
		// Its groups may have let go of it; what they told is still known.
		for _, r := range p.tree.Match(nil, s.a.Labels) {
			pl := p.place(t, r)
			h := mix(pl.id, uint64(r.GroupHash(s.a.Labels)))
			g := p.groups.find(h, func(g *group) bool { return g.place == pl && r.SameGroup(g.labels, s.a.Labels) })
			if g != nil && !slices.Contains(groups, g) {
				groups = append(groups, g)
			}
		}
	}
	slices.SortFunc(groups, compareGroups)
	for _, g := range groups {
		out = p.explainGroup(out, g, s, now)
	}
	slices.SortStableFunc(out, func(a, b trail.Event) int { return cmp.Compare(a.At, b.At) })
	return out
}

func (p *Planner) explainGroup(out []trail.Event, g *group, s *slot, now alert.Time) []trail.Event {
	at := max(s.a.ReceivedAt, s.a.Onset)
	detail := "receiver " + g.place.receiver
	if g.route == nil {
		detail += " (no route leads there any more; only the end will be told)"
	}
	out = append(out, trail.Event{At: at, Kind: trail.Routed, Subject: g.key(), Detail: detail})
	away := p.offHours(g, now)
	if len(away) > 0 {
		out = append(out, trail.Event{At: now, Kind: trail.Muted, Subject: strings.Join(away, ","), Detail: "outside the hours of " + g.key()})
	}
	for i := range g.logs {
		out = p.explainLog(out, g, &g.logs[i], s, now)
	}
	return out
}

func (p *Planner) explainLog(out []trail.Event, g *group, l *log, s *slot, now alert.Time) []trail.Event {
	name := l.integ.key
	if l.more != nil {
		out = append(out, l.more.trail.Events()...)
	}
	if !l.integ.live {
		return append(out, trail.Event{At: now, Kind: trail.NotSent, Subject: name, Detail: "the receiver is no longer configured"})
	}
	fires := false
	i, j := l.of(s.fp)
	for ; i < j; i++ {
		e := &l.eps[i]
		at := alert.Time(e.At) * alert.Time(time.Second)
		switch {
		case e.Onset != s.a.Onset:
		case e.fires():
			fires = true
			out = append(out, trail.Event{At: at, Kind: trail.Sent, Subject: name, Detail: "told that it fires"})
		case e.Claimed > e.Begun && e.owed():
			out = append(out, trail.Event{At: at, Kind: trail.Claimed, Subject: name, Detail: "an attempt to tell was cut off; its outcome is unknown"})
		case e.owed():
			out = append(out, trail.Event{At: at, Kind: trail.NotSent, Subject: name, Detail: "left out of a notification because it was muted; told again once it is heard"})
		case e.Begun > 0:
			out = append(out, trail.Event{At: at, Kind: trail.Sent, Subject: name, Detail: "told that it ended"})
		case l.integ.resolved:
			out = append(out, trail.Event{At: at, Kind: trail.Sent, Subject: name, Detail: "told that it began and ended"})
		}
	}
	if l.flight != nil {
		return append(out, trail.Event{
			At: l.flight.n.At, Kind: trail.Claimed, Subject: name,
			Detail: string(l.flight.n.Reason) + "; being sent until " + text(l.flight.n.Deadline),
		})
	}
	ended := s.a.ResolvedAt(now)
	switch {
	case g.heapAt < 0:
	case ended && l.owes(s.fp) && l.integ.resolved, !ended && !fires:
		out = append(out, trail.Event{At: now, Kind: trail.Waiting, Subject: name, Detail: "next flush of the group at " + text(max(g.when(), p.opts.HoldUntil))})
	case ended && !l.integ.resolved:
		out = append(out, trail.Event{At: now, Kind: trail.NotSent, Subject: name, Detail: "it is not told of ends (send_resolved: false)"})
	case !ended && g.route != nil:
		out = append(out, trail.Event{At: now, Kind: trail.NotSent, Subject: name, Detail: "last told " + text(l.sent) + "; repeated after " + text(l.sent.Add(g.route.RepeatInterval))})
	}
	return out
}

func text(t alert.Time) string { return t.Std().Format(time.RFC3339) }
