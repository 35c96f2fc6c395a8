package notice

import (
	"cmp"
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

// flight is a notice between Due and Done.
type flight struct {
	n       *Notice
	g       *group
	told    Told
	reloads uint64 // when it left
}

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
	if g.routed {
		n.RouteLabels = g.place.route.Labels
		l.keep(g.place.route.RepeatInterval)
	}
	if n.Retold {
		n.Reason = Unknown
	}
	f.show()
	for i := range f.view {
		v := &f.view[i]
		s := &p.slots[v.i]
		if !v.ended && v.muted || v.ended && (!l.integ.resolved || !l.tells(s, v)) {
			continue
		}
		n.Alerts = append(n.Alerts, v.a)
	}
	fl := &flight{n: n, g: g, reloads: p.reloads, told: Told{
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
func (f *flush) show() {
	if f.sorted {
		return
	}
	f.sorted = true
	slices.SortFunc(f.view, func(a, b view) int {
		return compareAlerts(f.slots[a.i].a, f.slots[b.i].a)
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
		if v.a = f.slots[v.i].a; !v.ended && v.a.EndsAt != 0 {
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
	// Unsure: given up, but an attempt may have arrived: the receiver had it
	// and didn't answer.
	Unsure bool
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
func (p *Planner) Done(id string, o Outcome, _ alert.Time) (t Told, ok bool) {
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
	switch {
	case o.Delivered:
		t.State = Delivered
		l.settleClaims(&t)
		l.merge(t.Episodes)
		l.sent = max(l.sent, o.At)
		l.failed = false
	case o.Unsure:
		// Told again in any case. But who may have heard that it began hears
		// that it ended.
		t.Episodes = claimed(t.Episodes)
		l.merge(t.Episodes)
		l.failed = true
	default:
		t.Episodes = nil
		l.failed = true
	}
	if fl.reloads != p.reloads {
		p.touched = append(p.touched, g) // its alerts may have gone elsewhere; it owes their ends
	}
	l.note(t)
	if l.missed {
		l.missed = false
		l.again = l.integ.live // one that is gone is told nothing, so it would be looked at for ever
	}
	p.sweep(g, fl.n.At)
	return t, true
}

// settleClaims lets a delivered notification put an end to attempts of unknown
// outcome: it was sent because of them. What they may have told stays known.
func (l *log) settleClaims(t *Told) {
	if !l.unknown() {
		return
	}
	for _, c := range l.more.claims {
		t.Settles = append(t.Settles, c.ID)
	}
	l.more.claims = nil
	all := log{eps: slices.Clone(t.Episodes)}
	for _, e := range l.eps {
		if e.Claimed > e.Begun {
			all.merge([]Episode{{Fingerprint: e.Fingerprint, Onset: e.Onset, At: e.At, Claimed: e.Claimed}})
		}
	}
	t.Episodes = all.eps
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
