package notice

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/trail"
)

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
	ended := s.a.ResolvedAt(now)
	x := account{s: s, now: now, hold: p.opts.HoldUntil, ended: ended}
	if s.more != nil {
		x.events = append(x.events, s.more.trail.Events()...)
	}
	if !ended {
		x.events = append(x.events, p.mutedEvents(s.a, now)...)
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
		x.group(g, p.offHours(g, now))
	}
	slices.SortStableFunc(x.events, func(a, b trail.Event) int { return cmp.Compare(a.At, b.At) })
	return x.events
}

// account collects what there is to say about one alert.
type account struct {
	s      *slot
	now    alert.Time
	hold   alert.Time
	ended  bool
	events []trail.Event
}

func (x *account) say(at alert.Time, kind trail.Kind, subject, detail string) {
	x.events = append(x.events, trail.Event{At: at, Kind: kind, Subject: subject, Detail: detail})
}

func (x *account) group(g *group, away []string) {
	detail := "receiver " + g.place.receiver
	if !g.routed {
		detail += " (no route leads there any more; only the end will be told)"
	}
	x.say(max(x.s.a.ReceivedAt, x.s.a.Onset), trail.Routed, g.key(), detail)
	if len(away) > 0 {
		x.say(x.now, trail.Muted, strings.Join(away, ","), "outside the hours of "+g.key())
	}
	for i := range g.logs {
		x.log(g, &g.logs[i])
	}
}

// log says what one integration was told, and what it waits for.
func (x *account) log(g *group, l *log) {
	name := l.integ.key
	if l.more != nil {
		x.events = append(x.events, l.more.trail.Events()...)
	}
	if !l.integ.live {
		x.say(x.now, trail.NotSent, name, "the receiver is no longer configured")
		return
	}
	fires := x.told(l)
	if l.flight != nil {
		x.say(l.flight.n.At, trail.Claimed, name, string(l.flight.n.Reason)+"; being sent until "+text(l.flight.n.Deadline))
		return
	}
	switch {
	case g.heapAt < 0:
	case x.ended && l.owes(x.s.fp) && l.integ.resolved, !x.ended && !fires:
		x.say(x.now, trail.Waiting, name, "next flush of the group at "+text(max(g.when(), x.hold)))
	case x.ended && !l.integ.resolved:
		x.say(x.now, trail.NotSent, name, "it is not told of ends (send_resolved: false)")
	case !x.ended && g.routed:
		x.say(x.now, trail.NotSent, name, "last told "+text(l.sent)+"; repeated after "+text(l.sent.Add(g.place.route.RepeatInterval)))
	}
}

// told says what was told of the alert's present episode, and returns whether
// the integration takes it to fire.
func (x *account) told(l *log) (fires bool) {
	name := l.integ.key
	e := l.find(x.s.fp, x.s.a.Onset)
	if e == nil {
		return false
	}
	at := alert.Time(e.At) * alert.Time(time.Second)
	switch {
	case e.fires():
		x.say(at, trail.Sent, name, "told that it fires")
		return true
	case e.Claimed > e.Begun && e.owed():
		x.say(at, trail.Claimed, name, "an attempt to tell was cut off; its outcome is unknown")
	case e.owed():
		x.say(at, trail.NotSent, name, "left out of a notification because it was muted; told again once it is heard")
	case e.Begun > 0:
		x.say(at, trail.Sent, name, "told that it ended")
	case l.integ.resolved:
		x.say(at, trail.Sent, name, "told that it began and ended")
	}
	return false
}

func text(t alert.Time) string { return t.Std().Format(time.RFC3339) }
