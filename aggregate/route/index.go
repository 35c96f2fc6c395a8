package route

import (
	"slices"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// flatLimit is the number of children up to which trying each is as cheap as
// looking them up.
const flatLimit = 4

// index finds, among a node's children, those that can match a label set: the
// ones with a matching equality matcher, and the ones without any.
type index struct {
	flat  bool
	names []byName
	rest  []int32
}

type byName struct {
	name   string
	values map[string][]int32
}

func newIndex(kids []*Route) index {
	if len(kids) <= flatLimit {
		return index{flat: true}
	}
	var x index
	for i, k := range kids {
		m := x.choose(k.matchers)
		if m == nil {
			x.rest = append(x.rest, int32(i))
			continue
		}
		at := slices.IndexFunc(x.names, func(b byName) bool { return b.name == m.Name })
		if at < 0 {
			at = len(x.names)
			x.names = append(x.names, byName{m.Name, map[string][]int32{}})
		}
		vs := x.names[at].values
		vs[m.Value] = append(vs[m.Value], int32(i))
	}
	x.flat = len(x.names) == 0
	return x
}

// choose picks the equality matcher to file a child under: the one with the
// fewest children filed there, then one whose label is in use already, so that
// few labels need looking up.
func (x *index) choose(ms label.Matchers) *label.Matcher {
	var best *label.Matcher
	fewest, used := 0, false
	for _, m := range ms {
		if m.Type != label.Equal || m.Value == "" {
			continue
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

// candidates appends the indexes of children that may match, in order.
func (x *index) candidates(buf []int32, s label.Set) []int32 {
	buf = append(buf, x.rest...)
	sorted := true
	for i := range x.names {
		if v := s.Get(x.names[i].name); v != "" {
			if hit := x.names[i].values[v]; len(hit) > 0 {
				sorted = sorted && len(buf) == 0
				buf = append(buf, hit...)
			}
		}
	}
	if !sorted {
		slices.Sort(buf)
	}
	return buf
}
