package rulefile

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Severity says what an Issue means for its file.
type Severity uint8

// The severities of issues, worst first.
const (
	// Error refuses the file.
	Error Severity = iota
	// Warning is a fault that the file can be used with.
	Warning
	// Hint is advice.
	Hint
)

// String is "error", "warning" or "hint".
func (s Severity) String() string { return [...]string{"error", "warning", "hint"}[min(s, Hint)] }

// Issue is one fault of a rule file.
type Issue struct {
	Severity Severity
	File     string
	// Line and Column count from 1; 0 where the fault has no place.
	Line, Column int
	// Group and Rule are names, "" where the fault is outside of one.
	Group, Rule string
	Reason      string
}

// String writes file:line:col: group "g", rule "r": reason.
func (i Issue) String() string {
	var b strings.Builder
	b.WriteString(i.File)
	if i.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", i.Line, max(i.Column, 1))
	}
	b.WriteString(": ")
	if i.Severity != Error {
		b.WriteString(i.Severity.String() + ": ")
	}
	if i.Group != "" {
		fmt.Fprintf(&b, "group %q, ", i.Group)
	}
	if i.Rule != "" {
		fmt.Fprintf(&b, "rule %q, ", i.Rule)
	}
	text := b.String()
	if trimmed, ok := strings.CutSuffix(text, ", "); ok {
		text = trimmed + ": "
	}
	return text + i.Reason
}

// ErrRules: rule files can't be used. It travels as a *LoadError.
var ErrRules = errors.New("rule files have errors")

// LoadError holds every error of every file.
type LoadError struct{ Issues []Issue }

// Error lists all errors, one a line.
func (e *LoadError) Error() string {
	lines := make([]string, 0, len(e.Issues))
	for _, i := range e.Issues {
		lines = append(lines, i.String())
	}
	return strings.Join(lines, "\n")
}

// Unwrap is ErrRules.
func (e *LoadError) Unwrap() error { return ErrRules }

// Errors are the issues that refuse a file.
func Errors(issues []Issue) []Issue {
	return slices.DeleteFunc(slices.Clone(issues), func(i Issue) bool { return i.Severity != Error })
}

func sortIssues(issues []Issue) {
	slices.SortStableFunc(issues, func(a, b Issue) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			strings.Compare(a.Reason, b.Reason))
	})
}

// reporter collects the issues of one place in one file.
type reporter struct {
	file, group, rule string
	issues            *[]Issue
}

// at adds an issue at a node; nil has no place.
func (r reporter) at(n *yaml.Node, s Severity, reason string) {
	i := Issue{Severity: s, File: r.file, Group: r.group, Rule: r.rule, Reason: reason}
	if n != nil {
		i.Line, i.Column = n.Line, n.Column
	}
	*r.issues = append(*r.issues, i)
}

// err adds an error that may begin with a place of its own, "3:7: reason", as
// rulefmt writes it; otherwise it is at n.
func (r reporter) err(n *yaml.Node, err error) {
	place := yaml.Node{}
	text := err.Error()
	if m := positions().FindStringSubmatch(text); m != nil {
		text = text[len(m[0]):]
		place.Line, place.Column = number(m[1]), number(m[2])
		if place.Line == 0 {
			place.Line, place.Column = number(m[3]), number(m[4])
		}
	}
	if place.Line == 0 && n != nil {
		place = *n
	}
	r.at(&place, Error, text)
}

// yaml adds the errors of decoding n: each with the line it names.
func (r reporter) yaml(n *yaml.Node, err error) {
	lines := []string{err.Error()}
	if t, ok := errors.AsType[*yaml.TypeError](err); ok {
		lines = t.Errors
	}
	for _, text := range lines {
		text = strings.TrimPrefix(text, "yaml: ")
		place := yaml.Node{Line: 0, Column: 1}
		if m := lineNumber().FindStringSubmatch(text); m != nil {
			place.Line, text = number(m[1]), text[len(m[0]):]
		} else if n != nil {
			place = *n
		}
		r.at(&place, Error, text)
	}
}

func positions() *regexp.Regexp {
	return regexp.MustCompile(`^(\d+):(\d+): (?:(\d+):(\d+): )?`)
}

func lineNumber() *regexp.Regexp { return regexp.MustCompile(`^line (\d+): `) }

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}
