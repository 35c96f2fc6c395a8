package notice

import (
	"container/heap"
	"slices"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
)

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
	slots  []slot
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
	p.now = now
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
	p.flush.look(&p.muting, p.slots, g, now)
	for i := range g.logs {
		l := &g.logs[i]
		if !l.integ.live || !full && !l.again {
			continue
		}
		l.again = false
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
func (f *flush) look(m *muting, slots []slot, g *group, now alert.Time) {
	f.slots = slots
	f.now, f.sorted = now, false
	f.view = f.view[:0]
	away := !g.routed || len(m.offHours(g, now)) > 0
	for _, i := range g.members {
		s := &slots[i]
		if s.a == nil {
			continue
		}
		v := view{i: i, ended: s.a.ResolvedAt(now), muted: away}
		if !away && m.muted(s.a, now) {
			v.muted = true
			if !v.ended {
				m.noteMuted(s, now)
			}
		} else if !away && s.more != nil {
			s.more.noteHeard(now)
		}
		f.view = append(f.view, v)
	}
}

// tally is what one log makes of the view.
type tally struct {
	firing, fresh  int // unmuted and firing; of those not told
	ended, settled int // to be told as ended; episodes owed among them
	told, seen     int // episodes taken to fire; those seen among the members
}

func (f *flush) count(l *log) tally {
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
		s := &f.slots[v.i]
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
	t := p.flush.count(l)
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
	case t.firing > 0 && g.routed && l.sent.Add(g.place.route.RepeatInterval) < p.flush.now:
		reason = Repeated
	case t.settled > 0:
		// It doesn't want to be told of ends, so they are taken as told; if
		// nothing fires its next alert is the first again.
		eps := p.flush.episodes(l, t)
		if t.firing > 0 {
			eps = slices.DeleteFunc(eps, func(e Episode) bool { return e.Ended == 0 })
		}
		l.merge(eps)
		return nil
	default:
		return nil
	}
	return p.notice(g, l, reason, p.flush.episodes(l, t))
}

// episodes are what the receiver will know, where that changes; sorted.
func (f *flush) episodes(l *log, t tally) []Episode {
	at := uint32(f.now / alert.Time(time.Second))
	eps := make([]Episode, 0, t.fresh+t.ended)
	for _, v := range f.view {
		if v.muted && !v.ended {
			continue
		}
		s := &f.slots[v.i]
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
				eps = append(eps, Episode{Fingerprint: e.Fingerprint, Onset: e.Onset, At: at, Suspended: min(e.Begun, maxSuspended)})
			}
		}
	}
	slices.SortFunc(eps, compareEpisodes)
	return eps
}

// maxSuspended is below the largest Begun: an alert that was muted and heard
// more often than can be counted is taken to be told, instead of being news at
// every flush.
const maxSuspended = 254

// inc counts up and stays at the largest number.
func inc(n uint8) uint8 { return n + 1 - n/255 }

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
	g.eachLog(func(l *log) { l.again = false })
	if g.idle() {
		p.groups.remove(g)
	}
}
