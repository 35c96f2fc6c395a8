package label

import "slices"

// Index files things under one of the equality matchers that each has, so that
// a label set meets only those that name one of its labels' values. Things
// without an equality matcher meet every set. The zero Index is empty.
type Index[T comparable] struct {
	names []filed[T]
	rest  []T
}

// filed holds the things that ask for a value of one label.
type filed[T comparable] struct {
	name   string
	values map[string][]T
}

func (x *Index[T]) at(name string) int {
	return slices.IndexFunc(x.names, func(f filed[T]) bool { return f.name == name })
}

// choose prefers the alert's name, then the matcher under which the fewest
// things are filed, then a label that is in use already, so that few labels
// need looking up.
func (x *Index[T]) choose(ms Matchers) *Matcher {
	var best *Matcher
	fewest, used := 0, false
	for _, m := range ms {
		if m.Type != Equal || m.Value == "" {
			continue
		}
		if m.Name == AlertName {
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

// Add files a thing and returns the matcher that it is filed under, nil if it
// has none to be filed under.
func (x *Index[T]) Add(thing T, ms Matchers) *Matcher {
	m := x.choose(ms)
	if m == nil {
		x.rest = append(x.rest, thing)
		return nil
	}
	i := x.at(m.Name)
	if i < 0 {
		i = len(x.names)
		x.names = append(x.names, filed[T]{m.Name, map[string][]T{}})
	}
	vs := x.names[i].values
	vs[m.Value] = append(vs[m.Value], thing)
	return m
}

// Remove takes a thing out; under is what Add returned for it.
func (x *Index[T]) Remove(thing T, under *Matcher) {
	same := func(o T) bool { return o == thing }
	if under == nil {
		x.rest = slices.DeleteFunc(x.rest, same)
		return
	}
	i := x.at(under.Name)
	if i < 0 {
		return
	}
	vs := x.names[i].values
	if left := slices.DeleteFunc(vs[under.Value], same); len(left) > 0 {
		vs[under.Value] = left
		return
	}
	delete(vs, under.Value)
	if len(vs) == 0 {
		x.names = slices.Delete(x.names, i, i+1)
	}
}

// Each yields the things that may match a set, each once, until yield says stop.
// The order depends on what was filed before, not on the set alone.
func (x *Index[T]) Each(s Set, yield func(T) bool) {
	for i := range x.names {
		v := s.Get(x.names[i].name)
		if v == "" {
			continue
		}
		for _, thing := range x.names[i].values[v] {
			if !yield(thing) {
				return
			}
		}
	}
	for _, thing := range x.rest {
		if !yield(thing) {
			return
		}
	}
}
