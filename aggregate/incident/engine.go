// Package incident owns the joining of rollups into incidents: what people
// see as one fault.
//
// An Engine judges: it looks at the rollups that changed and at the book of
// incidents so far, and answers with decisions. Decisions are data with
// absolute values: they are stored first and applied to the book afterwards,
// here and on every replica, so that two versions of an engine can't diverge
// and a decision applied twice does no harm. The engine of this version knows
// one kind of evidence, the must-link; the seam is made for those that follow.
package incident

import (
	"cmp"
	"slices"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/rollup"
)

// Engine decides what changed rollups mean for the incidents in the book. Given
// the same sequence of changes it gives the same decisions. changed comes from
// rollup.Fold.Changed; the first call after a start must bring all rollups.
type Engine interface {
	Judge(book *Book, changed []rollup.Change, now alert.Time) []Decision
	// Of returns the incident that an alert belongs to or, once it has ended,
	// belonged to, and the evidence for it, or "".
	Of(book *Book, a *alert.Alert) (id, evidence string)
}

// Op is what a decision does. The numbers are part of the stored form.
type Op uint8

// The operations.
const (
	Open   Op = 1 // a new incident
	Change Op = 2 // counts, priority or members changed
	Close  Op = 3 // the last firing alert ended
)

// Decision is one judgement, complete enough to be applied without judging
// again. All values are what holds after it.
type Decision struct {
	Op       Op
	Incident string // ID
	At       alert.Time
	Tenant   string
	Link     string // must-link key
	Title    string
	Onset    alert.Time
	Active   int            // firing alerts
	Rollups  int            // rollups that fire
	Priority alert.Priority // worst that fires
	Members  []Member       // rollups not listed before
}

// Member is a rollup as an incident lists it.
type Member struct {
	Key      rollup.Key
	Onset    alert.Time
	Name     string // of the rule or condition
	Service  string
	Resource string // one of those affected
	Summary  string
	Evidence string // why it belongs here
}

// MustLink is the simple engine: the rollups of one tenant with the same
// service and the same error code (or, without a code, the same name) are one
// incident for as long as any of them fires. Its only memory beside the book
// are counts, derived from the rollups themselves.
type MustLink struct {
	groups map[string]*group
	link   []byte // reused
}

// group is the sum of the rollups under one link.
type group struct {
	link    string
	touched bool // by the changes at hand
	firing  [5]int
	rollups int
	onset   alert.Time
	fresh   []Member // fire, and are not yet listed
	full    bool     // the incident lists as many as it may
	sample  *alert.Alert
}

// NewMustLink returns the engine with nothing seen.
func NewMustLink() *MustLink { return &MustLink{groups: map[string]*group{}} }

var _ Engine = (*MustLink)(nil)

// Judge implements Engine.
func (e *MustLink) Judge(book *Book, changed []rollup.Change, now alert.Time) []Decision {
	var links []string
	for i := range changed {
		if g := e.sum(&changed[i]); !g.touched {
			g.touched = true
			links = append(links, g.link)
		}
	}
	for _, in := range book.open {
		if e.groups[in.Link] == nil { // fired before a restart, and no more
			links = append(links, in.Link)
		}
	}
	slices.Sort(links)
	var out []Decision
	for _, link := range links {
		if d, ok := e.decide(book.open[link], link, now); ok {
			out = append(out, d)
		}
	}
	return out
}

// sum adds a rollup's change to its group and returns it.
func (e *MustLink) sum(r *rollup.Change) *group {
	e.link = appendLink(e.link[:0], r.Sample)
	g := e.groups[string(e.link)]
	if g == nil {
		g = &group{link: string(e.link), onset: r.Onset, sample: r.Sample}
		e.groups[g.link] = g
	}
	was, is := 0, r.Active()
	for p := range r.Firing {
		was += int(r.Was[p])
		g.firing[p] += int(r.Firing[p]) - int(r.Was[p])
	}
	if is > 0 && was == 0 {
		g.rollups++
		g.onset = min(g.onset, r.Onset)
		if !g.full && len(g.fresh) < MaxMembers {
			g.fresh = append(g.fresh, memberOf(r))
		}
	}
	if is == 0 && was > 0 {
		g.rollups--
	}
	return g
}

// decide compares a group with the incident that stands for it.
func (e *MustLink) decide(in *Incident, link string, now alert.Time) (Decision, bool) {
	d := Decision{At: now, Link: link, Priority: alert.P4}
	g := e.groups[link]
	if g != nil {
		g.touched = false
		d.Rollups, d.Members, g.fresh = g.rollups, g.fresh, nil
		for p, n := range g.firing {
			if n > 0 && d.Active == 0 {
				d.Priority = alert.Priority(p)
			}
			d.Active += n
		}
		if d.Active <= 0 {
			d.Active = 0
			delete(e.groups, link)
		}
	}
	switch {
	case in == nil && d.Active == 0:
		return d, false // came and went between two looks
	case in == nil:
		d.Op, d.Incident, d.Onset = Open, newID(link, g.onset), g.onset
		d.Tenant, d.Title = g.sample.Tenant, title(g.sample)
		return d, true
	}
	d.Op, d.Incident, d.Tenant, d.Title = Change, in.ID, in.Tenant, in.Title
	d.Onset = in.Onset
	if g != nil {
		d.Onset = min(in.Onset, g.onset)
	}
	d.Members = slices.DeleteFunc(d.Members, in.lists)
	if g != nil {
		g.full = len(in.Members)+len(d.Members) >= MaxMembers
	}
	if d.Active == 0 {
		d.Op = Close
		return d, true
	}
	same := in.Active == d.Active && in.Rollups == d.Rollups && in.Priority == d.Priority && in.Onset == d.Onset
	return d, !same || len(d.Members) > 0 && len(in.Members) < MaxMembers
}

// Of implements Engine.
func (e *MustLink) Of(book *Book, a *alert.Alert) (id, evidence string) {
	link := linkOf(a)
	in := book.open[link]
	if !a.Fires() && (in == nil || a.EndsAt < in.Onset) {
		in = book.closed(link, a.StartsAt)
	}
	if in == nil {
		return "", ""
	}
	return in.ID, evidenceOf(a)
}

func memberOf(r *rollup.Change) Member {
	a := r.Sample
	return Member{
		Key: r.Key(), Onset: r.Onset, Name: a.Name(), Service: a.Service(),
		Resource: a.Resource(), Summary: a.Summary(), Evidence: evidenceOf(a),
	}
}

func codeOf(a *alert.Alert) (kind, code string) {
	if c := a.ErrorCode(); c != "" {
		return "error code", c
	}
	return "name", a.Name()
}

// appendLink joins with a byte that no label value should hold, so that two
// links can't be made equal by clever values.
func appendLink(b []byte, a *alert.Alert) []byte {
	service, code, name := a.Core()
	b = append(append(b, a.Tenant...), 0)
	b = append(append(b, service...), 0)
	return append(b, cmp.Or(code, name)...)
}

func linkOf(a *alert.Alert) string { return string(appendLink(nil, a)) }

func evidenceOf(a *alert.Alert) string {
	kind, code := codeOf(a)
	if s := a.Service(); s != "" {
		return "same service " + s + " and " + kind + " " + code
	}
	return "same " + kind + " " + code
}

func title(a *alert.Alert) string {
	if s := a.Service(); s != "" {
		return s + ": " + a.Name()
	}
	return a.Name()
}
