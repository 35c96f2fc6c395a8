package notice

import (
	"cmp"
	"container/heap"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/trail"
)

// Notice is one notification to send to one integration.
type Notice struct {
	// ID is unique among nodes and starts.
	ID string
	// Tenant is whose alerts these are.
	Tenant string
	// Receiver and Integration are the receiver's name and the integration's key.
	Receiver, Integration string
	// GroupKey is Alertmanager's text for the group.
	GroupKey string
	// GroupLabels are the labels grouped by, RouteLabels those the route adds;
	// their values may be templates.
	GroupLabels, RouteLabels label.Set
	// Reason is why this is sent.
	Reason Reason
	// Alerts are what to tell, in the order of Alertmanager's: firing ones with
	// EndsAt 0, and ended ones. They are shared and must not be changed.
	Alerts []*alert.Alert
	// At is when it was decided. Deadline is when to give up; after Failed the
	// next flush of the group tries again.
	At, Deadline alert.Time
	// Retold says that an earlier attempt may have arrived already.
	Retold bool
}

// Firing counts the alerts that fire.
func (n *Notice) Firing() int {
	c := 0
	for _, a := range n.Alerts {
		if a.EndsAt == 0 {
			c++
		}
	}
	return c
}

// flight is a notice between Due and Done.
type flight struct {
	n    *Notice
	g    *group
	told Told
}

// view is one member as a flush sees it.
type view struct {
	i     uint32
	ended bool
	muted bool
	a     *alert.Alert // as the body shows it; nil until needed
}

// flush is the scratch memory of one group's flush.
type flush struct {
	now    alert.Time
	view   []view
	sorted bool
	known  []bool // by episode of a log: seen among the members
}

// Next is when Due must be called, 0 for never unless something changes. It
// may have passed.
func (p *Planner) Next() alert.Time {
	p.settle()
	if len(p.timers) == 0 {
		return 0
	}
	return max(p.timers[0].when(), p.opts.HoldUntil, 1)
}

// Due returns what must be told now, in a fixed order. Each notice must come
// back by Done once, whatever became of it.
func (p *Planner) Due(now alert.Time) []*Notice {
	p.settle()
	if now < p.opts.HoldUntil {
		return nil
	}
	var due []*group
	for len(p.timers) > 0 && p.timers[0].when() <= now {
		g, ok := heap.Pop(&p.timers).(*group)
		if !ok {
			break
		}
		due = append(due, g)
	}
	slices.SortFunc(due, compareGroups)
	var out []*Notice
	for _, g := range due {
		out = p.flushGroup(g, now, out)
	}
	return out
}

// flushGroup decides for each integration of the group that is free.
func (p *Planner) flushGroup(g *group, now alert.Time, out []*Notice) []*Notice {
	full := g.next <= now
	if full {
		g.rearm(now, p.opts.HoldUntil)
		g.flushed = true
	}
	p.look(g, now)
	for i := range g.logs {
		l := &g.logs[i]
		if !l.integ.live || !full && (l.due == 0 || l.due > now) {
			continue
		}
		l.due = 0
		if full {
			l.loaded = false
		}
		if l.flight != nil {
			l.missed = true
			continue
		}
		if n := p.decide(g, l); n != nil {
			out = append(out, n)
		} else {
			l.failed = false // nothing is left of what the last attempt should have told
		}
	}
	p.sweep(g, now)
	return out
}

// look fills the view: which members fire, which are muted.
func (p *Planner) look(g *group, now alert.Time) {
	f := &p.flush
	f.now, f.sorted = now, false
	f.view = f.view[:0]
	away := g.route == nil || len(p.offHours(g, now)) > 0
	for _, i := range g.members {
		s := &p.slots[i]
		if s.a == nil {
			continue
		}
		v := view{i: i, ended: s.a.ResolvedAt(now), muted: away}
		if !away && p.muted(s.a, now) {
			v.muted = true
			if !v.ended {
				p.noteMuted(s, now)
			}
		} else if !away && s.more != nil {
			s.more.noteHeard(now)
		}
		f.view = append(f.view, v)
	}
}

// offHours names the time intervals that mute the group.
func (p *Planner) offHours(g *group, now alert.Time) []string {
	if g.route == nil || len(g.route.ActiveIntervals)+len(g.route.MuteIntervals) == 0 {
		return nil
	}
	return p.intervals.MutedBy(g.route.ActiveIntervals, g.route.MuteIntervals, now.Std())
}

func (p *Planner) muted(a *alert.Alert, now alert.Time) bool {
	return p.inhibit.Mutes(a.Tenant, a.Labels, now) || p.opts.Silences.Mutes(a.Tenant, a.Labels, now)
}

// tally is what one log makes of the view.
type tally struct {
	firing, fresh  int // unmuted and firing; of those not told
	ended, settled int // to be told as ended; episodes owed among them
	told, seen     int // episodes taken to fire; those seen among the members
}

func (p *Planner) count(l *log) tally {
	f := &p.flush
	var t tally
	f.known = slices.Grow(f.known[:0], len(l.eps))[:len(l.eps)]
	clear(f.known)
	for i := range l.eps {
		if l.eps[i].fires() {
			t.told++
		}
	}
	for _, v := range f.view {
		if v.muted && !v.ended {
			continue
		}
		s := &p.slots[v.i]
		i, j := l.of(s.fp)
		fires, over, owed := false, false, false
		for ; i < j; i++ {
			e := &l.eps[i]
			if f.known[i] = true; e.fires() {
				t.seen++
			}
			owed = owed || e.owed()
			if e.Onset == s.a.Onset {
				fires, over = e.fires(), e.Ended > 0 && !e.owed()
			}
		}
		switch {
		case !v.ended:
			t.firing++
			if !fires {
				t.fresh++
			}
		case owed:
			t.settled++
			t.ended++
		case !v.muted && !over:
			t.ended++
		}
	}
	return t
}

// decide returns the notice that is due for one log, or nil. The conditions are
// those of Alertmanager's dedupe stage, on sets of episodes.
func (p *Planner) decide(g *group, l *log) *Notice {
	t := p.count(l)
	var reason Reason
	switch {
	case t.fresh > 0 && t.told == 0:
		reason = First
	case t.fresh > 0:
		reason = NewAlerts
	case t.firing == 0 && t.settled == 0:
		return nil
	case t.firing == 0 && l.integ.resolved:
		reason = AllResolved
	case t.firing > 0 && t.ended > 0 && l.integ.resolved:
		reason = SomeResolved
	case t.firing > 0 && g.route != nil && l.sent.Add(g.route.RepeatInterval) < p.flush.now:
		reason = Repeated
	case t.settled > 0:
		// It doesn't want to be told of ends, so they are taken as told; if
		// nothing fires its next alert is the first again.
		eps := p.episodes(l, t)
		if t.firing > 0 {
			eps = slices.DeleteFunc(eps, func(e Episode) bool { return e.Ended == 0 })
		}
		l.merge(eps)
		return nil
	default:
		return nil
	}
	return p.notice(g, l, reason, p.episodes(l, t))
}

// episodes are what the receiver will know, where that changes; sorted.
func (p *Planner) episodes(l *log, t tally) []Episode {
	f := &p.flush
	at := uint32(f.now / alert.Time(time.Second))
	eps := make([]Episode, 0, t.fresh+t.ended)
	for _, v := range f.view {
		if v.muted && !v.ended {
			continue
		}
		s := &p.slots[v.i]
		own := Episode{Fingerprint: s.fp, Onset: s.a.Onset}
		i, j := l.of(s.fp)
		owed := false
		for ; i < j; i++ {
			e := &l.eps[i]
			if e.Onset == s.a.Onset {
				own = *e
			} else if e.owed() {
				// A later episode of the same alert ends this one.
				eps = append(eps, Episode{Fingerprint: s.fp, Onset: e.Onset, At: at, Ended: max(e.Begun, e.Claimed)})
				owed = true
			}
		}
		next := Episode{Fingerprint: s.fp, Onset: s.a.Onset, At: at}
		switch over := own.Ended > 0 && !own.owed(); {
		case !v.ended && !own.fires():
			next.Begun = inc(max(own.Suspended, own.Ended))
		case v.ended && (own.owed() || owed || !v.muted && !over):
			next.Ended = max(own.Begun, own.Claimed, 1)
		default:
			continue
		}
		eps = append(eps, next)
	}
	if t.seen < t.told {
		for i := range l.eps {
			if e := &l.eps[i]; !f.known[i] && e.fires() {
				eps = append(eps, Episode{Fingerprint: e.Fingerprint, Onset: e.Onset, At: at, Suspended: e.Begun})
			}
		}
	}
	slices.SortFunc(eps, compareEpisodes)
	return eps
}

// inc counts up and stays at the largest number.
func inc(n uint8) uint8 { return n + 1 - n/255 }

func (p *Planner) notice(g *group, l *log, reason Reason, eps []Episode) *Notice {
	f := &p.flush
	p.seq++
	n := &Notice{
		ID:     p.opts.IDPrefix + "-" + strconv.FormatUint(p.seq, 36),
		Tenant: g.place.tenant, Receiver: g.place.receiver, Integration: l.integ.key,
		GroupKey: g.key(), GroupLabels: g.labels, Reason: reason,
		At: f.now, Deadline: f.now.Add(max(g.interval(), p.opts.MinDeadline)),
		Retold: l.unknown(),
	}
	if g.route != nil {
		n.RouteLabels = g.route.Labels
		l.keep(g.route.RepeatInterval)
	}
	if n.Retold {
		n.Reason = Unknown
	}
	p.show()
	for i := range f.view {
		v := &f.view[i]
		s := &p.slots[v.i]
		if !v.ended && v.muted || v.ended && (!l.integ.resolved || !l.tells(s, v)) {
			continue
		}
		n.Alerts = append(n.Alerts, v.a)
	}
	fl := &flight{n: n, g: g, told: Told{
		ID: n.ID, State: Claimed, Tenant: n.Tenant, Receiver: n.Receiver, Integration: n.Integration,
		RouteKey: g.place.routeKey, GroupLabels: g.labels, At: f.now,
		Repeat: time.Duration(l.repeat) * time.Second, Reason: n.Reason, Episodes: eps,
	}}
	l.flight = fl
	p.flights[n.ID] = fl
	return n
}

// tells says whether the log must tell of an ended member.
func (l *log) tells(s *slot, v *view) bool {
	if l.owes(s.fp) {
		return true
	}
	e := l.find(s.fp, s.a.Onset)
	return !v.muted && (e == nil || e.Ended == 0)
}

// show sorts the view as Alertmanager sorts alerts, and makes the copies of
// firing alerts that the bodies of all integrations share.
func (p *Planner) show() {
	f := &p.flush
	if f.sorted {
		return
	}
	f.sorted = true
	slices.SortFunc(f.view, func(a, b view) int {
		return compareAlerts(p.slots[a.i].a, p.slots[b.i].a)
	})
	firing := 0
	for _, v := range f.view {
		if !v.ended {
			firing++
		}
	}
	copies := make([]alert.Alert, 0, firing)
	for i := range f.view {
		v := &f.view[i]
		if v.a = p.slots[v.i].a; !v.ended && v.a.EndsAt != 0 {
			copies = append(copies, *v.a)
			v.a = &copies[len(copies)-1]
			v.a.EndsAt = 0
		}
	}
}

// compareAlerts is Alertmanager's order: job, instance, labels.
func compareAlerts(a, b *alert.Alert) int {
	for _, n := range [...]string{"job", "instance"} {
		x, y := a.Labels.Get(n), b.Labels.Get(n)
		switch {
		case x == y:
		case x == "":
			return 1
		case y == "":
			return -1
		default:
			return strings.Compare(x, y)
		}
	}
	return compareSets(a.Labels, b.Labels)
}

// compareSets is the order of prometheus/common's LabelSet.Before: fewer labels
// first; else the first name that only one has, or whose values differ,
// decides, and who lacks it comes first.
func compareSets(a, b label.Set) int {
	if c := cmp.Compare(a.Len(), b.Len()); c != 0 || a == b {
		return c
	}
	other := b.Pairs()
	for n, v := range a.All() {
		o := other[0]
		other = other[1:]
		switch {
		case n < o.Name:
			return 1
		case n > o.Name:
			return -1
		case v != o.Value:
			return strings.Compare(v, o.Value)
		}
	}
	return 0
}

// sweep lets go of members that are forgotten, and of ended ones that every
// integration has been told of, as far as it needs to be. A group without
// members is put to rest.
func (p *Planner) sweep(g *group, now alert.Time) {
	busy := false
	for i := range g.logs {
		l := &g.logs[i]
		busy = busy || l.integ.live && (l.flight != nil || l.failed)
	}
	kept := g.members[:0]
	for _, i := range g.members {
		s := &p.slots[i]
		gone := s.a == nil
		if !gone && !busy && s.a.ResolvedAt(now) && s.a.UpdatedAt <= now && !g.owes(s.fp) {
			gone = true
		}
		if gone {
			s.leave(g)
			p.release(i)
		} else {
			kept = append(kept, i)
		}
	}
	if len(kept)*4 < cap(g.members) && cap(g.members) > 64 {
		kept = slices.Clone(kept)
	}
	g.members = kept
	if len(kept) > 0 {
		p.timers.fix(g)
		return
	}
	p.timers.drop(g)
	g.members, g.next = nil, 0
	g.eachLog(func(l *log) { l.due = 0 })
	if g.idle() {
		p.groups.remove(g)
	}
}

// Claim returns the record of a notice that must be durable before it is sent.
func (p *Planner) Claim(id string) (Told, bool) {
	fl := p.flights[id]
	if fl == nil {
		return Told{}, false
	}
	return fl.told, true
}

// Outcome is what became of a notice.
type Outcome struct {
	// Delivered: the receiver has it. Otherwise it was given up.
	Delivered bool
	// At is when.
	At alert.Time
	// Err is the last error in words, "" for none.
	Err string
	// Attempts counts how often it was tried.
	Attempts uint32
}

// Done takes the outcome of a notice and returns the record that must be made
// durable; ok is false for a notice that isn't under way. Until the record is
// durable, a crash means that it's told again with the reason Unknown.
func (p *Planner) Done(id string, o Outcome, now alert.Time) (t Told, ok bool) {
	fl := p.flights[id]
	if fl == nil {
		return Told{}, false
	}
	delete(p.flights, id)
	g := fl.g
	l := g.logOf(p.integration(fl.told.Integration))
	l.flight = nil
	t = fl.told
	t.At, t.Err, t.Attempts, t.State = o.At, o.Err, o.Attempts, Failed
	if o.Delivered {
		t.State = Delivered
		l.merge(t.Episodes)
		l.sent = max(l.sent, o.At)
		l.failed = false
		if l.more != nil {
			l.more.claims = nil
		}
	} else {
		l.failed = true
	}
	l.note(t)
	if l.missed {
		l.missed = false
		l.due = now
	}
	p.sweep(g, fl.n.At)
	return t, true
}

// note keeps what is out of the ordinary about an attempt for the why-trail.
func (l *log) note(t Told) {
	if t.State == Delivered && t.Attempts <= 1 && t.Reason != Unknown {
		return
	}
	e := trail.Event{At: t.At, Kind: trail.Failed, Subject: t.Integration, Detail: t.Err}
	switch {
	case t.State == Delivered && t.Attempts > 1:
		e.Kind, e.Detail = trail.Retried, "delivered by attempt "+strconv.FormatUint(uint64(t.Attempts), 10)+"; "+string(t.Reason)
	case t.State == Delivered:
		e.Kind, e.Detail = trail.Sent, string(t.Reason)
	}
	l.extra().trail = l.more.trail.Add(e)
}
