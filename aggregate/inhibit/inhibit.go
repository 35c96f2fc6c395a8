// Package inhibit owns inhibition: which firing alert (the source) mutes which
// other alerts (the targets). The semantics are Alertmanager's, with all
// sources kept per set of equal labels, so that one ending source never
// un-mutes what another one still mutes.
package inhibit

import (
	"cmp"
	"slices"

	"github.com/fenghuo-mesh/fenghuo/aggregate/alert"
	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// MaxSources is how many sources Sources returns.
const MaxSources = 16

// Rule says that a firing alert that Source matches mutes alerts that Target
// matches and that have the same values of the labels in Equal; an absent
// label counts as empty. Empty matchers match everything.
type Rule struct {
	// Name is for people.
	Name           string
	Source, Target label.Matchers
	Equal          []string
}

// Inhibitor knows the sources that fire now. It is not safe for concurrent
// use. It is fed every state of every alert by Observe.
type Inhibitor struct {
	rules   []*rule
	sources label.Index[int]
	targets label.Index[int]
}

// rule is a Rule and its sources, by tenant and equal labels.
type rule struct {
	Rule
	buckets map[uint64][]*bucket
}

// bucket holds the sources of one tenant that agree in the equal labels. both
// are those that also match the target side.
type bucket struct {
	tenant string
	equal  []string
	only   list
	both   list
}

// New makes an inhibitor without sources.
func New(rules []Rule) *Inhibitor {
	in := &Inhibitor{}
	for i, r := range rules {
		c := &rule{Rule: r, buckets: map[uint64][]*bucket{}}
		in.rules = append(in.rules, c)
		in.sources.Add(i, r.Source)
		in.targets.Add(i, r.Target)
	}
	return in
}

// Rules counts the rules.
func (in *Inhibitor) Rules() int { return len(in.rules) }

// Observe takes a new state of an alert: a firing one becomes a source of the
// rules it matches, an ended one stops being one.
func (in *Inhibitor) Observe(a *alert.Alert, fp label.Fingerprint, now alert.Time) {
	in.sources.Each(a.Labels, func(i int) bool {
		if r := in.rules[i]; r.Source.Match(a.Labels) {
			r.observe(a, fp, a.ResolvedAt(now))
		}
		return true
	})
}

// Forget drops an alert that is no longer known.
func (in *Inhibitor) Forget(a *alert.Alert, fp label.Fingerprint) {
	in.sources.Each(a.Labels, func(i int) bool {
		if r := in.rules[i]; r.Source.Match(a.Labels) {
			r.observe(a, fp, true)
		}
		return true
	})
}

func (r *rule) observe(a *alert.Alert, fp label.Fingerprint, ended bool) {
	h := r.hash(a.Tenant, a.Labels)
	b := r.find(h, a.Tenant, a.Labels)
	if b == nil {
		if ended {
			return
		}
		b = &bucket{tenant: a.Tenant, equal: r.values(a.Labels)}
		r.buckets[h] = append(r.buckets[h], b)
	}
	l := &b.only
	if r.Target.Match(a.Labels) {
		l = &b.both
	}
	if !ended {
		l.put(source{fp, a})
		return
	}
	l.drop(fp)
	if len(b.only.items)+len(b.both.items) > 0 {
		return
	}
	left := slices.DeleteFunc(r.buckets[h], func(o *bucket) bool { return o == b })
	if len(left) == 0 {
		delete(r.buckets, h)
	} else {
		r.buckets[h] = left
	}
}

func (r *rule) hash(tenant string, l label.Set) uint64 {
	h := label.HashPair(tenant, "")
	for _, n := range r.Equal {
		h = h*31 + label.HashPair(n, l.Get(n))
	}
	return h
}

func (r *rule) values(l label.Set) []string {
	vs := make([]string, len(r.Equal))
	for i, n := range r.Equal {
		vs[i] = l.Get(n)
	}
	return vs
}

func (r *rule) find(h uint64, tenant string, l label.Set) *bucket {
	for _, b := range r.buckets[h] {
		if b.tenant == tenant && b.agrees(r.Equal, l) {
			return b
		}
	}
	return nil
}

func (b *bucket) agrees(names []string, l label.Set) bool {
	for i, n := range names {
		if b.equal[i] != l.Get(n) {
			return false
		}
	}
	return true
}

// Mutes says whether the labels are muted now by any source.
func (in *Inhibitor) Mutes(tenant string, l label.Set, now alert.Time) bool {
	muted := false
	in.visit(tenant, l, func(b *bucket, both bool) bool {
		muted = b.only.fires(now) || both && b.both.fires(now)
		return !muted
	})
	return muted
}

// Sources returns the fingerprints of sources that mute the labels now, sorted,
// the MaxSources smallest where there are more.
func (in *Inhibitor) Sources(tenant string, l label.Set, now alert.Time) []label.Fingerprint {
	var out []label.Fingerprint
	in.visit(tenant, l, func(b *bucket, both bool) bool {
		out = b.only.appendFiring(out, now)
		if both {
			out = b.both.appendFiring(out, now)
		}
		return true
	})
	slices.Sort(out)
	out = slices.Compact(out)
	return slices.Clip(out[:min(len(out), MaxSources)])
}

// visit yields, per rule whose target the labels match, the bucket of sources,
// and whether those that match both sides count: not if the labels match both
// sides too, or an alert would mute itself.
func (in *Inhibitor) visit(tenant string, l label.Set, yield func(b *bucket, both bool) bool) {
	if len(in.rules) == 0 {
		return
	}
	in.targets.Each(l, func(i int) bool {
		r := in.rules[i]
		if len(r.buckets) == 0 || !r.Target.Match(l) {
			return true
		}
		b := r.find(r.hash(tenant, l), tenant, l)
		return b == nil || yield(b, !r.Source.Match(l))
	})
}

type source struct {
	fp label.Fingerprint
	a  *alert.Alert
}

// list is a set of sources by fingerprint. A map is made only for long ones.
type list struct {
	items []source
	at    map[label.Fingerprint]int
}

const mapFrom = 16

func (l *list) index(fp label.Fingerprint) int {
	if l.at != nil {
		if i, ok := l.at[fp]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(l.items, func(s source) bool { return s.fp == fp })
}

func (l *list) put(s source) {
	if i := l.index(s.fp); i >= 0 {
		l.items[i] = s
		return
	}
	l.items = append(l.items, s)
	switch {
	case l.at != nil:
		l.at[s.fp] = len(l.items) - 1
	case len(l.items) > mapFrom:
		l.at = make(map[label.Fingerprint]int, 2*mapFrom)
		for i, s := range l.items {
			l.at[s.fp] = i
		}
	}
}

func (l *list) drop(fp label.Fingerprint) {
	i := l.index(fp)
	if i < 0 {
		return
	}
	last := len(l.items) - 1
	l.items[i] = l.items[last]
	l.items[last] = source{}
	l.items = l.items[:last]
	if l.at != nil {
		delete(l.at, fp)
		if i < last {
			l.at[l.items[i].fp] = i
		}
	}
}

func (l *list) fires(now alert.Time) bool {
	return slices.ContainsFunc(l.items, func(s source) bool { return !s.a.ResolvedAt(now) })
}

// appendFiring adds the fingerprints that fire now; it sorts and cuts out when
// it grows, so that a long list costs no memory.
func (l *list) appendFiring(out []label.Fingerprint, now alert.Time) []label.Fingerprint {
	for _, s := range l.items {
		if s.a.ResolvedAt(now) {
			continue
		}
		if out = append(out, s.fp); len(out) >= 4*MaxSources {
			slices.SortFunc(out, cmp.Compare[label.Fingerprint])
			out = slices.Compact(out)
			out = out[:min(len(out), MaxSources)]
		}
	}
	return out
}
