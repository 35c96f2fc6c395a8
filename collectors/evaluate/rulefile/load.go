package rulefile

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// DefaultInterval is the interval of a group that names none, Prometheus's
// global.evaluation_interval.
const DefaultInterval = time.Minute

// MaxFiles bounds how many files the patterns of one Load may match.
const MaxFiles = 10_000

// Load reads every file that matches one of the patterns (filepath.Match
// syntax; a pattern without wildcards must name a file). interval is that of
// groups that name none; 0 is DefaultInterval. It changes nothing: hand the Set
// to evaluate.Manager.Apply. The error is a *LoadError with all faults of all files.
//
// A file without `groups:` but with a block `fenghuo:` is a parameter file: its
// parameters hold in all files and take precedence over parameters of the same
// name in rule files, so that rules can be tuned without editing them.
func Load(patterns []string, interval time.Duration) (*Set, error) {
	documents, issues := readAll(patterns, interval)
	set := &Set{}
	for _, d := range documents {
		groups, found := d.result()
		set.Files = append(set.Files, d.name)
		set.Groups = append(set.Groups, groups...)
		issues = append(issues, found...)
	}
	if bad := Errors(issues); len(bad) > 0 {
		return nil, &LoadError{bad}
	}
	set.Issues = issues
	return set, nil
}

// readAll reads all files, first those that share parameters; the issues are of
// the patterns.
func readAll(patterns []string, interval time.Duration) ([]*document, []Issue) {
	files, issues := match(patterns)
	documents := make([]*document, 0, len(files))
	common := newShared()
	for _, f := range files {
		content, err := ReadFile(f)
		if err != nil {
			documents = append(documents, &document{name: f, issues: []Issue{{File: f, Reason: err.Error()}}})
			continue
		}
		d := read(f, content)
		if d.isShared() {
			common.add(d)
		}
		documents = append(documents, d)
	}
	for _, d := range documents {
		d.understand(common, interval)
	}
	return documents, issues
}

// match expands the patterns to files, sorted, each once.
func match(patterns []string) (files []string, issues []Issue) {
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		switch {
		case err != nil:
			issues = append(issues, Issue{File: p, Reason: err.Error()})
		case len(found) == 0 && strings.ContainsAny(p, "*?["):
			issues = append(issues, Issue{File: p, Severity: Warning, Reason: "no file matches"})
		case len(found) == 0:
			found = []string{p}
		}
		files = append(files, found...)
	}
	slices.Sort(files)
	files = slices.Compact(files)
	if len(files) > MaxFiles {
		issues = append(issues, Issue{File: strings.Join(patterns, ","), Reason: fmt.Sprintf("%d files, at most %d", len(files), MaxFiles)})
		files = nil
	}
	return files, issues
}

// ReadFile reads a file of rules or of tests of rules, but at most one byte more
// than ParseFile takes, by which the parser knows that it is too large.
func ReadFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
}
