// Package label owns label sets, their fingerprints and the matchers that
// select them: the identity of everything an alert mesh talks about.
package label

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits on what a label set may hold. They guard memory and disk against a
// hostile sender; a set beyond them is refused, never cut.
const (
	MaxLabels          = 64        // pairs in a set
	MaxNameBytes       = 256       // bytes of a name
	MaxValueBytes      = 4 << 10   // bytes of a label's value
	MaxSetBytes        = 16 << 10  // bytes of all labels together
	MaxAnnotationBytes = 32 << 10  // bytes of an annotation's value
	MaxAnnotationsSize = 64 << 10  // bytes of all annotations together
	lengthVarint       = 0x80      // lengths below it take one byte
	maxStoredBytes     = 1<<21 - 1 // three varint bytes
)

// AlertName is the label that names the rule or condition (Prometheus).
const AlertName = "alertname"

// Reasons why a set of pairs is not a label set. They travel wrapped, with the
// offending label in front.
var (
	// ErrEmpty: a set needs at least one label with a value.
	ErrEmpty = errors.New("at least one non-empty label is required")
	// ErrName: the name is empty, too long or not UTF-8.
	ErrName = errors.New("invalid label name")
	// ErrValue: the value is too long or not UTF-8.
	ErrValue = errors.New("invalid label value")
	// ErrDuplicate: the same name occurs twice.
	ErrDuplicate = errors.New("duplicate label name")
	// ErrTooMany: more labels or bytes than a set may hold.
	ErrTooMany = errors.New("too many labels")
)

// Pair is one label.
type Pair struct{ Name, Value string }

// Set is an immutable set of labels, sorted by name, without empty values.
// It is one string (length-prefixed names and values, as Prometheus's
// stringlabels do it), so sets are comparable, cheap to hold in hundreds of
// thousands and safe for concurrent use. The fingerprint is computed once, with
// the set: everything that finds an alert asks for it. The zero Set has no
// labels.
type Set struct {
	enc string
	fp  Fingerprint // of enc; 0 in the zero Set
}

// New makes a set of pairs: empty values are dropped (in Prometheus an empty
// label is an absent one), pairs are sorted, bounds are checked. pairs is
// reordered in place. It doesn't refuse an empty set; see ErrEmpty.
func New(pairs []Pair) (Set, error) { return build(pairs, MaxValueBytes, MaxSetBytes) }

// NewAnnotations is New with the wider bounds of annotations.
func NewAnnotations(pairs []Pair) (Set, error) {
	return build(pairs, MaxAnnotationBytes, MaxAnnotationsSize)
}

func build(pairs []Pair, maxValue, maxSet int) (Set, error) {
	pairs = slices.DeleteFunc(pairs, func(p Pair) bool { return p.Value == "" })
	if len(pairs) > MaxLabels {
		return Set{}, fmt.Errorf("%w: %d, at most %d", ErrTooMany, len(pairs), MaxLabels)
	}
	if !slices.IsSortedFunc(pairs, byName) {
		slices.SortFunc(pairs, byName)
	}
	size := 0
	for i, p := range pairs {
		if err := checkName(p.Name); err != nil {
			return Set{}, err
		}
		if len(p.Value) > maxValue {
			return Set{}, fmt.Errorf("label %q: %w: %d bytes, at most %d", p.Name, ErrValue, len(p.Value), maxValue)
		}
		if !utf8.ValidString(p.Value) {
			return Set{}, fmt.Errorf("label %q: %w: not UTF-8", p.Name, ErrValue)
		}
		if i > 0 && pairs[i-1].Name == p.Name {
			return Set{}, fmt.Errorf("label %q: %w", p.Name, ErrDuplicate)
		}
		size += len(p.Name) + len(p.Value)
	}
	if size > maxSet {
		return Set{}, fmt.Errorf("%w: %d bytes, at most %d", ErrTooMany, size, maxSet)
	}
	return encode(pairs), nil
}

// FromMap is New for a map.
func FromMap(m map[string]string) (Set, error) {
	pairs := make([]Pair, 0, len(m))
	for n, v := range m {
		pairs = append(pairs, Pair{n, v})
	}
	return New(pairs)
}

// FromStrings makes a set of name, value, name, value... It panics on a set
// that New would refuse or an odd count: it is for constants and tests.
func FromStrings(ss ...string) Set {
	pairs := make([]Pair, 0, len(ss)/2)
	for i := 0; i < len(ss); i += 2 {
		pairs = append(pairs, Pair{ss[i], ss[i+1]})
	}
	s, err := New(pairs)
	if err != nil {
		panic(err)
	}
	return s
}

func byName(a, b Pair) int { return strings.Compare(a.Name, b.Name) }

func checkName(n string) error {
	switch {
	case n == "":
		return fmt.Errorf("label %q: %w: empty", n, ErrName)
	case len(n) > MaxNameBytes:
		return fmt.Errorf("label %.32q...: %w: %d bytes, at most %d", n, ErrName, len(n), MaxNameBytes)
	case !utf8.ValidString(n):
		return fmt.Errorf("label %q: %w: not UTF-8", n, ErrName)
	}
	return nil
}

// encode trusts its sorted, checked pairs.
func encode(pairs []Pair) Set {
	if len(pairs) == 0 {
		return Set{}
	}
	size := 0
	for _, p := range pairs {
		size += lengthSize(len(p.Name)) + len(p.Name) + lengthSize(len(p.Value)) + len(p.Value)
	}
	var b strings.Builder
	b.Grow(size)
	h := uint64(fnvOffset)
	for _, p := range pairs {
		writeText(&b, p.Name)
		writeText(&b, p.Value)
		h = addText(addText(h, p.Name), p.Value)
	}
	return Set{b.String(), Fingerprint(h)}
}

func lengthSize(n int) int {
	switch {
	case n < lengthVarint:
		return 1
	case n < lengthVarint<<7:
		return 2
	}
	return 3
}

func writeText(b *strings.Builder, s string) {
	n := len(s)
	for n >= lengthVarint {
		b.WriteByte(byte(n) | lengthVarint)
		n >>= 7
	}
	b.WriteByte(byte(n))
	b.WriteString(s)
}

// cut splits the first text off a set's own encoding, which is well formed.
func cut(s string) (text, rest string) {
	if n := int(s[0]); n < lengthVarint {
		return s[1 : 1+n], s[1+n:]
	}
	text, rest, _ = readText(s)
	return text, rest
}

// readText splits the first length-prefixed text off s. ok is false where s is
// not well formed, which only bytes from outside can be.
func readText(s string) (text, rest string, ok bool) {
	n, shift := 0, 0
	for i := 0; i < len(s) && i < 3; i++ {
		c := s[i]
		n |= int(c&0x7f) << shift
		if c < lengthVarint {
			if i+1+n > len(s) {
				return "", "", false
			}
			return s[i+1 : i+1+n], s[i+1+n:], true
		}
		shift += 7
	}
	return "", "", false
}

// All yields the labels in order of name. The strings share the set's memory.
func (s Set) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for rest := s.enc; rest != ""; {
			var n, v string
			n, rest = cut(rest)
			v, rest = cut(rest)
			if !yield(n, v) {
				return
			}
		}
	}
}

// Get returns a label's value, or "" where it is absent.
func (s Set) Get(name string) string {
	for rest := s.enc; rest != ""; {
		var n, v string
		n, rest = cut(rest)
		v, rest = cut(rest)
		if n == name {
			return v
		}
		if n > name {
			return ""
		}
	}
	return ""
}

// Len counts the labels.
func (s Set) Len() int {
	n := 0
	for range s.All() {
		n++
	}
	return n
}

// Empty says whether the set has no label.
func (s Set) Empty() bool { return s.enc == "" }

// Pairs returns a copy of the labels, sorted by name.
func (s Set) Pairs() []Pair {
	if s.enc == "" {
		return nil
	}
	out := make([]Pair, 0, 8)
	for n, v := range s.All() {
		out = append(out, Pair{n, v})
	}
	return out
}

// Map returns the labels as a fresh map.
func (s Set) Map() map[string]string {
	m := make(map[string]string, 8)
	maps.Insert(m, s.All())
	return m
}

// With returns the set with one label set, or removed where value is empty.
func (s Set) With(name, value string) (Set, error) {
	pairs := slices.DeleteFunc(s.Pairs(), func(p Pair) bool { return p.Name == name })
	return New(append(pairs, Pair{name, value}))
}

// Without returns the set less the labels that drop says.
func (s Set) Without(drop func(name string) bool) Set {
	keep := s.Pairs()
	n := len(keep)
	keep = slices.DeleteFunc(keep, func(p Pair) bool { return drop(p.Name) })
	if len(keep) == n {
		return s
	}
	return encode(keep)
}

// Only returns the labels of the given names.
func (s Set) Only(names []string) Set {
	return s.Without(func(n string) bool { return !slices.Contains(names, n) })
}

// String writes the set as Prometheus does: {a="b", c="d"}.
func (s Set) String() string {
	b := append(make([]byte, 0, len(s.enc)+32), '{')
	for n, v := range s.All() {
		if len(b) > 1 {
			b = append(b, ", "...)
		}
		if plainName(n) {
			b = append(b, n...)
		} else {
			b = strconv.AppendQuote(b, n)
		}
		b = append(b, '=')
		b = strconv.AppendQuote(b, v)
	}
	return string(append(b, '}'))
}

// plainName says whether a name needs no quotes in PromQL's classic syntax.
func plainName(n string) bool {
	for i := range len(n) {
		c := n[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return n != ""
}

// Compare orders sets: name by name, value by value, shorter first
// (Alertmanager's order of groups).
func Compare(a, b Set) int {
	x, y := a.enc, b.enc
	for x != "" && y != "" {
		var p, q string
		p, x = cut(x)
		q, y = cut(y)
		if c := strings.Compare(p, q); c != 0 {
			return c
		}
	}
	return len(x) - len(y)
}
