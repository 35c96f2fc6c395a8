// Package notice owns what must be told now and what was told: groups of
// alerts with their timers, silences, inhibition and time intervals in force,
// and, per receiver integration and group, the set of episodes it was told
// about.
//
// A Planner is a pure state machine: alerts, configuration and results of
// sending go in, together with the time; notices to send and records to keep
// on disk come out. The order of the day is
//
//	Load every record and Observe every alert of the disk, Configure,
//	then for ever: wait until Next, call Due, and for each notice
//	Claim -> make it durable -> send -> Done -> make that durable.
//
// Timers, reasons and conditions are Alertmanager's, with these differences.
// What was told is a set of episodes (fingerprint and onset) that only grows,
// so records may be merged in any order. Whoever was told that an alert began
// is told that it ended, though it was silenced, inhibited or outside its hours
// by then, or the route has changed. Each integration of a group goes its own
// way: while one is being retried, the others are told on time. A claim whose
// result got lost is sent again once, and says so.
package notice

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/inhibit"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/route"
	"github.com/fenghuo-mesh/fenghuo/aggregate/silence"
	"github.com/fenghuo-mesh/fenghuo/aggregate/trail"
	"github.com/fenghuo-mesh/fenghuo/aggregate/window"
)

// DefaultMinDeadline is the shortest time a notice may take to be delivered.
const DefaultMinDeadline = 10 * time.Second

// ErrConfig: a configuration refers to something that isn't there.
var ErrConfig = errors.New("invalid notification configuration")

// Options configure a Planner.
type Options struct {
	// IDPrefix makes the IDs of notices unique among nodes and starts, for
	// example node ID and epoch. It must differ at each start.
	IDPrefix string
	// Silences mute alerts; nil means none. The book is only read, under
	// whatever lock guards the Planner.
	Silences *silence.Book
	// HoldUntil keeps everything untold until then (--dispatch.start-delay).
	HoldUntil alert.Time
	// MinDeadline bounds the time for a delivery from below where the group
	// interval is shorter. Default 10 s.
	MinDeadline time.Duration
}

// Integration is one way to reach a receiver.
type Integration struct {
	// Key names it for ever: "receiver/kind/index". The told-log is kept by it.
	Key string
	// SendResolved says whether it is told of ends.
	SendResolved bool
}

// Receiver is a named list of integrations, all of which are told.
type Receiver struct {
	Name         string
	Integrations []Integration
}

// Config is what the configuration file says about telling.
type Config struct {
	Tree      *route.Tree
	Receivers []Receiver
	Inhibit   []inhibit.Rule
	Intervals window.Set
}

func (c *Config) check() error {
	if c.Tree == nil {
		return fmt.Errorf("%w: no route", ErrConfig)
	}
	names, keys := map[string]bool{}, map[string]bool{}
	for _, r := range c.Receivers {
		if names[r.Name] {
			return fmt.Errorf("%w: receiver %q is not unique", ErrConfig, r.Name)
		}
		names[r.Name] = true
		for _, i := range r.Integrations {
			if i.Key == "" || keys[i.Key] {
				return fmt.Errorf("%w: receiver %q: integration key %q is empty or not unique", ErrConfig, r.Name, i.Key)
			}
			keys[i.Key] = true
		}
	}
	var err error
	c.Tree.Walk(func(r *route.Route) {
		if err != nil {
			return
		}
		if !names[r.Receiver] {
			err = fmt.Errorf("%w: undefined receiver %q used in route", ErrConfig, r.Receiver)
			return
		}
		if err = cmp.Or(c.Intervals.Check(r.MuteIntervals), c.Intervals.Check(r.ActiveIntervals)); err != nil {
			err = fmt.Errorf("%w: %w", ErrConfig, err)
		}
	})
	return err
}

// Planner decides what must be told. It is not safe for concurrent use: one
// goroutine or lock owns it and the silence book.
type Planner struct {
	opts Options
	muting
	roster
	registry

	now     alert.Time // as last heard
	timers  timers
	flights map[string]*flight
	seq     uint64
	reloads uint64

	touched []*group               // groups whose log was loaded or whose route changed
	loose   map[alert.Key][]*group // groups that owe the end of an alert not yet observed

	hits  []*route.Route // scratch of join
	flush flush          // scratch of Due
}

// roster is the alerts observed.
type roster struct {
	tenants map[string]*tenant
	slots   []slot
	free    []uint32
}

// registry is the configuration in force and all groups.
type registry struct {
	tree      *route.Tree
	receivers map[string][]*integration
	integs    map[string]*integration
	places    map[placeKey]*place
	groups    groupIndex
}

// tenant is the alerts of one tenant and its places by route index.
type tenant struct {
	name   string
	alerts map[label.Fingerprint]uint32
	places []*place
}

// slot holds one observed alert. Groups refer to it by its index.
type slot struct {
	a    *alert.Alert // nil: forgotten, waits until its groups have let go
	fp   label.Fingerprint
	g    *group // the first group it is a member of
	more *slotMore
}

// slotMore is what most alerts don't need.
type slotMore struct {
	groups []*group // further groups
	trail  trail.Log
	muted  bool // as of the last flush
}

// New makes a Planner without configuration: it takes alerts and records but
// tells nothing before Configure.
func New(o Options) *Planner {
	o.MinDeadline = cmp.Or(o.MinDeadline, DefaultMinDeadline)
	if o.Silences == nil {
		o.Silences = silence.NewBook(silence.Options{})
	}
	return &Planner{
		opts:   o,
		muting: muting{inhibit: inhibit.New(nil), silences: o.Silences},
		roster: roster{tenants: map[string]*tenant{}},
		registry: registry{
			integs: map[string]*integration{}, places: map[placeKey]*place{}, groups: groupIndex{},
		},
		flights: map[string]*flight{}, loose: map[alert.Key][]*group{},
	}
}

// Configure puts a configuration in force: all groups are built anew and their
// timers start over, as Alertmanager does; what was told stays known, and an
// integration that still exists is told the ends it is owed though no route
// leads to it any more. On an error nothing has changed; it wraps ErrConfig.
func (p *Planner) Configure(c Config, now alert.Time) error {
	if err := c.check(); err != nil {
		return err
	}
	p.now = now
	p.tree, p.intervals, p.inhibit = c.Tree, c.Intervals, inhibit.New(c.Inhibit)
	for _, i := range p.integs {
		i.live = false
	}
	p.receivers = map[string][]*integration{}
	for _, r := range c.Receivers {
		for _, cfg := range r.Integrations {
			i := p.integration(cfg.Key)
			i.live, i.resolved = true, cfg.SendResolved
			p.receivers[r.Name] = append(p.receivers[r.Name], i)
		}
	}
	for _, pl := range p.places {
		pl.route, pl.integs = nil, p.receivers[pl.receiver]
	}
	for _, t := range p.tenants {
		t.places = nil
	}
	p.timers, p.touched = nil, p.touched[:0]
	p.reloads++
	clear(p.loose)
	p.groups.each(func(g *group) {
		g.members, g.routed, g.next, g.heapAt, g.flushed = nil, false, 0, -1, false
		g.bind()
		g.eachLog(func(l *log) { l.again = false })
		p.touched = append(p.touched, g)
	})
	p.rejoin(now)
	p.settle()
	p.groups.each(func(g *group) {
		if g.idle() {
			p.groups.remove(g)
		}
	})
	return nil
}

// rejoin routes every alert again.
func (p *Planner) rejoin(now alert.Time) {
	p.free = p.free[:0]
	for i := range p.slots {
		s := &p.slots[i]
		s.g = nil
		if s.more != nil {
			s.more.groups = nil
		}
		if s.a == nil {
			*s = slot{}
			p.free = append(p.free, uint32(i))
			continue
		}
		p.inhibit.Observe(s.a, s.fp, now)
	}
	for i := range p.slots {
		if p.slots[i].a != nil {
			p.join(uint32(i), now)
		}
	}
}

func (r *registry) integration(key string) *integration {
	i := r.integs[key]
	if i == nil {
		i = &integration{key: key}
		r.integs[key] = i
	}
	return i
}

func (r *roster) tenant(name string) *tenant {
	t := r.tenants[name]
	if t == nil {
		t = &tenant{name: name, alerts: map[label.Fingerprint]uint32{}}
		r.tenants[name] = t
	}
	return t
}

// Observe takes a state of an alert, firing or resolved. It is idempotent. The
// alert must not change afterwards. A resolved alert that nobody was told of
// is remembered but told to nobody.
func (p *Planner) Observe(a *alert.Alert, now alert.Time) {
	p.now = now
	fp := a.Labels.Fingerprint()
	t := p.tenant(a.Tenant)
	i, known := t.alerts[fp]
	switch {
	case !known:
		i = p.newSlot()
		p.slots[i].a, p.slots[i].fp = a, fp
		t.alerts[fp] = i
	default:
		s := &p.slots[i]
		old := s.a
		if old == a || old.Labels != a.Labels {
			return // seen, or a collision that the owner of the alerts refuses too
		}
		s.a = a
		if !old.ResolvedAt(now) && !a.ResolvedAt(now) {
			p.inhibit.Observe(a, fp, now)
			return
		}
	}
	p.inhibit.Observe(a, fp, now)
	if p.tree == nil {
		return
	}
	p.join(i, now)
	if len(p.loose) > 0 {
		k := alert.Key{Tenant: a.Tenant, Fingerprint: fp}
		for _, g := range p.loose[k] {
			p.attach(g, i)
		}
		delete(p.loose, k)
	}
}

func (r *roster) newSlot() uint32 {
	if n := len(r.free); n > 0 {
		i := r.free[n-1]
		r.free = r.free[:n-1]
		return i
	}
	r.slots = append(r.slots, slot{})
	return uint32(len(r.slots) - 1)
}

// join makes an alert a member of the groups it routes to.
func (p *Planner) join(i uint32, now alert.Time) {
	s := &p.slots[i]
	a := s.a
	ended := a.ResolvedAt(now)
	t := p.tenants[a.Tenant]
	p.hits = p.tree.Match(p.hits[:0], a.Labels)
	for _, r := range p.hits {
		pl := p.place(t, r)
		h := mix(pl.id, uint64(r.GroupHash(a.Labels)))
		g := p.groups.find(h, func(g *group) bool { return g.place == pl && r.SameGroup(g.labels, a.Labels) })
		if ended && (g == nil || !s.in(g) && !g.owes(s.fp)) {
			continue
		}
		if g == nil {
			g = newGroup(pl, r.GroupLabels(a.Labels))
			p.groups.add(h, g)
		}
		g.routed = true
		if s.in(g) {
			continue
		}
		if len(g.members) == 0 {
			g.start(a, now)
			p.timers.fix(g)
		}
		g.members = append(g.members, i)
		s.enter(g)
	}
}

// place returns the route's place for a tenant.
func (r *registry) place(t *tenant, via *route.Route) *place {
	if t.places == nil {
		t.places = make([]*place, r.tree.Len())
	}
	pl := t.places[via.Index]
	if pl == nil {
		pl = r.placeOf(placeKey{t.name, via.Receiver, via.Key})
		pl.route = via
		t.places[via.Index] = pl
	}
	return pl
}

// placeOf interns a place; its integrations are those of the receiver in force.
func (r *registry) placeOf(k placeKey) *place {
	pl := r.places[k]
	if pl == nil {
		pl = newPlace(k)
		pl.integs = r.receivers[k.receiver]
		r.places[k] = pl
	}
	return pl
}

// Forget drops an alert: the book no longer holds it.
func (p *Planner) Forget(k alert.Key) {
	t := p.tenants[k.Tenant]
	if t == nil {
		return
	}
	i, ok := t.alerts[k.Fingerprint]
	if !ok {
		return
	}
	delete(t.alerts, k.Fingerprint)
	s := &p.slots[i]
	p.inhibit.Forget(s.a, s.fp)
	s.a = nil
	p.release(i)
}

// release gives a forgotten alert's slot back once no group refers to it.
func (r *roster) release(i uint32) {
	s := &r.slots[i]
	if s.a == nil && s.g == nil {
		*s = slot{}
		r.free = append(r.free, i)
	}
}

// in says whether the alert is a member of g.
func (s *slot) in(g *group) bool {
	return s.g == g || s.more != nil && slices.Contains(s.more.groups, g)
}

func (s *slot) enter(g *group) {
	if s.g == nil {
		s.g = g
		return
	}
	s.extra().groups = append(s.extra().groups, g)
}

func (s *slot) leave(g *group) {
	if s.more != nil {
		if i := slices.Index(s.more.groups, g); i >= 0 {
			s.more.groups = slices.Delete(s.more.groups, i, i+1)
			return
		}
	}
	if s.g != g {
		return
	}
	s.g = nil
	if s.more != nil && len(s.more.groups) > 0 {
		last := len(s.more.groups) - 1
		s.g, s.more.groups = s.more.groups[last], s.more.groups[:last]
	}
}

func (s *slot) extra() *slotMore {
	if s.more == nil {
		s.more = &slotMore{}
	}
	return s.more
}

// groups yields the groups the alert is a member of.
func (s *slot) groups(yield func(*group)) {
	if s.g != nil {
		yield(s.g)
	}
	if s.more != nil {
		for _, g := range s.more.groups {
			yield(g)
		}
	}
}
