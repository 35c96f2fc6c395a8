package silence

import "github.com/fenghuo-mesh/fenghuo/aggregate/label"

// index finds the silences of one tenant that may mute an alert.
type index struct {
	label.Index[*Silence]
	filed map[string]place // by ID
}

// place is where a silence is filed.
type place struct {
	s     *Silence
	under *label.Matcher
}

func newIndex() *index { return &index{filed: map[string]place{}} }

func (x *index) add(s *Silence) { x.filed[s.ID] = place{s, x.Add(s, s.Matchers)} }

// remove takes a silence out; it's no error if it isn't there.
func (x *index) remove(id string) {
	if p, ok := x.filed[id]; ok {
		delete(x.filed, id)
		x.Remove(p.s, p.under)
	}
}
