package notice

import (
	"container/heap"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
	"github.com/fenghuo-mesh/fenghuo/aggregate/route"
)

// integration is an interned integration key. live is false where the
// configuration in force doesn't have it.
type integration struct {
	key      string
	live     bool
	resolved bool // wants to be told of ends
}

type placeKey struct{ tenant, receiver, routeKey string }

// place is what the groups of one route and tenant have in common. It outlives
// the configuration, since the told-log does.
type place struct {
	placeKey
	id     uint64
	route  *route.Route   // in force; nil: none leads here any more
	integs []*integration // of the receiver in force; nil where it is gone
}

func newPlace(k placeKey) *place {
	return &place{placeKey: k, id: mix(label.HashPair(k.tenant, k.receiver), label.HashPair(k.routeKey, ""))}
}

func mix(a, b uint64) uint64 {
	h := (a ^ b>>32 ^ b<<32) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// group is the alerts of one place that agree in the labels grouped by, and
// what its integrations were told. It stays after its last alert for as long as
// that must be known.
type group struct {
	place   *place
	labels  label.Set
	members []uint32
	logs    []log
	next    alert.Time // next flush by the group's timer
	heapAt  int32
	routed  bool   // the place's route leads here; else only ends are told
	flushed bool   // since it got its first alert
	twin    *group // next of the same hash
}

func newGroup(pl *place, labels label.Set) *group {
	g := &group{place: pl, labels: labels, heapAt: -1}
	g.bind()
	return g
}

// bind makes sure that there is a log for each integration of the receiver.
func (g *group) bind() {
	for _, in := range g.place.integs {
		if g.logOf(in) == nil {
			if g.logs == nil {
				g.logs = make([]log, 0, len(g.place.integs))
			}
			g.logs = append(g.logs, log{integ: in})
		}
	}
}

func (g *group) logOf(in *integration) *log {
	for i := range g.logs {
		if g.logs[i].integ == in {
			return &g.logs[i]
		}
	}
	return nil
}

func (g *group) eachLog(f func(*log)) {
	for i := range g.logs {
		f(&g.logs[i])
	}
}

// owes says whether a live integration was told that the alert began, or may
// have been, and not that it ended.
func (g *group) owes(fp label.Fingerprint) bool {
	for i := range g.logs {
		if l := &g.logs[i]; l.integ.live && l.owes(fp) {
			return true
		}
	}
	return false
}

// idle says whether nothing is left to be known about the group.
func (g *group) idle() bool {
	if len(g.members) > 0 {
		return false
	}
	for i := range g.logs {
		if l := &g.logs[i]; len(l.eps) > 0 || l.flight != nil || l.sent != 0 || l.unknown() {
			return false
		}
	}
	return true
}

func (g *group) key() string { return route.GroupKey(g.place.routeKey, g.labels) }

// interval is the time between flushes.
func (g *group) interval() time.Duration {
	if !g.routed {
		return orphanInterval
	}
	return g.place.route.GroupInterval
}

// orphanInterval is how often a group without a route looks whether it can
// tell an end.
const orphanInterval = 30 * time.Second

// start sets the timer of a group that gets its first alert. Alertmanager waits
// group_wait from now, or not at all if the alert began longer ago than that. A
// restart neither prolongs the wait nor cuts the group's interval short.
func (g *group) start(a *alert.Alert, now alert.Time) {
	wait := g.place.route.GroupWait
	g.next, g.flushed = now.Add(wait), false
	if a.ReceivedAt != 0 && a.ReceivedAt < now {
		g.next = max(now, a.ReceivedAt.Add(wait))
	}
	if a.StartsAt.Add(wait) < now {
		g.next = now
	}
	g.resume(now)
}

// resume holds a group whose log comes from disk to its interval, unless the
// outcome of an attempt is unknown. A time of sending that is ahead of now comes
// from a clock that was wrong then.
func (g *group) resume(now alert.Time) {
	var sent alert.Time
	for i := range g.logs {
		l := &g.logs[i]
		if l.unknown() {
			return
		}
		if l.loaded {
			sent = max(sent, l.sent)
		}
	}
	if sent != 0 {
		g.next = max(g.next, min(sent, now).Add(g.interval()))
	}
}

// rearm sets the timer for the flush after the one at now. Flushes keep their
// grid though they come late by moments.
func (g *group) rearm(now, hold alert.Time) {
	iv := g.interval()
	if g.next = max(g.next, hold).Add(iv); g.next <= now {
		g.next = now.Add(iv)
	}
}

// when is when the group must be looked at.
func (g *group) when() alert.Time {
	for i := range g.logs {
		if g.logs[i].again {
			return 1
		}
	}
	return g.next
}

// compareGroups is the order in which groups are flushed at one instant.
func compareGroups(a, b *group) int {
	if a.place != b.place {
		for _, c := range [...]int{
			strings.Compare(a.place.tenant, b.place.tenant),
			strings.Compare(a.place.receiver, b.place.receiver),
			strings.Compare(a.place.routeKey, b.place.routeKey),
		} {
			if c != 0 {
				return c
			}
		}
	}
	return label.Compare(a.labels, b.labels)
}

// groupIndex finds groups by hash; equal hashes are chained.
type groupIndex map[uint64]*group

func (x groupIndex) find(h uint64, same func(*group) bool) *group {
	for g := x[h]; g != nil; g = g.twin {
		if same(g) {
			return g
		}
	}
	return nil
}

func (x groupIndex) add(h uint64, g *group) { g.twin, x[h] = x[h], g }

func (x groupIndex) remove(g *group) {
	h := mix(g.place.id, uint64(g.labels.Fingerprint()))
	for at := x[h]; at != nil; at = at.twin {
		switch {
		case at == g && g.twin == nil:
			delete(x, h)
			return
		case at == g:
			x[h] = g.twin
			return
		case at.twin == g:
			at.twin = g.twin
			return
		}
	}
}

// each visits all groups in no order. The one visited may be removed.
func (x groupIndex) each(f func(*group)) {
	for _, g := range x {
		for g != nil {
			next := g.twin
			f(g)
			g = next
		}
	}
}

// timers is a heap of groups by when they must be looked at.
type timers []*group

// Len implements heap.Interface, as do the following.
func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].when() < t[j].when() }

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].heapAt, t[j].heapAt = int32(i), int32(j)
}

// Push implements heap.Interface.
func (t *timers) Push(x any) {
	g, ok := x.(*group)
	if !ok {
		return
	}
	g.heapAt = int32(len(*t))
	*t = append(*t, g)
}

// Pop implements heap.Interface.
func (t *timers) Pop() any {
	last := len(*t) - 1
	g := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	g.heapAt = -1
	return g
}

// fix puts a group where its time belongs, adding it if need be.
func (t *timers) fix(g *group) {
	if g.heapAt < 0 {
		heap.Push(t, g)
	} else {
		heap.Fix(t, int(g.heapAt))
	}
}

func (t *timers) drop(g *group) {
	if g.heapAt >= 0 {
		heap.Remove(t, int(g.heapAt))
	}
}
