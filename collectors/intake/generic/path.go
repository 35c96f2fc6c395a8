package generic

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/fenghuo-mesh/fenghuo/collectors/intake/document"
)

// Bounds of a path.
const (
	maxSteps = 16
	maxIndex = 1000
)

// path leads to a value: from the alert's object, or from the body.
type path struct {
	text string
	root bool
	step []step
}

// step is a member by name, an element by number, or every element.
type step struct {
	name  string
	index int
	kind  stepKind
}

type stepKind uint8

const (
	member stepKind = iota
	element
	every
)

// parsePath reads $.a.b, $.a["odd name"][0], $$.x. stars says whether [*] may
// occur.
func parsePath(text string, stars bool) (path, error) {
	p := path{text: text}
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return p, fmt.Errorf("path %.64q: it must begin with $", text)
	}
	if after, ok := strings.CutPrefix(rest, "$"); ok {
		p.root, rest = true, after
	}
	for rest != "" {
		if len(p.step) == maxSteps {
			return p, fmt.Errorf("path %.64q: more than %d steps", text, maxSteps)
		}
		var s step
		var err error
		if s, rest, err = parseStep(rest); err != nil {
			return p, fmt.Errorf("path %.64q: %w", text, err)
		}
		if s.kind == every && !stars {
			return p, fmt.Errorf("path %.64q: [*] is for alerts alone", text)
		}
		p.step = append(p.step, s)
	}
	return p, nil
}

func parseStep(rest string) (step, string, error) {
	if after, ok := strings.CutPrefix(rest, "."); ok {
		end := strings.IndexAny(after, ".[")
		if end < 0 {
			end = len(after)
		}
		if end == 0 || strings.ContainsAny(after[:end], "]\"'{} \t") {
			return step{}, "", fmt.Errorf("a name is wanted after '.'")
		}
		return step{name: after[:end]}, after[end:], nil
	}
	inner, ok := strings.CutPrefix(rest, "[")
	if !ok {
		return step{}, "", fmt.Errorf("'.' or '[' is wanted at %.16q", rest)
	}
	if strings.HasPrefix(inner, `"`) {
		quoted, err := strconv.QuotedPrefix(inner)
		if err != nil {
			return step{}, "", fmt.Errorf("a quoted name has no end")
		}
		name, err := strconv.Unquote(quoted)
		if err != nil || !strings.HasPrefix(inner[len(quoted):], "]") {
			return step{}, "", fmt.Errorf("']' is wanted after %.64s", quoted)
		}
		return step{name: name}, inner[len(quoted)+1:], nil
	}
	number, after, ok := strings.Cut(inner, "]")
	if !ok {
		return step{}, "", fmt.Errorf("']' is missing")
	}
	if number == "*" {
		return step{kind: every}, after, nil
	}
	n, err := strconv.Atoi(number)
	if err != nil || n > maxIndex || n < -1 {
		return step{}, "", fmt.Errorf("[%.16s] is neither 0 to %d, -1 for the last, a quoted name nor *", number, maxIndex)
	}
	return step{kind: element, index: n}, after, nil
}

// at follows the path; a missing value is of kind Missing.
func (p path) at(body, item *document.Value) *document.Value {
	v := item
	if p.root {
		v = body
	}
	for _, s := range p.step {
		if s.kind == element {
			v = v.At(s.index)
		} else {
			v = v.Get(s.name)
		}
	}
	return v
}

// all follows a path with stars to every value, in the body's order.
func (p path) all(body *document.Value, limit int) ([]*document.Value, error) {
	found := []*document.Value{body}
	for _, s := range p.step {
		var next []*document.Value
		for _, v := range found {
			switch s.kind {
			case element:
				next = append(next, v.At(s.index))
			case member:
				next = append(next, v.Get(s.name))
			case every:
				if v.Kind() != document.Array {
					return nil, v.Wrong("array")
				}
				if len(next)+v.Len() > limit {
					return nil, fmt.Errorf("%s: %w: more than %d", v.Path(), errTooMany, limit)
				}
				for _, c := range v.Items() {
					next = append(next, c)
				}
			}
		}
		found = next
	}
	return found, nil
}
