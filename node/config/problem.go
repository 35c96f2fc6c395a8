package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxProblems is how many mistakes one message lists; the rest are counted.
const maxProblems = 25

// Problem is one mistake: where it stands, which setting it is about, and why
// it can't be so.
type Problem struct {
	// File is the file, flag or variable the value came from; empty for a
	// value nobody set.
	File string
	// Line is the line in the file, 0 where there is none.
	Line int
	// Field is the path of the setting, like intake.sources[2].hmac.header.
	Field string
	// Reason says what is wrong and what would be right.
	Reason string

	cause error
}

// Error gives file:line: field: reason, without the parts that are not known.
func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Field != "" {
		b.WriteString(p.Field)
		b.WriteString(": ")
	}
	b.WriteString(p.Reason)
	return b.String()
}

// Problems is every mistake of a file, in the order of its lines. It is the
// error Load, Parse and Validate return; errors.As finds it.
type Problems []Problem

// Error gives one line per problem.
func (p Problems) Error() string {
	lines := make([]string, 0, len(p))
	for i, x := range p {
		if i == maxProblems {
			lines = append(lines, fmt.Sprintf("and %d more", len(p)-maxProblems))
			break
		}
		lines = append(lines, x.Error())
	}
	return strings.Join(lines, "\n")
}

// err returns the problems as an error, nil where there are none.
func (p Problems) err() error {
	if len(p) == 0 {
		return nil
	}
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return p
}

// origin remembers where values came from.
type origin struct {
	file string
	line map[string]int    // path of a setting -> its line in file
	name map[string]string // path of a setting -> the flag or variable that set it
}

// problem places a reason: at the setting, or at the nearest one around it.
func (o origin) problem(field, reason string) Problem {
	p := Problem{Field: field, Reason: reason}
	for path := field; path != ""; path = parent(path) {
		if n, ok := o.name[path]; ok {
			p.File = n
			break
		}
		if l, ok := o.line[path]; ok {
			p.File, p.Line = o.file, l
			break
		}
	}
	return p
}

// At places a mistake that was found outside of the file itself, in what a
// setting names, at that setting: path is like intake.sources[2].mapping_file.
func (c *Config) At(path string, err error) error {
	p := c.origin.problem(path, err.Error())
	p.cause = err
	return p
}

// Unwrap returns what was found where the setting led to, or nil.
func (p Problem) Unwrap() error { return p.cause }

// parent cuts the last step off a path: a.b[2].c, a.b[2], a.b, a.
func parent(path string) string {
	i := strings.LastIndexAny(path, ".[")
	return path[:max(i, 0)]
}
