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
	filed map[string]*label.Matcher // by ID; nil: in rest
}

type byName struct {
	name   string
	values map[string][]*Silence
}

func (x *index) at(name string) int {
	return slices.IndexFunc(x.names, func(b byName) bool { return b.name == name })
}

// choose prefers the name of a condition, then the matcher under which the
// fewest silences are filed, then a label that is in use already.
func (x *index) choose(ms label.Matchers) *label.Matcher {
	var best *label.Matcher
	fewest, used := 0, false
	for _, m := range ms {
		if m.Type != label.Equal || m.Value == "" {
			continue
		}
		if m.Name == label.AlertName {
			return m
		}
		n, in := 0, false
		if i := x.at(m.Name); i >= 0 {
			n, in = len(x.names[i].values[m.Value]), true
		}
		if best == nil || n < fewest || n == fewest && in && !used {
			best, fewest, used = m, n, in
		}
	}
	return best
}

func (x *index) add(s *Silence) {
	m := x.choose(s.Matchers)
	x.filed[s.ID] = m
	if m == nil {
		x.rest = append(x.rest, s)
		return
	}
	i := x.at(m.Name)
	if i < 0 {
		i = len(x.names)
		x.names = append(x.names, byName{m.Name, map[string][]*Silence{}})
	}
	vs := x.names[i].values
	vs[m.Value] = append(vs[m.Value], s)
}

// remove takes a silence out; it's no error if it isn't there.
func (x *index) remove(id string) {
	m, ok := x.filed[id]
	if !ok {
		return
	}
	delete(x.filed, id)
	same := func(o *Silence) bool { return o.ID == id }
	if m == nil {
		x.rest = slices.DeleteFunc(x.rest, same)
		return
	}
	i := x.at(m.Name)
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
