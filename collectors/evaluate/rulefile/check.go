package rulefile

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// Report is what Check found in one file.
type Report struct {
	File                        string
	Groups, Alerting, Recording int
	// Issues are sorted by place: errors, warnings and hints.
	Issues []Issue
}

// Failed says whether the file can't be used.
func (r *Report) Failed() bool { return len(Errors(r.Issues)) > 0 }

// Check reads every file that matches one of the patterns, as Load does, and
// looks for more than what refuses a file: rules that stand twice (a warning),
// alerts without severity (a hint). A pattern that matches nothing gives a Report without rules.
func Check(patterns []string, interval time.Duration) []Report {
	documents, issues := readAll(patterns, interval)
	var out []Report
	for _, i := range issues {
		out = append(out, Report{File: i.File, Issues: []Issue{i}})
	}
	for _, d := range documents {
		out = append(out, d.report())
	}
	return out
}

func (d *document) report() Report {
	r := Report{File: d.name}
	groups, issues := d.result()
	set := Set{Groups: groups}
	r.Groups = len(groups)
	r.Alerting, r.Recording = set.Rules()
	r.Issues = append(slices.Clip(issues), lint(groups)...)
	sortIssues(r.Issues)
	return r
}

func lint(groups []*Group) []Issue {
	var out []Issue
	first := map[string]string{} // place of each rule, by what makes it the same
	for _, g := range groups {
		for _, rule := range g.Rules {
			at := Issue{File: g.File, Line: rule.Line, Column: rule.Column, Group: g.Name, Rule: rule.Name}
			// Alerts of one name with other conditions are a common way to grade them.
			id := fmt.Sprint(rule.Alerting, rule.Identity())
			place := fmt.Sprintf("line %d", rule.Line)
			if other, twice := first[id+"\x00"+rule.Query]; twice {
				at.Severity, at.Reason = Warning, "the rule is a duplicate of the one at "+other
				out = append(out, at)
			} else if other, twice := first[id]; twice && !rule.Alerting {
				at.Severity, at.Reason = Hint, "the rule at "+other+" records the same name and labels: their results must not overlap"
				out = append(out, at)
			}
			first[id], first[id+"\x00"+rule.Query] = place, place
			if rule.Alerting && rule.Labels.Get("severity") == "" {
				at.Severity, at.Reason = Hint, "the alert has no label severity and gets priority P3"
				out = append(out, at)
			}
		}
	}
	return out
}

// WriteReports writes reports as promtool does, hints only if asked for. It
// returns whether a file failed.
func WriteReports(w io.Writer, reports []Report, hints bool) (failed bool, err error) {
	for _, r := range reports {
		issues := slices.DeleteFunc(slices.Clone(r.Issues), func(i Issue) bool { return i.Severity == Hint && !hints })
		if _, err := fmt.Fprintf(w, "Checking %s\n", r.File); err != nil {
			return failed, err
		}
		if r.Failed() {
			failed = true
			_, err = fmt.Fprintln(w, "  FAILED:")
		} else {
			_, err = fmt.Fprintf(w, "  SUCCESS: %d rules found (%d alerting, %d recording) in %d groups\n", r.Alerting+r.Recording, r.Alerting, r.Recording, r.Groups)
		}
		if err != nil {
			return failed, err
		}
		for _, i := range issues {
			if _, err := fmt.Fprintf(w, "  %s\n", i); err != nil {
				return failed, err
			}
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return failed, err
		}
	}
	return failed, nil
}
