// Package route owns the routing tree: which receivers an alert goes to, how
// it is grouped there, and with what timers. The semantics are Alertmanager's:
// depth first, the first matching child wins unless it says continue, and a
// node that no child takes over from is itself the match.
//
// A Tree is immutable and safe for concurrent use.
package route

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// Timers that hold where a root route says nothing (Alertmanager's defaults).
const (
	DefaultGroupWait      = 30 * time.Second
	DefaultGroupInterval  = 5 * time.Minute
	DefaultRepeatInterval = 4 * time.Hour
)

// Bounds of a tree; they guard against a hostile or generated file.
const (
	MaxRoutes = 100_000 // nodes of a tree
	MaxDepth  = 64      // nesting of routes
)

// GroupByAll in a group_by list groups by every label.
const GroupByAll = "..."

// ErrTree: a tree breaks one of Alertmanager's rules.
var ErrTree = errors.New("invalid route")

// Spec describes one node of the tree as a configuration file does: what is
// left out is inherited from the parent.
type Spec struct {
	// Receiver is the name of the receiver; "" inherits it.
	Receiver string
	// GroupBy lists label names, or GroupByAll alone. nil inherits, an empty
	// list puts all alerts into one group.
	GroupBy []string
	// Matchers select the alerts of this node.
	Matchers label.Matchers
	// Continue lets later siblings match too.
	Continue bool
	// GroupWait, GroupInterval, RepeatInterval are inherited where nil.
	GroupWait, GroupInterval, RepeatInterval *time.Duration
	// MuteIntervals and ActiveIntervals name time intervals; not inherited.
	MuteIntervals, ActiveIntervals []string
	// Labels are merged over the parent's.
	Labels map[string]string
	// Routes are the children, in order.
	Routes []*Spec
}

// Route is one node of the tree with everything inherited filled in.
type Route struct {
	// Index is the node's place in depth-first order, children first, as
	// Alertmanager counts; the root has the highest.
	Index int
	// Receiver is the name of the receiver.
	Receiver string
	// Key is the text before the colon of group keys: the matchers of all
	// nodes from the root, joined by slashes. It need not be unique.
	Key string
	// GroupBy lists the label names to group by, sorted; All groups by every label.
	GroupBy []string
	All     bool
	// GroupWait is how long a new group gathers alerts, GroupInterval how long
	// it waits between flushes, RepeatInterval after what time it tells again
	// what it told.
	GroupWait, GroupInterval, RepeatInterval time.Duration
	// MuteIntervals and ActiveIntervals name the time intervals of this node.
	MuteIntervals, ActiveIntervals []string
	// Labels are attached to notifications; values may be templates.
	Labels label.Set

	matchers label.Matchers
	cont     bool
	kids     []*Route
	index    index
}

// Tree is a checked routing tree.
type Tree struct {
	root  *Route
	count int
}

// New checks and builds a tree. Errors wrap ErrTree and name the node.
func New(root *Spec) (*Tree, error) {
	switch {
	case root == nil:
		return nil, fmt.Errorf("%w: no route provided", ErrTree)
	case root.Receiver == "":
		return nil, fmt.Errorf("%w: root route must specify a default receiver", ErrTree)
	case len(root.Matchers) > 0:
		return nil, fmt.Errorf("%w: root route must not have any matchers", ErrTree)
	case len(root.MuteIntervals) > 0:
		return nil, fmt.Errorf("%w: root route must not have any mute time intervals", ErrTree)
	case len(root.ActiveIntervals) > 0:
		return nil, fmt.Errorf("%w: root route must not have any active time intervals", ErrTree)
	case root.Continue:
		return nil, fmt.Errorf("%w: cannot have continue in root route", ErrTree)
	}
	t := &Tree{}
	parent := &Route{GroupWait: DefaultGroupWait, GroupInterval: DefaultGroupInterval, RepeatInterval: DefaultRepeatInterval}
	var err error
	t.root, err = t.build(root, parent, "route", 0)
	return t, err
}

func (t *Tree) build(s *Spec, parent *Route, where string, depth int) (*Route, error) {
	if s == nil {
		return nil, fmt.Errorf("%w: %s: empty", ErrTree, where)
	}
	if depth > MaxDepth {
		return nil, fmt.Errorf("%w: %.80s...: nested deeper than %d", ErrTree, where, MaxDepth)
	}
	r := &Route{
		Receiver: parent.Receiver, GroupBy: parent.GroupBy, All: parent.All,
		GroupWait: parent.GroupWait, GroupInterval: parent.GroupInterval, RepeatInterval: parent.RepeatInterval,
		MuteIntervals: s.MuteIntervals, ActiveIntervals: s.ActiveIntervals,
		matchers: slices.Clone(s.Matchers), cont: s.Continue,
	}
	if s.Receiver != "" {
		r.Receiver = s.Receiver
	}
	slices.SortFunc(r.matchers, compareMatchers)
	r.Key = r.matchers.String()
	if parent.Key != "" {
		r.Key = parent.Key + "/" + r.Key
	}
	if err := r.group(s.GroupBy); err != nil {
		return nil, fmt.Errorf("%w: %s.group_by: %w", ErrTree, where, err)
	}
	for _, timer := range []struct {
		name string
		to   *time.Duration
		from *time.Duration
		zero bool
	}{
		{"group_wait", &r.GroupWait, s.GroupWait, true},
		{"group_interval", &r.GroupInterval, s.GroupInterval, false},
		{"repeat_interval", &r.RepeatInterval, s.RepeatInterval, false},
	} {
		if timer.from == nil {
			continue
		}
		if *timer.from < 0 || *timer.from == 0 && !timer.zero {
			return nil, fmt.Errorf("%w: %s: %s cannot be zero", ErrTree, where, timer.name)
		}
		*timer.to = *timer.from
	}
	var err error
	if r.Labels, err = mergeLabels(parent.Labels, s.Labels); err != nil {
		return nil, fmt.Errorf("%w: %s.labels: %w", ErrTree, where, err)
	}
	for i, kid := range s.Routes {
		k, err := t.build(kid, r, where+".routes["+strconv.Itoa(i)+"]", depth+1)
		if err != nil {
			return nil, err
		}
		r.kids = append(r.kids, k)
	}
	r.index = newIndex(r.kids)
	r.Index = t.count
	if t.count++; t.count > MaxRoutes {
		return nil, fmt.Errorf("%w: more than %d routes", ErrTree, MaxRoutes)
	}
	return r, nil
}

func (r *Route) group(by []string) error {
	if by == nil {
		return nil
	}
	r.GroupBy, r.All = []string{}, false
	for _, n := range by {
		if n == GroupByAll {
			r.All = true
			continue
		}
		if n == "" {
			return fmt.Errorf("%w: empty", label.ErrName)
		}
		if slices.Contains(r.GroupBy, n) {
			return fmt.Errorf("duplicated label %q", n)
		}
		r.GroupBy = append(r.GroupBy, n)
	}
	if r.All && len(r.GroupBy) > 0 {
		return errors.New("cannot have wildcard group_by (`...`) and other labels at the same time")
	}
	slices.Sort(r.GroupBy)
	return nil
}

func mergeLabels(parent label.Set, own map[string]string) (label.Set, error) {
	if len(own) == 0 {
		return parent, nil
	}
	m := parent.Map()
	maps.Copy(m, own)
	return label.FromMap(m)
}

// compareMatchers is the order in which Alertmanager prints matchers.
func compareMatchers(a, b *label.Matcher) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	if c := strings.Compare(a.Value, b.Value); c != 0 {
		return c
	}
	return int(a.Type) - int(b.Type)
}

// Root is the root node.
func (t *Tree) Root() *Route { return t.root }

// Len counts the nodes; Index of every node is below it.
func (t *Tree) Len() int { return t.count }

// Match appends the nodes that take an alert of these labels to buf, in order.
// There is always at least one.
func (t *Tree) Match(buf []*Route, s label.Set) []*Route { return t.root.match(buf, s) }

// match trusts that the node's own matchers match.
func (r *Route) match(buf []*Route, s label.Set) []*Route {
	before := len(buf)
	if r.index.flat {
		for _, k := range r.kids {
			if k.matchers.Match(s) {
				buf = k.match(buf, s)
				if !k.cont {
					break
				}
			}
		}
	} else {
		var room [16]int32
		for _, i := range r.index.candidates(room[:0], s) {
			if k := r.kids[i]; k.matchers.Match(s) {
				buf = k.match(buf, s)
				if !k.cont {
					break
				}
			}
		}
	}
	if len(buf) == before {
		buf = append(buf, r)
	}
	return buf
}

// Walk visits all nodes, parents before children, in order.
func (t *Tree) Walk(visit func(*Route)) { t.root.walk(visit) }

func (r *Route) walk(visit func(*Route)) {
	visit(r)
	for _, k := range r.kids {
		k.walk(visit)
	}
}

// Routes are the node's children.
func (r *Route) Routes() []*Route { return r.kids }

// Matchers are the node's own matchers, sorted. They must not be changed.
func (r *Route) Matchers() label.Matchers { return r.matchers }

// Continue says whether later siblings may match too.
func (r *Route) Continue() bool { return r.cont }

// GroupLabels returns the labels that name an alert's group at this node.
func (r *Route) GroupLabels(s label.Set) label.Set {
	switch {
	case r.All:
		return s
	case len(r.GroupBy) == 0:
		return label.Set{}
	}
	return s.Only(r.GroupBy)
}

// GroupHash is GroupLabels(s).Fingerprint() without making that set.
func (r *Route) GroupHash(s label.Set) label.Fingerprint {
	if r.All {
		return s.Fingerprint()
	}
	return s.FingerprintWithout(func(n string) bool { return !slices.Contains(r.GroupBy, n) })
}

// SameGroup says whether group == GroupLabels(s), without making that set.
func (r *Route) SameGroup(group, s label.Set) bool {
	if r.All {
		return group == s
	}
	for _, n := range r.GroupBy {
		if group.Get(n) != s.Get(n) {
			return false
		}
	}
	return true
}

// GroupKey is Alertmanager's text for a group: the route's key, a colon and
// the group's labels.
func GroupKey(routeKey string, group label.Set) string {
	b := make([]byte, 0, len(routeKey)+len(group.Encoded())+24)
	b = append(append(b, routeKey...), ":{"...)
	first := true
	for n, v := range group.All() {
		if !first {
			b = append(b, ", "...)
		}
		first = false
		b = append(append(b, n...), '=')
		b = strconv.AppendQuote(b, v)
	}
	return string(append(b, '}'))
}
