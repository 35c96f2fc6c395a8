package notice

import (
	"iter"
	"slices"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// Load takes a record from disk: in any order, any number of times. All records
// of the disk are loaded before Next or Due is called, since an attempt that is
// claimed but not finished by then is one of unknown outcome.
func (p *Planner) Load(t Told) {
	g := p.groupOf(&t)
	in := p.integration(t.Integration)
	l := g.logOf(in)
	if l == nil {
		g.logs = append(g.logs, log{integ: in})
		l = &g.logs[len(g.logs)-1]
	}
	l.keep(t.Repeat)
	switch t.State {
	case Claimed:
		if p.flights[t.ID] == nil {
			l.claim(t)
		}
	case Delivered:
		l.merge(sorted(t.Episodes))
		l.sent = max(l.sent, t.At)
		l.loaded = true
		l.finish(t.ID)
		for _, id := range t.Settles {
			l.finish(id)
		}
	case Failed:
		l.merge(claimed(sorted(t.Episodes)))
		l.finish(t.ID)
	}
	p.touched = append(p.touched, g)
}

// claim notes an attempt whose outcome isn't known so far.
func (l *log) claim(t Told) {
	if l.covers(&t) {
		return
	}
	m := l.extra()
	if slices.Contains(m.finished, t.ID) || slices.ContainsFunc(m.claims, func(c Told) bool { return c.ID == t.ID }) {
		return
	}
	m.claims = append(m.claims, t)
}

// finish notes that the outcome of an attempt is known.
func (l *log) finish(id string) {
	if id == "" {
		return
	}
	m := l.extra()
	m.claims = slices.DeleteFunc(m.claims, func(c Told) bool { return c.ID == id })
	m.finished = append(m.finished, id)
}

func sorted(eps []Episode) []Episode {
	if slices.IsSortedFunc(eps, compareEpisodes) {
		return eps
	}
	eps = slices.Clone(eps)
	slices.SortFunc(eps, compareEpisodes)
	return eps
}

// groupOf finds or makes the group of a record.
func (r *registry) groupOf(t *Told) *group {
	pl := r.placeOf(placeKey{t.Tenant, t.Receiver, t.RouteKey})
	h := mix(pl.id, uint64(t.GroupLabels.Fingerprint()))
	g := r.groups.find(h, func(g *group) bool { return g.place == pl && g.labels == t.GroupLabels })
	if g == nil {
		g = newGroup(pl, t.GroupLabels)
		r.groups.add(h, g)
	}
	return g
}

// settle draws the consequences of loaded records and of a new configuration:
// attempts without result become attempts of unknown outcome, and each alert
// whose end a group owes becomes its member though no route leads there.
func (p *Planner) settle() {
	if len(p.touched) == 0 || p.tree == nil {
		return
	}
	touched := p.touched
	p.touched = nil
	seen := make(map[*group]bool, len(touched))
	for _, g := range touched {
		if seen[g] {
			continue
		}
		seen[g] = true
		p.settleGroup(g)
	}
	p.touched = touched[:0]
}

func (p *Planner) settleGroup(g *group) {
	for i := range g.logs {
		l := &g.logs[i]
		if l.more == nil {
			continue
		}
		l.more.finished = nil
		for _, c := range l.more.claims {
			l.merge(claimed(sorted(c.Episodes)))
		}
		if len(l.more.claims) == 0 && len(l.more.trail.Events()) == 0 {
			l.more = nil
		}
	}
	for i := range g.logs {
		l := &g.logs[i]
		if !l.integ.live {
			continue
		}
		for j := range l.eps {
			if l.eps[j].owed() {
				p.owe(g, l.eps[j].Fingerprint)
			}
		}
	}
	if len(g.members) > 0 && !g.flushed {
		g.resume(p.now)
		p.timers.fix(g)
	}
}

// claimed turns what an attempt would have told into what may have been told.
func claimed(eps []Episode) []Episode {
	out := make([]Episode, 0, len(eps))
	for _, e := range eps {
		if n := max(e.Begun, e.Claimed); n > 0 {
			out = append(out, Episode{Fingerprint: e.Fingerprint, Onset: e.Onset, At: e.At, Claimed: n})
		}
	}
	return out
}

// owe makes the group watch for the end of an alert.
func (p *Planner) owe(g *group, fp label.Fingerprint) {
	if t := p.tenants[g.place.tenant]; t != nil {
		if i, ok := t.alerts[fp]; ok {
			p.attach(g, i)
			return
		}
	}
	k := alert.Key{Tenant: g.place.tenant, Fingerprint: fp}
	if !slices.Contains(p.loose[k], g) {
		p.loose[k] = append(p.loose[k], g)
	}
}

// attach makes an alert a member of a group that owes its end.
func (p *Planner) attach(g *group, i uint32) {
	s := &p.slots[i]
	if s.in(g) {
		return
	}
	if len(g.members) == 0 {
		g.next, g.flushed = 1, false
		g.resume(p.now)
	}
	g.members = append(g.members, i)
	s.enter(g)
	p.timers.fix(g)
}

// Records yields everything known as records, so that the log on disk can be
// written anew: loading them into an empty Planner gives the same state. The
// order is fixed.
func (p *Planner) Records() iter.Seq[Told] {
	return func(yield func(Told) bool) {
		p.settle()
		for _, g := range p.sortedGroups() {
			for i := range g.logs {
				for _, t := range g.logs[i].records(g) {
					if !yield(t) {
						return
					}
				}
			}
		}
	}
}

func (r *registry) sortedGroups() []*group {
	all := make([]*group, 0, len(r.groups))
	r.groups.each(func(g *group) { all = append(all, g) })
	slices.SortFunc(all, compareGroups)
	return all
}

func (l *log) records(g *group) []Told {
	t := Told{
		Tenant: g.place.tenant, Receiver: g.place.receiver, Integration: l.integ.key, RouteKey: g.place.routeKey,
		GroupLabels: g.labels, Repeat: time.Duration(l.repeat) * time.Second,
	}
	var out []Told
	var eps []Episode
	for _, e := range l.eps {
		if e != (Episode{Fingerprint: e.Fingerprint, Onset: e.Onset, At: e.At}) {
			eps = append(eps, e)
		}
	}
	if l.sent != 0 || len(eps) > 0 {
		d := t
		d.State, d.At, d.Episodes = Delivered, l.sent, eps
		out = append(out, d)
	}
	if l.more != nil {
		out = append(out, l.more.claims...)
	}
	if l.flight != nil {
		out = append(out, l.flight.told)
	}
	return out
}
