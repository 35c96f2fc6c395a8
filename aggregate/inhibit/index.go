package inhibit

import (
	"slices"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// index files rules under one of the equality matchers of their source or
// target side, so that an alert meets only rules that can concern it.
type index struct {
	names []byName
	rest  []int
}

type byName struct {
	name   string
	values map[string][]int
}

func (x *index) add(i int, ms label.Matchers) {
	m := x.choose(ms)
	if m == nil {
		x.rest = append(x.rest, i)
		return
	}
	at := slices.IndexFunc(x.names, func(b byName) bool { return b.name == m.Name })
	if at < 0 {
		at = len(x.names)
		x.names = append(x.names, byName{m.Name, map[string][]int{}})
	}
	vs := x.names[at].values
	vs[m.Value] = append(vs[m.Value], i)
}

// choose prefers the alert's name, then the matcher under which the fewest
// rules are filed, then a label that is in use already.
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
		if at := slices.IndexFunc(x.names, func(b byName) bool { return b.name == m.Name }); at >= 0 {
			n, in = len(x.names[at].values[m.Value]), true
		}
		if best == nil || n < fewest || n == fewest && in && !used {
			best, fewest, used = m, n, in
		}
	}
	return best
}

// each yields the rules that may match, until yield says stop.
func (x *index) each(l label.Set, yield func(int) bool) {
	for i := range x.names {
		v := l.Get(x.names[i].name)
		if v == "" {
			continue
		}
		for _, r := range x.names[i].values[v] {
			if !yield(r) {
				return
			}
		}
	}
	for _, r := range x.rest {
		if !yield(r) {
			return
		}
	}
}
