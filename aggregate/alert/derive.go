package alert

import (
	"cmp"
	"strings"

	"github.com/fenghuo-mesh/fenghuo/aggregate/label"
)

// best returns the value of the label with the lowest rank (0 is best, -1 is
// none) that isn't absent. It reads the set once: derived fields are asked for
// with every alert.
func best(l label.Set, rank func(name string) int) string {
	at, value := 1<<30, ""
	for n, v := range l.All() {
		if r := rank(n); r >= 0 && r < at && !Absent(v) {
			at, value = r, v
		}
	}
	return value
}

func serviceRank(name string) int {
	switch name {
	case "service":
		return 0
	case "service_name":
		return 1
	case "app":
		return 2
	case "application":
		return 3
	}
	return -1
}

func codeRank(name string) int {
	switch name {
	case "error_code":
		return 0
	case "errcode":
		return 1
	case "err_code":
		return 2
	case "code":
		return 3
	case "status_code":
		return 4
	}
	return -1
}

// Core is what an alert is judged by: Service, ErrorCode and Name, read from the
// labels in one go.
func (a *Alert) Core() (service, code, name string) {
	at := [2]int{1 << 30, 1 << 30}
	for n, v := range a.Labels.All() {
		if n == label.AlertName {
			name = v
		}
		if r := serviceRank(n); r >= 0 && r < at[0] && !Absent(v) {
			at[0], service = r, v
		}
		if r := codeRank(n); r >= 0 && r < at[1] && !Absent(v) {
			at[1], code = r, v
		}
	}
	if e := a.Extra; e != nil {
		service, code, name = cmp.Or(e.Service, service), cmp.Or(e.ErrorCode, code), cmp.Or(e.Name, name)
	}
	return service, code, name
}

// Name is the name of the rule or condition.
func (a *Alert) Name() string {
	if a.Extra != nil && a.Extra.Name != "" {
		return a.Extra.Name
	}
	return a.Labels.Get(label.AlertName)
}

// Service is the logical service, never the scrape job.
func (a *Alert) Service() string {
	if a.Extra != nil && a.Extra.Service != "" {
		return a.Extra.Service
	}
	return best(a.Labels, serviceRank)
}

// Resource is what the alert is about: host, pod, device...
func (a *Alert) Resource() string {
	if a.Extra != nil && a.Extra.Resource != "" {
		return a.Extra.Resource
	}
	return ResourceOf(a.Labels)
}

// ResourceOf derives the resource from labels: host > hostname > ident >
// namespace/pod > node > instance (with its port) > device > target > cluster.
func ResourceOf(l label.Set) string {
	for _, n := range [...]string{"host", "hostname", "ident"} {
		if v := l.Get(n); !Absent(v) {
			return v
		}
	}
	for _, n := range [...]string{"pod", "pod_name"} {
		if v := l.Get(n); !Absent(v) {
			if ns := l.Get("namespace"); !Absent(ns) {
				return ns + "/" + v
			}
			return v
		}
	}
	for _, n := range [...]string{"node", "instance", "device", "target", "cluster"} {
		if v := l.Get(n); !Absent(v) {
			return v
		}
	}
	return ""
}

// ErrorCode is the code of the failure, if it has one.
func (a *Alert) ErrorCode() string {
	if a.Extra != nil && a.Extra.ErrorCode != "" {
		return a.Extra.ErrorCode
	}
	return best(a.Labels, codeRank)
}

// SeverityRaw is the severity as the sender wrote it.
func (a *Alert) SeverityRaw() string {
	if a.Extra != nil && a.Extra.SeverityRaw != "" {
		return a.Extra.SeverityRaw
	}
	return SeverityOf(a.Labels)
}

// SeverityOf reads the severity from labels: severity > level > priority.
func SeverityOf(l label.Set) string {
	for _, n := range [...]string{"severity", "level", "priority"} {
		if v := l.Get(n); v != "" {
			return v
		}
	}
	return ""
}

// Summary is one line for people: the source's, or the best annotation, or
// the name.
func (a *Alert) Summary() string {
	if a.Extra != nil && a.Extra.Summary != "" {
		return a.Extra.Summary
	}
	for _, n := range [...]string{"summary", "title", "description", "desc", "message"} {
		if v := a.Annotations.Get(n); v != "" {
			return v
		}
	}
	return a.Name()
}

// Description is the longer text, or "".
func (a *Alert) Description() string {
	if a.Extra != nil && a.Extra.Description != "" {
		return a.Extra.Description
	}
	return a.Annotations.Get("description")
}

// DedupeKey is equal for a problem's begin and end.
func (a *Alert) DedupeKey() string {
	if a.Extra != nil && a.Extra.DedupeKey != "" {
		return a.Extra.DedupeKey
	}
	return a.Labels.Fingerprint().String()
}

// Source is the kind of sender, "" where unknown.
func (a *Alert) Source() string {
	if a.Origin == nil {
		return ""
	}
	return a.Origin.Source
}

// Absent says whether a value means "nothing" in some monitoring system: empty,
// null, *UNKNOWN*, or a macro that was never filled in: {HOST.NAME}, $VAR.
func Absent(v string) bool {
	switch {
	case v == "", v == "null", v == "*UNKNOWN*":
		return true
	case strings.HasPrefix(v, "{") && strings.HasSuffix(v, "}"):
		return macroName(strings.TrimLeft(v[1:len(v)-1], "$#"))
	case strings.HasPrefix(v, "$"):
		return macroName(strings.TrimSuffix(strings.TrimPrefix(v[1:], "{"), "}"))
	}
	return false
}

func macroName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && c != '.' && c != '_' && c != '$' && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && s[0] >= 'A' && s[0] <= 'Z'
}
