package silence

import (
	"slices"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// index files silences under one of their equality matchers, so that an alert
// meets only those that name one of its labels' values. Silences without an
// equality matcher are tried on every alert.
type index struct {
	names []byName
	rest  []*Silence
}

type byName struct {
	name   string
	values map[string][]*Silence
}

// file picks the matcher under which a silence is filed: a pure function of
// the silence, so that it's found again.
func file(s *Silence) *label.Matcher {
	var best *label.Matcher
	for _, m := range s.Matchers {
		if m.Type != label.Equal || m.Value == "" {
			continue
		}
		// The name of a condition says more than a severity or a cluster, and
		// the fewer names are in use, the fewer look-ups an alert costs.
		if m.Name == label.AlertName {
			return m
		}
		if best == nil || m.Name < best.Name || m.Name == best.Name && m.Value < best.Value {
			best = m
		}
	}
	return best
}

func (x *index) add(s *Silence) {
	m := file(s)
	if m == nil {
		x.rest = append(x.rest, s)
		return
	}
	i := slices.IndexFunc(x.names, func(b byName) bool { return b.name == m.Name })
	if i < 0 {
		i = len(x.names)
		x.names = append(x.names, byName{m.Name, map[string][]*Silence{}})
	}
	vs := x.names[i].values
	vs[m.Value] = append(vs[m.Value], s)
}

func (x *index) remove(s *Silence) {
	same := func(o *Silence) bool { return o.ID == s.ID }
	m := file(s)
	if m == nil {
		x.rest = slices.DeleteFunc(x.rest, same)
		return
	}
	i := slices.IndexFunc(x.names, func(b byName) bool { return b.name == m.Name })
	if i < 0 {
		return
	}
	vs := x.names[i].values
	if left := slices.DeleteFunc(vs[m.Value], same); len(left) > 0 {
		vs[m.Value] = left
		return
	}
	delete(vs, m.Value)
	if len(vs) == 0 {
		x.names = slices.Delete(x.names, i, i+1)
	}
}

// each yields the silences that may match, until yield says stop.
func (x *index) each(l label.Set, yield func(*Silence) bool) {
	for i := range x.names {
		v := l.Get(x.names[i].name)
		if v == "" {
			continue
		}
		for _, s := range x.names[i].values[v] {
			if !yield(s) {
				return
			}
		}
	}
	for _, s := range x.rest {
		if !yield(s) {
			return
		}
	}
}
