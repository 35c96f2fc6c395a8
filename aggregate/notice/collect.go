package notice

import (
	"slices"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
)

// keepAfter is how much longer than the repeat interval it's remembered what
// was told.
const keepAfter = time.Hour

// Collect forgets what need not be known any more: ended episodes once the
// repeat interval and an hour have passed since they were told as ended, and
// open ones, after the same time since the last notification of their group,
// whose alert is not observed any more: it can't end. It must not be called
// before the alerts of the disk have been observed. It returns the number of
// episodes forgotten.
func (p *Planner) Collect(now alert.Time) int {
	p.settle()
	gone := 0
	p.groups.each(func(g *group) {
		t := p.tenants[g.place.tenant]
		for i := range g.logs {
			gone += g.logs[i].collect(t, now)
		}
		if g.idle() {
			p.groups.remove(g)
		}
	})
	for k, gs := range p.loose {
		gs = slices.DeleteFunc(gs, func(g *group) bool { return !g.owes(k.Fingerprint) })
		if len(gs) == 0 {
			delete(p.loose, k)
		} else {
			p.loose[k] = gs
		}
	}
	for k, pl := range p.places {
		if pl.integs == nil && !p.used(pl) {
			delete(p.places, k)
			if t := p.tenants[k.tenant]; t != nil {
				t.places = nil // may refer to it
			}
		}
	}
	return gone
}

// used says whether any group is at the place.
func (r *registry) used(pl *place) bool {
	found := false
	r.groups.each(func(g *group) { found = found || g.place == pl })
	return found
}

func (l *log) collect(t *tenant, now alert.Time) int {
	if l.flight != nil {
		return 0
	}
	keep := time.Duration(l.repeat)*time.Second + keepAfter
	before := len(l.eps)
	idle := l.sent.Add(keep) <= now
	l.eps = slices.DeleteFunc(l.eps, func(e Episode) bool {
		if !e.owed() {
			return (alert.Time(e.At) * alert.Time(time.Second)).Add(keep) <= now
		}
		if !idle || (alert.Time(e.At)*alert.Time(time.Second)).Add(keep) > now {
			return false
		}
		if t == nil {
			return true
		}
		_, known := t.alerts[e.Fingerprint]
		return !known
	})
	if len(l.eps)*4 < cap(l.eps) {
		l.eps = slices.Clone(l.eps)
	}
	if len(l.eps) == 0 && idle {
		l.sent, l.more, l.loaded = 0, nil, false
	}
	return before - len(l.eps)
}
