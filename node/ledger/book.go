package ledger

import (
	"slices"
	"sync"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// book holds the alerts of this node: one writer (the pipeline), many readers.
// Alerts in it are immutable; a change replaces the pointer. It is laid out for
// 100,000 alerts: a dense slice to scan, a Bloom word per alert so that a
// filter on equality touches few of them, and small maps of numbers.
type book struct {
	mu     sync.RWMutex // guards all following
	slots  []*alert.Alert
	sketch []sketch            // Bloom filter over a slot's labels
	byKey  map[uint64]int32    // hashed key -> slot
	dedupe map[dedupeKey]int32 // sender's own identity -> slot, where it gives one
	free   []int32
	expiry expiryHeap
	queued []alert.Time // when the slot's entry in expiry comes up; 0: none
}

type dedupeKey struct{ tenant, source, key string }

// undo restores one slot; a batch that can't be stored is taken back.
type undo struct {
	slot int32
	key  int32 // the slot that the sender's own key stood for; -1: none
	old  *alert.Alert
}

func newBook() *book {
	return &book{byKey: map[uint64]int32{}, dedupe: map[dedupeKey]int32{}}
}

// hashKey mixes the tenant into the fingerprint. Collisions are found by
// comparing tenant and labels.
func hashKey(tenant string, fp label.Fingerprint) uint64 {
	return uint64(fp) ^ label.HashPair(tenant, "")
}

// sketch is a Bloom filter over the labels of one alert: 128 bits, four for each
// label. Of alerts with 8 labels one in 400 passes that has not the label asked
// for.
type sketch [2]uint64

func sketchOf(l label.Set) (s sketch) {
	for n, v := range l.All() {
		s.add(n, v)
	}
	return s
}

func (s *sketch) add(name, value string) {
	h := label.HashPair(name, value)
	s[0] |= 1<<(h&63) | 1<<(h>>6&63)
	s[1] |= 1<<(h>>12&63) | 1<<(h>>18&63)
}

// covers says whether everything in need is in s, or seems so.
func (s *sketch) covers(need *sketch) bool { return s[0]&need[0] == need[0] && s[1]&need[1] == need[1] }

// find returns the slot and alert of the given identity. clash is set where
// the slot belongs to other labels of the same fingerprint. b.mu is held.
func (b *book) find(tenant string, l label.Set) (slot int32, a *alert.Alert, clash bool) {
	slot, ok := b.byKey[hashKey(tenant, l.Fingerprint())]
	if !ok {
		return -1, nil, false
	}
	a = b.slots[slot]
	return slot, a, a.Tenant != tenant || a.Labels != l
}

// findDedupe returns the alert that a sender's own key names. b.mu is held.
func (b *book) findDedupe(tenant, source, key string) *alert.Alert {
	if key == "" {
		return nil
	}
	if slot, ok := b.dedupe[dedupeKey{tenant, source, key}]; ok {
		return b.slots[slot]
	}
	return nil
}

// put stores the next state of an alert and returns how to take it back. b.mu
// is held for writing.
func (b *book) put(slot int32, a *alert.Alert) undo {
	if slot < 0 {
		slot = b.take()
		b.byKey[hashKey(a.Tenant, a.Labels.Fingerprint())] = slot
		b.sketch[slot] = sketchOf(a.Labels)
	}
	old, key := b.slots[slot], int32(-1)
	if is := dedupeOf(a); is.key != "" {
		if has, ok := b.dedupe[is]; ok {
			key = has
		}
	}
	b.slots[slot] = a
	b.index(slot, old, a)
	b.schedule(slot, a.EndsAt)
	return undo{slot, key, old}
}

// index keeps the senders' own keys. A key stands for the alert that fires under
// it, or for the last one that did: so it does whatever the order in which
// alerts are read from disk.
func (b *book) index(slot int32, old, a *alert.Alert) {
	was, is := dedupeOf(old), dedupeOf(a)
	if was != is && was.key != "" && b.dedupe[was] == slot {
		delete(b.dedupe, was)
	}
	if is.key == "" {
		return
	}
	if has, ok := b.dedupe[is]; ok && (has == slot || b.slots[has] != nil && outranks(b.slots[has], a)) {
		return
	}
	b.dedupe[is] = slot
}

// outranks says whether a key stands for x rather than for y.
func outranks(x, y *alert.Alert) bool {
	if x.Fires() != y.Fires() {
		return x.Fires()
	}
	return x.Version > y.Version
}

func dedupeOf(a *alert.Alert) dedupeKey {
	if a == nil || a.Extra == nil || a.Extra.DedupeKey == "" {
		return dedupeKey{}
	}
	return dedupeKey{a.Tenant, a.Source(), a.Extra.DedupeKey}
}

func (b *book) take() int32 {
	if n := len(b.free); n > 0 {
		slot := b.free[n-1]
		b.free = b.free[:n-1]
		return slot
	}
	b.slots = append(b.slots, nil)
	b.sketch = append(b.sketch, sketch{})
	b.queued = append(b.queued, 0)
	return int32(len(b.slots) - 1)
}

// back takes changes back, last first. b.mu is held for writing.
func (b *book) back(done []undo) {
	for _, u := range slices.Backward(done) {
		is := dedupeOf(b.slots[u.slot])
		if u.old == nil {
			b.drop(u.slot)
		} else {
			b.index(u.slot, b.slots[u.slot], u.old)
			b.slots[u.slot] = u.old
		}
		switch {
		case is.key == "":
		case u.key < 0:
			delete(b.dedupe, is)
		default:
			b.dedupe[is] = u.key
		}
	}
}

// drop forgets a slot. b.mu is held for writing.
func (b *book) drop(slot int32) {
	a := b.slots[slot]
	delete(b.byKey, hashKey(a.Tenant, a.Labels.Fingerprint()))
	b.index(slot, a, nil)
	b.slots[slot], b.sketch[slot] = nil, sketch{}
	b.free = append(b.free, slot)
}

// schedule sees to it that the slot is looked at when its time comes. A lease
// that moves on costs nothing here: the entry that comes up early is put back
// by whoever looks. b.mu is held for writing.
func (b *book) schedule(slot int32, at alert.Time) {
	if at == 0 || b.queued[slot] != 0 && b.queued[slot] <= at {
		return
	}
	b.queued[slot] = at
	b.expiry.push(expiryEntry{at, slot})
}

// due pops the slots whose time has come. b.mu is held for writing.
func (b *book) due(now alert.Time, limit int) []int32 {
	var out []int32
	for len(b.expiry) > 0 && b.expiry[0].at <= now && len(out) < limit {
		e := b.expiry.pop()
		if e.at != b.queued[e.slot] {
			continue // an earlier entry took its place
		}
		b.queued[e.slot] = 0
		if b.slots[e.slot] != nil {
			out = append(out, e.slot)
		}
	}
	return out
}

// next is when due has something to do; 0: never.
func (b *book) next() alert.Time {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if len(b.expiry) == 0 {
		return 0
	}
	return b.expiry[0].at
}

// Held returns every alert that matches and for which keep (nil: all) says yes,
// in no order. Safe for concurrent use; keep must not block.
func (p *Ledger) Held(ms label.Matchers, keep func(*alert.Alert) bool) []*alert.Alert {
	return p.book.all(ms, keep)
}

// Len counts the alerts held, firing and lately resolved.
func (p *Ledger) Len() int { return p.book.len() }

// Frozen calls f with all alerts (nil where a place is empty) while nothing is
// accepted: every record that the journal has taken is in them. f must be
// quick and must not keep the slice.
func (p *Ledger) Frozen(f func(alerts []*alert.Alert)) {
	p.book.mu.RLock()
	defer p.book.mu.RUnlock()
	f(p.book.slots)
}

// all returns every alert for which keep says yes. Equality matchers are
// looked up in the sketch first, so that a filter for one alert among 100,000
// looks at few labels.
func (b *book) all(ms label.Matchers, keep func(*alert.Alert) bool) []*alert.Alert {
	var need sketch
	for _, m := range ms {
		if m.Type == label.Equal && m.Value != "" {
			need.add(m.Name, m.Value)
		}
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []*alert.Alert
	for i := range b.sketch {
		if !b.sketch[i].covers(&need) {
			continue
		}
		if a := b.slots[i]; a != nil && ms.Match(a.Labels) && (keep == nil || keep(a)) {
			out = append(out, a)
		}
	}
	return out
}

// len counts the alerts held.
func (b *book) len() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.used()
}

// used is len for whoever holds mu.
func (b *book) used() int { return len(b.slots) - len(b.free) }

type expiryEntry struct {
	at   alert.Time
	slot int32
}

// expiryHeap is a binary heap by time. It is written out because
// container/heap would allocate for each of a storm's alerts.
type expiryHeap []expiryEntry

func (h *expiryHeap) push(e expiryEntry) {
	s := append(*h, e)
	i := len(s) - 1
	for i > 0 {
		up := (i - 1) / 2
		if s[up].at <= e.at {
			break
		}
		s[i], i = s[up], up
	}
	s[i] = e
	*h = s
}

func (h *expiryHeap) pop() expiryEntry {
	s := *h
	top, last := s[0], s[len(s)-1]
	s = s[:len(s)-1]
	*h = s
	if len(s) == 0 {
		return top
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= len(s) {
			break
		}
		if down+1 < len(s) && s[down+1].at < s[down].at {
			down++
		}
		if s[down].at >= last.at {
			break
		}
		s[i], i = s[down], down
	}
	s[i] = last
	return top
}
